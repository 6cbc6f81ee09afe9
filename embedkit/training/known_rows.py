"""What is known of the training rows besides their texts; a batch finds it by the numbers of its rows."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor

from embedkit.embedding.encoder import Encoder, is_hashed
from embedkit.embedding.loading import load
from embedkit.errors import UnknownNameError
from embedkit.training.run_folder import BASE
from embedkit.training.settings import SimCSESettings
from embedkit.training.text_vectors import Rows, TextVectors, open_text_vectors, write_text_vectors

SELF = "self"  # the name of the encoder that a run starts from
_GUIDE = "guide.npy"

logger = logging.getLogger("embedkit")


class KnownRows(NamedTuple):
    """What a loss is given of the rows besides the model's vectors; None: it is not given."""

    counts: Tensor | None = None  # (rows,): hard negatives per row; the other places hold filler
    guide: TextVectors | None = None

    def of(self, rows: Tensor, views: int) -> dict[str, Any]:
        """Return the values of some rows `(n,)`, by the names of a loss's arguments."""
        found: dict[str, Any] = {}
        if self.counts is not None:
            found["counts"] = self.counts[rows.cpu()].to(rows.device)
        if self.guide is not None:
            found["guide"] = self.guide.of(rows, views)
        return found


def require_encoders(settings: SimCSESettings) -> None:
    """Raise an error for a guide that does not exist."""
    if settings.guide not in (None, SELF):
        _encoder(str(settings.guide), Path(), settings, setting="guide")


def prepare_known(folder: Path, settings: SimCSESettings, rows: Rows) -> None:
    """Write what `open_known` reads into the folder of a run: the vectors of its guide.

    Raises ModelError for a guide that cannot be loaded.
    """
    if settings.guide is not None:
        guide = _encoder(settings.guide, folder, settings, setting="guide")
        logger.info(f"false negatives are masked by {guide.identity}")
        write_text_vectors(folder / _GUIDE, guide, rows)


def open_known(folder: Path, settings: SimCSESettings, rows: Rows) -> KnownRows | None:
    """Return what is known of the rows of a run; None if its batches need no numbers of rows."""
    if settings.guide is None:
        return None
    counts = counts_of(rows)
    encoder = _encoder(settings.guide, folder, settings, setting="guide")
    guide = open_text_vectors(folder / _GUIDE, encoder, rows)
    return KnownRows(None if counts is None else torch.tensor(counts), guide)


def counts_of(rows: Rows) -> list[int] | None:
    """Return the number of hard negatives of each row; None where all rows have the same."""
    lengths = [len(row) for row in rows]
    return [length - 2 for length in lengths] if min(lengths) < max(lengths) else None


def _encoder(name: str, folder: Path, settings: SimCSESettings, *, setting: str) -> Encoder:
    """Return the encoder that a setting names; `self` is the base model in the run's folder."""
    device = None if is_hashed(name) else settings.device
    try:
        return load(str(folder / BASE) if name == SELF else name, device=device)
    except UnknownNameError as error:
        error.where = f"`{setting}`"
        raise
