"""Members of zip archives, which EPUB and Word documents are, with a limit on what they unpack to."""

from __future__ import annotations

import io
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from xml.etree import ElementTree

from embedkit.errors import DataError

_LARGEST = 64 << 20  # bytes of a member


class Archive:
    """The members of an archive by their names."""

    def __init__(self, file: zipfile.ZipFile) -> None:
        self._file = file

    def read(self, name: str) -> bytes | None:
        """Return a member's content; None if there is no such member.

        Raises DataError when it unpacks to more than 64 MB.
        """
        try:
            with self._file.open(name) as member:
                content = member.read(_LARGEST + 1)
        except KeyError:
            return None
        if len(content) > _LARGEST:
            raise DataError(f"its part {name} unpacks to more than {_LARGEST >> 20} MB")
        return content

    def xml(self, name: str) -> ElementTree.Element | None:
        """Return the root of a member in XML; None if there is no such member.

        Raises DataError for XML that is invalid or declares entities.
        """
        content = self.read(name)
        if content is None:
            return None
        if b"<!ENTITY" in content:
            raise DataError(f"its part {name} declares entities")
        try:
            return ElementTree.fromstring(content)
        except ElementTree.ParseError as error:
            raise DataError(f"its part {name} is not XML: {error}") from None


@contextmanager
def opened(content: bytes) -> Iterator[Archive]:
    """Open an archive; raises DataError when it is damaged or encrypted."""
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as file:
            yield Archive(file)
    except (zipfile.BadZipFile, zlib.error, EOFError, OSError, NotImplementedError, ValueError) as error:
        raise DataError(f"is damaged: {error}") from None
    except RuntimeError:  # raised by zipfile for a password
        raise DataError("is encrypted") from None


def local_name(tag: str) -> str:
    """Return the name of an element without its namespace."""
    return tag.rpartition("}")[2]
