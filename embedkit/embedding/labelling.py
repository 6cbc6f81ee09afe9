"""Vectors become labels: cosines to the label vectors, probabilities from them, and what is decided."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from embedkit.data.text.records import Record
from embedkit.data.vectors.label_vectors import LABELS, LabelVectors, no_labels
from embedkit.embedding.batching import WINDOW_ROWS, encode_records
from embedkit.embedding.encoder import Encoder, Vectors, unit_length
from embedkit.errors import DataError

Float32 = NDArray[np.float32]
Float64 = NDArray[np.float64]

LIST_THRESHOLD = 0.5  # probability above which a label is on the list: where ZLPR's score is 0
_CELLS = 1 << 22  # rows x label vectors that are computed together


class Prediction(NamedTuple):
    """What is decided for a text, and the labels that come nearest."""

    label: str | None  # None: none of these
    score: float  # probability of the nearest label
    cosine: float  # to the nearest label
    ranked: list[tuple[str, float]]  # labels and probabilities, best first; for lists, those that apply


@dataclass(frozen=True)
class Labeller:
    """Settings of prediction: the label vectors, how many labels a text, and where none applies.

    `threshold` is the least cosine of a label; for lists of labels, the probability that each has to exceed.
    None: there is none.
    """

    labels: LabelVectors
    k: int | None = None  # None: one, or for lists all that apply
    threshold: float | None = None

    def predict(self, vectors: Vectors) -> list[Prediction]:
        """Return a prediction for each vector of a text, `(rows, dim)`."""
        rows = row_blocks(len(vectors), len(self.labels.vectors))
        return [prediction for block in rows for prediction in self._block(vectors[block])]

    def _block(self, vectors: Vectors) -> Iterator[Prediction]:
        cosines = class_cosines(vectors, self.labels)
        probability = probabilities(cosines, self.labels, temperature_of(self.labels))
        order = nearest(cosines, self._width(probability))
        return map(self._decide, cosines, probability, order)

    def _width(self, probability: Float64) -> int:
        """Return how many of the nearest labels are looked at."""
        if not self.labels.multiple:
            return self.k or 1
        most = int(self._apply(probability).sum(axis=1).max(initial=1))
        return max(1, min(most, self.k or most))

    def _decide(self, cosines: Float32, probability: Float64, order: NDArray[np.intp]) -> Prediction:
        best = order[0]
        if self.labels.multiple:
            order = order[self._apply(probability[order])]
            found = len(order) > 0
        else:
            found = self.threshold is None or bool(cosines[best] >= self.threshold)
        ranked = [(self.labels.names[place], float(probability[place])) for place in order]
        label = self.labels.names[best] if found else None
        return Prediction(label, float(probability[best]), float(cosines[best]), ranked)

    def _apply(self, probability: Float64) -> NDArray[np.bool_]:
        """Say which labels apply, each judged by itself."""
        return probability > (-1.0 if self.threshold is None else self.threshold)


def load_labels(model: str) -> LabelVectors:
    """Return the label vectors in the folder of a model, by its name; raises FormatError when it has none."""
    if model.partition(":")[0] == "hash":
        raise no_labels(model)
    from embedkit.embedding.model_folder import find_model

    file = find_model(model).path / LABELS
    if not file.is_file():
        raise no_labels(model)
    return LabelVectors.load(file)


def usual_threshold(labels: LabelVectors) -> float | None:
    """Return the threshold that was found on held-out texts; for lists, that of an even chance."""
    if labels.multiple:
        return LIST_THRESHOLD
    return labels.calibration.threshold if labels.calibration else None


def label_records(
    encoder: Encoder, records: Iterable[Record], labeller: Labeller, *, first: int = WINDOW_ROWS
) -> Iterator[tuple[list[Record], list[Prediction]]]:
    """Yield windows of records and their predictions, in order, in constant memory.

    `first` is that of `batching.windows`. Raises MismatchError when the label vectors belong to another
    encoder, and DataError when the encoder gives NaN or infinity, naming the id.
    """
    labeller.labels.require_encoder(encoder.identity, where=encoder.identity.model)
    for window, vectors in encode_records(encoder, records, first=first):
        finite = np.isfinite(vectors).all(axis=1)
        if not finite.all():
            raise DataError(f"the vector of id {window[int(np.argmin(finite))].id!r} is not finite")
        yield window, labeller.predict(vectors)


def class_cosines(vectors: Vectors, labels: LabelVectors) -> Float32:
    """Return the cosine of each vector `(rows, dim)` to each label, `(rows, classes)`: to the nearest of its
    centres (sub-centre ArcFace, Deng et al. 2020, section 3.2).
    """
    products = unit_length(vectors) @ labels.vectors.T
    return np.asarray(products.reshape(len(vectors), len(labels.names), labels.centres).max(axis=2))


def logits(cosines: Float32, labels: LabelVectors, temperature: float) -> Float64:
    """Return scale * (cosine - offset) / temperature in float64; for lists twice that, the log-odds of a
    label under ZLPR (arXiv 2208.02955).
    """
    slope = labels.scale / temperature * (2 if labels.multiple else 1)
    return slope * (cosines.astype(np.float64) - labels.offset)


def probabilities(cosines: Float32, labels: LabelVectors, temperature: float) -> Float64:
    """Return the probability of each label from cosines `(rows, classes)`: rows sum to 1, or for lists each
    is between 0 and 1.
    """
    from scipy.special import expit, softmax

    scores = logits(cosines, labels, temperature)
    return np.asarray(expit(scores) if labels.multiple else softmax(scores, axis=1))


def temperature_of(labels: LabelVectors) -> float:
    """Return the temperature that was found on held-out texts, else 1."""
    return labels.calibration.temperature if labels.calibration else 1.0


def nearest(cosines: Float32, k: int) -> NDArray[np.intp]:
    """Return the classes of the `k` largest cosines of each row, best first, `(rows, min(k, classes))`."""
    k = min(k, cosines.shape[1])
    if k == 1:
        return np.asarray(cosines.argmax(axis=1)[:, None])
    found = np.argpartition(-cosines, k - 1, axis=1)[:, :k]
    order = np.lexsort((found, -np.take_along_axis(cosines, found, axis=1)), axis=1)  # ties: the first label
    return np.asarray(np.take_along_axis(found, order, axis=1))


def row_blocks(rows: int, width: int) -> Iterator[slice]:
    """Yield slices of rows of which each, `width` wide, can be held in memory several times."""
    step = max(1, _CELLS // width)
    return (slice(start, start + step) for start in range(0, rows, step))
