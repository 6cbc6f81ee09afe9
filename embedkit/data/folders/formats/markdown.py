"""Markdown: the text as it is written, its headings, and the title among the settings at its top."""

from __future__ import annotations

import re
from collections.abc import Iterator

from embedkit.data.folders.document import Document, Heading
from embedkit.data.folders.places import PROSE

_FRONT = re.compile(r"---[ \t]*\n((?=\s*[\w-]+[ \t]*:).*?\n)(?:---|\.\.\.)[ \t]*(?:\n|\Z)", re.DOTALL)
_TITLE = re.compile(r"^title:[ \t]*(['\"]?)(.+?)\1[ \t]*$", re.MULTILINE)
_FENCE = re.compile(r" {0,3}(`{3,}|~{3,})")
_ATX = re.compile(r" {0,3}(#{1,6})(?:[ \t]+(.*?))?(?:[ \t]+#+)?[ \t]*$")
_UNDERLINE = re.compile(r" {0,3}(=+|-+)[ \t]*$")
_NO_TITLE = re.compile(
    r"\s*$| {4}|\t| {0,3}(?:[-*+>|#]|\d+[.)][ \t])"
)  # lines that no underline makes titles


def read_markdown(text: str) -> Document:
    """Return the document of a text in Markdown (CommonMark's headings and fences)."""
    front = _FRONT.match(text)
    start = front.end() if front else 0
    named = _TITLE.search(front[1]) if front else None
    return Document(text, PROSE, list(_headings(text, start)), named[2] if named else None, start=start)


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
                yield Heading(place, len(atx[1]), plain(atx[2] or ""))
            elif (under := _UNDERLINE.match(bare)) and not _NO_TITLE.match(before):
                yield Heading(place - len(before) - 1, 1 if under[1][0] == "=" else 2, plain(before))
        before, place = bare, place + len(bare) + 1


def plain(title: str) -> str:
    """Return a title without the marks of emphasis, code and links."""
    title = re.sub(r"!?\[([^\]]*)\]\([^)]*\)", r"\1", title)
    return re.sub(r"[*`]|(?<!\w)_|_(?!\w)", "", title).strip()
