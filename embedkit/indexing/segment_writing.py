"""Writing of a segment: the files of an index kind and the documents, from one stream of batches."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from embedkit.data.vectors import tables
from embedkit.data.vectors.shard_writing import ShardWriter, drop_journal
from embedkit.data.vectors.shards import Shard, read_table
from embedkit.data.vectors.vector_set import Batch, checked
from embedkit.errors import DataError
from embedkit.indexing.documents import DOCUMENTS
from embedkit.indexing.kind import IndexKind, Layout
from embedkit.indexing.lexical.analysis import Analysis
from embedkit.indexing.lexical.postings_writing import PostingsWriter
from embedkit.indexing.repeated_ids import hashes_of, quick_hash, refuse_repeated, repeated
from embedkit.indexing.segment import Segment
from embedkit.indexing.stored_files import stored


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
    hashes: list[NDArray[np.uint64]] = []
    width = layout.dimension if layout.codes is None else layout.codes.width

    def blocks() -> Iterator[NDArray[np.generic]]:
        """Yield the vectors for the kind, and write the documents on the way."""
        for table, vectors in checked(batches, width):
            documents.append_table(table)
            named = table.column("id").to_pylist()
            hashes.append(hashes_of(named, quick_hash))
            if postings is not None:
                postings.append(named, tables.texts(table))
            yield vectors
        if not hashes:
            raise DataError("there is nothing to index")

    kind.build(blocks(), layout, folder)
    if postings is not None:
        postings.finish()
    shards = documents.close()
    drop_journal(documents.folder)
    if suspects := repeated(np.concatenate(hashes)):
        refuse_repeated(_ids(documents.folder, shards), suspects, quick_hash)
    files = tuple(map(stored, sorted(path for path in folder.iterdir() if path.is_file())))
    return Segment(folder, sum(shard.rows for shard in shards), kind, files, tuple(shards))


def _ids(folder: Path, shards: list[Shard]) -> Iterator[str]:
    for shard in shards:
        yield from read_table(folder / shard.file).column("id").to_pylist()
