"""PDF documents: the text of their pages, by pypdf."""

from __future__ import annotations

import io
import logging

from embedkit.data.folders.document import Document
from embedkit.data.folders.places import PROSE
from embedkit.errors import DataError


def read_pdf(content: bytes) -> Document:
    """Return the document of a PDF file, with the places of its pages; raises DataError for one that is
    damaged or encrypted.
    """
    from pypdf import PdfReader

    logging.getLogger("pypdf").setLevel(logging.CRITICAL)  # of damaged files; the error says enough
    try:
        reader = PdfReader(io.BytesIO(content))
        texts = [page.extract_text().replace("\0", "").strip() for page in reader.pages]
        title = reader.metadata.title if reader.metadata else None
    except Exception as error:  # a damaged file may raise anything
        raise DataError(f"cannot be read as PDF: {error}") from None
    pages, place = [], 0
    for text in texts:
        pages.append(place)
        place += len(text) + 2
    return Document(
        "\n\n".join(texts), PROSE, title=str(title).strip() or None if title else None, pages=pages
    )
