"""Many workers fit a map: each sums over the parts that it reads, and sums are merged in a fixed order."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from embedkit.cluster.session import Cluster
from embedkit.cluster.sources import Reader, Spread
from embedkit.data.affine import AffineMap
from embedkit.transforms.fitting import Transform, with_story
from embedkit.transforms.streaming import Rows

Sums = TypeVar("Sums")


class SpreadRows:
    """Rows in parts (`streaming.Scattered`); iteration yields one empty array that has their dimension.

    `seen` counts the rows summed so far; `on_batch` is called with the rows of each part.
    """

    def __init__(self, cluster: Cluster, spread: Spread, on_batch: Callable[[int], None]) -> None:
        self._cluster, self._spread, self._on_batch = cluster, spread, on_batch
        self.seen = 0

    def __iter__(self) -> Iterator[NDArray[np.float32]]:
        yield np.empty((0, self._spread.meta.dimension), dtype=np.float32)

    def summed(self, sums_of: Callable[[Rows], Sums], merge: Callable[[Sums, Sums], Sums]) -> Sums:
        """Return the merged sums of all parts; workers call `sums_of`."""
        _, parts, reader, share = self._spread
        sums: Iterable[Sums] = self._counted(self._cluster.map(_sum, parts, reader, sums_of, share=share))
        return merged_in_pairs(sums, merge)

    def _counted(self, sums: Iterable[Any]) -> Iterator[Any]:
        for each in sums:
            self.seen += each.rows
            self._on_batch(each.rows)
            yield each


def fit_on(
    cluster: Cluster,
    settings: Transform,
    spread: Spread,
    *,
    on_batch: Callable[[int], None] = lambda rows: None,
) -> AffineMap:
    """Fit a transform kind on vectors in parts; the map equals that of `fit_map` on one stream, up to
    rounding. `on_batch` is called with the rows of each part.
    """
    rows = SpreadRows(cluster, spread, on_batch)
    fitted = settings.fit(rows)
    return with_story(fitted, settings, rows=rows.seen, identity=spread.meta.identity)


def merged_in_pairs(sums: Iterable[Sums], merge: Callable[[Sums, Sums], Sums]) -> Sums:
    """Merge neighbouring sums, then neighbouring pairs, and so on.

    Rounding errors, and the number of sums in memory, grow with the logarithm of the number of parts.
    """
    waiting: list[tuple[int, Sums]] = []  # number of parts, their sums
    for each in sums:
        count, merged = 1, each
        while waiting and waiting[-1][0] == count:
            merged = merge(waiting.pop()[1], merged)
            count *= 2
        waiting.append((count, merged))
    _, whole = waiting.pop()
    while waiting:
        whole = merge(waiting.pop()[1], whole)
    return whole


def _sum(part: Any, reader: Reader, sums_of: Callable[[Rows], Sums]) -> Sums:
    return sums_of(batch.vectors for batch in reader.batches(part))
