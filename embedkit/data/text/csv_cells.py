"""Cells of CSV and TSV: the rows of a table whose columns may be named by its first row."""

from __future__ import annotations

import csv
from collections.abc import Iterator

from embedkit.data.text.lines import decoded, require_more_than_nul
from embedkit.data.text.streams import Stream
from embedkit.data.text.table_streams import require_distinct
from embedkit.errors import DataError

Lines = Iterator[tuple[str, bytes]]  # (place, line)
Cells = Iterator[tuple[str, list[str] | csv.Error]]


def cell_rows(stream: Stream) -> Iterator[tuple[str, list[str]]]:
    """Yield the place and the cells of each row of CSV (quoting as in RFC 4180) or, for any other kind, of
    lines split at tabs; raises DataError naming an invalid line.
    """
    yield from _checked_cells(cells_of(stream))


def header_of(stream: Stream) -> list[str]:
    """Return the first row of CSV or TSV without consuming it; an empty list when all lines are blank."""
    rows = (cells for _, cells in _checked_cells(cells_ahead(stream)))
    return next((cells for cells in rows if any(map(str.strip, cells))), [])


def cells_of(stream: Stream) -> Cells:
    """Yield the place of each row and its cells, or the error of CSV; cells may contain undecoded bytes."""
    return _cells(((f"{stream.name}:{number}", line) for number, line in stream.lines()), stream)


def cells_ahead(stream: Stream) -> Cells:
    """Yield what `cells_of` yields, without consuming the input."""
    return _cells(((f"{stream.name}:{number}", line) for number, line in stream.lines_ahead()), stream)


def check_columns(names: list[str], place: str) -> None:
    """Raise DataError when two columns of a header have one name, or a name is not UTF-8."""
    require_distinct(names, place)
    for name in names:
        try:
            decoded(_undecoded(name))
        except DataError as error:
            raise DataError(f"the header {error.what}", where=place) from None


def _checked_cells(rows: Cells) -> Iterator[tuple[str, list[str]]]:
    for place, row in rows:
        if isinstance(row, csv.Error):
            raise DataError(f"is not CSV: {row}", where=place)
        try:
            cells = [decoded(_undecoded(cell)) for cell in row]
        except DataError as error:
            raise DataError(error.what, where=place, hint=error.hint) from None
        if cells:
            yield place, cells


def _cells(lines: Lines, stream: Stream) -> Cells:
    return _csv_cells(lines, stream.name) if stream.kind == "csv" else _tsv_cells(lines)


def _tsv_cells(lines: Lines) -> Cells:
    for place, line in lines:
        text = _loosely_decoded(line).rstrip("\r\n")
        yield place, text.split("\t") if text else []


def _csv_cells(lines: Lines, name: str) -> Cells:
    csv.field_size_limit(2**31 - 1)  # characters
    rows = csv.reader((_loosely_decoded(line) for _, line in lines), strict=True)
    while True:
        place = f"{name}:{rows.line_num + 1}"
        try:
            row = next(rows, None)
        except csv.Error as error:
            if "unexpected end" in str(error):  # the cell took the rest of the file: never skipped
                raise DataError("a quote that opens here is never closed", where=place) from None
            yield place, error
            continue
        if row is None:
            return
        yield place, row


def _loosely_decoded(line: bytes) -> str:
    return line.decode("utf-8", "surrogateescape")  # bytes that are not UTF-8 fail in their own row


def _undecoded(cell: str) -> bytes:
    return cell.encode("utf-8", "surrogateescape")


def named_cells(header: list[str], row: list[str] | csv.Error, whose: str) -> dict[str, object] | None:
    """Return the cells of a row by the names of their columns, or None for a blank row.

    Raises DataError for another number of cells than the header has, in the words of `whose`, and for cells
    that are not CSV or not UTF-8.
    """
    if isinstance(row, csv.Error):
        raise DataError(f"is not CSV: {row}")
    if not row:
        return None
    if len(row) == 1:
        require_more_than_nul(row[0])
    if len(row) != len(header):
        raise DataError(f"has {len(row)} cells, {whose} {len(header)}")
    for cell in row:
        if not cell.isascii():
            decoded(_undecoded(cell))
    return dict(zip(header, row, strict=True))
