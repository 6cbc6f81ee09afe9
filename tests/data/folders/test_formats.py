"""Every format is read into the text that it shows, with its headings at their places."""

import io
import json
import time
import zipfile
from html import unescape
from html.parser import HTMLParser
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from embedkit.data.folders.decoding import BinaryFileError, decode
from embedkit.data.folders.file_formats import read_document
from embedkit.data.folders.folder_settings import FolderSettings
from embedkit.data.folders.formats.html_tokens import tokens
from embedkit.data.folders.passages import passages
from embedkit.data.folders.token_places import rule_places
from embedkit.errors import DataError

BLOCKS = [
    "# One", "### Three ###", "#no heading", "####### seven", "Title\n===", "Other\n---", "text", "- item",
    "> quote", "```\n# code\n```", "~~~py\n# code\n\n# more\n~~~", "    # indented", "---",
    "| a |\n|---|", "1. one", "#", "## *A* `b`",
]  # fmt: skip


def outline(name, content):
    document = read_document(name, content.encode() if isinstance(content, str) else content)
    return [(heading.level, heading.title) for heading in document.headings if heading.title]


@given(st.lists(st.sampled_from(BLOCKS), max_size=8))
def test_headings_of_markdown_are_those_of_commonmark(blocks):
    text = "\n\n".join(blocks)
    tokens = MarkdownIt().parse(text)
    headings = [
        (token.map[0], int(token.tag[1]), after.content)
        for token, after in pairwise(tokens)
        if token.type == "heading_open" and token.level == 0
    ]
    document = read_document("a.md", text.encode())
    lines = [text.count("\n", 0, heading.place) for heading in document.headings]
    found = [(line, heading.level) for line, heading in zip(lines, document.headings, strict=True)]
    assert found == [(line, level) for line, level, _ in headings]


def test_titles_of_markdown_are_plain():
    assert outline("a.md", "# The `x` of *y* and [z](http://a.b/c) #\n") == [(1, "The x of y and z")]


def test_settings_above_markdown_give_its_title_and_are_no_text():
    document = read_document("a.md", b"---\ntitle: 'My guide'\ntags: [a]\n---\ntext\n")
    assert (document.title, document.text[document.start :]) == ("My guide", "text\n")
    assert read_document("a.md", b"---\n\na rule, then text\n\n---\n").start == 0


def test_html_is_its_visible_text_at_the_lines_of_the_file():
    page = (
        "<!doctype html>\n<html><head><title>The &amp; title</title>\n<style>p { top: 1 }</style></head>\n"
        "<body>\n<h1>Head <b>bold</b></h1>\n<p>One   two\nthree<br>four</p>\n<script>if (a < b) {}</script>\n"
        "<ul><li>item</li></ul><pre>a\n  b</pre></body></html>\n"
    )
    document = read_document("a.html", page.encode())
    shown = [line for line in zip(document.text.split("\n"), document.lines.tolist(), strict=True) if line[0]]
    assert shown == [
        ("Head bold", 5), ("One two", 6), ("three", 7), ("four", 7), ("item", 9), ("a", 9), ("b", 10),
    ]  # fmt: skip
    assert document.title == "The & title"
    assert outline("a.html", page) == [(1, "Head bold")]


TAGS = [
    "<p>", "a b", "<b>", "</b>", "<br/>", "<i t='>'>", "&lt;", "<!-- <x> -->", "\n", "</p>",
    "<!doctype html>", "<script>if (a<b) </script>", '<a href="x">',
]  # fmt: skip


@given(st.lists(st.sampled_from(TAGS), max_size=20))
def test_tags_and_texts_are_those_of_the_standard_library(parts):
    class Oracle(HTMLParser):
        found = ()

        def handle_starttag(self, tag, attrs):
            self.found += (tag,)

        def handle_endtag(self, tag):
            self.found += (f"/{tag}",)

        def handle_startendtag(self, tag, attrs):
            self.found += (tag,)

        def handle_data(self, data):
            self.found += tuple(data)

    page, oracle = "".join(parts), Oracle()
    oracle.feed(page)
    oracle.close()
    found = ()
    for kind, value, place in tokens(page):
        assert (
            page[place:]
            .lower()
            .startswith(value if kind == "text" else ("</" if kind == "end" else "<") + value)
        )
        found += tuple(unescape(value)) if kind == "text" else (f"/{value}" if kind == "end" else value,)
    assert found == oracle.found


DAMAGED = [
    "<!", "<?", "</", "<![CDATA[", "<a ", "<a b='", "<", "<!--", "</script", "<script>", "<a b=\"'>",
    "<pre>\n", "&#", "# ", "[", "[a](", "```\n", " \n", ":a", "a\n=\n", "def ", "class a(", "export ",
    ".\"", "。", "😀", "\n \t", "---\na: b\n",
]  # fmt: skip


@pytest.mark.parametrize("part", DAMAGED)
@pytest.mark.parametrize("suffix", ["html", "md", "rst", "py", "txt"])
def test_a_damaged_file_is_read_in_time_that_grows_with_its_length(part, suffix):
    started = time.process_time()
    document = read_document(f"a.{suffix}", (part * (50_000 // len(part))).encode())
    for _ in passages(document, "a", FolderSettings(overlap=20), rule_places):
        pass
    assert time.process_time() - started < 20  # a second or less; minutes if it were quadratic


NOTEBOOK = [
    ("markdown", ["# Sales\n", "\n", "Rain helps.\n"]),
    ("code", "import pandas\n\nsales = pandas.read_csv('a.csv')"),
    ("code", []),
    ("raw", "a\0b"),
    ("markdown", "text\n\n## Costs\n\n```\n# no heading\n```"),
]
CELLS = [{"cell_type": kind, "source": source, "outputs": [{"text": "noise"}]} for kind, source in NOTEBOOK]
OLDER = [{"cell_type": kind, "input" if kind == "code" else "source": source} for kind, source in NOTEBOOK]


@pytest.mark.parametrize("content", [{"cells": CELLS}, {"worksheets": [{"cells": OLDER}], "nbformat": 3}])
def test_a_notebook_is_the_text_and_code_of_its_cells_without_outputs(content):
    document = read_document("a.ipynb", json.dumps(content).encode())
    assert document.text.split("\n\n") == [
        "# Sales", "Rain helps.", "import pandas", "sales = pandas.read_csv('a.csv')", "ab", "text",
        "## Costs", "```\n# no heading\n```",
    ]  # fmt: skip
    titles = [(heading.title, document.text[heading.place :]) for heading in document.headings]
    assert [title for title, _ in titles] == ["Sales", "Costs"]
    assert [rest.startswith(f"{'#' * (n + 1)} {title}\n") for n, (title, rest) in enumerate(titles)] == [
        True, True,
    ]  # fmt: skip


@pytest.mark.parametrize(
    "content", ["", "[]", "{", "{}", '{"cells": 1}', '{"cells": [{}]}', '{"cells": [{"source": [1]}]}']
)
def test_a_damaged_notebook_is_an_error_of_one_line(content):
    with pytest.raises(DataError, match=r"^is not a Jupyter notebook: .+"):
        read_document("a.ipynb", content.encode())


def test_sections_of_restructured_text_have_the_level_of_their_adornment():
    text = (
        "====\nBook\n====\n\nPart\n====\n\ntext ends here.\n\nChapter\n-------\n\nx\n\nPart :ref:`two <b>`\n"
        "================\n\n::\n\n    a\n\n======  =====\na       b\n======  =====\n"
    )
    assert outline("a.rst", text) == [(1, "Book"), (2, "Part"), (3, "Chapter"), (2, "Part two")]


@pytest.mark.parametrize(
    ("name", "code", "expected"),
    [
        ("a.go", "func (s *Server) Run() {\n}\n\nfunc main() {\n}\n", [(1, "Run"), (1, "main")]),
        (
            "a.rs",
            "pub(crate) struct A<T> {\n}\n\nimpl<T> A<T> {\n    pub async fn b() {\n",
            [(1, "A"), (1, "A"), (2, "b")],
        ),
        (
            "a.ts",
            "export default class A extends B {\n}\nexport async function f<T>() {\n",
            [(1, "A"), (1, "f")],
        ),
        ("a.rb", "module A\n  class B\n    def c?\n", [(1, "A"), (2, "B"), (3, "c?")]),
        ("a.py", "class of objects\n'def x'\nclass A(B):\n    def b(self): ...\n", [(1, "A"), (2, "b")]),
    ],
)
def test_definitions_in_code_are_headings(name, code, expected):
    assert outline(name, code) == expected


def zipped(**members):
    """The bytes of an archive, which name no time: tests are named by them in every worker alike."""
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as archive:
        for name, text in members.items():
            archive.writestr(zipfile.ZipInfo(name.replace("__", "/").replace("_xml", ".xml")), text)
    return content.getvalue()


W = 'xmlns:w="http://schemas.openxmlformats.org/wordprocessingml/2006/main"'


def word(body):
    styles = (
        f'<w:styles {W}><w:style w:styleId="berschrift1"><w:name w:val="heading 1"/></w:style></w:styles>'
    )
    return zipped(
        word__document_xml=f"<w:document {W}><w:body>{body}</w:body></w:document>", word__styles_xml=styles
    )


def test_a_word_document_is_its_paragraphs_with_headings_by_style():
    content = word(
        '<w:p><w:pPr><w:pStyle w:val="berschrift1"/></w:pPr><w:r><w:t>Top</w:t></w:r></w:p><w:p/>'
        "<w:tbl><w:tr><w:tc><w:p><w:r><w:t>a</w:t><w:tab/><w:t>b</w:t></w:r></w:p></w:tc></w:tr></w:tbl>"
    )
    document = read_document("a.docx", content)
    assert document.text == "Top\n\na\tb"
    assert outline("a.docx", content) == [(2, "Top")]


def test_a_book_is_the_pages_of_its_spine_in_order():
    package = (
        '<package xmlns="o" xmlns:dc="d"><metadata><dc:title>Book</dc:title></metadata><manifest>'
        '<item id="a" href="a%20b.xhtml"/><item id="b" href="b.xhtml"/></manifest>'
        '<spine><itemref idref="b"/><itemref idref="a"/></spine></package>'
    )
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as archive:
        archive.writestr("META-INF/container.xml", '<c><rootfile full-path="in/p.opf"/></c>')
        archive.writestr("in/p.opf", package)
        archive.writestr("in/a b.xhtml", "<h2>Second</h2><p>two</p>")
        archive.writestr("in/b.xhtml", "<h1>First</h1><p>one</p>")
    document = read_document("a.epub", content.getvalue())
    assert document.title == "Book"
    assert document.text.split() == ["First", "one", "Second", "two"]
    assert [document.text[heading.place :].split()[0] for heading in document.headings] == ["First", "Second"]


def test_a_pdf_is_the_text_of_its_pages():
    pypdf = pytest.importorskip("pypdf")
    from pypdf.generic import DecodedStreamObject, DictionaryObject, NameObject

    writer = pypdf.PdfWriter()
    font = {"/Type": "/Font", "/Subtype": "/Type1", "/BaseFont": "/Helvetica"}
    font = DictionaryObject({NameObject(key): NameObject(value) for key, value in font.items()})
    for text in ("first page", "second page"):
        page = writer.add_blank_page(200, 200)
        stream = DecodedStreamObject()
        stream.set_data(f"BT /F1 12 Tf 10 100 Td ({text}) Tj ET".encode())
        page[NameObject("/Contents")] = writer._add_object(stream)
        fonts = DictionaryObject({NameObject("/F1"): font})
        page[NameObject("/Resources")] = DictionaryObject({NameObject("/Font"): fonts})
    writer.add_metadata({"/Title": "A title"})
    content = io.BytesIO()
    writer.write(content)
    document = read_document("a.pdf", content.getvalue())
    assert (document.text, document.title) == ("first page\n\nsecond page", "A title")
    assert document.text[document.pages[1] :] == "second page"


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.docx", b"no zip", "is damaged: File is not a zip file"),
        ("a.docx", zipped(a="b"), "is not a Word document: it has no word/document.xml"),
        ("a.docx", zipped(word__document_xml="<a"), "its part word/document.xml is not XML"),
        (
            "a.docx",
            zipped(word__document_xml="<!DOCTYPE a [<!ENTITY b 'c'>]><a>&b;</a>"),
            "declares entities",
        ),
        ("a.docx", zipped(word__document_xml="<a/>")[:60], "is damaged"),
        ("a.epub", zipped(a="b"), "is not an EPUB book: it names no package"),
        ("a.pdf", b"%PDF-1.4 nothing", "cannot be read as PDF"),
        ("a.txt", b"\0\1\2", "is a binary file"),
        ("a.txt", b"\x81\x8d\x8f\x90 ", "is not UTF-8"),
    ],
)
def test_a_damaged_file_is_an_error_of_one_line(name, content, message):
    if name.endswith("pdf"):
        pytest.importorskip("pypdf")
    with pytest.raises(DataError, match=message):
        read_document(name, content)


def test_a_part_that_unpacks_to_too_much_is_refused(monkeypatch):
    monkeypatch.setattr("embedkit.data.folders.formats.archives._LARGEST", 100)
    with pytest.raises(DataError, match=r"its part word/document.xml unpacks to more than"):
        read_document("a.docx", word("x" * 200))


@given(st.text(st.characters(codec="utf-8", exclude_characters="\0\r\ufeff"), max_size=50))
def test_utf_8_is_decoded_with_and_without_a_mark(text):
    assert decode(text.encode()) == decode(text.encode("utf-8-sig")) == text


@pytest.mark.parametrize("encoding", ["utf-16", "utf-32", "gb18030", "cp1252"])
def test_other_encodings_are_recognised(encoding):
    text = (
        "这是一个中文文件。\n它有两行，没有标记。\n"
        if encoding != "cp1252"
        else "Das Öl für die Küche ist süß – naïve café\n"
    )
    assert decode(text.encode(encoding)) == text


def test_a_few_damaged_bytes_do_not_spoil_utf_8():
    assert decode("中文".encode() * 40 + b"\xff") == "中文" * 40 + "\ufffd"
    with pytest.raises(BinaryFileError):
        decode("中文".encode() + b"\0")


def test_lines_end_in_line_feeds():
    assert decode(b"a\r\nb\rc\n\r\n") == "a\nb\nc\n\n"


def test_every_file_of_the_manual_can_be_read():
    for path in Path(__file__).parents[3].glob("docs/**/*.md"):
        document = read_document(path.name, path.read_bytes())
        assert document.headings[0].level == 1
