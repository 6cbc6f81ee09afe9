"""Writing of a segment's postings: sorted runs of limited size, merged at the end (Zobel and Moffat 2006).

Memory holds one run of `RUN_TERMS` occurrences, and the distinct terms of the segment.
"""

from __future__ import annotations

import re
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from embedkit.data.atomic import discard, named_when_full
from embedkit.indexing.kind import Rows
from embedkit.indexing.lexical.analysis import BREAK, Analysis, is_unspaced, pairs, split
from embedkit.indexing.lexical.postings import FORMAT, POSTINGS, VERSION
from embedkit.indexing.lexical.tensor_file import TensorWriter

RUN_TERMS = 1 << 20  # occurrences that are sorted in memory
SAMPLE_ROWS = 2048  # rows drawn, on which the spread of a query's similarities is estimated
_GROUP = 1 << 20  # characters analysed at a time
_SPACE = re.compile(r"\s")
_RUNS = ".runs"  # a folder that exists while postings are written


@dataclass(frozen=True)
class Column:
    """Numbers in a file; only the slice that is read is in memory."""

    path: Path

    def __getitem__(self, span: slice) -> NDArray[Any]:
        return np.fromfile(self.path, np.uint32, span.stop - span.start, offset=4 * int(span.start))


Numbers = NDArray[Any] | Column


class Run(NamedTuple):
    """Postings of consecutive rows: terms sorted by their bytes, and per term the postings by row."""

    terms: Any  # an Arrow array of binaries
    postings: NDArray[Any]  # (terms,): postings per term
    occurrences: NDArray[Any]  # (terms,): occurrences per term
    rows: Numbers
    counts: Numbers
    positions: Numbers


class PostingsWriter:
    """The postings of a segment, written from its documents in the order of rows."""

    def __init__(self, folder: Path, analysis: Analysis) -> None:
        self._folder, self._vocabulary = folder, _Vocabulary(analysis)
        self._runs: list[Path] = []
        self._terms: list[NDArray[Any]] = []  # of the run in memory
        self._held = 0
        self._lengths: list[NDArray[Any]] = []
        self._first = 0  # row at which the run in memory begins
        self._largest = 0  # count of a term in a row
        self._sample = _Sample()

    def append(self, ids: Sequence[str], texts: Sequence[str | None]) -> None:
        """Add the next rows; a row without text has no terms."""
        lengths = np.zeros(len(texts), np.uint32)
        for rows, group in _groups(texts):
            terms, counts = self._vocabulary.encode(group)
            self._terms.append(terms)
            self._held += len(terms)
            np.add.at(lengths, rows, counts)
        self._lengths.append(lengths)
        self._sample.append(ids, np.flatnonzero(lengths))
        if self._held >= RUN_TERMS:
            self._spill()

    def finish(self) -> None:
        """Write the file, unless no row has a term."""
        lengths = np.concatenate([np.empty(0, np.uint32), *self._lengths])
        runs = [_load(path) for path in self._runs]
        if self._held:
            runs.append(self._sorted())
        if runs:
            self._write(runs, lengths)
        discard(self._folder / _RUNS)

    def _write(self, runs: list[Run], lengths: NDArray[Any]) -> None:
        import pyarrow.compute as pc

        terms, numbers = _merged_terms(runs)
        postings, occurrences = np.zeros((2, len(terms)), np.uint64)
        for run, places in zip(runs, numbers, strict=True):
            postings[places] += run.postings.astype(np.uint64)
            occurrences[places] += run.occurrences.astype(np.uint64)
        term_ends = np.cumsum(pc.binary_length(terms).to_numpy(), dtype=np.uint64)
        content = np.frombuffer(terms.buffers()[2] or b"", np.uint8)[: int(term_ends[-1])]
        sample_rows, sample_keys = self._sample.drawn()
        whole: dict[str, NDArray[Any]] = {
            "terms": content, "term_ends": term_ends, "posting_ends": np.cumsum(postings),
            "position_ends": np.cumsum(occurrences), "lengths": lengths, "sample_rows": sample_rows,
            "sample_keys": sample_keys,
        }  # fmt: skip
        sizes = {
            "rows": ("uint32", int(postings.sum())),
            "counts": (_smallest(self._largest), int(postings.sum())),
            "positions": (_smallest(int(lengths.max())), int(occurrences.sum())),
        } | {name: (array.dtype.name, len(array)) for name, array in whole.items()}
        metadata = {"format": FORMAT, "version": VERSION}
        path = self._folder / POSTINGS
        with named_when_full(path), TensorWriter(path, sizes, metadata) as file:
            for name, array in whole.items():
                file.append(name, array)
            for rows, counts, positions in _merged(runs, numbers, np.cumsum(occurrences).astype(np.int64)):
                file.append("rows", rows)
                file.append("counts", counts)
                file.append("positions", positions)

    def _spill(self) -> None:
        (self._folder / _RUNS).mkdir(exist_ok=True)
        path = self._folder / _RUNS / f"{len(self._runs):05d}"
        with named_when_full(path):
            _save(path, self._sorted())
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


class _Vocabulary:
    """The numbers of the terms of a run, in the order in which they were seen."""

    def __init__(self, analysis: Analysis) -> None:
        self._analysis = analysis
        self.clear()

    def clear(self) -> None:
        """Begin a new run."""
        self._numbers: dict[str, int] = {}  # of terms
        self._words: dict[str, int] = {}  # words whose stem is known, with the number of the stem

    def encode(self, texts: Sequence[str]) -> tuple[NDArray[Any], NDArray[Any]]:
        """Return the numbers of the terms of all texts, in order, and how many terms each text has."""
        import pyarrow as pa

        encoded = pa.array(split(texts), pa.large_string()).dictionary_encode()
        words, codes = encoded.dictionary.to_pylist(), encoded.indices.to_numpy()
        self._learn([word for word in words if word not in self._words and not _is_several(word)])
        numbers = list(map(self._words.get, words))
        several = {place: self._several(words[place]) for place, n in enumerate(numbers) if n is None}
        sizes = np.ones(len(words), np.int64)
        sizes[list(several)] = [len(each) for each in several.values()]
        starts = np.cumsum(sizes) - sizes
        flat = np.empty(int(sizes.sum()), np.int32)
        single = np.array([number is not None for number in numbers], dtype=bool)
        flat[starts[single]] = [number for number in numbers if number is not None]
        for place, each in several.items():
            flat[starts[place] : starts[place] + len(each)] = each
        counts = sizes[codes]
        ends = np.cumsum(counts)
        inside = np.arange(counts.sum()) - np.repeat(ends - counts, counts)
        found = flat[np.repeat(starts[codes], counts) + inside]
        breaks = ends[codes == words.index(BREAK)] if BREAK in words else ends[:0]
        return found, np.diff(breaks, prepend=0, append=len(found))

    def sorted(self) -> tuple[Any, NDArray[Any]]:
        """Return the terms as an Arrow array of binaries, sorted, and the place of each number in it."""
        import pyarrow as pa

        terms = sorted(self._numbers)
        places = np.empty(len(terms), np.int64)
        places[np.fromiter(map(self._numbers.__getitem__, terms), np.int64, len(terms))] = np.arange(
            len(terms)
        )
        return pa.array(terms, pa.large_string()).cast(pa.large_binary()), places

    def _learn(self, words: Sequence[str]) -> None:
        for word, stem in zip(words, self._analysis.stems(words), strict=True):
            self._words[word] = self._number(stem)

    def _several(self, word: str) -> list[int]:
        """Return the numbers of the terms of a run; a break has no terms."""
        return [] if word == BREAK else [self._number(pair) for pair in pairs(word)]

    def _number(self, term: str) -> int:
        return self._numbers.setdefault(term, len(self._numbers))


class _Sample:
    """The rows with the smallest keys, which depend on the ids alone: however documents are divided into
    segments, the sample of all is found among the samples of the segments.
    """

    def __init__(self) -> None:
        self._rows = np.empty(0, np.uint32)
        self._keys = np.empty(0, np.uint64)
        self._seen = 0

    def append(self, ids: Sequence[str], places: Rows) -> None:
        """Draw from the next rows, among those at `places`."""
        sums = np.fromiter((zlib.crc32(ids[place].encode()) for place in places), np.uint64, len(places))
        rows = (self._seen + places).astype(np.uint32)
        keys = np.concatenate([self._keys, _scattered(sums)])
        kept = np.argsort(keys, kind="stable")[:SAMPLE_ROWS]
        self._rows, self._keys = np.concatenate([self._rows, rows])[kept], keys[kept]
        self._seen += len(ids)

    def drawn(self) -> tuple[NDArray[Any], NDArray[Any]]:
        """Return the rows and their keys, by key."""
        return self._rows, self._keys


def _scattered(keys: NDArray[Any]) -> NDArray[Any]:
    """Return keys without the order of the checksums: the finaliser of SplitMix64 (Steele et al. 2014)."""
    keys = keys + np.uint64(0x9E3779B97F4A7C15)
    keys = (keys ^ (keys >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    keys = (keys ^ (keys >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return np.asarray(keys ^ (keys >> np.uint64(31)))


def _groups(texts: Sequence[str | None]) -> Iterator[tuple[NDArray[Any], list[str]]]:
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


def _merged_terms(runs: Sequence[Run]) -> tuple[Any, list[NDArray[Any]]]:
    """Return the sorted terms of all runs, and per run the places of its terms among them."""
    import pyarrow as pa
    import pyarrow.compute as pc

    if len(runs) == 1:
        return runs[0].terms, [np.arange(len(runs[0].terms))]
    encoded = pa.concat_arrays([run.terms for run in runs]).dictionary_encode()
    order = pc.sort_indices(encoded.dictionary)
    places = np.empty(len(order), np.int64)
    places[order.to_numpy()] = np.arange(len(order))
    ends = np.cumsum([len(run.terms) for run in runs])[:-1]
    return encoded.dictionary.take(order), np.split(places[encoded.indices.to_numpy()], ends)


def _merged(
    runs: Sequence[Run], numbers: Sequence[NDArray[Any]], ends: NDArray[np.int64]
) -> Iterator[tuple[NDArray[Any], NDArray[Any], NDArray[Any]]]:
    """Yield rows, counts and positions, by term and row, for a range of terms at a time.

    `numbers` holds the place of each run's terms among all terms, `ends` the occurrences of these, summed up.
    """
    starts = [np.concatenate([[0], np.cumsum(run.postings)]) for run in runs]
    inside = [np.concatenate([[0], np.cumsum(run.occurrences)]) for run in runs]
    first = 0
    while first < len(ends):
        limit = (int(ends[first - 1]) if first else 0) + RUN_TERMS // 2
        last = max(int(np.searchsorted(ends, limit, side="right")), first + 1)
        parts = []
        for run, places, start, occurrence in zip(runs, numbers, starts, inside, strict=True):
            low, high = np.searchsorted(places, [first, last])
            span, held = slice(start[low], start[high]), slice(occurrence[low], occurrence[high])
            terms = np.repeat(places[low:high], run.postings[low:high])
            parts.append((terms, run.rows[span], run.counts[span], run.positions[held]))
        if last == first + 1 or len(runs) == 1:  # in order already
            yield from (part[1:] for part in parts)
        else:
            yield _by_term(*(np.concatenate(each) for each in zip(*parts, strict=True)))
        first = last


def _by_term(
    terms: NDArray[Any], rows: NDArray[Any], counts: NDArray[Any], positions: NDArray[Any]
) -> tuple[NDArray[Any], NDArray[Any], NDArray[Any]]:
    """Return postings, each with its positions, by term; postings of one term keep their order."""
    order = np.argsort(terms, kind="stable")
    ends = np.cumsum(counts, dtype=np.int64)
    sorted_counts = counts[order].astype(np.int64)
    sorted_ends = np.cumsum(sorted_counts)
    offsets = np.repeat((ends - counts)[order] - (sorted_ends - sorted_counts), sorted_counts)
    return rows[order], counts[order], positions[np.arange(len(positions)) + offsets]


def _is_several(word: str) -> bool:
    return word == BREAK or is_unspaced(word)


def _smallest(largest: int) -> str:
    return next(name for name in ("uint8", "uint16", "uint32") if largest <= np.iinfo(name).max)


def _save(path: Path, run: Run) -> None:
    import pyarrow as pa

    path.mkdir()
    table = pa.table({"terms": run.terms, "postings": run.postings, "occurrences": run.occurrences})
    with pa.ipc.new_file(path / "terms.arrow", table.schema) as file:
        file.write_table(table)
    for name in ("rows", "counts", "positions"):
        with open(path / name, "wb") as file:  # numpy's own writer does not name the cause of a failure
            file.write(getattr(run, name).data)


def _load(path: Path) -> Run:
    import pyarrow as pa

    table = pa.ipc.open_file(pa.memory_map(str(path / "terms.arrow"))).read_all().combine_chunks()
    terms, postings, occurrences = (table.column(name).chunk(0) for name in table.column_names)
    numbers = (Column(path / name) for name in ("rows", "counts", "positions"))
    return Run(terms, postings.to_numpy(), occurrences.to_numpy(), *numbers)
