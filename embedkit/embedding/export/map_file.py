"""Export of a map alone: as a FAISS LinearTransform, or as the weights of a `torch.nn.Linear`."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

import numpy as np

from embedkit.data.affine import AffineMap
from embedkit.data.atomic import refuse_existing, write_whole
from embedkit.errors import FormatError

MapFormat = Literal["faiss", "safetensors"]
TOLERANCE = 1e-5  # largest relative error of the vectors from the file


def export_map(path: Path, transform: AffineMap, format: MapFormat, *, force: bool = False) -> None:
    """Write a map as one float32 file, complete or not at all; its content is read back and compared first.

    `faiss.read_VectorTransform` reads the format `faiss`; `safetensors` contains `weight` `(out, in)` and
    `bias` `(out,)`. Raises ExistsError when the file exists and `force` is not set.
    """
    refuse_existing(path, force=force)
    content = _faiss(transform) if format == "faiss" else _safetensors(transform)
    _require_same(transform, content, format, where=str(path))
    write_whole(path, content)


def _faiss(transform: AffineMap) -> bytes:
    import faiss

    linear = faiss.LinearTransform(transform.input_dimension, transform.output_dimension, True)
    faiss.copy_array_to_vector(np.ascontiguousarray(transform.A, dtype=np.float32).ravel(), linear.A)
    faiss.copy_array_to_vector(np.ascontiguousarray(transform.b, dtype=np.float32), linear.b)
    linear.is_trained = True
    linear.set_is_orthonormal()
    writer: Any = faiss.VectorIOWriter()
    faiss.write_VectorTransform(linear, writer)
    return bytes(faiss.vector_to_array(writer.data))


def _safetensors(transform: AffineMap) -> bytes:
    from safetensors.numpy import save

    A, b = (np.ascontiguousarray(numbers, dtype=np.float32) for numbers in (transform.A, transform.b))
    return bytes(save({"weight": A, "bias": b}, {"format": "pt"}))


def _require_same(transform: AffineMap, content: bytes, format: MapFormat, *, where: str) -> None:
    """Raise FormatError unless the content maps sample rows as the map itself does."""
    rows = np.random.default_rng(0).normal(size=(64, transform.input_dimension)).astype(np.float32)
    wanted = transform.apply(rows)
    found = _apply_faiss(content, rows) if format == "faiss" else _apply_safetensors(content, rows)
    apart = float(np.abs(wanted - found).max())
    if not apart <= TOLERANCE * max(1.0, float(np.abs(wanted).max())):
        raise FormatError(f"the file would map to other vectors (by {apart:.2g})", where=where)


def _apply_faiss(content: bytes, rows: Any) -> Any:
    import faiss

    reader: Any = faiss.VectorIOReader()
    faiss.copy_array_to_vector(np.frombuffer(content, dtype=np.uint8), reader.data)
    return faiss.read_VectorTransform(reader).apply(rows)


def _apply_safetensors(content: bytes, rows: Any) -> Any:
    from safetensors.numpy import load

    tensors = load(content)
    return rows @ tensors["weight"].T + tensors["bias"]
