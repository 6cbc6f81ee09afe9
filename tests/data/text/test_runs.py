"""Runs in TREC's format and as our own search writes them, and every way in which they are none."""

import pytest

from embedkit.data.text.runs import read_run
from embedkit.errors import DataError

RUN = {"q1": {"d1": 0.5, "d2": -2.0}, "q2": {"d1": 1e-3}}

LAYOUTS = {
    "run.trec": "q1 Q0 d1 1 0.5 name\nq1 Q0 d2 2 -2 name\n\nq2\tQ0\td1\t1\t1e-3\tname\n",
    "run.jsonl": '{"query": "what", "query_id": "q1", "rank": 1, "id": "d1", "score": 0.5, "text": "x"}\n'
    '{"query_id": "q1", "id": "d2", "score": -2}\n{"query_id": "q2", "id": "d1", "score": 0.001}\n',
    "blanks": '{"query_id": " q1", "id": "d1 ", "score": 0.5}\n'
    '{"query_id": "q1", "id": "d2\\n", "score": -2}\n{"query_id": "q2\\u3000", "id": "d1", "score": 1e-3}\n',
    "ranks of 0": "q1 Q0 d1 0 0.5 a\nq1 Q0 d2 0 -2 a\nq2 Q0 d1 0 1e-3 a\n",
    "mixed up": "q2 Q0 d1 9 1e-3 b\nq1 Q0 d2 1 -2 a\nq1 Q0 d1 5 0.5 a\n",  # ranks and order do not count
}


@pytest.mark.parametrize("name", LAYOUTS)
def test_layouts(tmp_path, name):
    (tmp_path / name).write_text(LAYOUTS[name])
    assert read_run(tmp_path / name) == RUN


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("q Q0 d 1 2 a\nq Q0 d 2 1 a\n", ":2: has document 'd' for query 'q' again"),
        ("q Q0 d 1 nan a\n", ":1: has the score 'nan', which is not a finite number"),
        ("q Q0 d 1 inf a\n", ":1: has the score 'inf', which is not a finite number"),
        ("q Q0 d 1 x a\n", ":1: has the score 'x', which is not a finite number"),
        ("q 0 d 1\n", ":1: has 4 columns, expected 6; write query, Q0, document, rank, score, name"),
        ("q Q0 two words 1 2 a\n", ":1: has 7 columns, expected 6; "),
        ('{"query_id": "q", "id": "d", "score": null}\n', ":1: has the score null, which is not a finite"),
        ('{"query_id": "q", "id": "d", "score": true}\n', ":1: has the score True, which is not a finite"),
        (
            '{"query": "q", "id": "d", "score": 1}\n',
            ":1: has no field such as query-id; it has query, id, score",
        ),
        ("\n", ": the input contains no hit"),
        ("q Q0 d 1 3 a\np Q0 d 1 2 a\nq Q0 e 2 1 a\n", ":3: has query 'q' again; give each query an id"),
        ("q Q0 d 1 3 a\nq Q0 e 2 1 a\nq Q0 f 1 2 a\n", ":3: has rank 1 of query 'q' again; give each"),
        ("q\tQ0\t d\t1\t2\ta\nq Q0 d 2 1 a\n", ":2: has document 'd' for query 'q' again"),
        (
            '{"query_id": "q", "query": "one", "id": "d", "score": 1}\n'
            '{"query_id": "q ", "query": "two", "id": "e", "score": 1}\n',
            ":2: has another text for query 'q'; give each query an id of its own",
        ),
    ],
)
def test_what_is_no_hit_is_refused_with_its_place(tmp_path, content, message):
    path = tmp_path / "run"
    path.write_text(content)
    with pytest.raises(DataError) as error:
        read_run(path)
    assert str(error.value).startswith(f"{path}{message}")


def test_other_kinds_are_refused(tmp_path):
    (tmp_path / "a.csv").write_text("a,b\n")
    with pytest.raises(DataError, match=r"a\.csv: holds csv data, not a run$"):
        read_run(tmp_path / "a.csv")
