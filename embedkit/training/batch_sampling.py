"""The rows of each batch, in an order that only seed and epoch decide, so that a resumed run repeats it.

With `Distinct`, no text occurs twice in a batch of all processes. A row that would repeat a text waits for a
later batch, where it comes first. An epoch has as many batches as without this rule: when every row has been
drawn and those that wait cannot fill a batch, rows that have been used fill it. Rows that still wait at the
end are left out of the epoch.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from sentence_transformers.base.sampler import DefaultBatchSampler

from embedkit.errors import DataError
from embedkit.training.gather import processes

_TRIES = 8  # orders in which rows are tried for a batch before it is found to be impossible

Numbers = NDArray[np.int64]


class Shuffled(DefaultBatchSampler):  # type: ignore[misc]
    """Batches in an order that only seed and epoch decide; an incomplete last batch is dropped."""

    def __init__(
        self,
        dataset: Any,
        batch_size: int,
        drop_last: bool,
        seed: int = 0,
        weights: torch.Tensor | None = None,
        **_: Any,
    ) -> None:
        super().__init__(dataset, batch_size=batch_size, drop_last=True, seed=seed)
        self.rows = len(dataset)
        self.weights = weights  # (rows,): draw rows by weight, with replacement

    def __iter__(self) -> Iterator[list[int]]:
        generator = generator_of(self.seed, self.epoch)
        if self.weights is None:
            order = torch.randperm(self.rows, generator=generator).tolist()
        else:
            order = torch.multinomial(self.weights, self.rows, replacement=True, generator=generator).tolist()
        for start in range(0, self.rows - self.batch_size + 1, self.batch_size):
            yield order[start : start + self.batch_size]

    def __len__(self) -> int:
        return int(self.rows // self.batch_size)

    @property
    def sampler(self) -> Shuffled:
        """This object itself: accelerate, which wraps batch samplers, looks for `set_epoch` here."""
        return self

    @sampler.setter
    def sampler(self, value: object) -> None:
        """Ignore the value that the parent class sets."""


class Distinct(Shuffled):
    """Batches of all processes in which no text occurs twice, `batch_size` rows per process; `texts`
    `(rows, views)` are numbers that are equal where texts are.
    """

    def __init__(self, *given: Any, texts: Numbers, **how: Any) -> None:
        super().__init__(*given, **how)
        self.texts = texts

    def __iter__(self) -> Iterator[list[int]]:
        together = self.batch_size * processes()
        for batch in distinct_batches(self.texts, together, generator_of(self.seed, self.epoch)):
            for start in range(0, together, self.batch_size):
                yield batch[start : start + self.batch_size]

    def __len__(self) -> int:
        return int(self.rows // (self.batch_size * processes())) * processes()


def generator_of(seed: int, epoch: int) -> torch.Generator:
    """Return the random numbers that decide the batches of an epoch."""
    return torch.Generator().manual_seed((seed << 20) + epoch)


def distinct_batches(texts: Numbers, size: int, generator: torch.Generator) -> Iterator[list[int]]:
    """Yield the batches of an epoch, `rows // size` lists of `size` rows; no text occurs twice in a batch.

    `texts` are numbers `(rows, views)`; a row may contain a text twice. Raises DataError when no batch can be
    filled.
    """
    rows = len(texts)
    fresh = iter(torch.randperm(rows, generator=generator).tolist())
    again = _endless(rows, generator)
    waiting = _Waiting(texts)
    for _ in range(rows // size):
        batch = _Batch(texts, size)
        waiting.fill(batch)
        for row in batch.offered(fresh):
            if (shared := batch.take(row)) is not None:
                waiting.append(row, shared)
        if not batch.full:
            batch = _filled(batch, again)
        yield batch.rows


def left_out(texts: Numbers, size: int, seed: int) -> int:
    """Return how many rows the first epoch leaves out, not counting what would be an incomplete batch."""
    batches = distinct_batches(texts, size, generator_of(seed, 0))
    return len(texts) // size * size - len({row for batch in batches for row in batch})


class _Batch:
    """Rows of a batch, and the texts in it."""

    def __init__(self, texts: Numbers, size: int) -> None:
        self.texts, self.size = texts, size
        self.rows: list[int] = []
        self._seen: set[int] = set()

    @property
    def full(self) -> bool:
        """True when the batch has all its rows."""
        return len(self.rows) == self.size

    def take(self, row: int) -> int | None:
        """Add a row and return None, or return a text that it shares with the batch."""
        own = self.texts[row].tolist()
        for text in own:
            if text in self._seen:
                return int(text)
        self.rows.append(row)
        self._seen.update(own)
        return None

    def offered(self, rows: Iterator[int]) -> Iterator[int]:
        """Yield rows while the batch has room."""
        while not self.full and (row := next(rows, None)) is not None:
            yield row


class _Waiting:
    """Rows that wait for another batch, in one queue per text that has kept them out of the last one.

    All rows of a queue share its text, so a batch takes at most one of them, and looks at few others.
    """

    def __init__(self, texts: Numbers) -> None:
        self.texts = texts
        self._queues: dict[int, deque[int]] = {}

    def append(self, row: int, text: int) -> None:
        """Let a row wait because of a text."""
        self._queues.setdefault(text, deque()).append(row)

    def fill(self, batch: _Batch) -> None:
        """Move rows into the batch, those of the oldest queue first."""
        for text in list(self._queues):
            if batch.full:
                return
            queue = self._queues[text]
            while queue:
                shared = batch.take(queue[0])
                if shared == text:
                    break
                row = queue.popleft()
                if shared is None:
                    break
                self.append(row, shared)
            del self._queues[text]
            if queue:
                self._queues[text] = queue  # behind the others


def _endless(rows: int, generator: torch.Generator) -> Iterator[int]:
    """Yield all rows again and again, each time in another order."""
    while True:
        yield from torch.randperm(rows, generator=generator).tolist()


def _filled(batch: _Batch, again: Iterator[int]) -> _Batch:
    """Return the batch filled up with rows that come again; where this cannot be, a batch of other rows.

    Raises DataError when no order of the rows gives a full batch.
    """
    most, all_rows = 0, 2 * len(batch.texts)  # from within one order to the end of the next
    for _ in range(_TRIES):
        for row in batch.offered(islice(again, all_rows)):
            batch.take(row)
        if batch.full:
            return batch
        most = max(most, len(batch.rows))
        batch = _Batch(batch.texts, batch.size)
    raise DataError(
        f"no more than {most} examples without a common text were found, of {batch.size} for a batch",
        where="`distinct`",
        hint="lower `batch_size`, or give more examples",
    )


def numbered(rows: Iterable[Sequence[str]]) -> Numbers:
    """Return numbers `(rows, views)` that are equal where the texts of the rows are."""
    numbers: dict[str, int] = {}
    found = [[numbers.setdefault(text, len(numbers)) for text in row] for row in rows]
    return np.array(found, dtype=np.int64)
