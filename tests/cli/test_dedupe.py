"""`embedkit dedupe`: lines in, near-duplicates out."""

import json
import os

import pytest


def test_copies_are_lines_with_what_they_copy(run):
    done = run(
        "dedupe",
        stdin='{"id": "a", "text": "one two", "n": 1}\n{"id": "b", "text": "x"}\n'
        '{"id": "c", "text": "one two", "n": 3}\n',
    )
    (line,) = map(json.loads, done.out.splitlines())
    assert (line["id"], line["duplicate_of"], line["n"], line["text"]) == ("c", "a", 3, "one two")
    assert line["cosine"] > 0.999
    assert done.said == "embedkit: 1 of 3 documents have a cosine of at least 0.98 to an earlier one\n"
    assert os.listdir() == []


def test_a_threshold_that_is_none_is_refused_before_anything_is_read(run):
    done = run("dedupe", "no.txt", "--threshold", "2")
    assert done == (2, "", "embedkit: --threshold: must be a cosine above 0 and at most 1, got 2\n")


def test_bounds_and_all_pairs_find_the_same(run, monkeypatch):
    monkeypatch.setattr("embedkit.indexing.duplicates.JOINED_ROWS", 10)
    lines = "".join(f"line {number % 17} of {number % 3}\n" for number in range(60))
    one, other = (run("dedupe", *how, "--threshold", "0.9", stdin=lines) for how in ([], ["--exact"]))
    one, other = ([json.loads(line) for line in done.out.splitlines()] for done in (one, other))
    assert [line["id"] for line in one] == [line["id"] for line in other]
    assert [line["cosine"] for line in one] == pytest.approx([line["cosine"] for line in other], abs=1e-6)
    assert 9 <= len(one) < 59
