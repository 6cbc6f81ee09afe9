"""Sums over any number of rows in one pass: blocks are summed in parallel, in the memory of a few blocks.

All sums are in float64. Products in float32 would be faster, but their rounding (1e-7 of the largest
variance) hides the small variances that whitening divides by.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from itertools import chain, tee
from typing import Any, Protocol, TypeVar, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from embedkit.data.arrays import Float64
from embedkit.errors import DataError, MismatchError
from embedkit.transforms.moments import Centroid, CrossMoments, FourthMoments, Moments

Rows = Iterable[NDArray[np.float32]]
Pair = tuple[NDArray[np.float32], NDArray[np.float32]]
Pairs = Iterable[Pair]

Sums = TypeVar("Sums")
Merged = TypeVar("Merged", bound="_Mergeable")

BLOCK_ROWS = 4096  # rows summed at a time: the same bits for every chunking of the input
_LANES = 256 << 20  # memory of all lanes, in bytes


@runtime_checkable
class Scattered(Protocol):
    """Rows that are stored in parts elsewhere, and are summed there."""

    def summed(self, sums_of: Callable[[Rows], Sums], merge: Callable[[Sums, Sums], Sums]) -> Sums:
        """Return the merged sums of all parts."""


class _Mergeable(Protocol):
    def merge(self: Sums, other: Sums) -> Sums:
        """Return the sums of both parts."""


def moments_of(rows: Rows) -> Moments:
    """Return the moments of all rows, given as blocks `(rows, dim)` of any size.

    Raises DataError when there are no rows or one is not finite, MismatchError when dimensions differ.
    """
    if isinstance(rows, Scattered):
        return rows.summed(moments_of, Moments.merge)
    return _side_by_side(_moments, blocks_of(rows))


def fourth_moments_of(rows: Rows) -> FourthMoments:
    """Return the moments of all rows, with the sums for Ledoit-Wolf; raises the errors of `moments_of`."""
    if isinstance(rows, Scattered):
        return rows.summed(fourth_moments_of, FourthMoments.merge)
    return _side_by_side(_fourth_moments, blocks_of(rows))


def cross_moments_of(pairs: Pairs) -> CrossMoments:
    """Return the moments of rows and their targets, given as blocks; raises the errors of `moments_of`."""
    one, other = tee(pairs)
    return _side_by_side(_cross_moments, blocks_of(x for x, _ in one), blocks_of(y for _, y in other))


def centroid_of(rows: Rows) -> Centroid:
    """Return the number of rows, their mean and mean squared length; raises the errors of `moments_of`."""
    if isinstance(rows, Scattered):
        return rows.summed(centroid_of, Centroid.merge)
    return _side_by_side(_centroid, blocks_of(rows))


def width_of(rows: Rows) -> int:
    """Return the dimension of the first block, for kinds that need nothing else."""
    first = next(iter(rows), None)
    if first is None:
        raise DataError("the input contains no vectors to fit a map on")
    return int(first.shape[1])


def blocks_of(rows: Rows) -> Iterator[NDArray[np.float32]]:
    """Yield all rows in blocks of BLOCK_ROWS, `(BLOCK_ROWS, dim)`, the last one shorter.

    Blocks are views of the input's chunks, or copies when they span several chunks.
    """
    width: int | None = None
    pieces: list[NDArray[np.float32]] = []
    for chunk in rows:
        width = chunk.shape[1] if width is None else width
        if chunk.shape[1] != width:
            raise MismatchError(f"vectors have {chunk.shape[1]} dimensions, earlier ones have {width}")
        while len(chunk):
            free = BLOCK_ROWS - sum(map(len, pieces))
            pieces.append(chunk[:free])
            chunk = chunk[free:]
            if len(pieces[-1]) == free:
                yield pieces[0] if len(pieces) == 1 else np.concatenate(pieces)
                pieces.clear()
    if pieces:
        yield np.concatenate(pieces)


def _side_by_side(sums_of: Callable[..., Merged], *sides: Iterator[NDArray[np.float32]]) -> Merged:
    """Return the merged sums of all blocks; each side yields blocks of the same rows.

    `sums_of` receives the number of rows before and one block per side in float64, which it may overwrite.
    Lanes share the threads that BLAS would use: the product of one block is too small to be split among them,
    and all other work would wait for it. Sums are merged in the order of blocks, for any number of lanes.
    """
    lane = threading.local()

    def summed(before: int, *blocks: NDArray[np.float32]) -> Merged:
        """Return the sums of one block, converted to float64 in memory of this thread."""
        if not hasattr(lane, "rooms"):
            lane.rooms = [np.empty((BLOCK_ROWS, block.shape[1])) for block in blocks]
        exact = [room[: len(block)] for room, block in zip(lane.rooms, blocks, strict=True)]
        for rows, block in zip(exact, blocks, strict=True):
            rows[:] = block
        return sums_of(before, *exact)

    blocks = _numbered(zip(*sides, strict=True))
    first, second = next(blocks, None), next(blocks, None)
    if first is None:
        raise DataError("the input contains no vectors to fit a map on")
    if second is None:
        return sums_of(0, *(block.astype(np.float64) for block in first[1:]))
    merged: Merged | None = None
    running: deque[Future[Merged]] = deque()
    with _lanes([block.shape[1] for block in first[1:]]) as (lanes, pool):
        for block in chain((first, second), blocks):
            running.append(pool.submit(summed, *block))
            if len(running) > lanes + 1:  # one block waits, so that no lane is idle
                merged = _with(merged, running.popleft().result())
        for each in running:
            merged = _with(merged, each.result())
    assert merged is not None
    return merged


@contextmanager
def _lanes(widths: Sequence[int]) -> Iterator[tuple[int, ThreadPoolExecutor]]:
    """Open one lane per BLAS thread, but no more than memory allows for a block and its sums in each."""
    from threadpoolctl import ThreadpoolController

    blas = ThreadpoolController().select(user_api="blas")
    threads = max((library["num_threads"] for library in blas.info()), default=1)
    bytes_each = 8 * sum(widths) * (BLOCK_ROWS + 2 * max(widths))
    lanes = max(1, min(threads, _LANES // bytes_each))
    with blas.limit(limits=threads // lanes), ThreadPoolExecutor(lanes) as pool:
        yield lanes, pool


def _numbered(blocks: Iterable[tuple[NDArray[np.float32], ...]]) -> Iterator[tuple[Any, ...]]:
    """Yield each block after the number of rows before it."""
    before = 0
    for block in blocks:
        yield before, *block
        before += len(block[0])


def _with(merged: Merged | None, sums: Merged) -> Merged:
    return sums if merged is None else merged.merge(sums)


def _moments(before: int, rows: Float64) -> Moments:
    mean = _centre(rows, before)
    return Moments(len(rows), mean, rows.T @ rows)


def _fourth_moments(before: int, rows: Float64) -> FourthMoments:
    found = _moments(before, rows)
    squares = np.einsum("ij,ij->i", rows, rows)  # |u|^2, about the mean of the block
    return FourthMoments(
        found.rows, found.mean, found.co_moment, found.mean, squares @ rows, float(squares @ squares)
    )


def _cross_moments(before: int, rows: Float64, targets: Float64) -> CrossMoments:
    mean, target_mean = _centre(rows, before), _centre(targets, before, what="target row")
    squares = float(np.einsum("ij,ij->", rows, rows))
    return CrossMoments(len(rows), mean, target_mean, (targets.T @ rows, squares))


def _centroid(before: int, rows: Float64) -> Centroid:
    total = _sum(rows, before)
    return Centroid(len(rows), total / len(rows), float(np.einsum("ij,ij->", rows, rows)) / len(rows))


def _centre(rows: Float64, before: int, what: str = "row") -> Float64:
    """Subtract the mean of the rows from each of them, and return it."""
    mean = _sum(rows, before, what) / len(rows)
    rows -= mean
    return mean


def _sum(rows: Float64, before: int, what: str = "row") -> Float64:
    """Return the sum of rows; raises DataError naming the first row with NaN or infinity."""
    with np.errstate(invalid="ignore"):  # infinities of both signs
        total: Float64 = rows.sum(axis=0)
    if not np.isfinite(total).all():  # float32 numbers, however large, do not overflow a sum in float64
        row = before + int(np.argmin(np.isfinite(rows).all(axis=1))) + 1
        raise DataError("the vector is not finite", where=f"{what} {row}")
    return total
