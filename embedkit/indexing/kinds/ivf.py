"""The ivf kind: rows in lists around centroids; a search reads the lists nearest to the query."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal

import numpy as np

from embedkit.errors import UsageError
from embedkit.indexing.faiss_files import fill, map_index, save_index, search_parameters
from embedkit.indexing.kind import Blocks, Floats, IndexKind, Layout, Mask, Rows
from embedkit.indexing.planning.costs import (
    CALL,
    STORED_BYTES,
    STORED_RECALL,
    WRITTEN,
    Cost,
    Term,
    blocks_in_memory,
    lists_recall,
    sample_in_memory,
)
from embedkit.indexing.planning.machine import Machine
from embedkit.indexing.sampling import ROWS_A_LIST, SAMPLE_ROWS, sampled

if TYPE_CHECKING:
    from typing import Self

FILE = "lists.faiss"
OPQ_ROWS = 16384  # sampled rows from which a rotation is learnt
OPQ_ROUNDS = 20
Storage = Literal["flat", "sq8", "pq"]
_MOST_LISTS = 1 << 20
_KMEANS_ROUNDS = 10
_OPQ_ROUNDS = 100  # fitted to timings; each of the OPQ_ROUNDS rounds trains a quantizer of its own


@dataclass(frozen=True)
class Ivf(IndexKind):
    """Settings of `ivf`: `lists` by k-means on a random sample (by default 4 sqrt(rows of the sample)); a
    search reads the `probes` nearest lists, or all lists if these hold too few rows.

    Jegou, Douze and Schmid 2011, section 4. `sq8` learns the range of each dimension from the sample. `pq`
    stores `m` numbers of `bits` bits per row (section 2; by default one number per four dimensions), with
    `opq` after a rotation that suits them (Ge, He, Ke and Sun 2013, section 3); its scores are inner products
    with decoded rows.
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
            raise ValueError(f"m, bits and opq apply to storage=pq, not to storage={self.storage}")

    def build(self, blocks: Blocks, layout: Layout, folder: Path) -> None:
        """Write the FAISS lists of all rows `(rows, dimension)`; they are held in memory while they are
        filled.
        """
        if self.storage == "pq":
            numbers_a_row(self.m, layout.dimension, opq=self.opq)  # raises before any row is read
        if layout.pretrained is None:
            sample, rows = sampled(blocks, folder, self.seed, self.sample_rows)
            index = self._trained(sample)
        else:
            index, rows = map_index(layout.pretrained, 0), iter(blocks)
        fill(index, rows, layout)
        save_index(folder / FILE, index)

    @property
    def sample_rows(self) -> int:
        """Return the size of the sample from which centroids, ranges and codes are learnt."""
        return max(SAMPLE_ROWS, ROWS_A_LIST * (self.lists or 0), int(2**self.bits) * ROWS_A_LIST)

    def learn(self, sample: Floats, file: Path) -> None:
        """Write the trained, empty index, from which segments are built apart."""
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

    @property
    def keeps_vectors(self) -> bool:
        """Return True unless vectors are stored as codes."""
        return self.storage == "flat"

    def vectors(self, opened: Any, rows: Rows, dimension: int) -> Floats:
        """Return stored rows, `(len(rows), dimension)`, decoded if they are codes."""
        _lists_of(opened).make_direct_map()
        return np.asarray(opened.reconstruct_batch(rows), dtype=np.float32)

    def limits(self, k: int) -> Mapping[str, tuple[int, int]]:
        """Return the range of `probes`."""
        return {"probes": (1, self.lists or _MOST_LISTS)}

    @classmethod
    def proposals(cls, rows: int, dimension: int) -> Iterator[Self]:
        """Yield several numbers of lists for each storage."""
        sizes = sorted({max(1, dimension // part) for part in (2, 4, 5, 6, 8, 16)})
        for lists in sorted({_lists(rows, times) for times in (1, 2, 4, 8)}):
            yield from (cls(lists=lists), cls(lists=lists, storage="sq8"))
            yield from (cls(lists=lists, storage="pq", m=m) for m in sizes)

    def settled(self, rows: int, dimension: int) -> Self:
        """Return these settings with the numbers of lists and of product codes that a build would choose."""
        m = numbers_a_row(self.m, dimension, opq=self.opq) if self.storage == "pq" else None
        lists = self.lists or round(4 * math.sqrt(min(rows, SAMPLE_ROWS)))
        return replace(self, lists=max(1, min(lists, rows // ROWS_A_LIST)), m=m)

    def cost(self, rows: int, dimension: int, machine: Machine) -> Cost:
        """Return the cost of `rows` rows; raises ValueError unless the settings are `settled`."""
        if self.lists is None or (self.storage == "pq" and self.m is None):
            raise ValueError("the cost of ivf depends on its lists and on m")
        codes, learnt = self._codes(rows, dimension)
        centroids = Term("lists x dimensions x 4", self.lists, 4 * dimension)
        sampled = min(rows, max(SAMPLE_ROWS, ROWS_A_LIST * self.lists))
        lists = self.lists * dimension
        work = _KMEANS_ROUNDS * sampled * lists + rows * lists
        read = rows * min(self.probes, self.lists) / self.lists
        scan, tables = 4 * dimension * read / machine.scanned, 0.0
        stored = STORED_RECALL.get(self.storage, 1.0)
        if self.m is not None:
            work += 2**self.bits * dimension * (rows + _OPQ_ROUNDS * OPQ_ROWS * self.opq)
            scan, tables = 16 * self.m * read / machine.scanned, 2**self.bits * dimension / machine.products
            stored = pq_recall(self.m, dimension)
        query = 4 * lists / machine.scanned + scan + tables + CALL
        sample = sample_in_memory(rows, sampled, dimension)
        building = (codes, centroids, learnt, sample, *blocks_in_memory(rows, dimension))
        seconds = work / machine.products + 2 * 4 * rows * dimension / WRITTEN
        recall = lists_recall(self.probes, self.lists) * stored
        return Cost((codes, centroids, learnt), (), building, seconds, query, recall)

    def _codes(self, rows: int, dimension: int) -> tuple[Term, Term]:
        """Return the terms of the codes and of the data that decodes them."""
        if self.m is None:
            codes = Term("rows x (code + 8 for its number)", rows, STORED_BYTES[self.storage] * dimension + 8)
            return codes, Term("ranges", 1, 8 * dimension)
        codes = Term("rows x (code + 8 for its number)", rows, self.m * self.bits / 8 + 8)
        book = 4 * (2**self.bits * dimension + dimension**2 * self.opq)
        return codes, Term("codebook and rotation", 1, book)

    def _probed(
        self, opened: Any, queries: Floats, k: int, allowed: Mask | None, probes: int
    ) -> tuple[Floats, Rows]:
        parameters = search_parameters(opened, allowed, nprobe=min(probes, _lists_of(opened).nlist))
        scores, rows = opened.search(queries, k, params=parameters)
        return scores, rows

    def _trained(self, sample: Floats) -> Any:
        """Return an empty index trained on rows `(rows, dimension)`, with a rotation in front if it
        has one.
        """
        import faiss

        if self.storage != "pq":
            return self._learnt(self._empty(sample.shape[1], len(sample)), sample)
        dimension = sample.shape[1]
        m = numbers_a_row(self.m, dimension, opq=self.opq)
        enough = max(
            2**self.bits, 2 * dimension, ROWS_A_LIST
        )  # minimum rows from which FAISS learns centroids and axes
        sample = sample if len(sample) >= enough else np.resize(sample, (enough, dimension))
        if not self.opq:
            return self._learnt(self._empty(dimension, len(sample), m), sample)
        rotation = self._rotation(sample, m)
        sample = rotation.apply(sample)
        return faiss.IndexPreTransform(
            rotation, self._learnt(self._empty(rotation.d_out, len(sample), m), sample)
        )

    def _learnt(self, index: Any, sample: Floats) -> Any:
        index.cp.seed, index.cp.min_points_per_centroid = self.seed + 1, 1  # otherwise FAISS prints a warning
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
        """Return the rotation that suits product codes, learnt on rows `(rows, dimension)`; if `m` does not
        divide the dimension, it rotates into the next larger multiple of `m`.
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
    """Return how many numbers a product code has for vectors of size `dimension`: `m`, or one per four
    dimensions.

    Raises UsageError if `m` is larger than the dimension, or, without a rotation, does not divide it.
    """
    if m is None:
        wanted = max(1, dimension // 4)
        return wanted if opq else max(n for n in range(1, wanted + 1) if dimension % n == 0)
    if m > dimension or (not opq and dimension % m):
        fault = (
            f"exceeds the {dimension} dimensions"
            if m > dimension
            else f"does not divide the {dimension} dimensions"
        )
        raise UsageError(f"m={m} {fault}", where="storage=pq", hint=f"m={max(1, dimension // 4)}")
    return m


def pq_recall(m: int, dimension: int) -> float:
    """Return the expected recall of product codes of `m` bytes if a search compares all of them."""
    columns = dimension / m / 4  # dimensions per byte, divided by four
    return float(1 - min(1.0, 0.18 * columns ** (1.66 if columns < 1 else 0.71)))


def _lists(rows: int, times: float) -> int:
    """Return a number of lists near `times` the root of the rows, with at least 39 rows each."""
    return max(1, min(round(times * math.sqrt(rows)), rows // ROWS_A_LIST, _MOST_LISTS))


def _lists_of(opened: Any) -> Any:
    """Return the inverted lists of an index, which may have a rotation in front."""
    import faiss

    return faiss.downcast_index(opened.index) if hasattr(opened, "chain") else opened
