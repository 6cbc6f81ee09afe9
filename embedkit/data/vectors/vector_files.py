"""Vector files of other formats: `.npy`, `.parquet`, `.arrow`, `.jsonl` and Arrow streams, read and
written.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from embedkit.data.text.rows import has_vectors_beside
from embedkit.data.text.streams import Stream
from embedkit.data.vectors.arrow import read_table, write_arrow, write_arrow_stream, write_parquet
from embedkit.data.vectors.columns import require_vectors
from embedkit.data.vectors.jsonl import read_jsonl, write_jsonl, write_jsonl_file
from embedkit.data.vectors.npy import ids_beside, read_npy, write_npy
from embedkit.data.vectors.vector_set import Batch, VectorMeta, VectorSet
from embedkit.data.vectors.vector_set_writing import VectorSetWriter
from embedkit.errors import UsageError

__all__ = [
    "VectorFile", "export", "finish_output", "holds_vectors", "ids_beside", "is_file_output", "read_vectors",
    "require_numbers", "write_arrow_stream", "write_jsonl", "write_to",
]  # fmt: skip


@dataclass
class VectorFile:
    """The vectors of one open input, like a vector set but readable only once."""

    name: str
    meta: VectorMeta
    batches: Iterator[Batch]

    def __iter__(self) -> Iterator[Batch]:
        return self.batches


def holds_vectors(stream: Stream) -> bool:
    """Return whether an open input holds vectors rather than text: whether its rows, or the first row of
    JSONL, have a `vector`.

    No input is consumed. Raises DataError for a table whose column `vector` holds anything but vectors.
    """
    if stream.kind == "npy":
        return True
    if stream.kind in ("parquet", "arrow"):
        return require_vectors(stream.table.schema, where=stream.name)
    if stream.kind == "jsonl":
        return has_vectors_beside(stream)
    return False


def read_vectors(stream: Stream) -> VectorFile:
    """Read vectors from an open input for which `holds_vectors` is true.

    Raises DataError naming the row of a missing, NaN or infinite vector, and MismatchError when dimensions
    differ.
    """
    readers: dict[str, Callable[[Stream], tuple[VectorMeta, Iterator[Batch]]]] = {
        "npy": read_npy, "parquet": read_table, "arrow": read_table, "jsonl": read_jsonl,
    }  # fmt: skip
    return VectorFile(stream.name, *readers[stream.kind](stream))


def export(source: VectorSet, path: Path) -> None:
    """Write a vector set as one file in the format of `path`'s extension, whole or not at all.

    For `.npy`, the ids and fields go to `NAME.npy.ids.jsonl` next to it.
    """
    require_numbers(source.meta, path)
    writers: dict[str, Callable[[VectorSet, Path], None]] = {
        ".npy": write_npy, ".parquet": write_parquet, ".arrow": write_arrow, ".jsonl": write_jsonl_file,
    }  # fmt: skip
    writers[path.suffix](source, path)


def is_file_output(path: Path) -> bool:
    """Return whether an output name means one file rather than a vector set; raises UsageError for an
    extension that is not supported.
    """
    if path.suffix in (".csv", ".tsv", ".txt", ".npz", ".gz", ".zst", ".faiss", ".safetensors"):
        raise UsageError(
            f"vectors are not written as {path.suffix}",
            where=str(path),
            hint="end the name in .npy, .parquet, .arrow or .jsonl, or in anything else for a vector set",
        )
    return path.suffix in (".npy", ".parquet", ".arrow", ".jsonl")


def require_numbers(meta: VectorMeta, path: Path | None) -> None:
    """Raise UsageError when codes would be written to anything but a vector set; `path` None means standard
    output.
    """
    if meta.holds_codes and (path is None or is_file_output(path)):
        raise UsageError(
            f"{meta.dtype} codes are kept in a vector set, not "
            + (f"as {path.suffix}" if path else "on standard output"),
            where=str(path) if path else None,
            hint="write to a folder",
        )


def write_to(path: Path, meta: VectorMeta, batches: Iterable[Batch], *, force: bool = False) -> None:
    """Write batches to `path`, as a vector set or one file by its extension, whole or not at all."""
    with VectorSetWriter(path, meta, force=force, resumable=False) as writer:
        for batch in batches:
            writer.append(batch)
        finish_output(writer)


def finish_output(writer: VectorSetWriter) -> None:
    """Finish what a writer has written, as a vector set or one file by the extension of its path."""
    if is_file_output(writer.path):
        export(writer.complete(), writer.path)
        writer.remove()
    else:
        writer.finish()
