"""The texts to pretrain on: single texts or pairs, and some of them held out."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from embedkit.data.inputs import open_text
from embedkit.data.text.display import counted
from embedkit.data.text.examples import read_examples
from embedkit.data.text.records import TextFormat
from embedkit.errors import DataError

Row = tuple[str, ...]  # a text, or a pair of texts


@dataclass(frozen=True)
class Corpus:
    """Rows of one text or of two, all alike."""

    rows: list[Row]
    blank: int = 0  # blank lines and texts
    skipped: int = 0  # records that could not be read
    notes: tuple[str, ...] = field(default=(), compare=False)  # the columns that were read, per file

    @property
    def pairs(self) -> bool:
        """True for rows of two texts."""
        return len(self.rows[0]) == 2

    def what(self) -> str:
        """Return the number of rows in words."""
        return counted(len(self.rows), "pair" if self.pairs else "text")

    def texts(self) -> Iterator[str]:
        """Return every text."""
        return (text for row in self.rows for text in row)


def read_corpus(
    names: Sequence[str], format: TextFormat | None = None, columns: Sequence[str] | None = None
) -> Corpus:
    """Read texts from paths, folders, URLs or `-`; raises DataError when there are none.

    A table with two columns of text, by their usual names or `columns`, gives pairs. Of a row with more
    texts, such as hard negatives, each is a text of its own. Folders give passages.
    """
    format = format or TextFormat()
    parts = [
        _of_folder(name, format) if Path(name).is_dir() else _of_file(name, format, columns) for name in names
    ]
    parts = [part for part in parts if part.rows]
    if not parts:
        raise DataError("the input contains no text", where=", ".join(names) or None)
    if len({part.pairs for part in parts}) > 1:  # texts of pairs are texts too
        parts = [Corpus([(text,) for text in part.texts()], part.blank, part.skipped) for part in parts]
    return Corpus(
        [row for part in parts for row in part.rows],
        sum(part.blank for part in parts),
        sum(part.skipped for part in parts),
        tuple(note for part in parts for note in part.notes),
    )


def _of_folder(name: str, format: TextFormat) -> Corpus:
    with open_text([name], format) as reader:
        rows: list[Row] = [(record.embedded,) for record in reader]
    return Corpus(rows, reader.blank, reader.skipped)


def _of_file(name: str, format: TextFormat, columns: Sequence[str] | None) -> Corpus:
    found = read_examples([name], format, columns)
    rows = found.rows
    if len(found.columns) > 2:
        rows = [(text,) for text in dict.fromkeys(found.texts())]
    return Corpus(rows, found.blank, found.skipped, tuple(map(str, found.choices)))


def hold_out(rows: Sequence[Row], holdout: float, seed: int) -> tuple[list[Row], list[Row]]:
    """Return the rows to train on, and the rows to measure on: a share of the different rows, or a number.

    No row is in both. At least one row is held out. Raises DataError when none is left to train on.
    """
    different = list(dict.fromkeys(rows))
    number = max(1, round(holdout * len(different))) if holdout < 1 else int(holdout)
    if number >= len(different):
        raise DataError(
            f"pretraining needs at least {number + 1:,} different texts, got {len(different):,}",
            hint="give more texts" if number == 1 else "lower `holdout`",
        )
    chosen = np.random.default_rng(seed).permutation(len(different))[:number]
    held_out = [different[place] for place in sorted(chosen.tolist())]
    kept = set(held_out)
    return [row for row in rows if row not in kept], held_out
