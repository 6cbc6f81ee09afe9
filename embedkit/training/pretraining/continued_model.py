"""The base of a run that continues a model: a copy, with another vocabulary if the settings say so."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from pathlib import Path

import orjson

from embedkit.data.atomic import put_in_place, scratch_folder, write_whole
from embedkit.embedding.model_finding import find_model
from embedkit.embedding.students import STORY
from embedkit.training.base import CopiedModel
from embedkit.training.pretraining.corpus import Row
from embedkit.training.pretraining.new_vocabulary import change_vocabulary
from embedkit.training.pretraining.prediction_head import HEAD, kept_head, save_head
from embedkit.training.pretraining.pretrain_settings import PretrainSettings
from embedkit.training.pretraining.wider_model import widen

TOKENS = "tokens per text"  # in the base's embedkit.json: with the old and with the new vocabulary

logger = logging.getLogger("embedkit")


@dataclass(frozen=True)
class ContinuedModel:
    """A copy of the model that the settings name, wider if they say so, with the head that predicts its
    masked tokens."""

    settings: PretrainSettings
    rows: list[Row]

    def make(self, folder: Path) -> None:
        """Write the copy; raises ModelError when the model cannot be trained, or its vocabulary changed."""
        with scratch_folder(folder) as scratch:
            copy = scratch / folder.name
            self._make(copy)
            put_in_place(copy, folder)

    def _make(self, folder: Path) -> None:
        CopiedModel(self.settings).make(folder)
        source = find_model(self.settings.model).transformer_path
        if (source / HEAD).is_file() and (head := kept_head(source)) is not None:
            save_head(head, folder)
        if kept_head(folder) is None:
            logger.info(f"{self.settings.model} has no head for masked tokens; a new one is trained with it")
        if self.settings.vocabulary is not None:
            counts = change_vocabulary(folder, self.settings, self.rows)
            logger.info(str(counts))
            story = orjson.loads((folder / STORY).read_bytes()) | {TOKENS: counts._asdict()}
            write_whole(folder / STORY, orjson.dumps(story, option=orjson.OPT_INDENT_2) + b"\n")
        for doubling in range((self.settings.widen or 1).bit_length() - 1):
            widen(folder, self.settings.seed + 2 * doubling, where=self.settings.model)

    def require_same(self, folder: Path) -> None:
        """Raise MismatchError when the model has changed since it was copied to a folder."""
        CopiedModel(self.settings).require_same(folder)


def tokens_per_text(folder: Path) -> dict[str, float]:
    """Return the counts before and after the vocabulary changed, by name; empty if it did not."""
    counts: dict[str, float] = orjson.loads((folder / STORY).read_bytes()).get(TOKENS, {})
    return {f"{TOKENS} {name}": round(value, 2) for name, value in counts.items()}
