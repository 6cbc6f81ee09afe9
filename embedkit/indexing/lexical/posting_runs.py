"""Runs of postings: consecutive rows, sorted by term, kept in files and merged at the end (Zobel and Moffat
2006).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from embedkit.data.arrays import Array
from embedkit.data.vectors.arrow_arrays import to_numpy


@dataclass(frozen=True)
class Column:
    """Numbers in a file; only the slice that is read is in memory."""

    path: Path

    def __getitem__(self, span: slice) -> Array:
        return np.fromfile(self.path, np.uint32, span.stop - span.start, offset=4 * int(span.start))


Numbers = Array | Column


class Run(NamedTuple):
    """Postings of consecutive rows: terms sorted by their bytes, and per term the postings by row."""

    terms: Any  # an Arrow array of binaries
    postings: Array  # (terms,): postings per term
    occurrences: Array  # (terms,): occurrences per term
    rows: Numbers
    counts: Numbers
    positions: Numbers


def save(path: Path, run: Run) -> None:
    """Write a run as a new folder."""
    import pyarrow as pa

    path.mkdir()
    table = pa.table({"terms": run.terms, "postings": run.postings, "occurrences": run.occurrences})
    with pa.ipc.new_file(path / "terms.arrow", table.schema) as file:
        file.write_table(table)
    for name in ("rows", "counts", "positions"):
        with open(path / name, "wb") as file:  # numpy's own writer does not name the cause of a failure
            file.write(getattr(run, name).data)


def load(path: Path) -> Run:
    """Return a run from its folder; its terms are mapped into memory, its numbers read when needed."""
    import pyarrow as pa

    table = pa.ipc.open_file(pa.memory_map(str(path / "terms.arrow"))).read_all().combine_chunks()
    terms, postings, occurrences = (table.column(name).chunk(0) for name in table.column_names)
    numbers = (Column(path / name) for name in ("rows", "counts", "positions"))
    return Run(terms, to_numpy(postings), to_numpy(occurrences), *numbers)


def merged_terms(runs: Sequence[Run]) -> tuple[Any, list[Array]]:
    """Return the sorted terms of all runs, and per run the places of its terms among them."""
    import pyarrow as pa
    import pyarrow.compute as pc

    if len(runs) == 1:
        return runs[0].terms, [np.arange(len(runs[0].terms))]
    encoded = pa.concat_arrays([run.terms for run in runs]).dictionary_encode()
    order = pc.sort_indices(encoded.dictionary)
    places = np.empty(len(order), np.int64)
    places[to_numpy(order)] = np.arange(len(order))
    ends = np.cumsum([len(run.terms) for run in runs])[:-1]
    return encoded.dictionary.take(order), np.split(places[to_numpy(encoded.indices)], ends)


def merged(
    runs: Sequence[Run], numbers: Sequence[Array], ends: NDArray[np.int64], most: int
) -> Iterator[tuple[Array, Array, Array]]:
    """Yield rows, counts and positions, by term and row, for ranges of terms with about `most`
    occurrences each.

    `numbers` holds the place of each run's terms among all terms, `ends` the occurrences of these, summed up.
    """
    starts = [np.concatenate([[0], np.cumsum(run.postings)]) for run in runs]
    inside = [np.concatenate([[0], np.cumsum(run.occurrences)]) for run in runs]
    first = 0
    while first < len(ends):
        limit = (int(ends[first - 1]) if first else 0) + most
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


def _by_term(terms: Array, rows: Array, counts: Array, positions: Array) -> tuple[Array, Array, Array]:
    """Return postings, each with its positions, by term; postings of one term keep their order."""
    order = np.argsort(terms, kind="stable")
    ends = np.cumsum(counts, dtype=np.int64)
    sorted_counts = counts[order].astype(np.int64)
    sorted_ends = np.cumsum(sorted_counts)
    offsets = np.repeat((ends - counts)[order] - (sorted_ends - sorted_counts), sorted_counts)
    return rows[order], counts[order], positions[np.arange(len(positions)) + offsets]
