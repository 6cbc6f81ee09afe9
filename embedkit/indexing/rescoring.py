"""The second pass of two-pass kinds: vectors stay on disk, and only those of the candidates are read."""

from __future__ import annotations

import mmap
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np

from embedkit.data.arrays import Array
from embedkit.data.atomic import whole_file
from embedkit.errors import DataError, FormatError
from embedkit.indexing.kind import Blocks, Floats, Rows

VECTORS = "vectors.npy"
LEAST_CANDIDATES = 100  # minimum candidates, even for a small k; reading them takes a millisecond
MOST_OVERSAMPLED = 1024  # greatest multiple of k that a plan or a measurement tries

RescoredType = Literal["float32", "float16"]

_BLOCK_ROWS = 4096


class TwoPass(NamedTuple):
    """The opened files of a two-pass kind: a FAISS index of codes, and the rows `(rows, dimension)` if they
    are kept.
    """

    codes: Any
    vectors: Array | None


def keep(blocks: Blocks, folder: Path, precision: RescoredType | None) -> Iterator[Array]:
    """Yield blocks `(rows, dimension)`, and write their rows to a file; with None, write nothing."""
    return iter(blocks) if precision is None else write_rows(folder / VECTORS, blocks, precision)


def write_rows(file: Path, blocks: Blocks, precision: RescoredType) -> Iterator[Array]:
    """Write rows to a `.npy` file and yield their blocks; the file is complete after the last block."""
    rows = dimension = 0
    with whole_file(file) as out:
        for block in blocks:
            if not rows:
                dimension = block.shape[1]
                _write_header(out, (0, dimension), precision)
            out.write(_rounded(block, precision).tobytes())
            rows += len(block)
            yield block
        out.seek(0)
        _write_header(out, (rows, dimension), precision)  # numpy's header has room for any number of rows


def read_rows(file: Path) -> Iterator[Floats]:
    """Yield the rows of a `.npy` file in blocks, without mapping it."""
    with open(file, "rb") as source:
        np.lib.format.read_magic(source)
        (_, dimension), _, dtype = np.lib.format.read_array_header_1_0(source)
        while content := source.read(_BLOCK_ROWS * dimension * dtype.itemsize):
            yield np.frombuffer(content, dtype).reshape(-1, dimension)


def map_rows(folder: Path, rows: int, precision: RescoredType | None) -> Array | None:
    """Map the rows that `keep` wrote; raises FormatError when the file holds anything else."""
    if precision is None:
        return None
    file = folder / VECTORS
    try:
        vectors: Array = np.load(file, mmap_mode="r")
    except (ValueError, EOFError) as error:
        raise FormatError(f"is truncated, or not an npy file: {error}", where=str(file)) from None
    if vectors.ndim != 2 or len(vectors) != rows or vectors.dtype != precision:
        found = f"{vectors.dtype} of shape {vectors.shape}"
        raise FormatError(f"holds {found}, the manifest states {rows} rows of {precision}", where=str(file))
    if hasattr(mmap, "MADV_RANDOM") and isinstance(vectors.base, mmap.mmap):
        vectors.base.madvise(mmap.MADV_RANDOM)  # no read-ahead: the next row to read is elsewhere
    return vectors


def require_oversample(oversample: int) -> None:
    """Raise ValueError for an oversample below 1."""
    if oversample < 1:
        raise ValueError(f"oversample={oversample} is not positive")


def candidates(k: int, oversample: int, rows: int) -> int:
    """Return the number of candidates for the first pass."""
    return min(max(k * oversample, LEAST_CANDIDATES), rows)


def rescore(vectors: Array, queries: Floats, found: Rows, k: int) -> tuple[Floats, Rows]:
    """Return the best `k` of the rows `found`, `(queries, candidates)`, by inner product with the queries;
    rows with equal scores are in row order.
    """
    found = np.sort(found, axis=1)  # in disk order
    pairs = zip(found, queries, strict=True)  # einsum sums all rows alike: equal rows score equally
    products = [np.einsum("ij,j->i", vectors[rows].astype(np.float32), query) for rows, query in pairs]
    scores = np.array(products, dtype=np.float32).reshape(found.shape)
    order = np.argsort(-scores, axis=1, kind="stable")[:, :k]
    return np.take_along_axis(scores, order, axis=1), np.take_along_axis(found, order, axis=1)


def _rounded(block: Array, precision: RescoredType) -> Array:
    with np.errstate(over="ignore"):
        rounded = np.ascontiguousarray(block, dtype=precision)
    if not np.isfinite(rounded).all():
        most = float(np.abs(block).max())
        raise DataError(f"{most:g} is too large for {precision}", hint="rescore=float32")
    return rounded


def _write_header(out: Any, shape: tuple[int, int], precision: RescoredType) -> None:
    header = {"descr": np.dtype(precision).str, "fortran_order": False, "shape": shape}
    np.lib.format.write_array_header_1_0(out, header)
