"""Scored pairs in every layout they come in; no row is lost, and a faulty one is named by file and line."""

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

from embedkit.data.text.scored_pairs import SCORES, TEXTS, Columns, Pair, read_pairs
from embedkit.errors import DataError

DATA = Path(__file__).resolve().parents[4] / "shared" / "data" / "sts"
PAIRS = [Pair('say "hi', "a, b", 2.5), Pair('"open', "x'y", 0.0), Pair("词", "", 5.0)]


def put(name, content):
    """Write a file into the current folder and return its name."""
    Path(name).write_bytes(content if isinstance(content, bytes) else content.encode())
    return name


def tabs(*rows):
    return "".join("\t".join(map(str, row)) + "\n" for row in rows)


def as_csv(header, rows):
    file = io.StringIO(newline="")
    csv.writer(file).writerows([header, *rows])
    return file.getvalue()


def refusal(name, columns=None):
    with pytest.raises(DataError) as caught:
        read_pairs(name, columns)
    return str(caught.value)


HEADER = ("sentence1", "sentence2", "score")
LAYOUTS = {
    "plain.tsv": tabs(*PAIRS),
    "plain.data": tabs(*PAIRS),
    "benchmark.csv": tabs(*(("news", "file", 2012, "0001", p.score, p.first, p.second) for p in PAIRS)),
    "header.tsv": tabs(HEADER, *PAIRS),
    "header.txt": tabs(("index", *HEADER), *((0, *pair) for pair in PAIRS)),
    "header.csv": as_csv(HEADER, PAIRS),
    "mark.csv": "\ufeff" + as_csv(HEADER, PAIRS),
    "mark.jsonl": "\ufeff" + "".join(json.dumps(pair._asdict()) + "\n" for pair in PAIRS),
    "a.jsonl": "".join(json.dumps({"id": 1, **pair._asdict()}) + "\n\n" for pair in PAIRS),
    "words.json": "".join(json.dumps({**p._asdict(), "score": str(p.score)}) + "\n" for p in PAIRS),
    "plain.tsv.gz": gzip.compress(tabs(*PAIRS).encode(), mtime=0),
    "lines.tsv": tabs(*PAIRS).replace("\n", "\r\n"),
    "atec.csv": "\ufeff" + tabs(*((row, *pair) for row, pair in enumerate(PAIRS, 1))),
    "lcqmc.tsv": tabs(("text_a", "text_b", "label"), *PAIRS),
    "pawsx.tsv": tabs(("id", "sentence1", "sentence2", "label"), *((7, *pair) for pair in PAIRS)),
    "cnsd.txt": "".join(f"{row}||{a}||{b}||{score}\n" for row, (a, b, score) in enumerate(PAIRS)),
    "bars.txt": "".join(f"{a}||{b}||{score}\n" for a, b, score in PAIRS),
}


@pytest.mark.parametrize("name", LAYOUTS)
def test_every_layout_gives_the_same_pairs(folder, name):
    assert read_pairs(put(name, LAYOUTS[name])) == PAIRS


def test_parquet_and_arrow_give_the_same_pairs(folder):
    table = pa.table({"x": [1, 2, 3], **{name: [pair[n] for pair in PAIRS] for n, name in enumerate(HEADER)}})
    parquet.write_table(table, "a.parquet")
    with pa.ipc.new_file("a.arrow", table.schema) as writer:
        writer.write_table(table, max_chunksize=2)
    assert read_pairs("a.parquet") == read_pairs(Path("a.arrow")) == PAIRS


def test_further_cells_of_the_benchmark_are_passed_over(folder):
    row = ("news", "file", 2012, "0001", 1.5, "a", "b")
    assert read_pairs(put("a.csv", tabs(row, (*row, "licence", "licence")))) == [Pair("a", "b", 1.5)] * 2


@pytest.mark.parametrize("texts", TEXTS)
def test_common_names_of_texts_are_known(folder, texts):
    assert read_pairs(put("a.tsv", tabs((*texts, "score"), ("x", "y", 1)))) == [Pair("x", "y", 1.0)]


@pytest.mark.parametrize("score", [*SCORES, "Similarity_Score", "is-duplicate", "Gold Score"])
def test_common_names_of_scores_are_known_however_written(folder, score):
    header = ("Text_A", "text-b", score)
    assert read_pairs(put("a.tsv", tabs(header, ("x", "y", 1)))) == [Pair("x", "y", 1.0)]


def test_a_label_that_is_true_or_false_is_one_or_nothing(folder):
    put("a.jsonl", '{"question1": "a", "question2": "b", "is_duplicate": true}\n')
    assert read_pairs("a.jsonl") == [Pair("a", "b", 1.0)]


def test_a_list_of_keywords_is_one_text(folder):
    put("csl.json", '{"id": 1, "abst": "论文", "keyword": ["向量", "白化"], "label": "1"}\n')
    assert read_pairs("csl.json") == [Pair("论文", "向量, 白化", 1.0)]


def test_columns_that_are_named_win_over_common_ones(folder):
    put("a.tsv", tabs((*HEADER, "left", "grade"), ("a", "b", 1, "c", 2)))
    assert read_pairs("a.tsv", Columns("left", "sentence2", "grade")) == [Pair("c", "b", 2.0)]


CELLS = st.text(st.characters(blacklist_characters="\t\n\r", blacklist_categories=["Cs", "Cc"]), min_size=1)


@given(st.lists(st.tuples(CELLS, CELLS, st.floats(0, 5)), min_size=1))
def test_tab_files_give_back_what_was_written_whatever_the_texts(folder, rows):
    assert read_pairs(put("a.tsv", tabs(*rows))) == [Pair(*row) for row in rows]


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.tsv", "a\tb\t1\na\tb\tx\n", "a.tsv:2: has the score 'x', which is not a number"),
        ("a.tsv", "a\tb\t1\n\na\tb\tnan\n", "a.tsv:3: has the score 'nan', which is not a number"),
        ("a.tsv", "a\tb\t1\na\tb\tinf\n", "a.tsv:2: has the score 'inf', which is not a number"),
        ("a.tsv", "a\tb\t1\na\tb\n", "a.tsv:2: has 2 cells, expected 3"),
        ("a.tsv", "a\tb\t1\na\tb\tc\t1\n", "a.tsv:2: has 4 cells, expected 3"),
        (
            "a.tsv",
            "x\ty\tnan\n",
            "a.tsv:1: has the score 'nan', which is not a number; "
            "name the columns in a first line, such as sentence1, sentence2, score",
        ),
        ("a.txt", "1||a||b||1\n2||a||b\n", "a.txt:2: has 3 cells, expected 4"),
        ("a.txt", b"1||a||b||1\n2||\xff||b||1\n", "a.txt:2: is not UTF-8 (byte 4)"),
        ("a.tsv", "x\tp\tq\t1\n", "a.tsv:1: has no common names for two texts"),
        ("a.tsv", "", "a.tsv: the input contains no pair"),
        ("a.tsv", "sentence1\tsentence2\tscore\n", "a.tsv: the input contains no pair"),
        ("a.jsonl", "\n", "a.jsonl: the input contains no pair"),
        (
            "a.tsv",
            "id\tsentence1\tsentence2\n1\ta\tb\n",
            "a.tsv:1: has no common names for a score; it has id, sentence1, sentence2; "
            "common ones are sentence1, sentence2, score",
        ),
        (
            "a.csv",
            "x,score\na,1\n",
            "a.csv:1: has no common names for two texts; it has x, score; "
            "common ones are sentence1, sentence2, score",
        ),
        ("a.tsv", "s1\ts2\tscore\na\tb\n", "a.tsv:2: has 2 cells, the header has 3"),
        ("a.csv", 's1,s2,score\n"a\nb",c,1\nd,e,\n', "a.csv:4: has the score '', which is not a number"),
        ("a.csv", 's1,s2,score\na,"b,1\n', "a.csv:2: a quote that opens here is never closed"),
        ("a.csv", 's1,s2,score\na,"b"c,1\n', "a.csv:2: is not CSV: ',' expected after '\"'"),
        ("a.jsonl", '{"s1": "a", "s2": "b", "score": null}\n', "a.jsonl:1: has the score null, which"),
        ("a.jsonl", '{"s1": 3, "s2": "b", "score": 1}\n', "a.jsonl:1: has 3 where text is expected"),
        (
            "a.jsonl",
            '{"s1": "a", "s2": "b", "score": 1}\n{"s1": "a", "score": 1}\n',
            "a.jsonl:2: has no field 's2'; it has s1, score",
        ),
        ("a.jsonl", "{}\n{\n", "a.jsonl:1: has no common names for two texts; it has nothing"),
        (
            "a.csv",
            "sentence1,sentence2,score,score\na,b,1,5\n",
            "a.csv:1: has more than one column 'score'",
        ),
        ("a.tsv", b"a\tb\t1\n\xff\tb\t1\n", "a.tsv:2: is not UTF-8 (byte 1)"),
        ("a.npy", b"\x93NUMPY", "a.npy: holds npy data, not pairs"),
    ],
)
def test_what_is_wrong_is_one_line_with_its_place(folder, name, content, message):
    assert refusal(put(name, content)).startswith(message)


def test_a_column_that_is_not_there_is_named(folder):
    put("a.tsv", tabs(HEADER, *PAIRS))
    said = refusal("a.tsv", Columns("sentence1", "sentence2", "grade"))
    assert said == "a.tsv:1: has no column 'grade'; it has sentence1, sentence2, score"


def test_no_file_is_one_line(folder):
    assert refusal("a.tsv") == "a.tsv: no such file"


@pytest.mark.data
@pytest.mark.skipif(not DATA.is_dir(), reason="the measurement data is not beside the project")
@pytest.mark.parametrize(
    ("name", "rows"),
    [
        ("stsb-en/sts-train.csv", 5749),
        ("stsb-en/sts-dev.csv", 1500),
        ("stsb-en/sts-test.csv", 1379),
        ("stsb-zh/STS-B.train.data", 5231),
        ("stsb-zh/STS-B.valid.data", 1458),
        ("stsb-zh/STS-B.test.data", 1361),
        ("atec-zh/ATEC.test.data", 20000),
        ("pawsx-zh/PAWSX.valid.data", 2000),
        ("bustm-zh/test_public.json", 1772),
    ],
)
def test_real_files_lose_no_row(name, rows):
    assert len(read_pairs(DATA / name)) == rows
