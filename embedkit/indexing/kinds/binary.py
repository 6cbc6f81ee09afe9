"""The binary kind: a first pass over sign codes, 1/32 of the vectors, and a second one over what it found."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import numpy as np

from embedkit.data.vectors.codes import SignCodes, cosine_from_agreement
from embedkit.errors import UsageError
from embedkit.indexing.faiss_files import map_index, selecting, write_index
from embedkit.indexing.kind import Blocks, Floats, Mask, Rows, Space
from embedkit.indexing.rescoring import (
    Precision,
    TwoPass,
    candidates,
    keep,
    map_rows,
    require_oversample,
    rescore,
)

FILE = "codes.faiss"


@dataclass(frozen=True)
class Binary:
    """Settings of `binary`: `k * oversample` rows (100 at least) nearest by Hamming distance are scored again
    with vectors kept on disk as `rescore` says.

    With `rescore=none` nothing but the codes is kept, and a score is the cosine that their angle says,
    sin(pi c / 2) with c = 1 - 2 h/n. Signs know no lengths: under `dot` the first pass goes by angle alone.
    """

    oversample: int = 4
    rescore: Precision | None = "float32"
    per_query: ClassVar[frozenset[str]] = frozenset({"oversample"})

    def __post_init__(self) -> None:
        require_oversample(self.oversample)

    def build(self, blocks: Blocks, space: Space, folder: Path) -> None:
        """Write the codes of all rows, and the rows beside them; one pass."""
        import faiss

        if space.metric == "dot" and self.rescore is None:
            raise UsageError("sign codes know angles, not dot products", hint="--metric cosine")
        signs = SignCodes(space.dimension)
        rows = keep(blocks, folder, self.rescore)
        codes = rows if space.codes is not None else map(signs.encode, rows)
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

    def vectors(self, opened: TwoPass, rows: Rows, dimension: int) -> Floats:
        """Return stored rows, `(len(rows), dimension)`; of signs alone, columns +-1/sqrt(dimension)."""
        if opened.vectors is not None:
            return np.asarray(opened.vectors[rows], dtype=np.float32)
        codes = np.stack([opened.codes.reconstruct(row) for row in rows.tolist()])
        return SignCodes(dimension).decode(codes)
