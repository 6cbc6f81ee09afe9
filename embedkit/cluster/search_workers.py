"""Many workers search one index: segments are divided among them, and their best hits are merged."""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np

from embedkit.cluster.session import Cluster, go_home
from embedkit.indexing.kind import Floats, Mask, Rows
from embedkit.indexing.manifest import Manifest
from embedkit.indexing.nearest import merged
from embedkit.indexing.store import Index


@dataclass(frozen=True)
class SpreadIndex(Index):
    """An index whose segments are searched by workers; this process reads the documents of the hits."""

    crew: Any = field(default=None, repr=False, compare=False)  # a Crew of Searchers

    def best(self, prepared: Floats, k: int, passing: Mask | None, places: range) -> tuple[Floats, Rows]:
        """Return scores and row numbers, the best among the hits of all workers."""
        found = self.crew.ask("search", prepared, k, passing)
        return merged(found, np.zeros(len(found), np.int64), k, len(prepared))


class Searcher:
    """An actor that searches some segments of an index on one thread, at the generation of the manifest that
    was passed to it.
    """

    def __init__(self, home: str, path: Path, manifest: Manifest, places: range) -> None:
        go_home(home)
        self._index, self._places = Index(path, manifest), places

    def search(self, prepared: Floats, k: int, passing: Mask | None) -> tuple[Floats, Rows]:
        """Return scores and row numbers of the best `k` rows, or of all if there are fewer."""
        return self._index.best(prepared, k, passing, self._places)


def spread_index(cluster: Cluster, index: Index) -> SpreadIndex:
    """Return the index with its segments divided into runs, one per worker."""
    runs = cut_evenly(len(index.segments), cluster.workers(cluster.share(1)))
    crew = cluster.crew(Searcher, [(index.path, index.manifest, run) for run in runs])
    return SpreadIndex(index.path, index.manifest, index.leases, crew)


def cut_evenly(count: int, parts: int) -> list[range]:
    """Cut `count` places into at most `parts` runs, none empty, whose lengths differ by one at most."""
    borders = np.linspace(0, count, min(count, parts) + 1).astype(int).tolist()
    return [range(start, end) for start, end in pairwise(borders)]
