"""Embeddings as clients of OpenAI ask for them."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from embedkit.embedding.encoder import Role, Vectors, unit_length
from embedkit.errors import UnknownNameError, UsageError
from embedkit.serving.http_errors import BAD, NOT_FOUND, RequestError
from embedkit.serving.question import checked_text, number_of
from embedkit.serving.search_service import SearchService
from embedkit.serving.serve_settings import Limits

_NAMES = ("input", "model", "encoding_format", "dimensions", "input_type", "user")
_FORMATS = ("float", "base64")
_ROLES: dict[str, Role] = {"document": "document", "query": "query"}


@dataclass(frozen=True)
class EmbeddingRequest:
    """Texts to embed; `role` chooses the prompt, for encoders that have one."""

    texts: list[str]
    model: str
    base64: bool
    dimensions: int | None
    role: Role


def read_request(values: Mapping[str, object], limits: Limits) -> EmbeddingRequest:
    """Return the request in the body of OpenAI's API; raises UsageError naming the first wrong value."""
    for name in values:
        if name not in _NAMES:
            raise UnknownNameError(name, _NAMES, what="parameter")
    model, format = values.get("model"), values.get("encoding_format") or "float"
    if not isinstance(model, str):
        raise UsageError("'model' must be the name of a model; /v1/models lists them")
    if not isinstance(format, str) or format not in _FORMATS:
        raise UsageError(f"'encoding_format' must be float or base64, got {str(format)[:40]!r}")
    role = values.get("input_type") or "document"
    if not isinstance(role, str) or role not in _ROLES:
        raise UsageError(f"'input_type' must be document or query, got {str(role)[:40]!r}")
    dimensions = number_of(values, "dimensions", least=1, most=1_000_000) or None
    return EmbeddingRequest(
        _texts(values.get("input"), limits), model, format == "base64", dimensions, _ROLES[role]
    )


async def embed(service: SearchService, request: EmbeddingRequest) -> dict[str, object]:
    """Return the vectors of a request's texts, as values of JSON."""
    try:
        encoding = service.encoding(request.model)
    except UnknownNameError as error:
        raise RequestError(NOT_FOUND, str(error), code="model_not_found") from None
    full = encoding.encoder.identity.dimension
    if request.dimensions is not None and request.dimensions > full:
        raise RequestError(BAD, f"'dimensions' must be at most {full}, got {request.dimensions}")
    vectors = await encoding.encode(request.texts, request.role)
    if request.dimensions is not None and request.dimensions < full:
        vectors = unit_length(vectors[:, : request.dimensions])
    data = [
        {"object": "embedding", "index": place, "embedding": values}
        for place, values in enumerate(_values(vectors, request.base64))
    ]
    usage = {"prompt_tokens": 0, "total_tokens": 0}  # not counted
    return {"object": "list", "data": data, "model": request.model, "usage": usage}


def models(service: SearchService) -> dict[str, object]:
    """Return the models by which embeddings can be asked for: the indexes, and their encoders."""
    names = dict.fromkeys(
        name
        for each in service.indexes.values()
        for name in (each.name, each.current.encoding.encoder.identity.model)
    )
    data = [{"id": name, "object": "model", "created": 0, "owned_by": "embedkit"} for name in names]
    return {"object": "list", "data": data}


def _values(vectors: Vectors, as_base64: bool) -> list[object]:
    if as_base64:
        return [base64.b64encode(row.astype("<f4").tobytes()).decode() for row in vectors]
    return [row.tolist() for row in vectors.astype(np.float64)]


def _texts(value: object, limits: Limits) -> list[str]:
    texts = [value] if isinstance(value, str) else value
    if not isinstance(texts, list) or not texts:
        raise UsageError("'input' must be a text or a list of texts, and not empty")
    if len(texts) > limits.texts:
        raise UsageError(f"'input' has {len(texts):,} texts, at most {limits.texts:,} are allowed")
    if isinstance(texts[0], int | list):
        raise UsageError("'input' must be text; tokens of another tokenizer cannot be encoded")
    for text in texts:
        if not isinstance(text, str):
            raise UsageError("'input' must be a list of texts only")
        checked_text(text, "input", limits.characters)
    return texts
