"""Labelled texts in every layout they come in; no row is lost, and a faulty one is named by file and line."""

import csv
import gzip
import io
import json
from pathlib import Path

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pyarrow import parquet

from embedkit.data.inputs import open_records
from embedkit.data.text.labelled import LabelledText, read_labelled
from embedkit.data.text.labelled_layouts import LABELS, TEXTS
from embedkit.data.text.records import TextFormat
from embedkit.errors import DataError

DATA = Path(__file__).resolve().parents[4] / "shared" / "data" / "labels"
ROWS = [('say "hi', "greet"), ('"open', "a b"), ("词, 语", "7")]
TEXTS_OF, LABELS_OF = (list(column) for column in zip(*ROWS, strict=True))


def put(name, content):
    """Write a file into the current folder and return its name."""
    Path(name).write_bytes(content if isinstance(content, bytes) else content.encode())
    return name


def tabs(*rows):
    return "".join("\t".join(map(str, row)) + "\n" for row in rows)


def as_csv(*rows):
    file = io.StringIO(newline="")
    csv.writer(file).writerows(rows)
    return file.getvalue()


def lines(*objects):
    return "".join(json.dumps(each) + "\n" for each in objects)


def read(name, content, label_field=None, **format):
    return read_labelled([put(name, content)], TextFormat(**format), label_field)


def labels_of(*values, **format):
    """Read a file of JSON lines whose labels are the values, and return what became of them."""
    found = read("a.jsonl", lines(*({"text": "a", "label": value} for value in values)), **format)
    return [(row.labels, row.weights) for row in found.rows], found.multiple


def refusal(name, content, label_field=None, **format):
    with pytest.raises(DataError) as caught:
        read(name, content, label_field, **format)
    return str(caught.value)


HEADER = ("text", "category")
LAYOUTS = {
    "plain.tsv": tabs(*ROWS),
    "plain.txt": tabs(*ROWS),
    "plain": "\n" + tabs(*ROWS),
    "plain.csv": tabs(*ROWS),
    "plain.tsv.gz": gzip.compress(tabs(*ROWS).encode()),
    "lines.tsv": tabs(*ROWS).replace("\n", "\r\n"),
    "mark.tsv": "\ufeff" + tabs(*ROWS),
    "space.tsv": tabs(*((text, f" {label} ") for text, label in ROWS)),
    "header.tsv": tabs(HEADER, *ROWS),
    "header lines.tsv": tabs(("utterance", "label"), *ROWS).replace("\n", "\r\n"),
    "header.txt": tabs(("n", *HEADER), *((0, *row) for row in ROWS)),
    "turned.tsv": tabs(("intent", "utterance"), *(row[::-1] for row in ROWS)),
    "header.csv": as_csv(HEADER, *ROWS),
    "header.csv.gz": gzip.compress(as_csv(HEADER, *ROWS).encode()),
    "mark.csv": "\ufeff" + as_csv(HEADER, *ROWS),
    "piped": as_csv(HEADER, *ROWS),
    "other.csv": as_csv(("id", "tweet", "label"), *((0, *row) for row in ROWS)),
    "a.jsonl": lines(*({"id": 1, "text": text, "label": label} for text, label in ROWS)),
    "mark.jsonl": "\ufeff" + lines(*({"sentence": text, "intent": label} for text, label in ROWS)),
}


@pytest.mark.parametrize("name", LAYOUTS)
def test_every_layout_gives_the_same_texts(folder, name):
    found = read(name, LAYOUTS[name])
    assert found.rows == [LabelledText(text, (label,), (1.0,)) for text, label in ROWS]
    assert (found.multiple, found.skipped) == (False, 0)


def test_parquet_and_arrow_give_the_same_texts(folder):
    table = pa.table({"n": [1, 2, 3], "title": TEXTS_OF, "topic": LABELS_OF})
    parquet.write_table(table, "a.parquet")
    with pa.ipc.new_file("a.arrow", table.schema) as writer:
        writer.write_table(table, max_chunksize=2)
    found = read_labelled(["a.parquet"])
    assert found == read_labelled(["a.arrow"])
    assert (found.texts(), found.labels(), found.names()) == (TEXTS_OF, LABELS_OF, sorted(LABELS_OF))


@pytest.mark.parametrize(
    ("column", "labels", "weights"),
    [
        (pa.array([7, 8]), ("7",), (1.0,)),
        (pa.array(["b", "a"]).dictionary_encode(), ("b",), (1.0,)),
        (pa.array([["b", "a"], []]), ("b", "a"), (1.0, 1.0)),
        (pa.array([{"b": 0.5, "a": None}, {"b": None, "a": None}]), ("b",), (0.5,)),
        (pa.array([[("b", 0.5)], []], pa.map_(pa.string(), pa.float64())), ("b",), (0.5,)),
    ],
)
def test_labels_of_tables_come_in_every_type(folder, column, labels, weights):
    parquet.write_table(pa.table({"text": ["one", "two"], "label": column}), "a.parquet")
    found = read_labelled(["a.parquet"])
    assert found.rows[0] == LabelledText("one", labels, weights)
    assert found.multiple == (not isinstance(column[1].as_py(), int | str))
    assert found.multiple == (found.rows[1].labels == ())


@pytest.mark.parametrize("text", TEXTS)
@pytest.mark.parametrize("label", [*LABELS, "Label_Text"])
def test_common_names_are_known_and_what_else_is_there_is_left(folder, text, label):
    header = ("x", text.upper(), label, "y")
    assert read("a.tsv", tabs(header, ("0", "one", "two", "0"))).rows == [("one", ("two",), (1.0,))]


def test_fields_that_are_named_win_over_common_ones(folder):
    content = tabs(("text", "label", "said", "kind"), ("a", "b", "c", "d"))
    assert read("a.tsv", content, "kind", text_field="said").rows == [("c", ("d",), (1.0,))]
    content = tabs(("category", "intent", "Intent"), ("a", "b", "c"))
    assert read("a.tsv", content, text_field="category").rows == [("a", ("b",), (1.0,))]


@pytest.mark.parametrize(
    ("value", "labels"),
    [
        ("a b", ("a b",)),
        (" a ", ("a",)),
        (7, ("7",)),
        (-(2**40), ("-1099511627776",)),
        ("007", ("007",)),
        (True, ("true",)),
        (False, ("false",)),
        (["b", "a"], ("b", "a")),
        (["a", 1, True, " a"], ("a", "1", "true")),
        ([], ()),
        ({}, ()),
    ],
)
def test_a_label_becomes_its_text(folder, value, labels):
    assert labels_of(value) == ([(labels, (1.0,) * len(labels))], isinstance(value, list | dict))


def test_weights_come_with_their_labels(folder):
    assert labels_of({" b": 0.25, "a": 1}) == ([(("b", "a"), (0.25, 1.0))], True)


def test_one_list_makes_all_labels_lists(folder):
    assert labels_of("a", ["a", "b"]) == ([(("a",), (1.0,)), (("a", "b"), (1.0, 1.0))], True)
    assert labels_of(["a"], "a") == ([(("a",), (1.0,))] * 2, True)
    names = ["a.jsonl", put("b.tsv", tabs(*ROWS))]
    for files in (names, names[::-1]):
        assert (read_labelled(files).multiple, len(read_labelled(files))) == (True, 5)


def test_cells_are_one_label_whatever_they_hold(folder):
    found = read("a.csv", as_csv(HEADER, ("x", '["a", "b"]'), ("y", "a,b")))
    assert (found.labels(), found.multiple) == (['["a", "b"]', "a,b"], False)


def test_a_format_that_is_named_is_kept_to(folder):
    assert read("a.txt", "text,label,x\ty\na,b,c\n", input_format="csv").rows == [("a", ("b",), (1.0,))]


def test_a_first_line_too_long_for_csv_is_no_header(folder):
    usual = csv.field_size_limit(1000)
    try:
        assert refusal("a.txt", "x" * 2000).startswith("a.txt:1: has 1 cell, and none names a field; ")
    finally:
        csv.field_size_limit(usual)


def test_several_labels_are_not_taken_for_one(folder):
    found = read("a.jsonl", lines({"text": "a", "label": ["x"]}, {"text": "b", "label": ["x", "y"]}))
    with pytest.raises(DataError, match=r"^text 2 has 2 labels, expected one$"):
        found.labels()


def test_names_are_sorted_and_come_once(folder):
    found = read("a.jsonl", lines({"text": "a", "label": ["y", "x"]}, {"text": "b", "label": "y"}))
    assert found.names() == ["x", "y"]


def test_files_follow_each_other_each_with_fields_of_its_own(folder):
    names = [put("a.tsv", tabs(*ROWS)), put("b.csv", as_csv(("intent", "query"), ("x", "y")))]
    found = read_labelled(names)
    assert (found.texts(), found.labels()) == ([*TEXTS_OF, "y"], [*LABELS_OF, "x"])


def test_the_text_is_that_of_records(folder):
    name = put("a.jsonl", lines({"title": "T", "text": " one ", "label": "x"}))
    assert read_labelled([name]).texts() == [record.text for record in open_records([name])] == ["T  one"]
    assert read_labelled([name], TextFormat(text_field="text")).texts() == [" one "]
    assert read_labelled([name], None, "title").texts() == [" one "]


def test_the_text_of_vectors_has_its_title_already(folder):
    vectors = pa.array([[1.0, 2.0]], pa.list_(pa.float32(), 2))
    table = pa.table({"text": ["T one"], "title": ["T"], "label": ["x"], "vector": vectors})
    parquet.write_table(table, "a.parquet")
    assert read_labelled(["a.parquet"]).texts() == ["T one"]
    parquet.write_table(
        table.drop_columns(["title"]).rename_columns(["said", "label", "vector"]), "a.parquet"
    )
    assert read_labelled(["a.parquet"]).texts() == ["T one"]


CELLS = st.text(st.characters(blacklist_characters="\t\n\r", blacklist_categories=["Cs", "Cc"]), min_size=1)


@given(st.lists(st.tuples(CELLS.filter(str.strip), CELLS.filter(str.strip)), min_size=1))
def test_tab_files_give_back_what_was_written_whatever_the_texts(folder, rows):
    found = read("a.tsv", tabs(("text", "label"), *rows))
    assert found.rows == [(text, (label.strip(),), (1.0,)) for text, label in rows]
    assert read("b.tsv", tabs(("a", "b"), *rows)).rows[1:] == found.rows


def test_blank_lines_are_counted(folder):
    assert read("a.tsv", "\na\tb\n\nc\td\n").blank == 2
    assert read("a.jsonl", '{"text": "a", "label": "b"}\n\n').blank == 1


FAULTY = [
    ("a.tsv", "a\tb\na\t \n"),
    ("a.tsv", "a\tb\na\tb\tc\n"),
    ("a.tsv", b"a\tb\n\xff\tb\n"),
    ("a.csv", "text,label\na,b\n ,b\n"),
    ("a.csv", 'text,label\na,b\n"a"b,b\n'),
    ("a.jsonl", '{"text": "a", "label": "b"}\n{\n'),
    ("a.jsonl", '{"text": "a", "label": "b"}\n{"text": "a", "intent": "b"}\n'),
    ("a.jsonl", '{"meta": 1}\n{"text": "a", "label": "b"}\n'),
    ("a.jsonl", '{"text": "a", "label": "b"}\n{"text": "a", "label": {"b": 2}}\n'),
]


@pytest.mark.parametrize(("name", "content"), FAULTY)
def test_what_cannot_be_read_is_skipped_if_asked(folder, name, content):
    found = read(name, content, on_error="skip")
    assert (found.rows, found.skipped) == ([("a", ("b",), (1.0,))], 1)
    assert refusal(name, content).startswith(f"{name}:")


SKIP = "; pass over such records with `on_error=skip`"


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.tsv", "a\tb\n\na\t\n", f"a.tsv:3: has an empty label{SKIP}"),
        ("a.tsv", "a\tb\n  \tb\n", f"a.tsv:2: has an empty text{SKIP}"),
        ("a.tsv", "a\tb\na\tb\tc\n", f"a.tsv:2: has 3 cells, expected 2{SKIP}"),
        ("a.tsv", "text\tlabel\na\n", f"a.tsv:2: has 1 cells, the header has 2{SKIP}"),
        (
            "a.tsv",
            b"a\tb\n\xff\tb\n",
            "a.tsv:2: is not UTF-8 (byte 1); "
            "convert the file from its own encoding, as iconv -f LATIN1 -t UTF-8 does",
        ),
        (
            "a.tsv",
            "\na\tb\tc\n",
            "a.tsv:2: has 3 cells, and none names a field; "
            "write text, tab, label per line, or name the fields in the first line",
        ),
        (
            "a.txt",
            "how are you\n",
            "a.txt:1: has 1 cell, and none names a field; "
            "write text, tab, label per line, or name the fields in the first line",
        ),
        (
            "a.csv",
            "text,stars\na,1\n",
            "a.csv:1: has no field of a common name for labels; it has text, stars; name one as "
            "`label_field`",
        ),
        (
            "a.csv",
            "left,right,label\na,b,1\n",
            "a.csv:1: has no field of a common name for the text; it has left, right, label; "
            "name one as `text_field`",
        ),
        (
            "a.csv",
            "tweet,stars\na,1\n",
            "a.csv:1: has no field of a common name for labels; it has tweet, stars; name one as "
            "`label_field`",
        ),
        (
            "a.tsv",
            "text\tstars\na\t1\n",
            "a.tsv:1: has no field of a common name for labels; it has text, stars; name one as "
            "`label_field`",
        ),
        ("a.csv", 'text,label\n"a\nb",c\nd,\n', f"a.csv:4: has an empty label{SKIP}"),
        ("a.csv", 'text,label\na,"b\n', "a.csv:2: a quote that opens here is never closed"),
        ("a.csv", "text,label,label\na,b,c\n", "a.csv:1: has more than one column 'label'"),
        (
            "a.jsonl",
            '{"text": "a", "stars": 1}\n',
            "a.jsonl:1: has no field of a common name for labels; it has text, stars; name one as "
            "`label_field`",
        ),
        (
            "a.jsonl",
            '{"text": "a", "label": 1}\n{"text": "a"}\n',
            "a.jsonl:2: has no field 'label'; it has text",
        ),
        ("a.jsonl", '{"text": 3, "label": 1}\n', f"a.jsonl:1: has 3 where text is expected{SKIP}"),
        ("a.jsonl", "{\n", "a.jsonl:1: is not JSON: "),
        ("a.tsv", "", "a.tsv: the input contains no labelled text"),
        ("a.txt", "\n", "a.txt: the input contains no labelled text"),
        ("a.csv", "text,label\n", "a.csv: the input contains no labelled text"),
        ("a.jsonl", "", "a.jsonl: the input contains no labelled text"),
        ("a.npy", b"\x93NUMPY", "a.npy: holds npy data, not text"),
    ],
)
def test_what_is_wrong_is_one_line_with_its_place(folder, name, content, message):
    assert refusal(name, content).startswith(message)


LABEL = "write a label as text, a whole number, or true or false"
WEIGHT = "a weight must be above 0 and at most 1"


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (None, f"has null where a label is expected; {LABEL}"),
        (1.5, f"has 1.5 where a label is expected; {LABEL}"),
        ("", f"has an empty label{SKIP}"),
        ([" "], f"has an empty label{SKIP}"),
        ([["a"]], f"has ['a'] where a label is expected; {LABEL}"),
        ([{"a": 1}], f"has {{'a': 1}} where a label is expected; {LABEL}"),
        ({"": 1}, f"has an empty label{SKIP}"),
        ({"a": 0}, f"has the weight 0 for 'a'; {WEIGHT}"),
        ({"a": 1.01}, f"has the weight 1.01 for 'a'; {WEIGHT}"),
        ({"a": -1}, f"has the weight -1 for 'a'; {WEIGHT}"),
        ({"a": True}, f"has the weight True for 'a'; {WEIGHT}"),
        ({"a": "1"}, f"has the weight '1' for 'a'; {WEIGHT}"),
        ({"a": None}, f"has the weight null for 'a'; {WEIGHT}"),
        (
            {"a": 1, "a ": 1},
            "has two weights for one label; space around a label is ignored",
        ),
    ],
)
def test_what_is_no_label_or_weight_is_refused(folder, value, message):
    with pytest.raises(DataError) as caught:
        labels_of("fine", value)
    assert str(caught.value) == f"a.jsonl:2: {message}"


def test_a_field_that_is_not_there_is_named_with_those_that_are(folder):
    content = tabs(("text", "label"), ("a", "b"))
    assert refusal("a.tsv", content, "kind") == "a.tsv:1: has no field 'kind'; it has text, label"
    assert refusal("a.tsv", tabs(*ROWS), "kind").startswith(
        "a.tsv:1: has no field 'kind'; it has say \"hi, g"
    )
    assert refusal("a.tsv", tabs(*ROWS), text_field="said").startswith("a.tsv:1: has no field 'said'; ")
    parquet.write_table(pa.table({"text": ["a"], "stars": [1]}), "a.parquet")
    with pytest.raises(DataError, match=r"^a\.parquet: has no field of a common name for labels; it has"):
        read_labelled(["a.parquet"])


def test_a_header_that_is_wrong_is_never_skipped(folder):
    assert refusal("a.csv", "text,stars\na,1\n", on_error="skip").startswith("a.csv:1: has no field of")


def test_nothing_left_says_what_was_skipped(folder):
    said = refusal("a.jsonl", "{\n[\n", on_error="skip")
    assert said == "a.jsonl: the input contains no labelled text; 2 records could not be read"


def test_no_file_is_one_line(folder):
    with pytest.raises(DataError, match=r"^a\.tsv: no such file$"):
        read_labelled(["a.tsv"])


@pytest.mark.data
@pytest.mark.skipif(not DATA.is_dir(), reason="the measurement data is not beside the project")
@pytest.mark.parametrize(
    ("name", "rows", "labels"),
    [
        ("banking77-en/train.csv", 10_003, 77),
        ("banking77-en/test.csv", 3_080, 77),
        ("hwu64-en/train.tsv", 9_960, 64),
        ("hwu64-en/test.tsv", 1_076, 64),
        ("thucnews-zh/dev.txt", 10_000, 10),
        ("thucnews-zh/test.txt", 10_000, 10),
    ],
)
def test_real_files_lose_no_row(name, rows, labels):
    found = read_labelled([str(DATA / name)])
    assert (len(found), len(found.names()), found.multiple) == (rows, labels, False)
