"""Agreement of processes before they train: on how to cut batches, and that all have the same rows."""

from __future__ import annotations

import zlib

from datasets import Dataset

from embedkit.errors import DataError
from embedkit.training.chunking import ChunkPlan
from embedkit.training.distributed import of_all, one_fate
from embedkit.training.gather import processes


def agreed(plan: ChunkPlan, *, bf16: bool) -> tuple[ChunkPlan, bool]:
    """Return a common plan of all processes, and whether to compute in bf16; where machines differ, those
    that the smallest can run.
    """
    plans, precisions = zip(*of_all((plan, bf16)), strict=True)
    common = ChunkPlan(min(each.chunk_tokens for each in plans), max(each.passes for each in plans))
    return common, all(precisions)


def require_same_rows(rows: Dataset) -> None:
    """Raise an error in all processes if one has read other rows: they would train on a mixture."""
    digests = of_all(digest_of(rows)) if processes() > 1 else []
    with one_fate():
        if other := next((rank for rank, digest in enumerate(digests) if digest != digests[0]), 0):
            raise DataError(
                f"process {other} read other examples than the first process",
                hint="give every machine the same files",
            )


def digest_of(rows: Dataset) -> int:
    """Return a checksum of all values in their order."""
    number = 0
    for batch in rows.data.table.to_batches():
        for column in batch.columns:
            for buffer in filter(None, column.buffers()):
                number = zlib.crc32(buffer, number)
    return number
