"""Writing of a segment's postings: sorted runs of limited size, merged at the end (Zobel and Moffat 2006).

Memory holds one run of `RUN_TERMS` occurrences, and the distinct terms of the segment.
"""

from __future__ import annotations

import re
import zlib
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from embedkit.data.arrays import Array
from embedkit.data.atomic import discard, named_when_full
from embedkit.data.reservoir import Reservoir
from embedkit.data.vectors.arrow_arrays import to_numpy
from embedkit.indexing.lexical.analysis import Analysis
from embedkit.indexing.lexical.posting_runs import Run, load, merged, merged_terms, save
from embedkit.indexing.lexical.postings import FORMAT, POSTINGS, SAMPLE_ROWS, VERSION
from embedkit.indexing.lexical.tensor_file import TensorWriter
from embedkit.indexing.lexical.vocabulary import Vocabulary

RUN_TERMS = 1 << 20  # occurrences that are sorted in memory
_GROUP = 1 << 20  # characters analysed at a time
_SPACE = re.compile(r"\s")
_RUNS = ".runs"  # a folder that exists while postings are written


class PostingsWriter:
    """The postings of a segment, written from its documents in the order of rows."""

    def __init__(self, folder: Path, analysis: Analysis) -> None:
        self._folder, self._vocabulary = folder, Vocabulary(analysis)
        self._runs: list[Path] = []
        self._terms: list[Array] = []  # of the run in memory
        self._held = 0
        self._lengths: list[Array] = []
        self._first = 0  # row at which the run in memory begins
        self._seen = 0  # rows so far
        self._largest = 0  # count of a term in a row
        self._sample = Reservoir(SAMPLE_ROWS)

    def append(self, ids: Sequence[str], texts: Sequence[str | None]) -> None:
        """Add the next rows; a row without text has no terms."""
        lengths = np.zeros(len(texts), np.uint32)
        for rows, group in _groups(texts):
            terms, counts = self._vocabulary.encode(group)
            self._terms.append(terms)
            self._held += len(terms)
            np.add.at(lengths, rows, counts)
        self._lengths.append(lengths)
        filled = np.flatnonzero(lengths)
        keys = sample_keys([ids[row] for row in filled.tolist()])
        self._sample.add(keys, keys, (self._seen + filled).astype(np.uint32))
        self._seen += len(ids)
        if self._held >= RUN_TERMS:
            self._spill()

    def finish(self) -> None:
        """Write the file, unless no row has a term."""
        lengths = np.concatenate([np.empty(0, np.uint32), *self._lengths])
        runs = [load(path) for path in self._runs]
        if self._held:
            runs.append(self._sorted())
        if runs:
            self._write(runs, lengths)
        discard(self._folder / _RUNS)

    def _write(self, runs: list[Run], lengths: Array) -> None:
        import pyarrow.compute as pc

        terms, numbers = merged_terms(runs)
        postings, occurrences = np.zeros((2, len(terms)), np.uint64)
        for run, places in zip(runs, numbers, strict=True):
            postings[places] += run.postings.astype(np.uint64)
            occurrences[places] += run.occurrences.astype(np.uint64)
        term_ends = np.cumsum(to_numpy(pc.binary_length(terms)), dtype=np.uint64)
        content = np.frombuffer(terms.buffers()[2] or b"", np.uint8)[: int(term_ends[-1])]
        keys, rows = self._sample.by_key()
        whole: dict[str, Array] = {
            "terms": content, "term_ends": term_ends, "posting_ends": np.cumsum(postings),
            "position_ends": np.cumsum(occurrences), "lengths": lengths, "sample_rows": rows,
            "sample_keys": keys,
        }  # fmt: skip
        sizes = {
            "rows": ("uint32", int(postings.sum())),
            "counts": (_smallest(self._largest), int(postings.sum())),
            "positions": (_smallest(int(lengths.max())), int(occurrences.sum())),
        } | {name: (array.dtype.name, len(array)) for name, array in whole.items()}
        metadata = {"format": FORMAT, "version": VERSION}
        path = self._folder / POSTINGS
        ends = np.cumsum(occurrences).astype(np.int64)
        with named_when_full(path), TensorWriter(path, sizes, metadata) as file:
            for name, array in whole.items():
                file.append(name, array)
            for places, counts, positions in merged(runs, numbers, ends, RUN_TERMS // 2):
                file.append("rows", places)
                file.append("counts", counts)
                file.append("positions", positions)

    def _spill(self) -> None:
        (self._folder / _RUNS).mkdir(exist_ok=True)
        path = self._folder / _RUNS / f"{len(self._runs):05d}"
        with named_when_full(path):
            save(path, self._sorted())
        self._runs.append(path)

    def _sorted(self) -> Run:
        """Sort the run in memory by term, row and position, and begin the next one."""
        lengths = np.concatenate(self._lengths)[self._first :]
        terms, order = self._vocabulary.sorted()
        place = order[np.concatenate(self._terms)].astype(np.uint64)
        keys = np.sort((place << np.uint64(32)) | np.arange(len(place), dtype=np.uint64))
        place, at = (keys >> np.uint64(32)).astype(np.int64), (keys & np.uint64(0xFFFFFFFF)).astype(np.int64)
        ends = np.cumsum(lengths, dtype=np.int64)
        row = np.repeat(np.arange(len(lengths)), lengths)[at]
        positions = (at - (ends - lengths)[row]).astype(np.uint32)
        first = np.flatnonzero(np.diff(place, prepend=-1) | np.diff(row, prepend=-1))
        counts = np.diff(first, append=len(place)).astype(np.uint32)
        self._largest = max(self._largest, int(counts.max()))
        run = Run(
            terms,
            np.bincount(place[first], minlength=len(terms)),
            np.bincount(place, minlength=len(terms)),
            (row[first] + self._first).astype(np.uint32),
            counts,
            positions,
        )
        self._terms, self._held, self._first = [], 0, self._first + len(lengths)
        self._lengths = [np.concatenate(self._lengths)]
        self._vocabulary.clear()
        return run


def sample_keys(ids: Sequence[str]) -> Array:
    """Return one key per id. The rows with the smallest keys are a sample: however documents are divided into
    segments, the sample of all is found among the samples of the segments.

    A checksum per id, without its order: the finaliser of SplitMix64 (Steele et al. 2014).
    """
    sums = np.fromiter((zlib.crc32(id.encode()) for id in ids), np.uint64, len(ids))
    keys = sums + np.uint64(0x9E3779B97F4A7C15)
    keys = (keys ^ (keys >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    keys = (keys ^ (keys >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return np.asarray(keys ^ (keys >> np.uint64(31)))


def _groups(texts: Sequence[str | None]) -> Iterator[tuple[Array, list[str]]]:
    """Yield texts in groups of limited size, with the row of each; a longer text is cut into several pieces
    at spaces.
    """
    rows: list[int] = []
    group: list[str] = []
    size = 0
    for row, text in enumerate(texts):
        for piece in _pieces(text or ""):
            if group and size + len(piece) > _GROUP:
                yield np.array(rows), group
                rows, group, size = [], [], 0
            rows.append(row)
            group.append(piece)
            size += len(piece)
    if group:
        yield np.array(rows), group


def _pieces(text: str) -> Iterator[str]:
    start = 0
    while len(text) - start > _GROUP and (space := _SPACE.search(text, start + _GROUP)):
        yield text[start : space.end()]
        start = space.end()
    yield text[start:]


def _smallest(largest: int) -> str:
    return next(name for name in ("uint8", "uint16", "uint32") if largest <= np.iinfo(name).max)
