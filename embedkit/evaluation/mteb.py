"""A check by outside judgement: MTEB's own runner takes an encoder (Muennighoff et al. 2023, EACL)."""

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
    """An encoder, with its maps, prompts and length of vectors, as `mteb.evaluate` takes one.

    What MTEB calls queries get the query prompt, all else the document prompt. Raises MissingPackageError
    without mteb.

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
        """MTEB's ModelMeta: its revision is a fingerprint of all that decides queries and documents, so that
        no result is taken for that of another encoder.
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
        """Return the vectors of batches of texts, `(texts, dimension)`, in order, equal texts encoded once.

        Raises DataError for a task without text. MTEB's batch size is passed over: tokens cut batches.
        """
        texts: list[str] = []
        for batch in inputs:
            if "text" not in batch:
                what = f"has {', '.join(batch)} where texts belong"
                raise DataError(what, where=task_metadata.name, hint="embedkit encodes text")
            texts += batch["text"]
        asked = getattr(prompt_type, "value", None)  # of symmetric tasks None, which asks for no query
        role: Role = "query" if asked == "query" else "document"
        return remember(self.encoder, texts, role=role).encode(texts)

    def similarity(self, embeddings1: Any, embeddings2: Any) -> Any:
        """Return the cosine of each row to each of the others, `(rows1, rows2)`, a tensor."""
        from mteb.similarity_functions import cos_sim

        return cos_sim(embeddings1, embeddings2)

    def similarity_pairwise(self, embeddings1: Any, embeddings2: Any) -> Any:
        """Return the cosine of each row to that in the same place, `(rows,)`, a tensor."""
        from mteb.similarity_functions import pairwise_cos_sim

        return pairwise_cos_sim(embeddings1, embeddings2)


def _name(model: str) -> str:
    """Return the name of a model, or the last part of a folder's, as a part of a path."""
    return re.sub(r"[^\w.-]+", "-", model.rstrip("/").rpartition("/")[2])
