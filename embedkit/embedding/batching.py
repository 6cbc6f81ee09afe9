"""One batching scheme for every encoder: windows of records, cut into batches by a token budget.

The texts of one window are sorted by length and cut into batches whose padded size stays under the budget, so
that padding is small; their vectors return to the order of the records. While one window is computed, the
next is read and tokenised. Two windows bound the memory.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import NamedTuple

from embedkit.data.text.record import Record
from embedkit.embedding.encoder import Encoder, Role, Vectors

WINDOW_ROWS = 4096
WINDOW_CHARACTERS = 4_000_000


class Encoded(NamedTuple):
    """Records and their vectors, `(len(records), dimension)`."""

    records: list[Record]
    vectors: Vectors


def encode_records(
    encoder: Encoder,
    records: Iterable[Record],
    role: Role = "document",
    *,
    first: int = WINDOW_ROWS,
    block: int | None = None,
) -> Iterator[Encoded]:
    """Encode records window by window, in order, with two windows in flight.

    `first` and `block` are passed to `windows`.
    """
    yield from encode_windows(encoder, windows(records, first=first, block=block), role)


def encode_windows(
    encoder: Encoder, cut: Iterable[list[Record]], role: Role = "document"
) -> Iterator[Encoded]:
    """Encode windows, in order, with two in flight."""
    with ThreadPoolExecutor(2, thread_name_prefix="encode") as pool:
        under_way: deque[tuple[list[Record], Future[Vectors]]] = deque()
        try:
            for window in cut:
                under_way.append(
                    (window, pool.submit(encoder.encode, [record.embedded for record in window], role))
                )
                if len(under_way) == 2:
                    yield _finish(*under_way.popleft())
            while under_way:
                yield _finish(*under_way.popleft())
        finally:
            for _, future in under_way:
                future.cancel()


def windows(
    records: Iterable[Record], *, first: int = WINDOW_ROWS, block: int | None = None
) -> Iterator[list[Record]]:
    """Cut records into windows of at most WINDOW_ROWS records or about WINDOW_CHARACTERS characters.

    The first window has `first` records and later windows grow, so that a pipe answers soon. No window
    crosses a multiple of `block` records, so a run resumed at such a multiple has the same windows.
    """
    window: list[Record] = []
    size, limit = 0, min(first, WINDOW_ROWS)
    for number, record in enumerate(records, 1):
        window.append(record)
        size += len(record.text)
        if len(window) >= limit or size >= WINDOW_CHARACTERS or (block and number % block == 0):
            yield window
            window, size, limit = [], 0, min(limit * 4, WINDOW_ROWS)
    if window:
        yield window


def _finish(window: list[Record], future: Future[Vectors]) -> Encoded:
    return Encoded(window, future.result())
