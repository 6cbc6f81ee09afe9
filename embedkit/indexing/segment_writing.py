"""Writing of a segment: the files of an index kind and the documents, from one stream of batches."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from embedkit.data.vectors import tables
from embedkit.data.vectors.shards import Shard, ShardWriter, drop_journal, read_table
from embedkit.data.vectors.vector_set import Batch, checked
from embedkit.errors import DataError
from embedkit.indexing.documents import DOCUMENTS
from embedkit.indexing.files import stored
from embedkit.indexing.kind import IndexKind, Layout
from embedkit.indexing.lexical.analysis import Analysis
from embedkit.indexing.lexical.postings_writing import PostingsWriter
from embedkit.indexing.segment import Segment


def write_segment(
    folder: Path, kind: IndexKind, batches: Iterable[Batch], layout: Layout, analysis: Analysis | None = None
) -> Segment:
    """Write a segment of all batches into a new folder, with one batch in memory at a time.

    With an `analysis`, the segment also has postings of its texts, unless no document has text. Raises
    DataError when there is no row, a vector is not finite, or an id occurs twice.
    """
    folder.mkdir()
    postings = None if analysis is None else PostingsWriter(folder, analysis)
    documents = ShardWriter(folder / DOCUMENTS, {})
    ids: list[NDArray[np.uint64]] = []
    width = layout.dimension if layout.codes is None else layout.codes.width

    def blocks() -> Iterator[NDArray[Any]]:
        for table, vectors in checked(batches, width):
            documents.append_table(table)
            named = table.column("id").to_pylist()
            ids.append(_hashes(named))
            if postings is not None:
                postings.append(named, tables.texts(table))
            yield vectors
        if not ids:
            raise DataError("there is nothing to index")

    kind.build(blocks(), layout, folder)
    if postings is not None:
        postings.finish()
    shards = documents.close()
    drop_journal(documents.folder)
    _refuse_repeated(documents.folder, shards, np.concatenate(ids))
    files = tuple(map(stored, sorted(path for path in folder.iterdir() if path.is_file())))
    return Segment(folder, sum(shard.rows for shard in shards), kind, files, tuple(shards))


def _hashes(ids: list[str]) -> NDArray[np.uint64]:
    return np.fromiter((hash(id) & 0xFFFFFFFFFFFFFFFF for id in ids), dtype=np.uint64, count=len(ids))


def _refuse_repeated(folder: Path, shards: list[Shard], hashes: NDArray[np.uint64]) -> None:
    """Raise DataError naming an id that occurs twice.

    Hashes take 8 bytes per row; the ids themselves are read only if hashes collide.
    """
    ordered = np.sort(hashes)
    suspects = set(ordered[1:][ordered[1:] == ordered[:-1]].tolist())
    if not suspects:
        return
    seen: dict[str, int] = {}
    row = 0
    for shard in shards:
        for id in read_table(folder / shard.file).column("id").to_pylist():
            row += 1
            if hash(id) & 0xFFFFFFFFFFFFFFFF in suspects:
                if id in seen:
                    raise DataError(f"id {id!r} occurs twice, as records {seen[id]} and {row}")
                seen[id] = row
