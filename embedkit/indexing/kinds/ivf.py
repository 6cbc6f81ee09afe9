"""The ivf kind: rows in lists around centroids, of which a search reads the nearest."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Literal

import numpy as np

from embedkit.errors import UsageError
from embedkit.indexing.faiss_files import fill, map_index, save_index, search_parameters
from embedkit.indexing.kind import Blocks, Floats, Mask, Rows, Space
from embedkit.indexing.sampling import SAMPLE_ROWS, sampled

FILE = "lists.faiss"
ROWS_A_LIST = 39  # of the sample, at least: what k-means of FAISS asks for
OPQ_ROWS = 16384  # of the sample, of which a rotation is learnt
OPQ_ROUNDS = 20
Storage = Literal["flat", "sq8", "pq"]


@dataclass(frozen=True)
class Ivf:
    """Settings of `ivf`: `lists` by k-means on a random sample (by default 4 sqrt(rows of the sample)), of
    which a search reads the `probes` nearest, all where those hold too few rows.

    Jegou, Douze and Schmid 2011, section 4. `sq8` takes the ranges of its columns from the sample. `pq` keeps
    of each row `m` numbers of `bits` bits (section 2; by default a number for four columns), after a rotation
    that suits them with `opq` (Ge, He, Ke and Sun 2013, section 3); its scores are those of decoded rows.
    """

    lists: int | None = None
    probes: int = 16
    storage: Storage = "flat"
    seed: int = 0
    m: int | None = None
    bits: int = 8
    opq: bool = True
    per_query: ClassVar[frozenset[str]] = frozenset({"probes"})
    rehearses: ClassVar[bool] = True

    def __post_init__(self) -> None:
        for name in ("lists", "probes", "m"):
            if getattr(self, name) is not None and getattr(self, name) < 1:
                raise ValueError(f"{name}={getattr(self, name)} is not positive")
        if not 4 <= self.bits <= 12:
            raise ValueError(f"bits={self.bits} is not between 4 and 12")
        if self.storage != "pq" and (self.m, self.bits, self.opq) != (None, 8, True):
            raise ValueError(f"m, bits and opq are of storage=pq, not of storage={self.storage}")

    def build(self, blocks: Blocks, space: Space, folder: Path) -> None:
        """Write the FAISS lists of all rows `(rows, dimension)`; they are in memory while they are filled."""
        if self.storage == "pq":
            numbers_a_row(self.m, space.dimension, opq=self.opq)  # refused before anything is read
        if space.taught is None:
            sample, rows = sampled(blocks, folder, self.seed, self.sample_rows)
            index = self._trained(sample)
        else:
            index, rows = map_index(space.taught, 0), iter(blocks)
        fill(index, rows, space)
        save_index(folder / FILE, index)

    @property
    def sample_rows(self) -> int:
        """Rows of the sample that it learns of."""
        return max(SAMPLE_ROWS, ROWS_A_LIST * (self.lists or 0), int(2**self.bits) * ROWS_A_LIST)

    def learn(self, sample: Floats, file: Path) -> None:
        """Write what is learnt of a sample `(rows, dimension)`, to be `taught` to segments made apart."""
        save_index(file, self._trained(sample))

    def open(self, folder: Path, rows: int) -> Any:
        """Map the FAISS index into memory."""
        return map_index(folder / FILE, rows)

    def search(
        self, opened: Any, queries: Floats, k: int, allowed: Mask | None = None
    ) -> tuple[Floats, Rows]:
        """Return inner products and rows, `(queries, k)`."""
        scores, rows = self._probed(opened, queries, k, allowed, self.probes)
        short = (rows < 0).any(axis=1)
        if short.any():
            every = _lists_of(opened).nlist
            scores[short], rows[short] = self._probed(opened, queries[short], k, allowed, every)
        order = np.lexsort((rows, -scores), axis=1)
        return np.take_along_axis(scores, order, axis=1), np.take_along_axis(rows, order, axis=1)

    def vectors(self, opened: Any, rows: Rows, dimension: int) -> Floats:
        """Return stored rows, `(len(rows), dimension)`; decoded where they are codes."""
        _lists_of(opened).make_direct_map()
        return np.asarray(opened.reconstruct_batch(rows), dtype=np.float32)

    def _probed(
        self, opened: Any, queries: Floats, k: int, allowed: Mask | None, probes: int
    ) -> tuple[Floats, Rows]:
        parameters = search_parameters(opened, allowed, nprobe=min(probes, _lists_of(opened).nlist))
        scores, rows = opened.search(queries, k, params=parameters)
        return scores, rows

    def _trained(self, sample: Floats) -> Any:
        """Return an empty index, trained on rows `(rows, dimension)`, behind its rotation if it has one."""
        import faiss

        if self.storage != "pq":
            return self._learnt(self._empty(sample.shape[1], len(sample)), sample)
        dimension = sample.shape[1]
        m = numbers_a_row(self.m, dimension, opq=self.opq)
        enough = max(
            2**self.bits, 2 * dimension, ROWS_A_LIST
        )  # FAISS learns centroids and axes of no fewer rows
        sample = sample if len(sample) >= enough else np.resize(sample, (enough, dimension))
        if not self.opq:
            return self._learnt(self._empty(dimension, len(sample), m), sample)
        rotation = self._rotation(sample, m)
        sample = rotation.apply(sample)
        return faiss.IndexPreTransform(
            rotation, self._learnt(self._empty(rotation.d_out, len(sample), m), sample)
        )

    def _learnt(self, index: Any, sample: Floats) -> Any:
        index.cp.seed, index.cp.min_points_per_centroid = self.seed + 1, 1  # fewer are warned of, by print
        index.train(sample)
        return index

    def _empty(self, dimension: int, sample: int, m: int = 0) -> Any:
        import faiss

        metric, number = faiss.METRIC_INNER_PRODUCT, faiss.ScalarQuantizer.QT_8bit
        lists = self.lists or round(4 * math.sqrt(sample))
        lists = max(1, min(lists, sample // ROWS_A_LIST))
        centroids = faiss.IndexFlatIP(dimension)
        if self.storage == "flat":
            return faiss.IndexIVFFlat(centroids, dimension, lists, metric)
        if self.storage == "sq8":
            return faiss.IndexIVFScalarQuantizer(centroids, dimension, lists, number, metric)
        index = faiss.IndexIVFPQ(centroids, dimension, lists, m, self.bits, metric)
        index.pq.cp.seed, index.pq.cp.min_points_per_centroid = self.seed + 2, 1
        return index

    def _rotation(self, sample: Floats, m: int) -> Any:
        """Return the rotation that suits product codes, learnt on rows `(rows, dimension)`; where `m` does
        not divide the columns, into the next number that it does.
        """
        import faiss

        width = -(-sample.shape[1] // m) * m
        rotation, quantizer = (
            faiss.OPQMatrix(sample.shape[1], m, width),
            faiss.ProductQuantizer(width, m, self.bits),
        )
        quantizer.cp.seed, quantizer.cp.min_points_per_centroid = self.seed + 3, 1
        rotation.niter = rotation.niter_pq_0 = OPQ_ROUNDS
        rotation.max_train_points = OPQ_ROWS
        rotation.pq = quantizer
        rotation.train(sample)
        rotation.pq = None  # FAISS does not keep it alive
        return rotation


def numbers_a_row(m: int | None, dimension: int, *, opq: bool) -> int:
    """Return the numbers that a product code of `dimension` columns has: `m`, or one for four columns.

    Raises UsageError for more than there are columns, or without a rotation for what does not divide them.
    """
    if m is None:
        wanted = max(1, dimension // 4)
        return wanted if opq else max(n for n in range(1, wanted + 1) if dimension % n == 0)
    if m > dimension or (not opq and dimension % m):
        fault = (
            f"is more than {dimension} columns" if m > dimension else f"does not divide {dimension} columns"
        )
        raise UsageError(f"m={m} {fault}", where="storage=pq", hint=f"m={max(1, dimension // 4)}")
    return m


def _lists_of(opened: Any) -> Any:
    """Return the lists behind a rotation."""
    import faiss

    return faiss.downcast_index(opened.index) if hasattr(opened, "chain") else opened
