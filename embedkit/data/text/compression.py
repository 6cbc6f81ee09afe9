"""Compressions of inputs: recognised by a name's extension or by the first bytes, and undone."""

from __future__ import annotations

import bz2
import gzip
import lzma
from typing import BinaryIO, cast

from embedkit.data.lookahead import Ahead
from embedkit.data.names import path_of

COMPRESSIONS = {".gz": "gzip", ".zst": "zstd", ".zstd": "zstd", ".bz2": "bz2", ".xz": "xz"}

_MAGIC = {b"\x1f\x8b": "gzip", b"\x28\xb5\x2f\xfd": "zstd", b"\xfd7zXZ\x00": "xz"}
# for bzip2, "BZh" alone is too short: a line of text may begin with it
_MAGIC |= {b"BZh%d1AY&SY" % level: "bz2" for level in range(1, 10)}


def compression_of(name: str, ahead: Ahead) -> str | None:
    """Return the compression of an input by its name or its first bytes, or None."""
    return COMPRESSIONS.get(path_of(name).suffix) or ahead.first_match(_MAGIC)


def decompressed(raw: BinaryIO, compression: str) -> BinaryIO:
    """Return the decompressed stream; every reader here raises on a truncated stream, and reads joined
    members.
    """
    if compression == "zstd":
        import pyarrow as pa  # the zstandard package accepts a truncated file

        opened: object = pa.CompressedInputStream(pa.PythonFile(raw, mode="r"), "zstd")
    elif compression == "gzip":
        opened = gzip.GzipFile(fileobj=raw)
    elif compression == "bz2":
        opened = bz2.BZ2File(raw)
    else:
        opened = lzma.LZMAFile(raw)  # noqa: SIM115 (closed with the stream it reads)
    return cast(BinaryIO, opened)
