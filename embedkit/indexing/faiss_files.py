"""FAISS's own files, written in the memory of one block and read by memory map."""

from __future__ import annotations

import struct
from pathlib import Path
from typing import Any

import numpy as np

from embedkit.data.atomic import whole_file
from embedkit.errors import FormatError
from embedkit.indexing.kind import Blocks, Mask


def write_index(file: Path, empty: Any, blocks: Blocks, *, binary: bool = False) -> None:
    """Write what FAISS would write of the index `empty` after it was given the rows of `blocks` as they are
    stored, `(rows, values)`.

    The file is FAISS's own, byte for byte: the head of the empty index, which ends in the number of values
    that follow, with its two counters patched once the number of rows is known.
    """
    import faiss

    head = bytes((faiss.serialize_index_binary if binary else faiss.serialize_index)(empty))
    rows = values = 0
    with whole_file(file) as out:
        out.write(head)
        for block in blocks:
            out.write(np.ascontiguousarray(block).tobytes())
            rows, values = rows + len(block), values + block.size
        out.seek(_ROWS_AT_BINARY if binary else _ROWS_AT)
        out.write(struct.pack("<q", rows))
        out.seek(len(head) - 8)
        out.write(struct.pack("<Q", values))


_ROWS_AT = 8  # behind the four letters of the kind and the 32-bit dimension
_ROWS_AT_BINARY = 12  # and the 32-bit size of a code


def save_index(file: Path, index: Any) -> None:
    """Write a FAISS index that is in memory, whole or not at all."""
    import faiss

    with whole_file(file) as out:
        writer: Any = faiss.PyCallbackIOWriter  # type: ignore[attr-defined]
        faiss.write_index(index, writer(out.write))


def map_index(file: Path, rows: int, *, binary: bool = False) -> Any:
    """Open a FAISS file by memory map; raises FormatError when it is damaged or holds other than `rows`."""
    import faiss

    try:
        read = faiss.read_index_binary if binary else faiss.read_index
        index = read(str(file), faiss.IO_FLAG_MMAP_IFC)
    except (RuntimeError, OSError) as error:
        raise FormatError(f"is not a whole FAISS index: {error}", where=str(file)) from None
    if index.ntotal != rows:
        raise FormatError(f"holds {index.ntotal} vectors, the manifest says {rows}", where=str(file))
    return index


def selecting(allowed: Mask | None, parameters: str = "SearchParameters", **settings: Any) -> Any:
    """Return FAISS's search parameters, of the class of that name, that leave out rows where `allowed`,
    `(rows,)`, is false; None when nothing is to be said.
    """
    import faiss

    if allowed is not None:
        bitmap: Any = faiss.IDSelectorBitmap
        settings["sel"] = bitmap(np.packbits(allowed, bitorder="little"))
    return getattr(faiss, parameters)(**settings) if settings else None
