"""reStructuredText: the text as it is written, and its section titles."""

from __future__ import annotations

import re

from embedkit.data.folders.document import Document, Heading
from embedkit.data.folders.places import PROSE

_ADORNED = re.compile(r"([!-/:-@\[-`{-~])\1*[ \t]*$")  # a line of one punctuation character
_LONGEST = 500  # characters of a title that are looked at
_ROLE = re.compile(r":[\w:.-]+:`([^`<]*?)\s*(?:<[^>]*>)?`")


def read_restructured_text(text: str) -> Document:
    """Return the document of a text in reStructuredText; a section's level is the order in which its
    adornment first appears.
    """
    headings: list[Heading] = []
    known: list[tuple[str, bool]] = []  # characters of adornments, and whether they have a line above too
    lines, place = text.split("\n"), 0
    for number, line in enumerate(lines):
        title = line.rstrip()
        under = lines[number + 1].rstrip() if number + 1 < len(lines) else ""
        over = lines[number - 1].rstrip() if number else ""
        if _is_title(title, under) and not _ADORNED.match(title):
            above = bool(over) and over == under
            if above or not over.strip() or _ADORNED.match(over):
                adornment = under[0], above
                if adornment not in known:
                    known.append(adornment)
                start = place - (len(lines[number - 1]) + 1 if above else 0)
                headings.append(Heading(start, known.index(adornment) + 1, _plain(title)))
        place += len(line) + 1
    return Document(text, PROSE, headings)


def _is_title(title: str, under: str) -> bool:
    """Return whether a line with the line below it is a title: an adornment at least as long, or of four."""
    if not title.strip() or not _ADORNED.match(under):
        return False
    return len(under) >= len(title.strip()) or len(under) >= 4


def _plain(title: str) -> str:
    title = _ROLE.sub(r"\1", title[:_LONGEST])
    return re.sub(r"[*`]+", "", title).strip()
