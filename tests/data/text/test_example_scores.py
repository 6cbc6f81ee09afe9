"""A teacher's scores beside the texts of training examples: the usual layouts, and what is refused."""

import math
from pathlib import Path

import orjson
import pytest

from embedkit.data.text.examples import read_examples
from embedkit.data.text.records import TextFormat
from embedkit.errors import DataError

TEXTS = {"query": "q", "positive": "p", "negatives": ["m", "n"]}
MINED = {**TEXTS, "similarity": 0.9, "similarities": [0.5, 0.4]}


def written(*rows):
    Path("a.jsonl").write_bytes(b"".join(orjson.dumps(row) + b"\n" for row in rows))
    return ["a.jsonl"]


@pytest.mark.parametrize(
    ("row", "scores"),
    [
        (MINED, [(0.9, 0.5, 0.4)]),
        (MINED | {"score": 3.5, "scores": [2, 1.5]}, [(3.5, 2.0, 1.5)]),
        (
            {"query": "q", "pos": ["p", "r"], "neg": ["m", "n"], "pos_scores": [9, 8], "neg_scores": [2, 1]},
            [(9, 2, 1), (8, 2, 1)],
        ),
        (
            {"anchor": "q", "positive": "p", "negative_1": "m", "negative_2": "n", "positive_score": "4",
             "negative_score_1": "2.5", "negative_score_2": "1e-1"},
            [(4, 2.5, 0.1)],
        ),
    ],
)  # fmt: skip
def test_scores_are_found_by_their_usual_names(folder, row, scores):
    read = read_examples(written(row), scores=())
    assert read.scores == scores
    assert [len(each) - 1 for each in read.rows] == [len(each) for each in scores]
    assert (
        "; not trained on" not in str(read.choices[0]) or "score" not in str(read.choices[0]).split(";")[-1]
    )
    assert read_examples(["a.jsonl"]).scores is None


def test_scores_are_named_in_order_and_of_any_file(folder):
    Path("a.csv").write_text("question,answer,neg,x,y\nq,p,n,1.5,0.5\n")
    Path("b.csv").write_text("question,answer,neg,x,y\nr,s,t,2,\n")
    read = read_examples(["a.csv", "b.csv"], scores=("x", "y"))
    assert read.scores[0] == (1.5, 0.5)
    assert read.scores[1][0] == 2
    assert math.isnan(read.scores[1][1])
    assert (
        str(read.choices[0])
        == "a.csv: anchor = question, positive = answer, hard negatives = neg, scores = x, y"
    )


def test_scores_of_blank_texts_are_passed_over(folder):
    read = read_examples(written(MINED | {"negatives": [" ", "n"]}), scores=())
    assert (read.rows, read.scores) == ([("q", "p", "n")], [(0.9, 0.4)])


@pytest.mark.parametrize(
    ("row", "scores", "line"),
    [
        ({"query": "q", "pos": "p", "neg": "n"}, (), "a.jsonl: has no columns with common names for scores"),
        (MINED, ("similarity", "no"), "a.jsonl: has no column 'no'"),
        (
            MINED | {"similarities": [1]},
            (),
            "a.jsonl:1: has 2 texts in negatives and 1 scores in simil",
        ),
        (MINED | {"similarities": [1, "x"]}, (), "a.jsonl:1: has 'x' where a score is expected"),
        ({"query": "q", "pos": "p", "score": 1}, (), "a.jsonl: has no hard negatives, whose scores could be"),
    ],
)
def test_scores_that_do_not_fit_are_one_line(folder, row, scores, line):
    with pytest.raises(DataError) as caught:
        read_examples(written(row), scores=scores)
    assert str(caught.value).startswith(line)
    if "has no" not in line:
        skipping = TextFormat(on_error="skip")
        read = read_examples(written(MINED, row), skipping, scores=scores)
        assert (read.skipped, len(read.rows), len(read.scores)) == (1, 1, 1)
