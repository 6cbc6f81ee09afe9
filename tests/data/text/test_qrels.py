"""Judgements in every layout they come in, and every way in which they are none."""

import gzip

import pytest

from embedkit.data.text.qrels import read_qrels
from embedkit.errors import DataError

QRELS = {"q1": {"d1": 2, "d2": 0}, "q 2": {"d1": 1}}

LAYOUTS = {
    "beir": "query-id\tcorpus-id\tscore\nq1\td1\t2\nq1\td2\t0\nq 2\td1\t1\n",
    "other order": "Score\tCorpus_ID\tQuery Id\n2\td1\tq1\n0\td2\tq1\n1\td1\tq 2\n",
    "three columns": "q1\td1\t2\nq1\td2\t0\nq 2\td1\t1\n",
    "trec with tabs": "q1\t0\td1\t2\nq1\t0\td2\t0\nq 2\t0\td1\t1\n",
    "jsonl": '{"query-id": "q1", "corpus-id": "d1", "score": 2}\n{"query_id": "q1", "docid": "d2", '
    '"relevance": 0.0}\n{"qid": "q 2", "doc_id": "d1", "grade": "1"}\n',
    "blanks": "query-id\tcorpus-id\tscore\nq1\td1 \t2\n q1\t\u3000d2\t0\nq 2 \td1\t1\n",
    "marked jsonl": '\ufeff{"qid": "q1", "docid": "d1", "rel": 2}\n{"qid": "q1", "docid": "d2", "rel": 0}\n'
    '{"qid": "q 2", "docid": "d1", "rel": 1}\n',
    "marked": "\ufeffquery-id\tcorpus-id\tscore\r\nq1\td1\t2\r\n\r\nq1\td2\t0\r\nq 2\td1\t1\r\n",
}


def write(folder, content, name="qrels"):
    (folder / name).write_text(content, encoding="utf-8", newline="")
    return str(folder / name)


@pytest.mark.parametrize("layout", LAYOUTS)
def test_layouts(tmp_path, layout):
    assert read_qrels(write(tmp_path, LAYOUTS[layout])) == QRELS


def test_trec_with_spaces_and_blank_lines(tmp_path):
    content = "q1 0 d1   2\n\n   \n q1 Q0 d2 0\n2 0 词 -1\n"
    assert read_qrels(write(tmp_path, content)) == {"q1": {"d1": 2, "d2": 0}, "2": {"词": -1}}


def test_ids_of_json_may_be_numbers(tmp_path):
    line = '{"query_id": 7, "corpus_id": 8, "score": 1}\n'
    assert read_qrels(write(tmp_path, line, "a.jsonl")) == {"7": {"8": 1}}


def test_compressed(tmp_path):
    path = tmp_path / "qrels.tsv.gz"
    path.write_bytes(gzip.compress(LAYOUTS["beir"].encode()))
    assert read_qrels(path) == QRELS


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("q d 1\nq d 1\n", ":2: has document 'd' for query 'q' again"),
        ("q 0 d 1\nq 0 d 0\n", ":2: has document 'd' for query 'q' again"),
        ("q d 1\nq e 0.5\n", ":2: has the grade '0.5', expected a whole number from -1000 to 1000"),
        (
            "q d 1\nq e 1001\n",
            ":2: has the grade '1001', expected a whole",
        ),  # would want memory for each grade
        ("q d 1\nq e nan\n", ":2: has the grade 'nan', expected a whole"),
        ("q d 1\nq e x\n", ":2: has the grade 'x', expected a whole"),
        ("q d 1\nq 0 e 1\n", ":2: has 4 columns, the first line 3"),
        ("q Q0 d 1 0.5 run\n", ":1: has 6 columns, expected three or four; write query, document, grade"),
        ("q 1\n", ":1: has 2 columns, expected three or four; "),
        (
            "question\tcorpus-id\tscore\n",
            ":1: has no field such as query-id; it has question, corpus-id, score",
        ),
        ("\td\t1\n", ":1: has '' where an id is expected"),
        (" \td\t1\n", ":1: has ' ' where an id is expected"),
        ("q\td\t1\nq\td \t0\n", ":2: has document 'd' for query 'q' again"),
        (
            '{"query_id": "q", "corpus_id": "d"}\n',
            ":1: has no field such as score; it has query_id, corpus_id",
        ),
        ('{"query_id": "q", "corpus_id": null, "score": 1}\n', ":1: has null where an id is expected"),
        ('{"query_id": true, "corpus_id": "d", "score": 1}\n', ":1: has True where an id is expected"),
        ('{"query_id": "q", "corpus_id": "d", "score": true}\n', ":1: has the grade True, expected a whole"),
        ('{"query_id": "q"\n', ":1: is not JSON: "),
        ("", ": the input contains no judgement"),
        ("query-id\tcorpus-id\tscore\n", ": the input contains no judgement"),
    ],
)
def test_what_is_no_judgement_is_refused_with_its_place(tmp_path, content, message):
    path = write(tmp_path, content)
    with pytest.raises(DataError) as error:
        read_qrels(path)
    assert str(error.value).startswith(f"{path}{message}")


def test_other_kinds_are_refused(tmp_path):
    with pytest.raises(DataError, match=r"a\.csv: holds csv data, not judgements$"):
        read_qrels(write(tmp_path, "a,b,1\n", "a.csv"))
