"""Lines of an input as bytes, numbered, and their text."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from embedkit.errors import DataError

BOM = b"\xef\xbb\xbf"  # the byte order mark of UTF-8


def numbered(lines: Iterable[bytes], first: int = 1) -> Iterator[tuple[int, bytes]]:
    """Yield the number of each line, from `first` on, and the line; line 1 without a byte order mark."""
    for number, line in enumerate(lines, first):
        yield number, line.removeprefix(BOM) if number == 1 else line


def decoded(line: bytes) -> str:
    """Return the text of a line; raises DataError when it is not UTF-8."""
    try:
        return line.decode("utf-8")
    except UnicodeDecodeError as error:
        hint = "convert the file from its own encoding, as iconv -f LATIN1 -t UTF-8 does"
        raise DataError(f"is not UTF-8 (byte {error.start + 1})", hint=hint) from None


def require_more_than_nul(text: str) -> None:
    """Raise DataError for a text of NUL characters only, which a crash leaves at the end of a file."""
    if text.startswith("\0") and not text.strip("\0"):
        hint = "the end of the file may be damaged"
        raise DataError("contains only NUL characters, expected text", hint=hint)
