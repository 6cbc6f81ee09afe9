"""The speed of this machine in three numbers, measured briefly and cached, for the cost model."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np
import orjson

from embedkit.data.atomic import write_whole
from embedkit.data.cache_folder import cache_folder

FORMAT, VERSION = "embedkit-machine", 3
FILE = "machine.json"
_DIMENSION = 128
_SCANNED, _WALKED = 120_000, 1_000  # rows: larger than the processor's cache, and a small graph


@dataclass(frozen=True)
class Machine:
    """The work per second of this machine with all threads of FAISS; one thread processes one query."""

    products: float  # multiply-adds of a matrix product, as in k-means
    scanned: float  # bytes of floats that one thread compares with one query
    walked: float  # distances of 128 dimensions while a graph is built
    threads: int
    processors: int

    def __str__(self) -> str:
        rates = f"{self.products / 1e9:.3g} G multiply-adds, {self.scanned / 1e9:.3g} GB scanned per query"
        return (
            f"{rates}, {self.walked / 1e6:.3g} M distances in a graph, per second; "
            f"{self.threads} threads on {self.processors} processors"
        )


def this_machine() -> Machine:
    """Return the rates of this machine, from the cache or measured in less than half a second."""
    file = machine_file()
    with suppress(OSError, ValueError, KeyError, TypeError):
        value = orjson.loads(file.read_bytes())
        if (value.pop("format"), value.pop("version")) == (FORMAT, VERSION):
            return Machine(**{field.name: value[field.name] for field in fields(Machine)})
    machine = measure_machine()
    with suppress(OSError):  # the rates are used even if the cache cannot be written
        file.parent.mkdir(parents=True, exist_ok=True)
        write_whole(file, orjson.dumps({"format": FORMAT, "version": VERSION, **asdict(machine)}))
    return machine


def machine_file() -> Path:
    """Return the path of the cached rates of this machine."""
    return cache_folder("machine") / f"{_name()}-{FILE}"


def measure_machine() -> Machine:
    """Measure the three rates on one thread; products and graphs are multiplied by the number of threads.

    Each rate is the best of several short runs, since other processes may use the machine too. One thread is
    used, since threads that wait for each other would distort the rates.
    """
    import faiss
    from threadpoolctl import threadpool_limits

    threads = faiss.omp_get_max_threads()
    with threadpool_limits(1):
        faiss.omp_set_num_threads(1)
        try:
            product, scanned, walked = _rates()
        finally:
            faiss.omp_set_num_threads(threads)
    return Machine(product * threads, scanned, walked * threads, threads, os.cpu_count() or 1)


def _rates() -> tuple[float, float, float]:
    """Return multiply-adds, bytes and distances per second."""
    import faiss

    library: Any = faiss
    rows = np.random.default_rng(0).random((_SCANNED, _DIMENSION), dtype=np.float32)
    some = rows[:256]
    flat = faiss.IndexFlatIP(_DIMENSION)
    flat.add(rows)
    product = _best(lambda: rows[:4096] @ some.T)
    scan = _best(lambda: flat.search(rows[:1], 10))
    graphs = [faiss.IndexHNSWFlat(_DIMENSION, 16, faiss.METRIC_INNER_PRODUCT) for _ in range(5)]
    for graph in graphs:
        graph.hnsw.efConstruction = 40
    unbuilt = iter(graphs)
    building = _best(lambda: next(unbuilt).add(rows[:_WALKED]), runs=len(graphs))
    library.cvar.hnsw_stats.reset()
    graphs[0].search(rows[:_WALKED:20], 1, params=library.SearchParametersHNSW(efSearch=40))
    distances = library.cvar.hnsw_stats.ndis / len(rows[:_WALKED:20])
    return 4096 * len(some) * _DIMENSION / product, rows.nbytes / scan, distances * _WALKED / building


def _best(work: Callable[[], object], runs: int = 15) -> float:
    """Return the seconds of the fastest of several runs."""
    taken = []
    for _ in range(runs):
        started = time.perf_counter()
        work()
        taken.append(time.perf_counter() - started)
    return min(taken)


def _name() -> str:
    """Return a hash that distinguishes machines that share a cache, and thread counts on one machine."""
    import hashlib
    import platform

    import faiss

    kind = f"{platform.processor()} {platform.node()} {os.cpu_count()} {faiss.omp_get_max_threads()}"
    return hashlib.sha256(kind.encode()).hexdigest()[:12]
