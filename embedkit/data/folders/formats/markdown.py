"""Markdown: the text as it is written, its headings, and the title among the settings at its top."""

from __future__ import annotations

import re
from collections.abc import Iterator

from embedkit.data.folders.document import Document, Heading
from embedkit.data.folders.places import PROSE

_FRONT = re.compile(r"---[ \t]*\n((?=\s*[\w-]+[ \t]*:).*?\n)(?:---|\.\.\.)[ \t]*(?:\n|\Z)", re.DOTALL)
_TITLE = re.compile(r"^title:(.*)$", re.MULTILINE)
_FENCE = re.compile(r" {0,3}(`{3,}|~{3,})")
_ATX = re.compile(r" {0,3}(#{1,6})(?=[ \t]|$)")
_LONGEST = 500  # characters of a title that are looked at
_UNDERLINE = re.compile(r" {0,3}(=+|-+)[ \t]*$")
_NO_TITLE = re.compile(
    r"\s*$| {4}|\t| {0,3}(?:[-*+>|#]|\d+[.)][ \t])"
)  # lines that no underline makes titles


def read_markdown(text: str) -> Document:
    """Return the document of a text in Markdown (CommonMark's headings and fences)."""
    front = _FRONT.match(text)
    start = front.end() if front else 0
    named = _TITLE.search(front[1]) if front else None
    title = named[1].strip().strip("'\"") if named else ""
    return Document(text, PROSE, list(_headings(text, start)), title or None, start=start)


def _headings(text: str, start: int) -> Iterator[Heading]:
    """Yield the headings outside of fences, of both forms."""
    fence, before, place = "", "", start
    for bare in text[start:].split("\n"):
        if mark := _FENCE.match(bare):
            if not fence:
                fence = mark[1]
            elif mark[1].startswith(fence) and not bare[mark.end() :].strip():
                fence = ""
        elif not fence:
            if atx := _ATX.match(bare):
                yield Heading(place, len(atx[1]), plain(_closed(bare[atx.end() :])))
            elif (under := _UNDERLINE.match(bare)) and not _NO_TITLE.match(before):
                yield Heading(place - len(before) - 1, 1 if under[1][0] == "=" else 2, plain(before))
        before, place = bare, place + len(bare) + 1


def _closed(title: str) -> str:
    """Return a title without the number signs that may close it."""
    title = title.strip()
    bare = title.rstrip("#")
    return bare.rstrip() if not bare or bare[-1] in " \t" else title


def plain(title: str) -> str:
    """Return a title without the marks of emphasis, code and links."""
    title = title[:_LONGEST]
    title = re.sub(r"!?\[([^\]]*)\]\([^)]*\)", r"\1", title)
    return re.sub(r"[*`]|(?<!\w)_|_(?!\w)", "", title).strip()
