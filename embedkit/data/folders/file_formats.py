"""The formats of files by their extensions, and the reader of each."""

from __future__ import annotations

from collections.abc import Callable
from importlib.util import find_spec
from pathlib import PurePosixPath

from embedkit.data.folders.decoding import decode
from embedkit.data.folders.document import Document

EXTRA, PDF_PACKAGE = "files", "pypdf"

_MARKDOWN = ".md .markdown .mdown .mkd .mdx .qmd .rmd"
_HTML = ".html .htm .xhtml"
_RESTRUCTURED = ".rst .rest"
_SOURCE = """
    .py .pyi .pyx .js .mjs .cjs .jsx .ts .tsx .vue .svelte .java .kt .kts .scala .groovy .go .rs .c
    .h .cc .cpp .cxx .hpp .hh .cs .m .mm .swift .rb .php .pl .pm .lua .r .jl .sh .bash .zsh .fish
    .ps1 .sql .hs .ml .mli .ex .exs .erl .clj .lisp .el .dart .zig .nim .v .f90 .f .pas .asm .s .css
    .scss .less .json .jsonl .yaml .yml .toml .ini .cfg .xml .csv .tsv .proto .graphql .tf .gradle
    .cmake .bat .vim .sol .cu .d .ada .adb .ads
"""
_NOTEBOOK = ".ipynb"
_MINIFIABLE = (".js", ".mjs", ".cjs", ".css")
_GENERATED = (".map", *(f".min{suffix}" for suffix in _MINIFIABLE))
_LONG = 500  # bytes; code whose lines are longer on average was not written by a person
_SUFFIXES = {
    name: frozenset(suffixes.split())
    for name, suffixes in {
        "markdown": _MARKDOWN, "html": _HTML, "restructured text": _RESTRUCTURED, "source code": _SOURCE,
        "notebook": _NOTEBOOK,
    }.items()
}  # fmt: skip


def read_document(path: str, content: bytes) -> Document:
    """Return the document of a file, by the extension of its name; text of an unknown one is plain text.

    Raises BinaryFileError for content that is not text, and DataError for a damaged file.
    """
    suffix = PurePosixPath(path).suffix.lower()
    if suffix in _DOCUMENTS:
        return _DOCUMENTS[suffix](content)
    return _reader_of(suffix)(decode(content))


def is_picture(path: str) -> bool:
    """Return whether a file is a drawing that is stored as text."""
    return PurePosixPath(path).suffix.lower() == ".svg"


def is_generated(path: str, content: bytes) -> bool:
    """Return whether a file is code that was made for machines: minified, or the map of such code."""
    name = path.lower()
    if name.endswith(_MINIFIABLE) and len(content) > _LONG * (content.count(b"\n") + 1):
        return True
    return name.endswith(_GENERATED)


def needs_package(path: str) -> bool:
    """Return whether the format of a file is read by a package that is not installed."""
    return path.lower().endswith(".pdf") and find_spec(PDF_PACKAGE) is None


def is_archive(path: str) -> bool:
    """Return whether a file is read as bytes, so that NUL bytes in it mean nothing."""
    return PurePosixPath(path).suffix.lower() in _DOCUMENTS


def _reader_of(suffix: str) -> Callable[[str], Document]:
    """Return the reader of a format of text; readers are imported when their format is met."""
    if suffix in _SUFFIXES["markdown"]:
        from embedkit.data.folders.formats.markdown import read_markdown

        return read_markdown
    if suffix in _SUFFIXES["html"]:
        from embedkit.data.folders.formats.html import read_html

        return read_html
    if suffix in _SUFFIXES["restructured text"]:
        from embedkit.data.folders.formats.restructured_text import read_restructured_text

        return read_restructured_text
    if suffix in _SUFFIXES["source code"]:
        from embedkit.data.folders.formats.source_code import read_source_code

        return read_source_code
    if suffix in _SUFFIXES["notebook"]:
        from embedkit.data.folders.formats.notebook import read_notebook

        return read_notebook
    from embedkit.data.folders.formats.plain_text import read_plain_text

    return read_plain_text


def _pdf(content: bytes) -> Document:
    from embedkit.data.folders.formats.pdf import read_pdf

    return read_pdf(content)


def _word(content: bytes) -> Document:
    from embedkit.data.folders.formats.word_document import read_word_document

    return read_word_document(content)


def _epub(content: bytes) -> Document:
    from embedkit.data.folders.formats.epub import read_epub

    return read_epub(content)


_DOCUMENTS: dict[str, Callable[[bytes], Document]] = {".pdf": _pdf, ".docx": _word, ".epub": _epub}
