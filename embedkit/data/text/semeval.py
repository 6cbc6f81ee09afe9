"""Folders of SemEval's STS tasks: texts in `STS.input.NAME.txt`, their scores in `STS.gs.NAME.txt`."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

from embedkit.data.text.display import shown
from embedkit.data.text.lines import decoded
from embedkit.data.text.read_errors import readable
from embedkit.data.text.scored_pairs import Columns, Pair, read_pairs
from embedkit.data.text.streams import open_stream
from embedkit.errors import DataError

_INPUT, _SCORES, _END = "STS.input.", "STS.gs.", ".txt"
_ALL = "ALL"  # some tasks also have all of their pairs in one file


class PairSet(NamedTuple):
    """The pairs of one file, and its name for tables and errors."""

    name: str
    pairs: list[Pair]


def read_pair_sets(name: str, columns: Columns | None = None) -> list[PairSet]:
    """Read the pairs of a file as `read_pairs` does, or of each pair of files in a folder of SemEval.

    Pairs without a score, which people were not asked about, are left out. Raises DataError naming the faulty
    line, and for a folder without such files.

    >>> [each.name for each in read_pair_sets("STS12-en-test")]
    ['STS12-en-test/MSRpar', 'STS12-en-test/MSRvid', 'STS12-en-test/SMTeuroparl']
    """
    if not Path(name).is_dir():
        return [PairSet(name, read_pairs(name, columns))]
    inputs = {path.name[len(_INPUT) : -len(_END)]: path for path in Path(name).glob(f"{_INPUT}*{_END}")}
    if not inputs:
        raise DataError(
            f"is a folder without files named {_INPUT}*{_END}",
            where=name,
            hint="name files of pairs, or a folder of SemEval",
        )
    if len(inputs) > 1:
        inputs.pop(_ALL, None)
    return [PairSet(f"{name.rstrip('/')}/{part}", _pairs(path)) for part, path in sorted(inputs.items())]


def _pairs(path: Path) -> list[Pair]:
    """Return the pairs of a file of texts that have a score in the file of scores beside it."""
    beside = path.with_name(path.name.replace(_INPUT, _SCORES, 1))
    if not beside.is_file():
        raise DataError(f"has no {beside.name} beside it", where=str(path))
    texts, scores = _lines(path), _lines(beside)
    if len(texts) != len(scores):
        raise DataError(f"has {len(texts):,} lines, {beside.name} has {len(scores):,}", where=str(path))
    rows = zip(texts, scores, strict=True)
    numbered = enumerate(rows, 1)
    pairs = [
        _pair(text.split("\t"), score, f"{path}:{row}") for row, (text, score) in numbered if score.strip()
    ]
    if not pairs:
        raise DataError("has no score", where=str(beside))
    return pairs


def _pair(cells: list[str], score: str, place: str) -> Pair:
    """Return the pair in the first two cells of a line; the others name its source."""
    if len(cells) < 2:
        raise DataError("has 1 cell, expected two texts with a tab between them", where=place)
    try:
        return Pair(cells[0], cells[1], float(score))
    except ValueError:
        raise DataError(f"has the score {shown(score)}, which is not a number", where=place) from None


def _lines(path: Path) -> list[str]:
    """Return the lines of a file; a pair without a score has an empty line among the scores."""
    with open_stream(str(path), "text") as stream, readable(str(path)):
        return [_line(line, f"{path}:{number}") for number, line in stream.lines()]


def _line(line: bytes, place: str) -> str:
    try:
        return decoded(line).rstrip("\r\n")
    except DataError as error:
        raise DataError(error.what, where=place, hint=error.hint) from None
