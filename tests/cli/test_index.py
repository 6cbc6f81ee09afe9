"""`embedkit index`: from text or vectors to a folder that answers."""

import json
import os
from pathlib import Path

import numpy as np
import pytest

from embedkit.indexing.store import Index


def files(folder):
    return {path.relative_to(folder): path.read_bytes() for path in Path(folder).rglob("*") if path.is_file()}


def test_build_may_be_left_out(run, docs):
    assert (
        run("index", docs, "-o", "short.idx").code == run("index", "build", docs, "-o", "long.idx").code == 0
    )
    assert files("short.idx") == files("long.idx")


@pytest.mark.parametrize("door", ["argument", "hyphen", "pipe", "vectors", "parquet"])
def test_documents_come_by_every_door(run, docs, door):
    if door in ("vectors", "parquet"):
        name = "docs.vec" if door == "vectors" else "docs.parquet"
        run("encode", docs, "-o", name)
        done = run("index", name, "-o", "x.idx")
    elif door == "argument":
        done = run("index", docs, "-o", "x.idx")
    else:
        done = run("index", *(["-"] if door == "hyphen" else []), "-o", "x.idx", stdin=docs.read_text())
    assert (done.code, done.out) == (0, "")
    assert done.said.startswith("embedkit: 3 rows of 8 dimensions in ")
    hit = json.loads(run("search", "x.idx", "copy a directory tree", "-k", 1).out)
    assert (hit["id"], hit["year"]) == ("tree", 2020)


def test_vectors_of_nobody_are_searched_with_the_encoder_named(run):
    np.save("x.npy", np.eye(8, dtype=np.float32))
    assert run("index", "x.npy", "-o", "x.idx").code == 0
    done = run("search", "x.idx", "one")
    assert done.said == "embedkit: x.idx: the encoder of these vectors is unknown; name it with -m\n"
    assert run("search", "x.idx", "one", "-m", "hash:dim=8").code == 0


@pytest.mark.parametrize(
    ("args", "code", "message"),
    [
        (["dup.jsonl", "-o", "x.idx"], 1, "id '1' occurs twice, as records 1 and 2"),
        (["empty.txt", "-o", "x.idx"], 1, "empty.txt: the input contains no text"),
        (["no.txt", "-o", "x.idx"], 1, "no.txt: no such file"),
        (["docs.jsonl"], 2, "Missing option '-o' / '--output'."),
        ([], 2, "Missing option '-o' / '--output'."),
        (["docs.jsonl", "-o", "x.idx", "--kind", "flt"], 2, "unknown index kind 'flt'; did you mean flat?"),
        (
            ["docs.jsonl", "-o", "x.idx", "--kind", "flat:m=3"],
            2,
            "flat:m=3: unknown setting 'm'; known: none",
        ),
        (
            ["docs.jsonl", "-o", "no/x.idx"],
            1,
            "no/x.idx: its parent folder does not exist; mkdir -p no",
        ),
        (["nan.npy", "-o", "x.idx"], 1, "nan.npy:2: the vector is not finite"),
        (["x.npy", "-o", "x.idx", "-m", "hash:dim=9"], 1, "vectors have 8 dimensions, hash:dim=9 gives 9"),
        (["x.npy", "x.npy", "-o", "x.idx"], 2, "x.npy: only one input may hold vectors, 2 were named"),
    ],
)
def test_a_mistake_is_one_line_and_leaves_nothing(run, docs, args, code, message):
    Path("dup.jsonl").write_text('{"id": 1, "text": "a"}\n{"id": "1", "text": "b"}\n')
    Path("empty.txt").touch()
    np.save("x.npy", np.eye(8))
    np.save("nan.npy", np.array([[1.0], [np.nan]]))
    before = sorted(os.listdir())
    assert run("index", *args) == (code, "", f"embedkit: {message}\n")
    assert sorted(os.listdir()) == before


def test_an_index_that_exists_is_kept_unless_forced(run, docs):
    run("index", docs, "-o", "x.idx")
    before = files("x.idx")
    done = run("index", "-o", "x.idx", stdin="other\n")
    assert done == (1, "", "embedkit: x.idx: already exists; overwrite it with --force\n")
    assert files("x.idx") == before
    assert run("index", "-o", "x.idx", "--force", stdin="other\n").code == 0
    assert Index.open(Path("x.idx")).rows == 1
    assert sorted(os.listdir()) == ["docs.jsonl", "x.idx"]


def test_force_never_replaces_a_folder_of_someone_else(run, docs):
    run("encode", docs, "-o", "docs.vec")
    before = files("docs.vec")
    done = run("index", docs, "-o", "docs.vec", "--force")
    assert done == (1, "", "embedkit: docs.vec: is a folder that contains other files; choose another name\n")
    assert files("docs.vec") == before


def test_json_is_for_machines(run, docs):
    facts = json.loads(run("index", docs, "-o", "x.idx", "--json").out)
    assert (facts["output"], facts["rows"], facts["dimension"]) == ("x.idx", 3, 8)


def test_verify_passes_a_whole_index_and_names_what_is_damaged(run, docs):
    run("index", docs, "-o", "x.idx", "-q")
    assert (
        run("index", "verify", "x.idx").said == "embedkit: x.idx: 3 documents, every file as it was written\n"
    )
    file = Path("x.idx/segments/00000/vectors.faiss")
    file.write_bytes(file.read_bytes()[:-1] + b"x")
    done = run("index", "verify", "x.idx")
    assert done == (1, "", f"embedkit: {file}: its checksum differs from the one that was written\n")


def test_info_says_the_same_in_both_places(run, docs):
    run("index", docs, "-o", "x.idx", "-q")
    assert run("index", "info", "x.idx").out == run("info", "x.idx").out
