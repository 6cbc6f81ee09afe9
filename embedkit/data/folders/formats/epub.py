"""EPUB books: the pages of their spine, one after the other."""

from __future__ import annotations

import posixpath
from collections.abc import Iterator
from urllib.parse import unquote

from embedkit.data.folders.decoding import decode
from embedkit.data.folders.document import Document, Heading
from embedkit.data.folders.formats.archives import Archive, local_name, opened
from embedkit.data.folders.formats.html import read_html
from embedkit.data.folders.places import PROSE
from embedkit.errors import DataError

_CONTAINER = "META-INF/container.xml"


def read_epub(content: bytes) -> Document:
    """Return the document of a book (EPUB 2 and 3); raises DataError when it is damaged."""
    parts: list[str] = []
    headings: list[Heading] = []
    place = 0
    with opened(content) as archive:
        title, pages = _package(archive)
        for name in pages:
            page = archive.read(name)
            if page is None:
                continue
            document = read_html(decode(page))
            headings += [one._replace(place=one.place + place) for one in document.headings]
            parts.append(document.text)
            place += len(document.text) + 2
    return Document("\n\n".join(parts), PROSE, headings, title)


def _package(archive: Archive) -> tuple[str | None, list[str]]:
    """Return the title of a book, and the names of its pages in reading order."""
    container = archive.xml(_CONTAINER)
    names = [one.get("full-path") for one in container.iter()] if container is not None else []
    name = next(filter(None, names), None)
    package = archive.xml(name) if name else None
    if name is None or package is None:
        raise DataError("is not an EPUB book: it names no package")
    items: dict[str | None, str] = {}
    order: list[str | None] = []
    title = None
    for one in package.iter():
        kind = local_name(one.tag)
        if kind == "item":
            items[one.get("id")] = one.get("href") or ""
        elif kind == "itemref":
            order.append(one.get("idref"))
        elif kind == "title" and title is None:
            title = (one.text or "").strip() or None
    return title, list(_within(posixpath.dirname(name), [items[key] for key in order if key in items]))


def _within(folder: str, pages: list[str]) -> Iterator[str]:
    for page in pages:
        yield posixpath.normpath(posixpath.join(folder, unquote(page.partition("#")[0])))
