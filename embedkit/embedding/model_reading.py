"""How a model reads texts: the settings, the model's own values where they are None, and the identity."""

from __future__ import annotations

from typing import NamedTuple

from embedkit.data.identity import Identity
from embedkit.embedding.encoder import EncoderSettings
from embedkit.embedding.fingerprint import fingerprint as digest
from embedkit.embedding.model_folder import ModelFolder
from embedkit.embedding.students import teacher_of
from embedkit.errors import ModelError


class Reading(NamedTuple):
    """How a model reads texts: the settings, with the model's own values where they are None."""

    pooling: str | None
    max_length: int | None
    truncate_dim: int | None
    normalized: bool
    document_prompt: str
    query_prompt: str

    def fingerprint(self, folder: ModelFolder) -> str:
        """Return the digest of everything that decides the vectors of documents."""
        deciding = {name: value for name, value in self._asdict().items() if name != "query_prompt"}
        return digest({"content": folder.content, **deciding})


def read(folder: ModelFolder, settings: EncoderSettings) -> Reading:
    """Return the settings with the model's own values where they are None."""
    document, query = settings.document_prompt, settings.query_prompt
    return Reading(
        pooling=settings.pooling or folder.pooling,
        max_length=settings.max_length or folder.max_length,
        truncate_dim=settings.truncate_dim,
        normalized=folder.normalizes if settings.normalize is None else settings.normalize,
        document_prompt=folder.prompt("document") if document is None else document,
        query_prompt=folder.prompt("query") if query is None else query,
    )


def identify(folder: ModelFolder, settings: EncoderSettings, dimension: int) -> Identity:
    """Return the identity of a model read with these settings; `dimension` is its own, before truncation."""
    if settings.truncate_dim is not None and settings.truncate_dim > dimension:
        raise ModelError(
            f"has {dimension} dimensions, fewer than `truncate_dim={settings.truncate_dim}`",
            where=folder.name,
        )
    reading = read(folder, settings)
    fingerprint = reading.fingerprint(folder)
    return Identity(
        model=folder.name,
        fingerprint=fingerprint,
        dimension=settings.truncate_dim or dimension,
        teacher=teacher_of(folder.path, fingerprint),
        **reading._asdict(),
    )
