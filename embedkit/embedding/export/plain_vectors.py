"""The vectors that plain sentence-transformers gives for an exported folder, and their comparison."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from embedkit.embedding.encoder import EncoderSettings, Vectors
from embedkit.embedding.model_folder import ModelFolder
from embedkit.errors import ModelError

TOLERANCE = 1e-5  # largest difference from the expected vectors, relative to their length


def require_vectors(folder: Path, expected: Sequence[Vectors], *, where: str) -> None:
    """Raise ModelError unless plain sentence-transformers gives the expected vectors of the sample, as
    documents and as queries.
    """
    from embedkit.embedding.conversion import SAMPLE

    for wanted, found in zip(expected, vectors_of(open_plainly(folder), SAMPLE), strict=True):
        length = float(np.linalg.norm(wanted, axis=1).max())
        apart = float(np.abs(wanted - found).max()) if wanted.shape == found.shape else float("inf")
        if not apart <= TOLERANCE * max(1.0, length):
            raise ModelError(f"the folder would give other vectors (by {apart:.2g})", where=where)


def open_plainly(folder: Path) -> Any:
    """Return the SentenceTransformer of a folder, on the processor in float32."""
    from embedkit.embedding.torch_runtime import load_sentence_transformer

    return load_sentence_transformer(ModelFolder(folder.name, folder), EncoderSettings(device="cpu"))


def vectors_of(model: Any, texts: Sequence[str]) -> tuple[Vectors, Vectors]:
    """Return a SentenceTransformer's vectors of texts, as documents and as queries."""
    how: dict[str, Any] = {"show_progress_bar": False, "convert_to_numpy": True}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # transformers warns the maintainers of models
        documents = np.asarray(model.encode(list(texts), **how), dtype=np.float32)
        queries = np.asarray(model.encode(list(texts), prompt_name="query", **how), dtype=np.float32)
    return documents, queries
