"""Training examples: which columns are read, in every layout, and what is refused."""

import gzip
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from embedkit.data.examples import read_examples
from embedkit.data.records import TextFormat
from embedkit.errors import DataError

TRIPLETS = [("a dog", "a hound", "a cat"), ("a car", "an auto", "a bus")]


def table(separator):
    rows = [("sent0", "sent1", "hard_neg"), *TRIPLETS]
    return "".join(separator.join(row) + "\n" for row in rows)


def put(name, content):
    Path(name).write_bytes(content if isinstance(content, bytes) else content.encode())
    return name


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("a.tsv", table("\t")),
        ("a.csv", table(",")),
        ("a.csv", "\ufeff" + table(",")),
        ("a.tsv.gz", gzip.compress(table("\t").encode(), mtime=0)),
        (
            "a.jsonl",
            "".join(
                f'{{"id": 1, "sent0": "{a}", "sent1": "{b}", "hard_neg": "{c}"}}\n' for a, b, c in TRIPLETS
            ),
        ),
    ],
)
def test_tables_have_a_column_a_view(folder, name, content):
    found = read_examples([put(name, content)])
    assert found.columns == ("sent0", "sent1", "hard_neg")
    assert found.rows == TRIPLETS


def test_parquet_too(folder):
    columns = list(zip(*TRIPLETS, strict=True))
    pq.write_table(pa.table({"anchor": columns[0], "score": [1, 2], "positive": columns[1]}), "a.parquet")
    found = read_examples(["a.parquet"])
    assert (found.columns, found.rows) == (("anchor", "positive"), [row[:2] for row in TRIPLETS])


@pytest.mark.parametrize(
    ("name", "content", "rows"),
    [
        ("a.txt", "one\n\ntwo\n", [("one",), ("two",)]),
        ("a.jsonl", '{"_id": "7", "title": "T", "text": "one", "lang": "en"}\n', [("T one",)]),
        ("a.csv", 'text,label\n"one, two",3\n', [("one, two",)]),
        ("a.csv", "sentence\none\n", [("one",)]),
        ("a.jsonl", '"one"\n"two"\n', [("one",), ("two",)]),
    ],
)
def test_text_alone_is_one_column(folder, name, content, rows):
    found = read_examples([put(name, content)])
    assert len(found.columns) == 1
    assert found.rows == rows


def test_blank_lines_are_counted(folder):
    assert read_examples([put("a.txt", "one\n\n\ntwo\n")]).blank == 2


def test_columns_can_be_named(folder):
    name = put("a.csv", "url,question,answer\nhttp://x,why,because\n")
    assert read_examples([name], columns=["question", "answer"]).rows == [("why", "because")]


def test_one_column_can_be_named(folder):
    assert read_examples([put("a.csv", "url,question\nu,why\n")], columns=["question"]).rows == [("why",)]


def test_files_follow_each_other(folder):
    put("b.tsv", "anchor\tpositive\thard\nx\ty\tz\n")
    assert read_examples([put("a.tsv", table("\t")), "b.tsv"]).rows == [*TRIPLETS, ("x", "y", "z")]


@pytest.mark.parametrize(
    ("name", "content", "line"),
    [
        ("a.txt", "", "a.txt: there is no text in the input"),
        ("a.tsv", "", "a.tsv: there is no text in the input"),
        ("a.tsv", "a\tb\nx\t\n", "a.tsv: record 1: column 'b' is empty; --columns names the columns of text"),
        (
            "a.jsonl",
            '{"a": "x", "b": "y"}\n{"a": "x", "b": 3}\n',
            "a.jsonl: record 2: column 'b' is not text; --columns names the columns of text",
        ),
        ("a.jsonl", '{"a": "x", "b": "y"}\n{"a": "x"}\n', "a.jsonl: record 2: has no column 'b'"),
        (
            "a.jsonl",
            '{"id": 1, "score": 2}\n',
            "a.jsonl: has no column of text; its first line has id, score",
        ),
        (
            "a.jsonl",
            "[1]\n",
            "a.jsonl:1: is a list, not a JSON object; write its elements as JSON lines, as jq -c '.[]' does",
        ),
    ],
)
def test_what_cannot_be_read_is_one_line(folder, name, content, line):
    with pytest.raises(DataError) as caught:
        read_examples([put(name, content)])
    assert str(caught.value) == line


def test_files_with_other_columns_are_refused(folder):
    put("b.txt", "one\n")
    with pytest.raises(DataError) as caught:
        read_examples([put("a.tsv", table("\t")), "b.txt"])
    assert str(caught.value) == "b.txt: has 1 columns of text, a.tsv has 3"


def test_unreadable_records_can_be_skipped(folder):
    name = put("a.jsonl", '{"a": "x", "b": "y"}\n{oops\n{"a": "p", "b": "q"}\n')
    found = read_examples([name], TextFormat(on_error="skip"))
    assert (found.rows, found.skipped) == ([("x", "y"), ("p", "q")], 1)


def test_the_named_field_of_ids_is_no_view(folder):
    put("a.csv", "key,anchor,positive\n7,a dog,a hound\n")
    assert read_examples(["a.csv"], TextFormat(id_field="key")).columns == ("anchor", "positive")


def test_a_header_that_is_no_csv_is_one_line(folder):
    put("a.csv", "anchor\rpositive\na dog,a hound\n")
    with pytest.raises(DataError, match=r"^a\.csv:1: is not CSV: new-line character"):
        read_examples(["a.csv"])
