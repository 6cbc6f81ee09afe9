"""nDCG@10 of a retrieval set while training: an exact search of its documents, without an index."""

from __future__ import annotations

from collections.abc import Sequence
from threading import Lock
from typing import TYPE_CHECKING

import numpy as np
from sentence_transformers.sentence_transformer.evaluation import SentenceEvaluator

from embedkit.data.identity import Identity
from embedkit.embedding.encoder import Role, Vectors
from embedkit.evaluation.judged_sets import JudgedSet
from embedkit.training.scoring import encode

if TYPE_CHECKING:
    from sentence_transformers import SentenceTransformer

MEASURE = "nDCG@10"


class RetrievalScore(SentenceEvaluator):  # type: ignore[misc]
    """The mean nDCG@10 of the queries of a retrieval set."""

    def __init__(self, judged: JudgedSet, *, chunk_tokens: int, bf16: bool) -> None:
        super().__init__()
        self.judged, self.chunk_tokens, self.bf16 = judged, chunk_tokens, bf16

    def __call__(
        self, model: SentenceTransformer, output_path: str | None = None, epoch: int = -1, steps: int = -1
    ) -> dict[str, float]:
        """Return the value by name."""
        was_training = model.training
        model.eval()
        encoder = _InTraining(model, chunk_tokens=self.chunk_tokens, bf16=self.bf16)
        value = self.judged.value(encoder, MEASURE)
        model.train(was_training)
        return {"ndcg10": value}


class _InTraining:
    """A SentenceTransformer in training as an encoder, with the model's prompts."""

    def __init__(self, model: SentenceTransformer, *, chunk_tokens: int, bf16: bool) -> None:
        self._model, self._chunk_tokens, self._bf16 = model, chunk_tokens, bf16
        dimension = model.get_embedding_dimension()
        self.identity = Identity("a model in training", "", dimension, normalized=False)
        self._lock = Lock()  # two windows are encoded at a time, which one model cannot

    def encode(self, texts: Sequence[str], role: Role = "document") -> Vectors:
        """Return one vector per text, `(len(texts), dimension)`."""
        prompt = self._model.prompts.get(role) or ""
        prompted = [prompt + text for text in texts]
        with self._lock:
            vectors = encode(self._model, prompted, chunk_tokens=self._chunk_tokens, bf16=self._bf16)
        return vectors.astype(np.float32)
