"""The flat kind: every vector compared with every query; exact, no training, and built in constant memory."""

import struct
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from embedkit.data.atomic import whole_file


@dataclass(frozen=True)
class Flat:
    """Settings of `flat`: none."""

    def build(self, blocks: Iterable[NDArray[np.float32]], dimension: int, file: Path) -> None:
        """Write the FAISS IndexFlatIP of all rows `(rows, dimension)` to `file`, holding one block at a time.

        The file is FAISS's own, byte for byte: the head of an empty index with its two counters patched once
        the number of rows is known, and the rows behind it.
        """
        import faiss

        head = bytes(faiss.serialize_index(faiss.IndexFlatIP(dimension)))
        rows = 0
        with whole_file(file) as out:
            out.write(head)
            for block in blocks:
                out.write(np.ascontiguousarray(block, dtype="<f4").tobytes())
                rows += len(block)
            out.seek(_ROWS_AT)
            out.write(struct.pack("<q", rows))
            out.seek(len(head) - 8)  # the head ends in the number of floats that follow
            out.write(struct.pack("<Q", rows * dimension))


_ROWS_AT = 8  # behind the four letters of the kind and the 32-bit dimension
