"""Measure how well an encoder retrieves texts by their labels."""

from __future__ import annotations

from embedkit.data.text.labelled import Labelled
from embedkit.embedding.encoder import Encoder, Vectors
from embedkit.evaluation.labels.influence import among_themselves
from embedkit.evaluation.labels.label_retrieval import LabelFigures, label_figures


def measure_labels(encoder: Encoder, queries: Labelled, gallery: Labelled | None = None) -> LabelFigures:
    """Encode labelled texts as documents, rank the gallery for each query, and return the values.

    Without a gallery each query searches the others, and the values include the influence of each text, as
    `among_themselves` returns it. Raises DataError for a vector that is not finite.
    """
    if gallery is None:
        return among_themselves(*_encoded(encoder, queries))
    return label_figures(*_encoded(encoder, queries), *_encoded(encoder, gallery))


def _encoded(encoder: Encoder, texts: Labelled) -> tuple[Vectors, list[tuple[str, ...]]]:
    return encoder.encode(texts.texts()), [row.labels for row in texts.rows]
