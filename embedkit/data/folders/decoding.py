"""Decoding of files: their bytes as text, in the encodings that files of text have in practice."""

from __future__ import annotations

import codecs
import re

from embedkit.errors import DataError

_MARKS = (  # ordered so that no mark is the beginning of a later one
    (codecs.BOM_UTF8, "utf-8-sig"), (codecs.BOM_UTF32_LE, "utf-32"), (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"), (codecs.BOM_UTF16_BE, "utf-16"),
)  # fmt: skip
_REPLACEMENT = "\ufffd"
_SPOILT = 0.05  # largest share of characters beyond ASCII that may be damaged in a file of UTF-8
_PAIRED = 0.9  # least share of high bytes in pairs that shows a double-byte encoding
_PAIRS = re.compile(rb"[\x81-\xfe][\xa1-\xfe]")
_HIGH = re.compile(rb"[\x80-\xff]")
_CONTROLS = re.compile(r"[\x00-\x08\x0e-\x1a\x1c-\x1f\x7f-\x9f]")


class BinaryFileError(DataError):
    """The content of a file is not text."""


def decode(content: bytes) -> str:
    """Return the text of a file, with lines that end in line feeds.

    A byte order mark decides the encoding. Otherwise it is UTF-8, in which a few bytes may be damaged, else
    GB18030 if most high bytes come in its pairs, else Windows-1252 if the result has no control characters.
    Raises BinaryFileError for NUL bytes, and DataError when no encoding fits.
    """
    return _decoded(content).replace("\r\n", "\n").replace("\r", "\n")


def _decoded(content: bytes) -> str:
    for mark, encoding in _MARKS:
        if content.startswith(mark):
            return content.decode(encoding, "replace")
    if b"\0" in content:
        raise BinaryFileError("is a binary file")
    try:
        return content.decode("utf-8")
    except UnicodeDecodeError as error:
        place = error.start + 1
    text = content.decode("utf-8", "replace")
    high = sum(1 for character in text if character > "\x7f")
    if text.count(_REPLACEMENT) <= _SPOILT * high:
        return text
    paired = 2 * sum(1 for _ in _PAIRS.finditer(content))
    attempts = ["gb18030"] if paired >= _PAIRED * sum(1 for _ in _HIGH.finditer(content)) else []
    for encoding in [*attempts, "cp1252"]:
        try:
            text = content.decode(encoding)
        except UnicodeDecodeError:
            continue
        if not _CONTROLS.search(text):
            return text
    raise DataError(f"is not UTF-8 (byte {place}), and its encoding was not recognised")
