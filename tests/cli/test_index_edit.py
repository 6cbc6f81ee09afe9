"""`embedkit index add`, `delete`, `compact` and `merge`: what is said, and what is there afterwards."""

import json
from pathlib import Path

import pytest

MORE = '{"id": "tree", "text": "plant a tree"}\n{"id": "new", "text": "something new"}\n'


@pytest.fixture
def idx(run, docs):
    """The index `x.idx` of `docs.jsonl`."""
    run("index", docs, "-o", "x.idx", "-q")
    Path("more.jsonl").write_text(MORE)
    return "x.idx"


def ids(run, idx):
    done = run("search", idx, "anything", "-k", 99, "--format", "ids")
    assert done.code == 0
    return sorted(done.out.split())


@pytest.mark.parametrize("door", ["file", "pipe", "vectors"])
def test_documents_are_added_by_every_door_with_the_encoder_of_the_index(run, idx, door, monkeypatch):
    if door == "vectors":
        run("encode", "more.jsonl", "-o", "more.vec", "-q")
    monkeypatch.setenv("EMBEDKIT_MODEL", "hash:dim=9")
    name = {"file": ["more.jsonl"], "pipe": [], "vectors": ["more.vec"]}[door]
    done = run("index", "add", idx, *name, stdin=MORE if door == "pipe" else None)
    assert (done.code, done.out) == (0, "")
    said = "2 documents added, 1 replaced one of the same id -> x.idx, 4 documents"
    assert done.said == f"embedkit: {said}\n"
    hit = json.loads(run("search", idx, "plant a tree", "-k", 1).out)
    assert (hit["id"], hit["score"]) == ("tree", pytest.approx(1))
    assert ids(run, idx) == ["args", "new", "tree", "词"]


def test_documents_are_deleted_by_name_and_by_file(run, idx):
    Path("gone.txt").write_text("词\nnobody\n")
    done = run("index", "delete", idx, "args", "--ids", "gone.txt")
    said = "embedkit: 2 documents deleted, 1 not there (nobody) -> x.idx, 1 document\n"
    assert done == (0, "", said)
    assert ids(run, idx) == ["tree"]
    facts = json.loads(run("index", "delete", idx, "a", "tree", "--json").out)
    assert facts == {"output": "x.idx", "deleted": 1, "missing": 1, "documents": 0}


def test_compact_and_info_say_what_there_is(run, idx):
    run("index", "add", idx, "more.jsonl", "-q")
    facts = json.loads(run("index", "info", idx, "--json").out)
    assert (facts["documents"], facts["deleted"], facts["segments"]) == (4, 1, 2)
    done = run("index", "compact", idx)
    assert done.said == "embedkit: 2 segments made 1, 1 document dropped -> x.idx, 4 documents\n"
    assert run("index", "verify", idx).code == 0
    assert ids(run, idx) == ["args", "new", "tree", "词"]


def test_merge_refuses_what_comes_twice_unless_asked(run, idx):
    run("index", "more.jsonl", "-o", "y.idx", "-q")
    done = run("index", "merge", idx, "y.idx", "-o", "z.idx")
    message = "x.idx: id 'tree' is in more than one index; keep the later one with --replace"
    assert done == (1, "", f"embedkit: {message}\n")
    assert not Path("z.idx").exists()
    assert run("index", "merge", idx, "y.idx", "-o", "z.idx", "--replace").code == 0
    assert ids(run, "z.idx") == ["args", "new", "tree", "词"]
    hit = json.loads(run("search", "z.idx", "plant a tree", "-k", 1).out)
    assert hit["text"] == "plant a tree"


@pytest.mark.parametrize(
    ("args", "code", "message"),
    [
        (["add", "no.idx", "more.jsonl"], 1, "no.idx: no such index"),
        (["add", "x.idx", "no.jsonl"], 1, "no.jsonl: no such file"),
        (["delete", "x.idx"], 2, "no ids were given; name them, or give a file of ids with --ids"),
        (["compact", "docs.jsonl"], 1, "docs.jsonl: is not an index: it has no manifest.json"),
        (["merge", "x.idx", "-o", "x.idx"], 1, "x.idx: already exists; overwrite it with --force"),
    ],
)
def test_a_mistake_is_one_line(run, idx, args, code, message):
    assert run("index", *args) == (code, "", f"embedkit: {message}\n")
    assert ids(run, idx) == ["args", "tree", "词"]


def test_another_encoder_is_refused_naming_both(run, idx):
    done = run("index", "add", idx, "more.jsonl", "-m", "hash:dim=8,seed=1")
    assert done.code == 1
    assert "the index comes from hash:dim=8 " in done.said
    assert ids(run, idx) == ["args", "tree", "词"]


def test_ids_that_are_not_there_are_reported_in_one_line(run, docs):
    run("index", docs, "-o", "x.idx", "-q")
    assert run("index", "delete", "x.idx", "a\nb", "c\u2028d").said == (
        "embedkit: 0 documents deleted, 2 not there (a b, c d) -> x.idx, 3 documents\n"
    )
