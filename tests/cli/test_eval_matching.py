"""`embedkit eval matching`: pairs of texts in, the share of found partners out."""

import json
from pathlib import Path

import pytest

from embedkit.embedding.loading import load
from embedkit.evaluation.matching import matches

PAIRS = [("red cat", "a red cat sat"), ("blue dog", "the blue dog ran"), ("白化", "白化方法"), ("x", "tree")]


@pytest.fixture
def pairs(folder):
    rows = [("abstract", "title"), *((second, first) for first, second in PAIRS)]
    Path("csl.tsv").write_text("".join("\t".join(row) + "\n" for row in rows))
    return "csl.tsv"


def test_the_figures_are_those_of_the_library_times_100(run, pairs):
    done = run("eval", "matching", pairs, "--columns", "title,abstract", "--compare", "hash:dim=64", "--json")
    results = json.loads(done.out)["results"]
    for result, model in zip(results, ("hash:dim=8", "hash:dim=64"), strict=True):
        expected = 100 * matches(load(model), PAIRS).mean(axis=1)
        found = [result[name]["value"] for name in ("nearest", "nearest_reversed", "one_to_one")]
        assert found == pytest.approx(expected.tolist(), abs=1e-5)
        assert result["pairs"] == 4


def test_the_table_has_a_row_per_measure(run, pairs):
    done = run("eval", "matching", pairs, "--columns", "title,abstract")
    assert (done.code, done.said) == (0, "")
    assert [line.split("  ")[0] for line in done.out.splitlines()[1:4]] == [
        "nearest",
        "nearest, reversed",
        "one to one",
    ]


@pytest.mark.parametrize(
    ("words", "code", "says"),
    [
        (["one.txt"], 1, "one.txt: has one text per row, expected two; name them with --columns"),
        (["csl.tsv", "--columns", "a"], 2, "--columns: 'a' does not name two fields; write A,B"),
        (["csl.tsv", "--columns", "a,b"], 1, "csl.tsv: has no column 'a'"),
        (["short.jsonl"], 1, "matching needs 2 to 5,000 pairs, there are 1; add pairs"),
    ],
)
def test_what_is_wrong_is_one_line(run, pairs, words, code, says):
    Path("one.txt").write_text("a line\nanother\n")
    Path("short.jsonl").write_text('{"anchor": "one", "positive": "other"}\n')
    done = run("eval", "matching", *words)
    assert done.code == code
    assert done.said.startswith(f"embedkit: {says}")
    assert done.said.count("\n") == 1
