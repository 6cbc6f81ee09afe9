"""What is known of the training rows besides their texts; a batch finds it by the numbers of its rows."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from embedkit.data.identity import Identity
from embedkit.data.text.examples import Examples
from embedkit.embedding.encoder import Encoder, is_hashed
from embedkit.embedding.loading import load
from embedkit.errors import ModelError, UnknownNameError
from embedkit.training.run_folder import BASE
from embedkit.training.simcse_settings import SimCSESettings
from embedkit.training.text_vectors import Rows, TextVectors, open_text_vectors, write_text_vectors

SELF = "self"  # the name of the encoder that a run starts from
_FILES = {  # settings that name an encoder: the file of its vectors, and the line before its use
    "guide": ("guide.npy", "false negatives are masked by"),
    "teacher": ("teacher.npy", "taught by"),
}

logger = logging.getLogger("embedkit")


class KnownRows(NamedTuple):
    """What a loss is given of the rows besides the model's vectors; None: it is not given."""

    counts: Tensor | None = None  # (rows,): hard negatives per row; the other places hold filler
    guide: TextVectors | None = None
    scores: Tensor | None = None  # (rows, candidates), of a teacher for own candidates; NaN for none
    teacher: TextVectors | None = None

    def of(self, rows: Tensor, views: int) -> dict[str, Any]:
        """Return the values of some rows `(n,)`, by the names of a loss's arguments."""
        found: dict[str, Any] = {}
        if self.counts is not None:
            found["counts"] = self.counts[rows.cpu()].to(rows.device)
        if self.guide is not None:
            found["guide"] = self.guide.of(rows, views)
        if self.scores is not None:
            found["scores"] = self.scores[rows.cpu()].to(rows.device)
        if self.teacher is not None:
            found["teacher"] = self.teacher.of(rows, views)
            if views > 1:
                found["scores"] = own_scores(found["teacher"], found.get("counts"))
        return found


def own_scores(teacher: Sequence[Tensor], counts: Tensor | None) -> Tensor:
    """Return the teacher's cosines of each anchor with its own candidates, `(rows, candidates)`; NaN for
    filler.
    """
    scores = torch.stack([(teacher[0] * other).sum(dim=1) for other in teacher[1:]], dim=1)
    if counts is None:
        return scores
    places = torch.arange(scores.shape[1], device=scores.device)
    return scores.masked_fill(places > counts[:, None], torch.nan)


def require_encoders(settings: SimCSESettings) -> None:
    """Raise an error for a guide or a teacher that does not exist."""
    for setting in _FILES:
        if getattr(settings, setting) not in (None, SELF):
            _encoder(settings, setting, Path())


def teacher_identity(settings: SimCSESettings) -> Identity:
    """Return the identity of a teacher that is not the model to train."""
    return _encoder(settings, "teacher", Path()).identity


def needs_numbers(settings: SimCSESettings) -> bool:
    """Return True if more is known of the rows than their texts, so that batches need the rows' numbers."""
    return any(getattr(settings, name) is not None for name in _FILES) or settings.teaches_scores


def prepare_known(folder: Path, settings: SimCSESettings, rows: Rows) -> None:
    """Write what `open_known` reads into the folder of a run: the vectors of its guide and of its teacher.

    Raises ModelError for a teacher whose vectors the model cannot have.
    """
    _require_same_dimension(folder, settings)
    for setting, (file, use) in _FILES.items():
        if getattr(settings, setting) is not None:
            encoder = _encoder(settings, setting, folder)
            logger.info(f"{use} {replace(encoder.identity, model=getattr(settings, setting))}")
            write_text_vectors(folder / file, encoder, rows)


def open_known(folder: Path, settings: SimCSESettings, examples: Examples) -> KnownRows | None:
    """Return what is known of the rows of a run; None if its batches need no numbers of rows."""
    if not needs_numbers(settings):
        return None
    counts = counts_of(examples.rows)
    vectors = {
        setting: open_text_vectors(folder / file, _encoder(settings, setting, folder), examples.rows)
        for setting, (file, _) in _FILES.items()
        if getattr(settings, setting) is not None
    }
    scores = None if examples.scores is None else _padded(examples.scores)
    return KnownRows(None if counts is None else torch.tensor(counts), scores=scores, **vectors)


def counts_of(rows: Rows) -> list[int] | None:
    """Return the number of hard negatives of each row; None where all rows have the same."""
    lengths = [len(row) for row in rows]
    return [length - 2 for length in lengths] if min(lengths) < max(lengths) else None


def _padded(scores: Sequence[tuple[float, ...]]) -> Tensor:
    """Return scores of different lengths as a matrix, with NaN where there is none."""
    found = np.full((len(scores), max(map(len, scores))), np.nan, dtype=np.float32)
    for row, values in enumerate(scores):
        found[row, : len(values)] = values
    return torch.from_numpy(found)


def _require_same_dimension(folder: Path, settings: SimCSESettings) -> None:
    taught = settings.taught()
    if taught is None or taught.compares != "vectors":
        return
    own = load(str(folder / BASE)).identity.dimension
    teachers = _encoder(settings, "teacher", folder).identity.dimension
    if own != teachers:
        raise ModelError(
            f"has {teachers} dimensions and the model has {own}, so its vectors cannot be taught",
            where=f"`teacher={settings.teacher}`",
            hint="teach its similarities by `batch-kl`",
        )


def _encoder(settings: SimCSESettings, setting: str, folder: Path) -> Encoder:
    """Return the encoder that a setting names; `self` is the base model in the run's folder."""
    name: str = getattr(settings, setting)
    device = None if is_hashed(name) else settings.device
    try:
        return load(str(folder / BASE) if name == SELF else name, device=device)
    except UnknownNameError as error:
        error.where = f"`{setting}`"
        raise
