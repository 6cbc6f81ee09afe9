"""Word documents (.docx): their paragraphs, and the headings by their styles."""

from __future__ import annotations

import re
from xml.etree.ElementTree import Element

from embedkit.data.folders.document import Document, Heading
from embedkit.data.folders.formats.archives import Archive, local_name, opened
from embedkit.data.folders.places import PROSE
from embedkit.errors import DataError

_TEXT, _STYLES = "word/document.xml", "word/styles.xml"
_NAMED = re.compile(r"(?:heading (\d)|(title))$", re.IGNORECASE)  # names of styles, in every language


def read_word_document(content: bytes) -> Document:
    """Return the document of a .docx file (ECMA-376): a line per paragraph, with a blank line between them.

    Raises DataError when it is damaged.
    """
    with opened(content) as archive:
        root = archive.xml(_TEXT)
        if root is None:
            raise DataError(f"is not a Word document: it has no {_TEXT}")
        levels = _levels(archive)
    parts: list[str] = []
    headings: list[Heading] = []
    place = 0
    for paragraph in root.iter():
        if local_name(paragraph.tag) != "p" or not (text := _text(paragraph).strip()):
            continue
        level = levels.get(_style(paragraph))
        if level is not None:
            headings.append(Heading(place, level, " ".join(text.split())))
        parts.append(text)
        place += len(text) + 2
    return Document("\n\n".join(parts), PROSE, headings)


def _levels(archive: Archive) -> dict[str, int]:
    """Return the level of each style that is a heading."""
    root = archive.xml(_STYLES)
    levels: dict[str, int] = {}
    for style in root.iter() if root is not None else ():
        for name in style:
            if local_name(name.tag) == "name" and (named := _NAMED.match(_attribute(name, "val"))):
                levels[_attribute(style, "styleId")] = 1 if named[2] else int(named[1]) + 1
    return levels


def _style(paragraph: Element) -> str:
    return next((_attribute(one, "val") for one in paragraph.iter() if local_name(one.tag) == "pStyle"), "")


def _text(paragraph: Element) -> str:
    parts: list[str] = []
    for part in paragraph.iter():
        name = local_name(part.tag)
        if name == "t":
            parts.append(part.text or "")
        elif name in ("br", "cr"):
            parts.append("\n")
        elif name == "tab":
            parts.append("\t")
    return "".join(parts)


def _attribute(element: Element, name: str) -> str:
    return next((value for key, value in element.attrib.items() if local_name(key) == name), "")
