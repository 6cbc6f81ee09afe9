"""The binary kind: a first pass over sign codes (1/32 of the vectors' size), a second over its candidates."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from embedkit.data.vectors.codes import SignCodes, cosine_from_agreement
from embedkit.errors import UsageError
from embedkit.indexing.faiss_files import map_index, selecting, write_index
from embedkit.indexing.kind import Blocks, Floats, IndexKind, Layout, Mask, Rows
from embedkit.indexing.planning.costs import (
    CALL,
    WRITTEN,
    Cost,
    K,
    Term,
    blocks_in_memory,
    rescored_rows,
    rescoring_seconds,
)
from embedkit.indexing.planning.machine import Machine
from embedkit.indexing.rescoring import (
    LEAST_CANDIDATES,
    MOST_OVERSAMPLED,
    RescoredType,
    TwoPass,
    candidates,
    keep,
    map_rows,
    require_oversample,
    rescore,
)

if TYPE_CHECKING:
    from typing import Self

FILE = "codes.faiss"


@dataclass(frozen=True)
class Binary(IndexKind):
    """Settings of `binary`: the `k * oversample` rows (at least 100) nearest by Hamming distance are scored
    again with vectors that are kept on disk in the type `rescore`.

    With `rescore=none` only the codes are kept, and a score is the cosine estimated from their angle,
    sin(pi c / 2) with c = 1 - 2 h/n. Signs carry no lengths: under `dot` the first pass ranks by angle alone.
    """

    oversample: int = 4
    rescore: RescoredType | None = "float32"
    per_query: ClassVar[frozenset[str]] = frozenset({"oversample"})

    def __post_init__(self) -> None:
        require_oversample(self.oversample)

    def build(self, blocks: Blocks, layout: Layout, folder: Path) -> None:
        """Write the codes of all rows, and the rows to a file next to them, in one pass."""
        import faiss

        if layout.metric == "dot" and self.rescore is None:
            raise UsageError(
                "sign codes store angles and no lengths, so they cannot score dot products",
                hint="use `metric=cosine`",
            )
        signs = SignCodes(layout.dimension)
        rows = keep(blocks, folder, self.rescore)
        codes = rows if layout.codes is not None else map(signs.encode, rows)
        write_index(folder / FILE, faiss.IndexBinaryFlat(8 * signs.width), codes, binary=True)

    def open(self, folder: Path, rows: int) -> TwoPass:
        """Map codes and rows into memory."""
        return TwoPass(map_index(folder / FILE, rows, binary=True), map_rows(folder, rows, self.rescore))

    def search(
        self, opened: TwoPass, queries: Floats, k: int, allowed: Mask | None = None
    ) -> tuple[Floats, Rows]:
        """Return similarities and rows, `(queries, k)`."""
        signs = SignCodes(queries.shape[1])
        passing = opened.codes.ntotal if allowed is None else int(allowed.sum())
        first = k if opened.vectors is None else candidates(k, self.oversample, passing)
        distances, rows = opened.codes.search(signs.encode(queries), first, params=selecting(allowed))
        if opened.vectors is not None:
            return rescore(opened.vectors, queries, rows, k)
        agreement = 1 - 2 * distances / signs.dimension
        return cosine_from_agreement(agreement).astype(np.float32), rows

    @property
    def keeps_vectors(self) -> bool:
        """Return True if vectors are kept in float32."""
        return self.rescore == "float32"

    def vectors(self, opened: TwoPass, rows: Rows, dimension: int) -> Floats:
        """Return stored rows, `(len(rows), dimension)`; with signs alone, entries are +-1/sqrt(dimension)."""
        if opened.vectors is not None:
            return np.asarray(opened.vectors[rows], dtype=np.float32)
        codes = np.stack([opened.codes.reconstruct(row) for row in rows.tolist()])
        return SignCodes(dimension).decode(codes)

    def limits(self, k: int) -> Mapping[str, tuple[int, int]]:
        """Return the range of `oversample`."""
        return {"oversample": (1, MOST_OVERSAMPLED)}

    @classmethod
    def proposals(cls, rows: int, dimension: int) -> Iterator[Self]:
        """Yield the kind with vectors kept for a second pass."""
        yield cls()

    def cost(self, rows: int, dimension: int, machine: Machine) -> Cost:
        """Return the cost of `rows` rows: every search reads all codes, and the rows of its candidates."""
        codes = Term("rows x dimensions / 8", rows, dimension / 8)
        scan = 4 * codes.bytes / machine.scanned + rescoring_seconds(self.oversample, dimension) + CALL
        kept = rescored_rows(self.rescore, rows, dimension)
        recall = binary_recall(max(K * self.oversample, LEAST_CANDIDATES), rows, dimension)
        building, written = blocks_in_memory(rows, dimension), 4 * rows * dimension
        return Cost((codes,), kept, building, written / WRITTEN, scan, recall)


def binary_recall(candidates: float, rows: int, dimension: int) -> float:
    """Return the expected recall of sign codes when `candidates` rows are scored again."""
    missed = 0.10 * (candidates / 100) ** -1.1 * (rows / 1e5) ** 0.4 * (384 / dimension)
    return float(1 - min(1.0, missed))
