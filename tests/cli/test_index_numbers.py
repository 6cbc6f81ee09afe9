"""`embedkit index add` of documents without ids: they get numbers of their own and replace nothing."""

import json
from pathlib import Path

import pytest


@pytest.fixture
def idx(run):
    """The index `x.idx` of three lines, the numbers 1, 2 and 4."""
    Path("lines.txt").write_text("one\ntwo\n\nfour\n")
    run("index", "lines.txt", "-o", "x.idx", "-q")
    return "x.idx"


def texts(run, idx):
    done = run("search", idx, "anything", "-k", 99)
    return {hit["id"]: hit["text"] for hit in map(json.loads, done.out.splitlines())}


def test_lines_added_to_lines_replace_none(run, idx):
    Path("more.txt").write_text("five\n\nsix\n")
    done = run("index", "add", idx, "more.txt")
    said = "2 documents added (numbered from 5 on), 0 replaced one of the same id"
    assert done.said == f"embedkit: {said}; 1 blank line skipped -> x.idx, 5 documents\n"
    assert texts(run, idx) == {"1": "one", "2": "two", "4": "four", "5": "five", "6": "six"}


def test_numbers_go_on_through_several_files_and_are_never_used_again(run, idx):
    Path("more.txt").write_text("five\nsix\n")
    Path("rest.txt").write_text("seven\n")
    facts = json.loads(run("index", "add", idx, "more.txt", "rest.txt", "--json").out)
    assert (facts["added"], facts["replaced"], facts["first_number"]) == (3, 0, 5)
    run("index", "delete", idx, "7")
    assert json.loads(run("index", "add", idx, "rest.txt", "--json").out)["first_number"] == 8
    assert texts(run, idx)["8"] == "seven"


def test_ids_of_their_own_still_replace(run, idx):
    mixed = '{"id": "2", "text": "a second two"}\n{"text": "without"}\n{"id": 30, "text": "thirty"}\n'
    done = run("index", "add", idx, "-", "--input-format", "jsonl", stdin=mixed)
    assert "3 documents added (numbered from 5 on), 1 replaced one of the same id" in done.said
    assert texts(run, idx) == {
        "1": "one", "2": "a second two", "4": "four", "5": "without", "30": "thirty",
    }  # fmt: skip
    Path("more.txt").write_text("last\n")
    run("index", "add", idx, "more.txt")
    assert texts(run, idx)["31"] == "last"


def test_nothing_is_numbered_where_every_document_has_an_id(run, idx):
    done = run("index", "add", idx, stdin='{"id": "2", "text": "a second two"}\n')
    said = "1 document added, 1 replaced one of the same id -> x.idx, 3 documents"
    assert done.said == f"embedkit: {said}\n"


@pytest.mark.parametrize(("ids", "first"), [(["a", "b"], "3"), (["a", "07"], "8"), (["a1", "9" * 30], "3")])
def test_ids_that_are_no_numbers_count_as_rows(run, ids, first):
    lines = (json.dumps({"id": id, "text": "x"}) for id in ids)
    Path("named.jsonl").write_text("\n".join(lines))
    run("index", "named.jsonl", "-o", "x.idx", "-q")
    Path("more.txt").write_text("last\n")
    run("index", "add", "x.idx", "more.txt")
    assert set(texts(run, "x.idx")) == {*ids, first}
