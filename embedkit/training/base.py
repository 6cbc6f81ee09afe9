"""The base of a run: the model that it starts from, as a folder within the run's."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import orjson

from embedkit.embedding.encoder import EncoderSettings, is_hashed
from embedkit.embedding.export.sentence_transformers import copy_model
from embedkit.embedding.model_finding import find_model
from embedkit.embedding.model_reading import read
from embedkit.embedding.students import STORY
from embedkit.errors import MismatchError, ModelError
from embedkit.training.run_settings import RunSettings


class Base(Protocol):
    """The model that a run starts from."""

    def make(self, folder: Path) -> None:
        """Write the model as a sentence-transformers folder with `embedkit.json`; raises ModelError when it
        cannot be trained.
        """

    def require_same(self, folder: Path) -> None:
        """Raise MismatchError when the model that a folder was made from has changed since."""


@dataclass(frozen=True)
class CopiedModel:
    """A copy of the model that the settings name."""

    settings: RunSettings

    def make(self, folder: Path) -> None:
        """Write the base model as a sentence-transformers folder; raises ModelError when it cannot be one."""
        name = self.settings.model
        if is_hashed(name):
            raise ModelError(
                "hashed n-grams cannot be trained",
                where=name,
                hint="name a folder or a hub id as the `model`",
            )
        if find_model(name).is_static:
            raise ModelError(
                "is a static encoder, which has no network to train",
                where=name,
                hint="train the encoder that it was distilled from, then distill it again",
            )
        copy_model(folder, self._encoder)

    def require_same(self, folder: Path) -> None:
        """Raise MismatchError when the base model's content has changed since the run began.

        A model that no longer exists is accepted: the run continues with its own copy.
        """
        then: str = orjson.loads((folder / STORY).read_bytes())["base"]["fingerprint"]
        try:
            found = find_model(self.settings.model)
            now = read(found, self._encoder).fingerprint(found)
        except ModelError:
            return
        if now != then:
            raise MismatchError(
                f"the model {self.settings.model} changed after the run had begun: it was {then}, now {now}",
                where=str(folder.parent),
                hint="restore it, or start again with `force=True`",
            )

    @property
    def _encoder(self) -> EncoderSettings:
        pooling: Any = self.settings.pooling
        return EncoderSettings(self.settings.model, pooling=pooling)
