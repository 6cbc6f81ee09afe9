"""`fit --target`: a corpus of an old encoder is searched with a new one, without encoding it again."""

import json
import os
from itertools import product
from pathlib import Path

import numpy as np
import pytest

from embedkit.data.vectors.vector_set import VectorSet
from embedkit.embedding.encoder import unit_length
from embedkit.embedding.loading import load
from embedkit.transforms.kinds.procrustes import Procrustes

TEXTS = [
    " ".join(words)
    for words in product(
        ("red", "green", "blue", "tall", "quick", "a"),
        ("cat", "dog", "house", "river", "tree of", "engine"),
        ("runs home", "sleeps", "is old", "sings loudly", "was built"),
    )
]
OLD, NEW = "hash:dim=256", "hash:dim=384,seed=1"
SCIFACT = Path(__file__).resolve().parents[3] / "shared" / "data" / "retrieval" / "scifact-en"
SETTINGS = {"default": (), "rotation alone": (False, False)}


@pytest.fixture
def sets(run, folder):
    """The file `docs.txt` of 180 lines, and its vectors `old.vec` and `new.vec` by two encoders."""
    Path("docs.txt").write_text("\n".join(TEXTS))
    for model, name in ((OLD, "old.vec"), (NEW, "new.vec")):
        assert run("encode", "docs.txt", "-m", model, "-o", name, "-q").code == 0


@pytest.fixture
def mapped(run, sets):
    """`old.vec` mapped to the new encoder by `map.safetensors`, in `mapped.vec`, indexed in `mapped.idx`."""
    assert run("fit", "procrustes", "old.vec", "--target", "new.vec", "-o", "map.safetensors").code == 0
    assert run("apply", "-t", "map.safetensors", "old.vec", "-o", "mapped.vec", "-q").code == 0
    assert run("index", "mapped.vec", "-o", "mapped.idx", "-q").code == 0


def all_vectors(name):
    return np.concatenate([vectors for _, vectors in VectorSet.open(Path(name))])


def recall(queries, exact, documents, k=10):
    """The share of the `k` nearest of the exact documents that are among the `k` nearest of others."""
    one, other = (np.argsort(-(queries @ x.T), axis=1, kind="stable")[:, :k] for x in (exact, documents))
    return np.mean([len({*a} & {*b}) / k for a, b in zip(one, other, strict=True)])


def test_what_is_mapped_is_known_as_of_the_new_encoder(mapped):
    assert VectorSet.open(Path("mapped.vec")).meta == VectorSet.open(Path("new.vec")).meta
    np.testing.assert_allclose(np.linalg.norm(all_vectors("mapped.vec"), axis=1), 1, rtol=1e-6)


def test_queries_of_the_new_encoder_find_in_it_what_they_find_in_a_new_index(mapped):
    queries = load(NEW).encode([f"{text} today" for text in TEXTS], "query")
    exact, old = all_vectors("new.vec"), np.pad(all_vectors("old.vec"), ((0, 0), (0, 128)))
    assert recall(queries, exact, all_vectors("mapped.vec")) > 0.8
    assert recall(queries, exact, old) < 0.2  # what the old vectors are worth without the map


@pytest.mark.slow
@pytest.mark.data
@pytest.mark.skipif(not SCIFACT.is_dir(), reason="the measurement data is not beside the project")
def test_old_vectors_of_a_real_model_are_found_by_another_pooling(folder):
    records, questions = (
        [json.loads(line) for line in (SCIFACT / name).read_text(encoding="utf-8").splitlines()]
        for name in ("corpus.jsonl", "queries.jsonl")
    )
    texts = [f"{record['title']} {record['text']}" for record in records[:400]]
    old, new = (load("minilm", pooling=pooling).encode(texts) for pooling in ("mean", "cls"))
    queries = load("minilm", pooling="cls").encode([record["text"] for record in questions], "query")
    found = {name: Procrustes(*on).fit([(old, new)]).apply(old) for name, on in SETTINGS.items()}
    measured = {name: recall(queries, unit_length(new), unit_length(x)) for name, x in found.items()}
    assert measured["default"] > 0.65  # 0.70
    assert measured["default"] > recall(queries, unit_length(new), unit_length(old)) + 0.1  # 0.51
    assert measured["rotation alone"] < measured["default"] - 0.1  # 0.45: the means are apart


@pytest.mark.parametrize("model", [(), ("-m", NEW), ("-m", OLD, "-t", "map.safetensors")])
def test_its_index_takes_new_queries_and_mapped_ones(run, mapped, model):
    done = run("search", "mapped.idx", "green river sings loudly", "-k", "1", *model)
    assert json.loads(done.out)["text"] == "green river sings loudly"


def test_its_index_refuses_the_old_encoder(run, mapped):
    done = run("search", "mapped.idx", "green river", "-m", OLD)
    assert (done.code, done.out) == (1, "")
    assert done.said.startswith(f"embedkit: mapped.idx: the index holds {NEW} ")


def test_text_is_encoded_by_the_old_encoder_and_mapped_to_the_same(run, mapped):
    assert run("encode", "docs.txt", "-m", OLD, "-t", "map.safetensors", "-o", "again.vec").code == 0
    assert VectorSet.open(Path("again.vec")).meta == VectorSet.open(Path("mapped.vec")).meta
    np.testing.assert_allclose(all_vectors("again.vec"), all_vectors("mapped.vec"), atol=1e-6)


def test_the_map_of_the_target_is_the_one_that_queries_get(run, sets):
    run("whiten", "new.vec", "--dim", "32", "-o", "w.safetensors")
    run("apply", "-t", "w.safetensors", "new.vec", "-o", "new.w.vec")
    assert run("fit", "procrustes", "old.vec", "--target", "new.w.vec", "-o", "map.safetensors").code == 0
    run("apply", "-t", "map.safetensors", "old.vec", "-o", "mapped.vec")
    assert Path("mapped.vec/map.safetensors").read_bytes() == Path("new.w.vec/map.safetensors").read_bytes()
    run("index", "mapped.vec", "-o", "mapped.idx")
    assert (
        json.loads(run("search", "mapped.idx", "quick dog is old", "-k", "1").out)["text"]
        == "quick dog is old"
    )


def test_a_map_behind_it_goes_on_in_the_new_space(run, mapped):
    assert run("whiten", "mapped.vec", "--dim", "32", "-o", "w.safetensors").code == 0
    args = ("apply", "-t", "map.safetensors", "-t", "w.safetensors", "old.vec", "-o", "at-once.vec")
    assert run(*args).code == 0
    assert run("apply", "-t", "w.safetensors", "mapped.vec", "-o", "stepwise.vec").code == 0
    at_once, stepwise = (VectorSet.open(Path(name)).meta for name in ("at-once.vec", "stepwise.vec"))
    assert at_once.identity == stepwise.identity
    assert at_once.map == stepwise.map
    done = run("apply", "-t", "w.safetensors", "old.vec", "-o", "wrong.vec")
    assert done.said.startswith("embedkit: the map expects 384 dimensions, hash:dim=256 gives 256")


def test_queries_are_turned_to_the_documents_and_stay_of_their_encoder(run, sets):
    Path("queries.txt").write_text("who sings loudly\nwho is old\nwho runs home\n")
    run("encode", "queries.txt", "-m", OLD, "-o", "queries.vec")
    args = ("fit", "householder", "queries.vec", "--target", "old.vec", "-o", "turn.safetensors")
    assert run(*args).said.startswith("embedkit: householder: 256 -> 256 dimensions, 3 rows, in ")
    run("apply", "-t", "turn.safetensors", "queries.vec", "-o", "turned.npy")
    means = [x.mean(axis=0) for x in (np.load("turned.npy"), all_vectors("old.vec"))]
    np.testing.assert_allclose(*(mean / np.linalg.norm(mean) for mean in means), atol=1e-6)
    run("index", "old.vec", "-o", "old.idx")
    assert run("search", "old.idx", "-t", "turn.safetensors", "who sings").code == 0


def test_info_says_where_a_map_leads(run, mapped):
    assert f"leads to     {NEW} " in run("info", "map.safetensors").out


def test_arrow_may_come_in_on_one_side(run, shell, sets):
    line = "embedkit encode docs.txt --format arrow -m hash:dim=256 | embedkit fit procrustes {} -o {} -q"
    assert shell(line.format("- --target new.vec", "a.safetensors")).code == 0
    assert (
        run("fit", "procrustes", "docs.txt", "-m", OLD, "--target", "new.vec", "-o", "b.safetensors").code
        == 0
    )
    assert run("fit", "procrustes", "old.vec", "--target", "new.vec", "-o", "c.safetensors").code == 0
    assert len({Path(f"{name}.safetensors").read_bytes() for name in "abc"}) == 1
    assert shell(line.format("old.vec --target -", "d.safetensors")).code == 0


@pytest.mark.parametrize(
    ("args", "code", "message"),
    [
        (
            ("procrustes", "old.vec"),
            2,
            "procrustes: needs the vectors of the same texts by the other encoder; name them with --target",
        ),
        (
            ("centre", "old.vec", "--target", "new.vec"),
            2,
            "--target: does not apply to centre; only householder and procrustes take one",
        ),
        (("procrustes", "-", "--target", "-"), 2, "--target -: standard input can be read only once"),
        (
            ("procrustes", "old.vec", "--target", "fewer.vec"),
            1,
            "the input has 180 rows, the target 179; both must contain the same texts in the same order",
        ),
        (
            ("procrustes", "old.vec", "--target", "other.vec"),
            1,
            "row 2: the id is '2' in the input, 'b' in the target; both must contain the same texts",
        ),
        (("procrustes", "old.vec", "--target", "docs.txt"), 1, "docs.txt: holds text, not vectors; "),
        (("procrustes", "old.vec", "--target", "none.vec"), 1, "none.vec: no such file"),
        (
            ("householder", "old.vec", "--target", "new.vec"),
            1,
            "vectors have 256 dimensions, the target has 384",
        ),
        (
            ("householder:drop=true", "old.vec", "--target", "old.vec"),
            2,
            "householder: drop=true drops the first axis",
        ),
    ],
)
def test_what_goes_wrong_is_one_line_and_leaves_nothing(run, sets, args, code, message):
    Path("fewer.txt").write_text("\n".join(TEXTS[:-1]))
    Path("other.jsonl").write_text('{"id": "1", "text": "one"}\n{"id": "b", "text": "two"}\n')
    run("encode", "fewer.txt", "-o", "fewer.vec")
    run("encode", "other.jsonl", "-o", "other.vec")
    before = sorted(os.listdir())
    done = run("fit", *args, "-o", "out.safetensors")
    assert (done.code, done.out, done.said.count("\n")) == (code, "", 1)
    assert done.said.startswith(f"embedkit: {message}")
    assert sorted(os.listdir()) == before
