"""Plain text: paragraphs and sentences, without headings."""

from __future__ import annotations

from embedkit.data.folders.document import Document
from embedkit.data.folders.places import PROSE


def read_plain_text(text: str) -> Document:
    """Return the document of a plain text."""
    return Document(text, PROSE)
