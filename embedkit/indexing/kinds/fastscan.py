"""The fastscan kind: lists of 4-bit product codes that the processor compares in its registers, and a second
pass over the candidates.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple

import numpy as np

from embedkit.data.reservoir import Reservoir
from embedkit.errors import UsageError
from embedkit.indexing.faiss_files import (
    fill,
    map_index,
    save_index,
    search_parameters,
    selecting,
    write_index,
)
from embedkit.indexing.kind import Blocks, Floats, IndexKind, Layout, Mask, Rehearsal, Rows
from embedkit.indexing.planning.costs import (
    BLOCK_ROWS,
    CALL,
    WRITTEN,
    Cost,
    Term,
    blocks_in_memory,
    lists_recall,
    rescored_rows,
    rescoring_seconds,
    sample_in_memory,
)
from embedkit.indexing.planning.machine import Machine
from embedkit.indexing.rescoring import candidates, require_oversample
from embedkit.indexing.sampling import ROWS_A_LIST, SAMPLE_ROWS, drawing, drawn

if TYPE_CHECKING:
    from typing import Self

CODES, VECTORS = "codes.faiss", "vectors.faiss"
_BITS = 4
SAMPLED_A_LIST = 64  # sampled rows per list; more take longer, and improve recall by less than 0.001
LEAST_SAMPLE = 16384  # minimum sampled rows, from which the product codes are learnt
_MOST_LISTS = 1 << 18
_ROUNDS = 10  # of k-means
_ENCODING = 8  # times a product that finding the nearest of 16 centroids takes, in two dimensions
_SCANNED = 1.0  # times the seconds that a byte of codes takes, compared with a byte of floats


class Opened(NamedTuple):
    """The opened files: a FAISS index that refines codes by vectors, and its two parts."""

    refined: Any
    codes: Any
    vectors: Any

    @classmethod
    def of(cls, codes: Any, vectors: Any) -> Opened:
        """Return the index that finds candidates by codes, and scores them by vectors."""
        import faiss

        return cls(faiss.IndexRefine(codes, vectors), codes, vectors)


@dataclass(frozen=True)
class FastScan(IndexKind):
    """Settings of `fastscan`: a search reads the `probes` nearest of `lists` lists of product codes; the best
    `k * oversample` rows (at least 100) are scored again with vectors that are kept on disk.

    Andre, Kermarrec and Le Scouarnec 2015 and 2017 (arXiv 1704.07355): `m` numbers of 4 bits per row, by
    default one per two dimensions, are looked up in tables of 16 bytes, which fit into a register.
    """

    lists: int | None = None
    probes: int = 16
    m: int | None = None
    oversample: int = 4
    seed: int = 0
    per_query: ClassVar[frozenset[str]] = frozenset({"probes", "oversample"})
    rehearses: ClassVar[bool] = True

    def __post_init__(self) -> None:
        for name in ("lists", "probes", "m"):
            if getattr(self, name) is not None and getattr(self, name) < 1:
                raise ValueError(f"{name}={getattr(self, name)} is not positive")
        require_oversample(self.oversample)

    def build(self, blocks: Blocks, layout: Layout, folder: Path) -> None:
        """Write the vectors of all rows `(rows, dimension)`, learn from a sample of them, and write their
        codes, which are held in memory while the lists are filled.
        """
        import faiss

        m = numbers_a_row(self.m, layout.dimension)  # raises before any row is read
        reservoir, file = Reservoir(self.sample_rows), folder / VECTORS
        write_index(file, faiss.IndexFlatIP(layout.dimension), drawing(blocks, self.seed, reservoir))
        if layout.pretrained is None:
            codes = self._trained(drawn(reservoir)[0], m)
        else:
            codes = map_index(layout.pretrained, 0)
        rehearsal = layout.rehearsal and _refining(layout.rehearsal, map_index(file, reservoir.rows))
        fill(codes, _read(file, reservoir.rows, layout.dimension), layout._replace(rehearsal=rehearsal))
        save_index(folder / CODES, codes)

    @property
    def sample_rows(self) -> int:
        """Return the size of the sample from which centroids and codes are learnt."""
        return max(LEAST_SAMPLE, SAMPLED_A_LIST * (self.lists or _lists(SAMPLE_ROWS)))

    def learn(self, sample: Floats, file: Path) -> None:
        """Write the trained, empty index, from which segments are built apart."""
        save_index(file, self._trained(sample, numbers_a_row(self.m, sample.shape[1])))

    def open(self, folder: Path, rows: int) -> Opened:
        """Read the codes, and map the vectors into memory."""
        return Opened.of(map_index(folder / CODES, rows), map_index(folder / VECTORS, rows))

    def search(
        self, opened: Opened, queries: Floats, k: int, allowed: Mask | None = None
    ) -> tuple[Floats, Rows]:
        """Return inner products and rows, `(queries, k)`.

        A query that meets fewer than `k` allowed rows is compared with all allowed rows. Rows with equal
        scores are in row order.
        """
        scores, rows = self._candidates(opened, queries, k, allowed)
        short = (rows[:, :k] < 0).any(axis=1)
        if short.any():
            found = opened.vectors.search(queries[short], k, params=selecting(allowed))
            scores[short], rows[short] = -np.inf, -1
            scores[short, :k], rows[short, :k] = found
        following = scores[:, 1 : k + 1]
        alike = (scores[:, : following.shape[1]] == following).any(axis=1)
        order = np.lexsort((rows[alike], -scores[alike]), axis=1)
        scores[alike] = np.take_along_axis(scores[alike], order, axis=1)
        rows[alike] = np.take_along_axis(rows[alike], order, axis=1)
        return scores[:, :k], rows[:, :k]

    @property
    def keeps_vectors(self) -> bool:
        """Return True."""
        return True

    def vectors(self, opened: Opened, rows: Rows, dimension: int) -> Floats:
        """Return stored rows, `(len(rows), dimension)`."""
        return np.asarray(opened.vectors.reconstruct_batch(rows), dtype=np.float32)

    def limits(self, k: int) -> Mapping[str, tuple[int, int]]:
        """Return the range of `probes`."""
        return {"probes": (1, self.lists or _MOST_LISTS)}

    @classmethod
    def proposals(cls, rows: int, dimension: int) -> Iterator[Self]:
        """Yield several numbers of lists."""
        for lists in sorted({max(1, min(_lists(rows, times), _MOST_LISTS)) for times in (0.5, 1, 2, 4, 8)}):
            yield cls(lists=lists)

    def settled(self, rows: int, dimension: int) -> Self:
        """Return these settings with the numbers of lists and of product codes that a build would choose."""
        lists = min(self.lists or _lists(min(rows, SAMPLE_ROWS)), rows // ROWS_A_LIST)
        return replace(self, lists=max(1, lists), m=numbers_a_row(self.m, dimension))

    def cost(self, rows: int, dimension: int, machine: Machine) -> Cost:
        """Return the cost of `rows` rows; raises ValueError unless the number of lists is known."""
        if self.lists is None:
            raise ValueError("the cost of fastscan depends on its lists")
        m = numbers_a_row(self.m, dimension)
        codes = Term("rows x (numbers / 2 + 8 for its number)", rows, m / 2 + 8)
        centroids = Term("lists x dimensions x 4", self.lists, 4 * dimension)
        book = Term("codebook", 1, 4 * 2**_BITS * dimension)
        sampled = min(rows, self.sample_rows)
        compared = (_ROUNDS * sampled + rows) * self.lists + _ENCODING * rows * 2**_BITS
        read = rows * min(self.probes, self.lists) / self.lists
        scan = (4 * self.lists * dimension + _SCANNED * read * m / 2) / machine.scanned
        query = scan + rescoring_seconds(self.oversample, dimension) + CALL
        building = (codes, centroids, sample_in_memory(rows, sampled, dimension))
        return Cost(
            mapped=(codes, centroids, book),
            unmapped=rescored_rows("float32", rows, dimension),
            building=(*building, *blocks_in_memory(rows, dimension)),
            build_seconds=compared * dimension / machine.products + 4 * rows * dimension / WRITTEN,
            query_seconds=query,
            recall=lists_recall(self.probes, self.lists) * codes_recall(m, dimension, rows),
        )

    def _candidates(
        self, opened: Opened, queries: Floats, k: int, allowed: Mask | None
    ) -> tuple[Floats, Rows]:
        """Return scores and rows of the candidates, `(queries, candidates)`, best first; -1 for no row."""
        import faiss

        lists = search_parameters(opened.codes, allowed, nprobe=min(self.probes, opened.codes.nlist))
        library: Any = faiss
        parameters = library.IndexRefineSearchParameters(k_factor=1, base_index_params=lists)
        first = candidates(k, self.oversample, opened.codes.ntotal)
        scores, rows = opened.refined.search(queries, first, params=parameters)
        return scores, rows

    def _trained(self, sample: Floats, m: int) -> Any:
        """Return an empty index trained on rows `(rows, dimension)`."""
        import faiss

        dimension, metric = sample.shape[1], faiss.METRIC_INNER_PRODUCT
        lists = max(1, min(self.lists or _lists(len(sample)), len(sample) // ROWS_A_LIST))
        centroids = faiss.IndexFlatIP(dimension)
        if len(sample) < 2**_BITS:
            sample = np.resize(sample, (2**_BITS, dimension))  # FAISS needs a row per value of a number
        index = faiss.IndexIVFPQFastScan(centroids, dimension, lists, m, _BITS, metric)
        for clustering, seed in ((index.cp, self.seed + 1), (index.pq.cp, self.seed + 2)):
            clustering.seed, clustering.min_points_per_centroid = seed, 1  # otherwise FAISS prints a warning
            clustering.max_points_per_centroid = SAMPLED_A_LIST
        index.train(sample)
        return index


def _refining(rehearsal: Rehearsal, vectors: Any) -> Rehearsal:
    """Return the rehearsal with the codes so far refined by their vectors, as a search has them."""

    def ask(codes: Any) -> None:
        """Search the codes, and rescore by as many vectors."""
        vectors.ntotal = codes.ntotal  # FAISS refines codes by as many vectors
        rehearsal.ask(Opened.of(codes, vectors))

    return rehearsal._replace(ask=ask)


def numbers_a_row(m: int | None, dimension: int) -> int:
    """Return how many numbers a code has for vectors of size `dimension`: `m`, or one per two dimensions, or
    one per dimension if it is odd.

    Raises UsageError if `m` does not divide the dimension.
    """
    if m is None:
        return dimension if dimension % 2 else dimension // 2
    if dimension % m:
        hint = f"m={numbers_a_row(None, dimension)}"
        raise UsageError(
            f"m={m} does not divide the {dimension} dimensions", where="kind=fastscan", hint=hint
        )
    return m


def codes_recall(m: int, dimension: int, rows: int) -> float:
    """Return the expected share of the nearest 10 rows among the best 100 by codes of `m` numbers."""
    missed = 0.0005 * (dimension / m / 2) ** 3.6 * (rows / 1e5) ** 0.4
    return float(1 - min(1.0, missed))


def _lists(rows: int, times: float = 2) -> int:
    """Return a number of lists near `times` the root of the rows, with at least 39 rows each."""
    return max(1, min(round(times * math.sqrt(rows)), rows // ROWS_A_LIST))


def _read(file: Path, rows: int, dimension: int) -> Iterator[Floats]:
    """Yield the vectors of a flat FAISS file in blocks, without mapping it."""
    with open(file, "rb") as source:
        source.seek(-4 * rows * dimension, 2)
        while content := source.read(4 * BLOCK_ROWS * dimension):
            yield np.frombuffer(content, np.float32).reshape(-1, dimension)
