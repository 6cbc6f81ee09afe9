"""PDF documents: the text of their pages, by pypdf, in a process of its own.

A damaged or hostile file may keep pypdf busy for hours, or take all memory: it then ends that process alone.
"""

from __future__ import annotations

import atexit
import base64
import io
import logging

from embedkit.data.folders.document import Document
from embedkit.data.folders.places import PROSE
from embedkit.data.isolated_call import DiedError
from embedkit.data.isolated_worker import Worker
from embedkit.errors import DataError

LONGEST = 120  # seconds that the text of a file may take

_worker = Worker()
atexit.register(_worker.close)


def read_pdf(content: bytes) -> Document:
    """Return the document of a PDF file, with the places of its pages; raises DataError for one that is
    damaged or encrypted, or takes too long.
    """
    try:
        texts, title = _worker.call(pages_of, base64.b64encode(content).decode(), seconds=LONGEST)
    except (DiedError, TimeoutError) as error:
        raise DataError(f"cannot be read as PDF: {error}") from None
    pages, place = [], 0
    for text in texts:
        pages.append(place)
        place += len(text) + 2
    return Document("\n\n".join(texts), PROSE, title=title, pages=pages)


def pages_of(content: str) -> tuple[list[str], str | None]:
    """Return the texts of the pages of a PDF file, given in base64, and its title."""
    from pypdf import PdfReader

    logging.getLogger("pypdf").setLevel(logging.CRITICAL)  # of damaged files; the error says enough
    try:
        reader = PdfReader(io.BytesIO(base64.b64decode(content)))
        texts = [page.extract_text().replace("\0", "").strip() for page in reader.pages]
        title = reader.metadata.title if reader.metadata else None
    except Exception as error:  # a damaged file may raise anything
        raise DataError(f"cannot be read as PDF: {error}") from None
    return texts, str(title).strip() or None if title else None
