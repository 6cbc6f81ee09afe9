"""What an index of some kind costs before it is there: bytes, seconds and expected recall, by arithmetic.

Times multiply counts with the figures of a machine. Recall is that of 99,000 sentences of Wikipedia as minilm
encodes them, for sentences not among them (nearest 10), carried over to other sizes: a first guess, which
`tune` replaces by a measurement.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

from embedkit.indexing.planning.machine import Machine

BLOCK_ROWS = 16384  # read, changed and written at a time; three copies at most
K = 10  # hits for which recall is estimated
_KMEANS_ROUNDS = 10
_OPQ_ROUNDS, _OPQ_ROWS = 100, 16384
_WRITTEN = 3e8  # bytes a second to a disk, flushed
_CACHED = 3e7  # bytes beyond which a step in a graph waits for memory
_WAITING = 1.3  # times longer
_CALL = 3e-5  # seconds of any search


class Term(NamedTuple):
    """A number of things and the bytes of one."""

    what: str
    number: int
    each: float

    @property
    def bytes(self) -> float:
        """All of them."""
        return self.number * self.each


class Cost(NamedTuple):
    """What a kind costs: terms in bytes of what is mapped when it is searched, of what lies on disk besides,
    and of what is in memory only while it is built; seconds; recall of the nearest 10.
    """

    mapped: tuple[Term, ...]
    beside: tuple[Term, ...]
    building: tuple[Term, ...]
    build_seconds: float
    query_seconds: float
    recall: float

    @property
    def disk(self) -> float:
        """Bytes of the index without its documents."""
        return sum(term.bytes for term in (*self.mapped, *self.beside))

    @property
    def search_memory(self) -> float:
        """Bytes in memory once searches have touched everything."""
        return sum(term.bytes for term in self.mapped)

    @property
    def build_memory(self) -> float:
        """Bytes in memory at the peak of building."""
        return sum(term.bytes for term in self.building)


def hnsw_recall(ef: float, rows: int, m: int, ef_construction: int) -> float:
    """Return the expected recall of a graph: what is missed falls with `ef` and grows with the rows."""
    missed = 0.18 * (ef / 10) ** -0.93 * (rows / 1e5) ** 0.38
    missed *= (40 / ef_construction) ** 0.4 * (32 / m) ** 1.5
    return float(1 - min(1.0, missed))


def ivf_recall(probes: float, lists: int) -> float:
    """Return the expected recall of lists: all of it where every one of them is read."""
    rate = 0.754 * (lists / 316) ** -0.243
    return 1.0 if probes >= lists else 1 - math.exp(-rate * probes**0.4)


def binary_recall(candidates: float, rows: int, dimension: int) -> float:
    """Return the expected recall of sign codes of which `candidates` are scored again."""
    missed = 0.10 * (candidates / 100) ** -1.1 * (rows / 1e5) ** 0.4 * (384 / dimension)
    return float(1 - min(1.0, missed))


def pq_recall(m: int, dimension: int) -> float:
    """Return the expected recall of product codes of `m` bytes when all of them are compared."""
    columns = dimension / m / 4  # of a byte, in fours
    return float(1 - min(1.0, 0.18 * columns ** (1.66 if columns < 1 else 0.71)))


STORED_RECALL = {"flat": 1.0, "fp16": 0.999, "sq8": 0.993}
_BYTES = {"flat": 4.0, "fp16": 2.0, "sq8": 1.0}


def cost_of(kind: Any, rows: int, dimension: int, machine: Machine) -> Cost:
    """Return what `rows` of `dimension` columns cost by a kind whose settings say all of it."""
    cost = _COSTS[type(kind).__name__.lower()](kind, rows, dimension, machine)
    kept = Term("a tenth more, kept by the allocator", 1, cost.build_memory / 10)
    return cost._replace(building=(*cost.building, kept))


def _flat(kind: Any, rows: int, dimension: int, machine: Machine) -> Cost:
    vectors = Term("rows x columns x 4", rows, 4 * dimension)
    seconds = rows * 4 * dimension / machine.scanned + _CALL
    return Cost((vectors,), (), _blocks(rows, dimension), vectors.bytes / _WRITTEN, seconds, 1.0)


def _int8(kind: Any, rows: int, dimension: int, machine: Machine) -> Cost:
    codes = Term("rows x columns", rows, dimension)
    beside = _rescored(kind, rows, dimension)
    written = codes.bytes + 2 * 4 * rows * dimension
    scan = rows * dimension * 2 / machine.scanned + _rescoring(kind.oversample, dimension) + _CALL
    recall = 0.993 if kind.rescore is None else 0.999
    return Cost((codes,), beside, _blocks(rows, dimension), written / _WRITTEN, scan, recall)


def _binary(kind: Any, rows: int, dimension: int, machine: Machine) -> Cost:
    codes = Term("rows x columns / 8", rows, dimension / 8)
    beside = _rescored(kind, rows, dimension)
    scan = 4 * codes.bytes / machine.scanned + _rescoring(kind.oversample, dimension) + _CALL
    candidates = max(K * kind.oversample, 100)
    recall = binary_recall(candidates, rows, dimension)
    return Cost((codes,), beside, _blocks(rows, dimension), 4 * rows * dimension / _WRITTEN, scan, recall)


def _hnsw(kind: Any, rows: int, dimension: int, machine: Machine) -> Cost:
    vectors = Term(f"rows x {kind.storage} vector", rows, _BYTES[kind.storage] * dimension)
    edges = kind.m * (2 + 1 / (kind.m - 1))  # the levels above the lowest hold a row in m
    graph = Term("rows x (edges x 4 + 12)", rows, 4 * edges + 12)
    size = vectors.bytes + graph.bytes
    step = (0.5 + dimension / 256) / machine.walked * (_WAITING if size > _CACHED else 1)
    walked = max(kind.ef_search, K)
    growth = max(0.3, (rows / 1e5) ** 0.1) * math.sqrt(kind.m / 32)
    build = rows * (250 + 23.6 * kind.ef_construction) * growth * step
    query = (250 + 23.6 * walked) * growth * step * machine.threads + _CALL
    sample = (_sample(rows, 65536, dimension),) if kind.storage == "sq8" else ()
    recall = hnsw_recall(walked, rows, kind.m, kind.ef_construction) * STORED_RECALL[kind.storage]
    return Cost(
        (vectors, graph), (), (vectors, graph, *sample, *_blocks(rows, dimension)), build, query, recall
    )


def _ivf(kind: Any, rows: int, dimension: int, machine: Machine) -> Cost:
    pq = kind.storage == "pq"
    code = kind.m * kind.bits / 8 if pq else _BYTES[kind.storage] * dimension
    codes = Term("rows x (code + 8 of its number)", rows, code + 8)
    centroids = Term("lists x columns x 4", kind.lists, 4 * dimension)
    learnt = 4 * (2**kind.bits * dimension + dimension**2 * kind.opq) if pq else 8 * dimension
    book = Term("codebook and rotation" if pq else "ranges", 1, learnt)
    sampled = min(rows, max(65536, 39 * kind.lists))
    sample = _sample(rows, sampled, dimension)
    lists = kind.lists * dimension
    work = _KMEANS_ROUNDS * sampled * lists + rows * lists
    work += 2**kind.bits * dimension * (rows + _OPQ_ROUNDS * _OPQ_ROWS * kind.opq) if pq else 0
    read = rows * min(kind.probes, kind.lists) / kind.lists
    scan = read * (kind.m * 16 if pq else 4 * dimension) / machine.scanned
    query = 4 * lists / machine.scanned + scan + (2**kind.bits * dimension / machine.products if pq else 0)
    stored = pq_recall(kind.m, dimension) if pq else STORED_RECALL[kind.storage]
    building = (codes, centroids, book, sample, *_blocks(rows, dimension))
    recall = ivf_recall(kind.probes, kind.lists) * stored
    seconds = work / machine.products + 2 * 4 * rows * dimension / _WRITTEN
    return Cost((codes, centroids, book), (), building, seconds, query + _CALL, recall)


_COSTS = {"flat": _flat, "int8": _int8, "binary": _binary, "hnsw": _hnsw, "ivf": _ivf}
COSTED = tuple(_COSTS)


def expected_recall(kind: Any, rows: int, dimension: int) -> float:
    """Return the expected recall of the nearest 10, whatever the machine."""
    return cost_of(kind, rows, dimension, Machine(1, 1, 1, 1, 1)).recall


def _blocks(rows: int, dimension: int) -> tuple[Term, ...]:
    """Return what any kind takes while it is built: blocks on their way, and 8 bytes to tell ids apart."""
    block = Term("rows of a block, three times", BLOCK_ROWS, 3 * 4 * dimension)
    return (block, Term("rows, for their ids", rows, 8))


def _sample(rows: int, sampled: int, dimension: int) -> Term:
    return Term("rows of a sample, twice", min(rows, sampled), 2 * 4 * dimension)


def _rescored(kind: Any, rows: int, dimension: int) -> tuple[Term, ...]:
    if kind.rescore is None:
        return ()
    return (
        Term(
            f"rows of {kind.rescore}, on disk", rows, {"float32": 4, "float16": 2}[kind.rescore] * dimension
        ),
    )


def _rescoring(oversample: int, dimension: int) -> float:
    """Return the seconds in which candidates are read and scored again."""
    return max(K * oversample, 100) * (5e-7 + 4 * dimension / 5e9)
