"""Loading of encoders by name: hashed n-grams, a static encoder, or a model."""

from __future__ import annotations

from contextlib import suppress
from typing import Any, get_args

from embedkit.data.identity import Identity
from embedkit.embedding.encoder import DEFAULT_MODEL, Encoder, EncoderSettings, PoolingName, is_hashed
from embedkit.errors import MissingPackageError


def load(model: str | EncoderSettings = DEFAULT_MODEL, **settings: Any) -> Encoder:
    """Load an encoder: `minilm`, `e5`, a folder, a hub id, or `hash:dim=512`.

    Keyword arguments are fields of `EncoderSettings`. Raises ModelError when the model does not exist or does
    not support a setting. The weights are read at the first text, not before.

    >>> load("hash:dim=64").encode(["one line"]).shape
    (1, 64)
    """
    wanted = model if isinstance(model, EncoderSettings) else EncoderSettings(model, **settings)
    if is_hashed(wanted.model):
        from embedkit.embedding.hashed_encoder import load_hashed

        return load_hashed(wanted)
    from embedkit.embedding.model_finding import find_model

    folder = find_model(wanted.model, allow_pickle=wanted.allow_pickle)
    if folder.is_static:
        from embedkit.embedding.static.static_encoder import StaticEncoder

        return StaticEncoder(folder, wanted)
    from embedkit.embedding.transformer import Transformer

    return Transformer(wanted, folder)


def has_network(settings: EncoderSettings) -> bool:
    """Return whether the encoder computes a network; hashed n-grams and static encoders only add vectors.

    Raises ModelError when the model does not exist.
    """
    from embedkit.embedding.model_finding import find_model

    if is_hashed(settings.model):
        return False
    return not find_model(settings.model, allow_pickle=settings.allow_pickle).is_static


def prepare(settings: EncoderSettings) -> None:
    """Import the libraries that an encoder of these settings computes with, to overlap it with other work."""
    if settings.runtime != "torch" and has_network(settings):
        from embedkit.embedding.openvino_library import openvino

        with suppress(MissingPackageError):
            openvino()


def settings_of(identity: Identity) -> EncoderSettings:
    """Return settings that load the encoder of `identity` again, without its maps."""
    return EncoderSettings(
        identity.model,
        pooling=identity.pooling if identity.pooling in get_args(PoolingName) else None,  # type: ignore[arg-type]
        max_length=identity.max_length,
        truncate_dim=identity.truncate_dim,
        document_prompt=identity.document_prompt,
        query_prompt=identity.query_prompt,
        normalize=identity.normalized,
    )
