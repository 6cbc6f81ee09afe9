"""Files that no program expects stop nothing: they are read, or counted and named."""

import json
import os
import threading
from pathlib import Path

import pytest

from embedkit.data.folders import folder_source
from embedkit.data.inputs import open_records

LONG = "word 字 " * 800_000  # 5 MB and more, in one line


def read(*names, **settings):
    reader = open_records(names or ["in"])
    return {record.id: record.text for record in reader}, reader.folders.counts


@pytest.fixture
def put(folder):
    Path("in").mkdir()

    def write(name, content):
        path = Path("in", name)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return path

    write("good.md", "# Good\n\ntext\n")
    return write


def test_files_without_text_are_counted_and_the_others_read(put):
    put("nul.txt", b"abc\0def")
    put("late-nul.txt", b"a" * 9000 + b"\0")
    put("picture.svg", b"<svg><text>no</text></svg>")
    put("empty.md", b"")
    put("blank.md", b"\n \n\t\n")
    put("broken.docx", b"PK\3\4 broken")
    put("noise.txt", bytes(range(128, 160)) * 10)
    os.mkfifo("in/pipe.md")
    os.symlink(".", "in/loop")
    os.symlink("/dev/zero", "in/zero.md")
    texts, counts = read()
    assert texts == {"in/good.md:1": "# Good\n\ntext"}
    assert (counts.files, counts.binary, counts.special, counts.links) == (3, 3, 1, 2)
    assert [path for path, _ in counts.failed] == ["in/broken.docx", "in/noise.txt"]


def test_code_that_was_made_for_machines_is_counted_and_not_read(put):
    line = "var a = function (b) { return b }\n"
    put("written.js", line * 1000)
    put("bundle.js", line.replace("\n", ";") * 1000)
    put("style.css", "a{b:c}" * 1000)
    put("short.min.js", line)
    put("app.js.map", "{}")
    put("data.json", json.dumps(["one long line of data, which is no code"] * 100))
    texts, counts = read()
    assert {id.partition(":")[0] for id in texts} == {"in/good.md", "in/written.js", "in/data.json"}
    assert (counts.files, counts.generated, counts.failed) == (3, 4, [])
    assert str(counts) == "3 files, skipped 4 generated"


def test_one_line_of_5_megabytes_is_divided_within_the_line(put):
    put("long.txt", LONG)
    texts, _ = read()
    del texts["in/good.md:1"]
    assert "".join(texts.values()).replace(" ", "") == LONG.replace(" ", "")
    for id, text in list(texts.items())[1::1000]:
        column = int(id.split(":")[2])
        assert LONG[column - 1 :].startswith(text)
    assert max(map(len, texts.values())) < 1200


def test_encodings_and_ends_of_lines_give_the_same_passages(put):
    text = "# 标题\n\n第一段。\n第二行\n"
    put("a.md", text)
    put("b.md", text.replace("\n", "\r\n").encode("utf-8-sig"))
    put("c.md", text.encode("gb18030"))
    put("d.md", text.encode("utf-16"))
    texts, counts = read()
    assert {texts[f"in/{name}.md:1"] for name in "abcd"} == {text.rstrip()}
    assert counts.failed == []


def test_a_file_that_cannot_be_opened_is_named(put, monkeypatch, caplog):
    put("shut.md", "text")
    put("z.md", "more")
    reading = folder_source.read_content

    def refusing(place, path, *rest):
        if path.endswith("shut.md"):
            raise PermissionError(13, "Permission denied", str(place))
        return reading(place, path, *rest)

    monkeypatch.setattr(folder_source, "read_content", refusing)
    texts, counts = read()
    assert list(texts) == ["in/good.md:1", "in/z.md:1"]
    assert counts.failed == [("in/shut.md", "permission denied")]
    assert caplog.messages == ["in/shut.md: permission denied; skipped"]


def test_files_that_vanish_or_become_pipes_during_the_walk_are_not_there(put, monkeypatch):
    put("gone.md", "text")
    put("piped.md", "text")
    walking = folder_source.walk

    def vanishing(*args):
        for found in walking(*args):
            if found.path != "good.md":
                Path("in", found.path).unlink()
            if found.path == "piped.md":
                os.mkfifo("in/piped.md")
            yield found

    monkeypatch.setattr(folder_source, "walk", vanishing)
    alarm = threading.Timer(60, os._exit, [1])  # a pipe that is opened would wait for ever
    alarm.start()
    texts, counts = read()
    alarm.cancel()
    assert list(texts) == ["in/good.md:1"]
    assert [path for path, _ in counts.failed] == ["in/piped.md"]


def test_names_that_are_no_text_are_named_and_others_may_be_strange(put):
    put("a\nb c.md", "text")
    Path(os.fsdecode(b"in/\xff.md")).write_text("text")
    texts, counts = read()
    assert list(texts) == ["in/a\nb c.md:1", "in/good.md:1"]
    assert counts.warnings() == ["in/\\udcff.md: its name is not UTF-8; skipped"]


def test_a_file_over_the_limit_is_counted(put, monkeypatch):
    monkeypatch.setattr("embedkit.data.folders.file_reading.LARGEST", 1000)
    put("large.txt", "word " * 300)
    assert read()[1].large == 1


def test_a_pdf_without_its_package_is_one_line_that_names_the_extra(put, monkeypatch, caplog):
    monkeypatch.setattr("embedkit.data.folders.file_formats.PDF_PACKAGE", "no_such_package")
    put("a.pdf", b"%PDF")
    put("b.pdf", b"%PDF")
    _, counts = read()
    assert counts.unsupported == ["in/a.pdf", "in/b.pdf"]
    assert caplog.messages == [
        "2 PDF files skipped, in/a.pdf first; pip install 'embedkit[files]' to read them"
    ]


@pytest.mark.slow
def test_a_pdf_that_takes_too_long_is_counted_and_the_others_are_read(put, monkeypatch):
    pypdf = pytest.importorskip("pypdf")
    from pypdf.generic import DecodedStreamObject, DictionaryObject, NameObject

    monkeypatch.setattr("embedkit.data.folders.formats.pdf.LONGEST", 5)
    font = {"/Type": "/Font", "/Subtype": "/Type1", "/BaseFont": "/Helvetica"}
    font = DictionaryObject({NameObject(key): NameObject(value) for key, value in font.items()})
    for name, pages, operators in (("a-long.pdf", 2_000, 20_000), ("b-short.pdf", 1, 1)):
        writer, stream = pypdf.PdfWriter(), DecodedStreamObject()
        stream.set_data(b"BT /F1 12 Tf " + b"(text) Tj " * operators + b"ET")
        content = writer._add_object(stream)
        for _ in range(pages):
            page = writer.add_blank_page(200, 200)
            page[NameObject("/Contents")] = content
            fonts = DictionaryObject({NameObject("/F1"): font})
            page[NameObject("/Resources")] = DictionaryObject({NameObject("/Font"): fonts})
        with open(Path("in", name), "wb") as file:
            writer.write(file)
    texts, counts = read()
    assert texts == {"in/good.md:1": "# Good\n\ntext", "in/b-short.pdf:1": "text"}
    assert counts.failed == [("in/a-long.pdf", "cannot be read as PDF: takes more than 5 seconds")]
    assert counts.files == 2
