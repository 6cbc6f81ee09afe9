"""Tables of an open input: the schema and the batches of parquet and arrow."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, BinaryIO, NamedTuple, Protocol

from embedkit.data.text.read_errors import readable
from embedkit.errors import DataError

if TYPE_CHECKING:
    import pyarrow as pa

    from embedkit.data.lookahead import Ahead
    from embedkit.data.text.input_kinds import InputKind


class TableInput(Protocol):
    """What is needed of an open input to read tables from it; `Stream` has it."""

    name: str
    kind: InputKind
    file: BinaryIO
    ahead: Ahead
    first_group: int


class Table(NamedTuple):
    """The schema of an opened parquet or arrow input, its record batches, and the rows per row group."""

    schema: pa.Schema
    batches: Iterator[Any]
    group_rows: tuple[int, ...] = ()  # of all row groups of a parquet file


def require_distinct(names: Sequence[str], where: str) -> None:
    """Raise DataError when two columns have the same name."""
    repeated = sorted({name for name in names if names.count(name) > 1})
    if repeated:
        raise DataError(f"has more than one column {', '.join(map(repr, repeated))}", where=where)


def open_table(stream: TableInput) -> Table:
    """Open a parquet or arrow input; raises DataError when it is incomplete or its kind needs a file."""
    import pyarrow as pa

    if stream.kind != "parquet" and stream.ahead.beginning(6) != b"ARROW1":
        source = _LastRead(stream.file)
        reader = _arrow_errors(stream, lambda: pa.ipc.open_stream(source))

        def whole() -> Iterator[Any]:
            """Yield all batches; raises DataError unless the stream ends with its end mark."""
            yield from reader
            if not source.last:
                raise DataError("is truncated: an arrow stream closes with an end mark", where=stream.name)
            if source.read(1):
                hint = "name one stream, or join them with pyarrow"
                what = "continues after the end mark of its arrow stream"
                raise DataError(what, where=stream.name, hint=hint)

        return Table(reader.schema, _batches(stream, whole))
    if not stream.file.seekable():
        raise DataError(
            f"{stream.kind} files are read from their end, which a pipe or zstd does not allow",
            where=stream.name,
            hint="name an uncompressed file",
        )
    if stream.kind == "parquet":
        from pyarrow import parquet

        file = _arrow_errors(stream, lambda: parquet.ParquetFile(stream.file))
        groups = range(stream.first_group, file.num_row_groups)
        rows = _batches(stream, lambda: file.iter_batches(batch_size=8192, row_groups=groups))
        group_rows = tuple(file.metadata.row_group(group).num_rows for group in range(file.num_row_groups))
        return Table(file.schema_arrow, rows, group_rows)
    reader = _arrow_errors(stream, lambda: pa.ipc.open_file(stream.file))
    return Table(
        reader.schema, _batches(stream, lambda: map(reader.get_batch, range(reader.num_record_batches)))
    )


class _LastRead:
    """A file that remembers its last read, which is empty when a stream ended without its end mark."""

    closed = False

    def __init__(self, file: BinaryIO) -> None:
        self.file, self.last = file, b""

    def read(self, size: int) -> bytes:
        """Return at most `size` bytes, and remember them."""
        self.last = self.file.read(size)
        return self.last

    def close(self) -> None:
        """Leave the file open; its opener closes it."""


def _batches(stream: TableInput, start: Callable[[], Any]) -> Iterator[Any]:
    batches = _arrow_errors(stream, lambda: iter(start()))
    while (batch := _arrow_errors(stream, lambda: next(batches, None))) is not None:
        yield batch


def _arrow_errors(stream: TableInput, read: Callable[[], Any]) -> Any:
    import pyarrow as pa

    with readable(stream.name):
        try:
            return read()
        except pa.ArrowException as error:
            raise DataError(f"is truncated, or not valid {stream.kind}: {error}", where=stream.name) from None
