"""Passages are found at the lines that they state, have at most so many tokens, and leave nothing out."""

import json
import re
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from embedkit.data.folders.document import Document
from embedkit.data.folders.file_reading import read_content, read_passages
from embedkit.data.folders.folder_settings import FolderSettings
from embedkit.data.folders.places import PROSE
from embedkit.data.folders.splitting import spans
from embedkit.data.folders.token_places import divided, in_blocks, rule_places
from embedkit.data.folders.walking import FoundFile
from embedkit.errors import UsageError

LINES = [
    "", "", " ", "# Top", "## Inner *one*", "Title", "=====", "-----", "```", "- an item",
    "中文的第一句。第二句！", "Some words of a sentence. And another one!", "1. first", "def f(x):",
    "    return x", "class A:", "}", "    def g(self): pass", "\tx = 1", "| a | b |", "word " * 40,
    "x" * 200, "<p>Hello &amp; <b>bold</b>",
    "</p><h2>Head</h2>", "---", "title: T", "é", "a\fb", "l1\u2028l2", "\vtab",
]  # fmt: skip
texts = st.lists(st.sampled_from(LINES), max_size=40).flatmap(
    lambda lines: st.sampled_from(["\n", "\r\n", "\r"]).map(lambda end: end.join(lines))
)


def read(content, name="a.txt", **settings):
    path = Path(name)
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    found = FoundFile(name, path.stat().st_size, path.stat().st_mtime_ns)
    return read_passages(read_content(path, name, 0, found), FolderSettings(**settings), rule_places)


def lines_of(content):
    return content.replace("\r\n", "\n").replace("\r", "\n").split("\n")


@given(text=texts, suffix=st.sampled_from([".md", ".txt", ".rst", ".py", ".json"]), chunk=st.integers(1, 60))
def test_a_passage_is_found_at_its_lines(folder, text, suffix, chunk):
    records = read(text, f"a{suffix}", chunk=chunk, overlap=chunk // 4).records
    lines = lines_of(text)
    for record in records:
        fields = record.fields
        part = "\n".join(lines[fields["line"] - 1 : fields["line_to"]])
        column = int(record.id.split(":")[2]) if record.id.count(":") == 2 else None
        if column is None:
            assert part.startswith(record.text) or part.lstrip().startswith(record.text)
        else:
            assert part[column - 1 :].startswith(record.text)
        assert record.text in part
        assert record.id.split(":")[:2] == [f"a{suffix}", str(fields["line"])]
    assert len({record.id for record in records}) == len(records)


AS_ARRAY = {
    "lines": lambda source: source.splitlines(keepends=True),  # as Jupyter does: also at U+2028 and others
    "line feeds": lambda source: re.findall("[^\n]*\n|[^\n]+", source),
    "one string": lambda source: source,
}


QUOTED = ['"\\" \\\\', "a:", '{"b":']


@given(
    cells=st.lists(st.lists(st.sampled_from([*LINES, *QUOTED])).map("\n".join), max_size=5),
    layout=st.sampled_from(sorted(AS_ARRAY)), indent=st.sampled_from([None, 0, 1, 4]), ascii=st.booleans(),
    end=st.sampled_from(["\n", "\r\n"]), chunk=st.integers(1, 60),
)  # fmt: skip
def test_a_passage_of_a_notebook_is_found_at_its_lines(folder, cells, layout, indent, ascii, end, chunk):
    content = {
        "cells": [
            {"cell_type": kind, "outputs": [{'a"b': ['"', "x\\"]}], "source": AS_ARRAY[layout](source)}
            for kind, source in zip(["markdown", "code"] * 3, cells, strict=False)
        ]
    }
    text = json.dumps(content, indent=indent, ensure_ascii=ascii)
    lines = text.split("\n")
    records = read(text.replace("\n", end), "a.ipynb", chunk=chunk, overlap=chunk // 4).records
    for record in records:
        parts = [json.dumps(line, ensure_ascii=ascii)[1:-1] for line in record.text.split("\n")]
        first, last = record.fields["line"], record.fields["line_to"]
        assert parts[0] in lines[first - 1]
        assert parts[-1] in lines[last - 1]
        assert all(any(part in line for line in lines[first - 1 : last]) for part in parts)
        assert record.id.split(":")[:2] == ["a.ipynb", str(first)]
    assert len({record.id for record in records}) == len(records)


def test_passages_of_one_line_of_a_notebook_or_a_page_have_ids_of_their_own(folder):
    cells = [{"cell_type": "code", "source": part} for part in ("one = 1", "two = 2\nthree = 3")]
    for name, text, columns in [
        ("a.html", "<p>one two</p><p>three four</p><h1>five</h1>", [10, 22]),
        ("a.ipynb", json.dumps({"cells": cells}), [10, 18]),
    ]:
        ids = [record.id for record in read(text, name, chunk=3).records]
        assert ids == [f"{name}:1", *(f"{name}:1:{column}" for column in columns)]


@given(text=texts, chunk=st.integers(1, 60), suffix=st.sampled_from([".txt", ".py"]))
def test_passages_leave_out_only_parts_without_letters_and_digits(folder, text, chunk, suffix):
    records = read(text, f"a{suffix}", chunk=chunk).records
    written = re.sub(r"[\W_]", "", text)
    assert re.sub(r"[\W_]", "", "".join(record.text for record in records)) == written


@given(text=texts, chunk=st.integers(1, 60), overlap=st.integers(0, 30))
def test_a_span_has_at_most_so_many_tokens_and_repeats_at_most_the_overlap(text, chunk, overlap):
    overlap = min(overlap, chunk // 2)
    found = list(spans(Document(text, PROSE), chunk, overlap, rule_places))
    places = rule_places(text)

    def count(start, end):
        return int(((places >= start) & (places < end)).sum())

    assert max(count(*span) for span in found) <= chunk
    for one, two in pairwise(found):
        assert one.start < two.start <= one.end <= two.end
        assert count(two.start, one.end) <= overlap
    assert (found[0].start, found[-1].end) == (0, len(text))


def test_text_is_divided_at_headings_before_paragraphs_and_at_these_before_sentences(folder):
    text = "# A\n\none two. three four.\n\nfive six.\n\n# B\n\nseven eight nine ten\n"
    assert [record.text for record in read(text, "a.md", chunk=14).records] == [
        "# A\n\none two. three four.\n\nfive six.", "# B\n\nseven eight nine ten",
    ]  # fmt: skip
    assert [record.text for record in read(text, "a.md", chunk=8).records] == [
        "# A\n\none two. three four.", "five six.", "# B\n\nseven eight nine ten",
    ]  # fmt: skip
    assert [record.text for record in read(text, "a.md", chunk=5).records] == [
        "# A\n\none two.", "three four.", "five six.", "# B", "seven eight nine ten",
    ]  # fmt: skip


def test_chinese_is_divided_at_its_punctuation(folder):
    records = read("今天天气很好。我们去公园吧！好的", chunk=8).records
    assert [record.text for record in records] == ["今天天气很好。", "我们去公园吧！", "好的"]
    assert [record.id for record in records] == ["a.txt:1", "a.txt:1:8", "a.txt:1:15"]


def test_a_passage_has_the_headings_under_which_all_of_it_lies(folder):
    text = (
        "---\ntitle: Guide\n---\n# One\n\na b c\n\n## Two\n\nd e f\n\n## Three\n\ng h i\n\n# Four\n\nj k l\n"
    )
    records = read(text, "a.md", chunk=6).records
    assert [(record.fields["line"], record.fields["headings"]) for record in records] == [
        (4, "Guide > One"), (8, "Guide > One > Two"), (12, "Guide > One > Three"), (16, "Guide > Four"),
    ]  # fmt: skip
    assert records[1].embedded == "Guide > One > Two\n\n## Two\n\nd e f"
    (whole,) = read(text, "a.md", chunk=100).records
    assert whole.fields["headings"] == "Guide"
    assert read(text, "a.md", chunk=6, headings=False).records[1].embedded == "## Two\n\nd e f"


def test_settings_above_a_text_are_never_repeated(folder):
    text = "---\ntitle: Guide\n---\n" + "one two three. " * 20
    for record in read(text, "a.md", chunk=8, overlap=4).records:
        assert record.text.replace(".", "").split()[0] in ("one", "two", "three")
        assert "Guide" not in record.text


def test_words_are_not_cut(folder):
    words = "antidisestablishment " * 30
    for record in read(words, chunk=10, overlap=3).records:
        assert set(record.text.split()) == {"antidisestablishment"}


def test_code_is_divided_at_definitions_and_their_names_are_its_headings(folder):
    text = (
        "import os\n\n\nclass A:\n    '''About A.'''\n\n    @staticmethod\n    def first():\n"
        "        return 1\n\n    def second(self):\n        return 2\n\n\nasync def third():\n    pass\n"
        "\n\nx = 4 + 5 + 6 + 7\n"
    )
    records = read(text, "a.py", chunk=13).records
    found = [(record.id, record.fields["headings"]) for record in records]
    assert found == [
        ("a.py:1", None), ("a.py:4", "A"), ("a.py:7", "A > first"), ("a.py:11", "A > second"),
        ("a.py:15", "third"), ("a.py:19", None),
    ]  # fmt: skip


@pytest.mark.parametrize(("chunk", "overlap"), [(0, 0), (10, 6), (10, -1)])
def test_settings_that_cannot_be_are_refused(chunk, overlap):
    with pytest.raises(UsageError, match="must be"):
        FolderSettings(chunk, overlap)


@given(st.text(st.sampled_from("ab \nü"), max_size=300), st.integers(1, 50))
def test_blocks_of_a_text_are_the_text(text, size):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("embedkit.data.folders.token_places._BLOCK", size)
        blocks = list(in_blocks(text))
    assert "".join(block for _, block in blocks) == text
    assert all(text[start:].startswith(block) and len(block) <= size for start, block in blocks)


def test_a_token_of_many_characters_counts_as_several():
    starts, ends = np.array([0, 10, 90]), np.array([9, 80, 95])
    assert divided(starts, ends).tolist() == [0, 10, 42, 74, 90]


def test_a_passage_that_begins_with_a_blank_line_does_not_begin_again(folder):
    """The overlap reaches back to its first letter, which would give two passages one id."""
    text = "    def g(self): pass\n\né\n中文的第一句。第二句！"
    records = read(text, "a.txt", chunk=9, overlap=2).records
    assert [record.id for record in records] == ["a.txt:1", "a.txt:3", "a.txt:4", "a.txt:4:6"]
    assert [record.text for record in records][1:3] == ["é", "中文的第一句。"]
