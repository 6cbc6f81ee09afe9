"""The int8 kind: a first pass over codes of one byte per dimension, a second over its candidates."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

import numpy as np
from numpy.typing import NDArray

from embedkit.data.vectors.codes import Int8Codes, calibrate
from embedkit.indexing.faiss_files import map_index, selecting, write_index
from embedkit.indexing.kind import Blocks, Floats, IndexKind, Layout, Mask, Rows
from embedkit.indexing.planning.costs import (
    CALL,
    WRITTEN,
    Cost,
    Term,
    blocks_in_memory,
    rescored_rows,
    rescoring_seconds,
)
from embedkit.indexing.planning.machine import Machine
from embedkit.indexing.rescoring import (
    MOST_OVERSAMPLED,
    VECTORS,
    RescoredType,
    TwoPass,
    candidates,
    keep,
    map_rows,
    read_rows,
    require_oversample,
    rescore,
    write_rows,
)

if TYPE_CHECKING:
    from typing import Self

FILE, SPOOL = "codes.faiss", "spool.npy"


@dataclass(frozen=True)
class Int8(IndexKind):
    """Settings of `int8`: the `k * oversample` rows (at least 100) nearest by their codes are scored again
    with vectors that are kept on disk in the type `rescore`; with `rescore=none` decoded vectors give the
    scores.
    """

    oversample: int = 2
    rescore: RescoredType | None = "float32"
    per_query: ClassVar[frozenset[str]] = frozenset({"oversample"})

    def __post_init__(self) -> None:
        require_oversample(self.oversample)

    def build(self, blocks: Blocks, layout: Layout, folder: Path) -> None:
        """Write the codes of all rows; rows are first spooled to disk, since ranges depend on all of them."""
        if isinstance(layout.codes, Int8Codes):
            _write(folder, layout.codes, blocks)
            return
        spool = folder / (VECTORS if self.rescore == "float32" else SPOOL)
        codes = calibrate(write_rows(spool, blocks, "float32"))
        rows = keep(read_rows(spool), folder, None if spool.name == VECTORS else self.rescore)
        _write(folder, codes, map(codes.encode, rows))
        if spool.name == SPOOL:
            spool.unlink()

    def open(self, folder: Path, rows: int) -> TwoPass:
        """Map codes and rows into memory."""
        return TwoPass(map_index(folder / FILE, rows), map_rows(folder, rows, self.rescore))

    def search(
        self, opened: TwoPass, queries: Floats, k: int, allowed: Mask | None = None
    ) -> tuple[Floats, Rows]:
        """Return similarities and rows, `(queries, k)`."""
        passing = opened.codes.ntotal if allowed is None else int(allowed.sum())
        first = k if opened.vectors is None else candidates(k, self.oversample, passing)
        scores, rows = opened.codes.search(queries, first, params=selecting(allowed))
        return (scores, rows) if opened.vectors is None else rescore(opened.vectors, queries, rows, k)

    @property
    def keeps_vectors(self) -> bool:
        """Return True if vectors are kept in float32."""
        return self.rescore == "float32"

    def vectors(self, opened: TwoPass, rows: Rows, dimension: int) -> Floats:
        """Return stored rows, `(len(rows), dimension)`, decoded if only codes are kept."""
        kept = opened.codes.reconstruct_batch(rows) if opened.vectors is None else opened.vectors[rows]
        return np.asarray(kept, dtype=np.float32)

    def limits(self, k: int) -> Mapping[str, tuple[int, int]]:
        """Return the range of `oversample`."""
        return {"oversample": (1, MOST_OVERSAMPLED)}

    @classmethod
    def proposals(cls, rows: int, dimension: int) -> Iterator[Self]:
        """Yield the kind with and without vectors kept for a second pass."""
        yield from (cls(), cls(rescore=None))

    def cost(self, rows: int, dimension: int, machine: Machine) -> Cost:
        """Return the cost of `rows` rows: every search reads all codes, and the rows of its candidates."""
        codes = Term("rows x dimensions", rows, dimension)
        written = codes.bytes + 2 * 4 * rows * dimension
        scan = rows * dimension * 2 / machine.scanned + rescoring_seconds(self.oversample, dimension) + CALL
        kept = rescored_rows(self.rescore, rows, dimension)
        recall = 0.993 if self.rescore is None else 0.999
        return Cost((codes,), kept, blocks_in_memory(rows, dimension), written / WRITTEN, scan, recall)


def _write(folder: Path, codes: Int8Codes, blocks: Blocks) -> None:
    import faiss

    empty = faiss.IndexScalarQuantizer(codes.width, faiss.ScalarQuantizer.QT_8bit, faiss.METRIC_INNER_PRODUCT)
    # FAISS decodes a byte c to start + (c + 1/2) / 255 * span, our codes to low + c * step
    trained = np.concatenate([codes.start - codes.step / 2, codes.step * 255]).astype(np.float32)
    faiss.copy_array_to_vector(trained, empty.sq.trained)
    empty.is_trained = True
    write_index(folder / FILE, empty, _bytes(blocks))


def _bytes(blocks: Blocks) -> Iterator[NDArray[np.uint8]]:
    """Yield codes of -128 to 127 as bytes of 0 to 255."""
    for block in blocks:
        yield block.view(np.uint8) ^ np.uint8(128)
