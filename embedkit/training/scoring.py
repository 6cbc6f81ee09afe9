"""Scores while training: the Spearman correlation on labelled pairs, as in `eval sts`, or the ranking of
texts by label, as in `eval labels`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import NDArray
from sentence_transformers.sentence_transformer.evaluation import SentenceEvaluator

from embedkit.data.arrays import unit_vectors
from embedkit.data.text.display import shown
from embedkit.data.text.labelled import LabelledText
from embedkit.data.text.scored_pairs import Pair
from embedkit.errors import DataError
from embedkit.evaluation.labels.label_retrieval import label_figures
from embedkit.evaluation.sts import pearson, spearman
from embedkit.training.gradcache import cut, in_order

if TYPE_CHECKING:
    from sentence_transformers import SentenceTransformer


class PairScore(SentenceEvaluator):  # type: ignore[misc]
    """Spearman and Pearson correlation of cosines with the scores of pairs."""

    def __init__(self, pairs: Sequence[Pair], *, chunk_tokens: int, bf16: bool) -> None:
        super().__init__()
        self.pairs, self.chunk_tokens, self.bf16 = list(pairs), chunk_tokens, bf16

    def __call__(
        self, model: SentenceTransformer, output_path: str | None = None, epoch: int = -1, steps: int = -1
    ) -> dict[str, float]:
        """Return the values by name."""
        texts = list(dict.fromkeys(text for pair in self.pairs for text in pair[:2]))
        places = {text: place for place, text in enumerate(texts)}
        vectors = encode(model, texts, chunk_tokens=self.chunk_tokens, bf16=self.bf16)
        unit = unit_vectors(vectors)
        first = unit[[places[pair.first] for pair in self.pairs]]
        second = unit[[places[pair.second] for pair in self.pairs]]
        cosines, scores = np.sum(first * second, axis=1), [pair.score for pair in self.pairs]
        return {"spearman": spearman(cosines, scores), "pearson": pearson(cosines, scores)}


class LabelScore(SentenceEvaluator):  # type: ignore[misc]
    """Mean average precision and top-1 of texts that each query all others; a hit shares a label."""

    def __init__(self, rows: Sequence[LabelledText], *, chunk_tokens: int, bf16: bool) -> None:
        super().__init__()
        self.rows, self.chunk_tokens, self.bf16 = list(rows), chunk_tokens, bf16

    def __call__(
        self, model: SentenceTransformer, output_path: str | None = None, epoch: int = -1, steps: int = -1
    ) -> dict[str, float]:
        """Return the values by name."""
        texts = [row.text for row in self.rows]
        vectors = encode(model, texts, chunk_tokens=self.chunk_tokens, bf16=self.bf16)
        labels = [frozenset(row.labels) for row in self.rows]
        figures = label_figures(vectors.astype(np.float32), labels)
        return {
            "map": float(figures.average_precision.mean()),
            "top1": float(figures.top1.mean()),
        }


def encode(
    model: SentenceTransformer, texts: Sequence[str], *, chunk_tokens: int, bf16: bool
) -> NDArray[np.float64]:
    """Return the vectors `(len(texts), dim)` of a SentenceTransformer that is being trained.

    Raises DataError for a text whose vector is not finite.
    """
    was_training, window = model.training, 4096
    model.eval()
    parts = []
    with torch.inference_mode(), torch.autocast(model.device.type, torch.bfloat16, enabled=bf16):
        for start in range(0, len(texts), window):
            features = model.preprocess(list(texts[start : start + window]))
            features = {
                name: value.to(model.device) if isinstance(value, torch.Tensor) else value
                for name, value in features.items()
            }
            chunks = cut(features, chunk_tokens)
            found = [model(dict(chunk.features))["sentence_embedding"] for chunk in chunks]
            parts.append(in_order(chunks, found).double().cpu().numpy())
    model.train(was_training)
    vectors = np.concatenate(parts)
    finite = np.isfinite(vectors).all(axis=1)
    if not finite.all():
        text = shown(texts[int(np.argmin(finite))])
        raise DataError(f"the vector of {text} has a number that is not finite")
    return vectors
