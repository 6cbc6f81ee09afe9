"""Adapt an encoder to MTEB's runner, as an independent check (Muennighoff et al. 2023, EACL)."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from functools import cached_property
from typing import Any

from embedkit.embedding.encoder import Encoder, Role, Vectors
from embedkit.embedding.fingerprint import fingerprint
from embedkit.errors import DataError, MissingPackageError
from embedkit.evaluation.sts import remember


class MTEBEncoder:
    """An encoder, with its maps, prompts and dimension, in the form that `mteb.evaluate` expects.

    Texts that MTEB marks as queries get the query prompt, all others the document prompt. Raises
    MissingPackageError when mteb is not installed.

    >>> mteb.evaluate(MTEBEncoder(load("minilm")), tasks)
    """

    def __init__(self, encoder: Encoder) -> None:
        try:
            import mteb  # noqa: F401
        except ImportError:
            raise MissingPackageError("mteb", needed_for="MTEBEncoder", extra="mteb") from None
        self.encoder = encoder

    @cached_property
    def mteb_model_meta(self) -> Any:
        """MTEB's ModelMeta. Its revision is a fingerprint of all that determines the vectors of queries and
        documents, so that results of different encoders are never confused.
        """
        from mteb.models.model_meta import ModelMeta, ScoringFunction

        identity = self.encoder.identity
        deciding = {name: value for name, value in identity.to_json().items() if name != "model"}
        return ModelMeta.create_empty(
            {
                "name": f"embedkit/{_name(identity.model)}",
                "revision": fingerprint(deciding),
                "embed_dim": identity.dimension,
                "max_tokens": identity.max_length,
                "similarity_fn_name": ScoringFunction.COSINE,
                "use_instructions": bool(identity.query_prompt or identity.document_prompt),
                "experiment_kwargs": {"maps": list(identity.maps)} if identity.maps else None,
            }
        )

    def encode(
        self,
        inputs: Iterable[Mapping[str, Sequence[str]]],
        *,
        task_metadata: Any,
        hf_split: str,
        hf_subset: str,
        prompt_type: Any = None,
        **kwargs: Any,
    ) -> Vectors:
        """Return the vectors of all texts in the batches, `(texts, dimension)`, in order; equal texts are
        encoded once.

        Raises DataError for a task without text. MTEB's batch size is ignored, because batches are cut by
        their number of tokens.
        """
        texts: list[str] = []
        for batch in inputs:
            if "text" not in batch:
                what = f"has {', '.join(batch)} where texts are expected"
                raise DataError(what, where=task_metadata.name, hint="embedkit encodes text")
            texts += batch["text"]
        asked = getattr(prompt_type, "value", None)  # None for symmetric tasks: document role
        role: Role = "query" if asked == "query" else "document"
        return remember(self.encoder, texts, role=role).encode(texts)

    def similarity(self, embeddings1: Any, embeddings2: Any) -> Any:
        """Return the cosine of each row of the first to each row of the second, a tensor `(rows1, rows2)`."""
        from mteb.similarity_functions import cos_sim

        return cos_sim(embeddings1, embeddings2)

    def similarity_pairwise(self, embeddings1: Any, embeddings2: Any) -> Any:
        """Return the cosine of each row to the row in the same place, a tensor `(rows,)`."""
        from mteb.similarity_functions import pairwise_cos_sim

        return pairwise_cos_sim(embeddings1, embeddings2)


def _name(model: str) -> str:
    """Return the last part of a model's name or folder, with characters that suit a path."""
    return re.sub(r"[^\w.-]+", "-", model.rstrip("/").rpartition("/")[2])
