"""FAISS index files, written with one block in memory and read by memory map."""

from __future__ import annotations

import struct
import threading
from pathlib import Path
from typing import Any

import numpy as np

from embedkit.data.atomic import whole_file
from embedkit.errors import FormatError
from embedkit.indexing.faiss_checks import faults
from embedkit.indexing.kind import Blocks, Layout, Mask

_READING = threading.Lock()  # the limit applies to the whole process
_NO_LIMIT = 1 << 40  # bytes; FAISS's default
_LEAST_LIMIT = 1 << 26  # bytes; for small files FAISS's counts exceed the content


def write_index(file: Path, empty: Any, blocks: Blocks, *, binary: bool = False) -> None:
    """Write the file that FAISS would write of the index `empty` after adding the rows of `blocks`, which are
    in stored form, `(rows, values)`.

    The file equals FAISS's own byte for byte.
    """
    import faiss

    head = bytes((faiss.serialize_index_binary if binary else faiss.serialize_index)(empty))
    write_rows(file, head, blocks, binary=binary)


def write_rows(file: Path, head: bytes, blocks: Blocks, *, binary: bool = False) -> None:
    """Write the header of an empty index, which ends in the number of values that follow, and the rows of
    `blocks`; its two counters are patched once the number of rows is known.
    """
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


_ROWS_AT = 8  # after the four letters of the kind and the 32-bit dimension
_ROWS_AT_BINARY = 12  # additionally after the 32-bit size of a code


def save_index(file: Path, index: Any) -> None:
    """Write an in-memory FAISS index to a file, completely or not at all."""
    import faiss

    with whole_file(file) as out:
        writer: Any = faiss.PyCallbackIOWriter  # type: ignore[attr-defined]
        faiss.write_index(index, writer(out.write))


def fill(index: Any, blocks: Blocks, layout: Layout) -> None:
    """Add blocks of rows to a FAISS index, and rehearse once it holds the number of rows of the rehearsal."""
    asked = layout.rehearsal
    for block in blocks:
        rest = np.ascontiguousarray(block, dtype=np.float32)
        if asked is not None and index.ntotal < asked.rows <= index.ntotal + len(rest):
            before, rest = np.split(rest, [asked.rows - index.ntotal])
            index.add(before)
            asked.ask(index)
        if len(rest):
            index.add(rest)


def map_index(file: Path, rows: int, *, binary: bool = False) -> Any:
    """Open a FAISS file by memory map; raises FormatError when it is damaged or does not hold `rows` rows."""
    import faiss

    try:
        index = _bounded(faiss.read_index_binary if binary else faiss.read_index, file)
    except (RuntimeError, OSError, MemoryError) as error:
        raise FormatError(f"is truncated, or not a FAISS index: {error}", where=str(file)) from None
    for fault in faults(index, rows):
        raise FormatError(fault, where=str(file))
    if not binary:
        _complete(index)
    return index


def _complete(index: Any) -> None:
    """Set the decoder of lists of FastScan codes.

    FAISS does not restore it when it reads a file, and then returns rows through a null pointer.
    """
    import faiss

    whole: Any = faiss.downcast_index(index)
    for name in ("index", "base_index", "refine_index"):
        if (part := getattr(whole, name, None)) is not None:
            _complete(part)
    if getattr(whole, "fine_quantizer", whole) is None:
        whole.fine_quantizer = getattr(whole, "pq", None) or getattr(whole, "aq", None)


def _bounded(read: Any, file: Path) -> Any:
    """Read a FAISS file by memory map, with memory limited to the size of the file, or 64 MiB, if counts in
    it are damaged.

    For product codes, FAISS also counts a table that it never makes for inner products: these are read
    without a limit.
    """
    import faiss

    limit = getattr(faiss, "set_deserialization_vector_byte_limit", lambda _: None)  # since 1.14
    with _READING:
        try:
            limit(max(file.stat().st_size, _LEAST_LIMIT))
            return read(str(file), faiss.IO_FLAG_MMAP_IFC)
        except RuntimeError as error:
            if "precomputed_table" not in str(error):
                raise
            limit(_NO_LIMIT)
            return read(str(file), faiss.IO_FLAG_MMAP_IFC)
        finally:
            limit(_NO_LIMIT)


def selecting(allowed: Mask | None, parameters: str = "SearchParameters", **settings: Any) -> Any:
    """Return FAISS's search parameters, of the class of that name, which exclude rows where `allowed`,
    `(rows,)`, is false; None when there is nothing to set.
    """
    import faiss

    if allowed is not None:
        settings["sel"] = _bitmap(allowed)
    return getattr(faiss, parameters)(**settings) if settings else None


def selecting_part(allowed: Mask | None, part: range) -> Any:
    """Return FAISS's search parameters for the rows of a part, as `selecting` does for all rows."""
    import faiss

    library: Any = faiss
    selected = library.IDSelectorRange(part.start, part.stop)
    if allowed is not None:
        selected = library.IDSelectorAnd(selected, _bitmap(allowed))
    return library.SearchParameters(sel=selected)


def _bitmap(allowed: Mask) -> Any:
    import faiss

    bitmap: Any = faiss.IDSelectorBitmap
    return bitmap(np.packbits(allowed, bitorder="little"))


def search_parameters(index: Any, allowed: Mask | None, **settings: Any) -> Any:
    """Return search parameters for an index of any FAISS class: they apply to the part that has lists or a
    graph, and leave the parts in front unchanged.

    `settings` are for that part; without any, it keeps the settings that it has.
    """
    import faiss

    library: Any = faiss
    index = faiss.downcast_index(index)
    if isinstance(index, faiss.IndexPreTransform):
        inner = search_parameters(index.index, allowed, **settings)
        return inner and library.SearchParametersPreTransform(index_params=inner)
    if isinstance(index, faiss.IndexRefine):
        inner = search_parameters(index.base_index, allowed, **settings)
        factor = index.k_factor
        return inner and library.IndexRefineSearchParameters(k_factor=factor, base_index_params=inner)
    if isinstance(index, faiss.IndexIVF):
        return selecting(allowed, "SearchParametersIVF", **{"nprobe": index.nprobe, **settings})
    if isinstance(index, faiss.IndexHNSW):
        walk = {"efSearch": index.hnsw.efSearch, **settings}
        return selecting(allowed, "SearchParametersHNSW", **walk)
    return selecting(allowed, **settings)
