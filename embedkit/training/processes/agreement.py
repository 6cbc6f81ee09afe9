"""Agreement of processes before they train: on how to cut batches, and that all have the same rows."""

from __future__ import annotations

import zlib
from dataclasses import replace

from datasets import Dataset

from embedkit.errors import DataError
from embedkit.training.distributed import of_all, one_fate
from embedkit.training.gather import processes
from embedkit.training.objective import Made


def agreed(made: Made) -> Made:
    """Return common settings of all processes; where machines differ, those that the smallest can run."""
    objective = made.objective
    chunk_tokens, passes, bf16 = zip(
        *of_all((objective.chunk_tokens, objective.passes, made.bf16)), strict=True
    )
    objective.chunk_tokens, objective.passes = min(chunk_tokens), max(passes)
    settings = replace(made.settings, chunk_tokens=objective.chunk_tokens, passes=objective.passes)
    return made._replace(bf16=all(bf16), settings=settings)


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
