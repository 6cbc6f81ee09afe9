"""`fit`, `whiten`, `reduce`, `apply`: vectors or text in, maps or mapped vectors out, faults in one line."""

import json
import os
from pathlib import Path

import numpy as np
import pytest

from embedkit import spec
from embedkit.data.affine import AffineMap
from embedkit.data.vectors.vector_set import VectorSet
from embedkit.embedding.encoder import unit_length
from embedkit.embedding.loading import load
from embedkit.transforms.kinds.whitening import Whitening

TEXTS = [
    f"{one} {other}" for one in ("red", "green", "blue", "a") for other in ("cat", "dog", "house", "tree of")
]


@pytest.fixture
def texts(folder):
    """The file `docs.txt` of sixteen lines."""
    path = Path("docs.txt")
    path.write_text("\n".join(TEXTS))
    return path


@pytest.fixture
def vectors(run, texts):
    """The vector set `docs.vec` of those lines."""
    assert run("encode", texts, "-o", "docs.vec", "-q").code == 0
    return Path("docs.vec")


def rows():
    return load("hash:dim=8").encode(TEXTS)


def all_vectors(path):
    return np.concatenate([vectors for _, vectors in VectorSet.open(Path(path))])


def test_whiten_writes_the_map_of_the_library_and_reports_it(run, vectors):
    done = run("whiten", vectors, "--dim", "3", "-o", "w.safetensors")
    assert (done.code, done.out) == (0, "")
    assert done.said.startswith("embedkit: whitening:dim=3: 8 -> 3 dimensions, 16 rows, rank 8, in ")
    assert done.said.endswith(" s -> w.safetensors\n")
    fitted = AffineMap.load(Path("w.safetensors"))
    np.testing.assert_array_equal(fitted.A, Whitening(dim=3).fit([rows()]).A)
    assert fitted.story["encoder"] == load("hash:dim=8").identity.fingerprint


def test_options_of_whiten_are_settings_of_the_kind(run, vectors):
    args = ("--dim", "3", "--beta", "0.5", "--gamma", "0.25", "--shrinkage", "ledoit-wolf")
    assert run("whiten", vectors, *args, "-o", "w.safetensors").code == 0
    said = AffineMap.load(Path("w.safetensors")).story["spec"]
    assert said == "whitening:dim=3,beta=0.5,gamma=0.25,shrinkage=ledoit-wolf"
    assert spec.parse("transform", said) == Whitening(3, 0.5, 0.25, "ledoit-wolf")


def test_text_gives_the_same_file_as_its_vectors(run, shell, texts, vectors):
    assert run("whiten", texts, "-o", "text.safetensors").code == 0
    assert run("whiten", vectors, "-o", "vectors.safetensors").code == 0
    assert (
        shell("cat docs.txt | embedkit encode --format arrow | embedkit whiten - -o pipe.safetensors").code
        == 0
    )
    contents = {Path(f"{name}.safetensors").read_bytes() for name in ("text", "vectors", "pipe")}
    assert len(contents) == 1


@pytest.mark.parametrize("method", ["gaussian", "sparse", "srht", "pca", "truncate"])
def test_reduce_is_fit_of_that_kind(run, vectors, method):
    assert run("reduce", vectors, "--method", method, "--dim", "4", "-o", "r.safetensors").code == 0
    assert run("fit", f"{method}:dim=4", vectors, "-o", "f.safetensors").code == 0
    assert Path("r.safetensors").read_bytes() == Path("f.safetensors").read_bytes()
    assert AffineMap.load(Path("r.safetensors")).output_dimension == 4


def test_the_seed_reaches_the_kind(run, vectors):
    for name, args in {"a": ("--seed", "5"), "b": ()}.items():
        kind = "gaussian:dim=4" if args else "gaussian:dim=4,seed=5"
        assert run("fit", kind, vectors, *args, "-o", f"{name}.safetensors").code == 0
    assert Path("a.safetensors").read_bytes() == Path("b.safetensors").read_bytes()
    assert AffineMap.load(Path("a.safetensors")).story["spec"] == "gaussian:dim=4,seed=5"


def test_a_projection_encodes_no_text(run, texts):
    done = run("reduce", texts, "--method", "srht", "--dim", "4", "-o", "r.safetensors")
    assert done.said == "embedkit: srht:dim=4: 8 -> 4 dimensions, no rows needed -> r.safetensors\n"


def test_json_is_for_machines_and_quiet_says_nothing(run, texts):
    done = run("whiten", texts, "-o", "w.safetensors", "--json")
    facts = json.loads(done.out)
    assert (facts["rows"], facts["input_dimension"], facts["dimension"], facts["rank"]) == (16, 8, 8, 8)
    assert run("whiten", texts, "-o", "w.safetensors", "-q", "--force") == (0, "", "")


def test_apply_is_the_formula_and_keeps_ids_texts_and_length(run, vectors):
    run("whiten", vectors, "-o", "w.safetensors")
    done = run("apply", "-t", "w.safetensors", vectors, "-o", "docs.w.vec")
    assert done.said.startswith("embedkit: 16 rows of 8 dimensions in ")
    expected = unit_length(AffineMap.load(Path("w.safetensors")).apply(rows()))
    np.testing.assert_allclose(all_vectors("docs.w.vec"), expected, atol=1e-6)
    mapped = VectorSet.open(Path("docs.w.vec"))
    assert (mapped.meta.normalized, len(mapped.meta.identity.maps)) == (True, 1)
    table = next(iter(mapped)).table
    assert (table.column("id").to_pylist()[:2], table.column("text").to_pylist()) == (["1", "2"], TEXTS)


def test_apply_is_encode_with_the_map(run, texts, vectors):
    run("whiten", vectors, "--dim", "5", "-o", "w.safetensors")
    run("apply", "-t", "w.safetensors", vectors, "-o", "applied.npy")
    run("apply", "-t", "w.safetensors", texts, "-o", "text.npy")
    run("encode", "-t", "w.safetensors", texts, "-o", "encoded.npy")
    applied, text, encoded = (np.load(f"{name}.npy") for name in ("applied", "text", "encoded"))
    np.testing.assert_allclose(applied, encoded, atol=1e-6)
    np.testing.assert_array_equal(text, encoded)


def test_two_maps_at_once_are_one_after_the_other(run, vectors):
    run("whiten", vectors, "--dim", "6", "-o", "w.safetensors")
    run("apply", "-t", "w.safetensors", vectors, "-o", "docs.w.vec")
    run("fit", "pca:dim=3", "docs.w.vec", "-o", "p.safetensors")
    run("apply", "-t", "p.safetensors", "docs.w.vec", "-o", "stepwise.vec")
    run("fit", "centre", "-t", "w.safetensors", vectors, "-o", "c.safetensors")
    assert (
        AffineMap.load(Path("c.safetensors")).story["maps"]
        == AffineMap.load(Path("p.safetensors")).story["maps"]
    )
    raw = [AffineMap.load(Path(name)).A for name in ("w.safetensors", "p.safetensors")]
    chain = AffineMap.load(Path("stepwise.vec/map.safetensors"))
    np.testing.assert_allclose(chain.A, raw[1] @ raw[0], atol=1e-12)


def test_vectors_of_nobody_stay_as_long_as_the_map_makes_them(run):
    numbers = np.random.default_rng(0).normal(size=(50, 4)).astype(np.float32)
    np.save("x.npy", numbers)
    run("whiten", "x.npy", "-o", "w.safetensors")
    run("apply", "-t", "w.safetensors", "x.npy", "-o", "y.npy")
    np.testing.assert_allclose(np.cov(np.load("y.npy").T), np.eye(4), atol=1e-5)


@pytest.mark.parametrize("suffix", ["npy", "parquet", "arrow", "jsonl", "vec"])
def test_vectors_of_every_kind_go_in_and_out(run, vectors, suffix):
    run("whiten", vectors, "-o", "w.safetensors")
    expected = unit_length(AffineMap.load(Path("w.safetensors")).apply(rows()))
    assert run("apply", "-t", "w.safetensors", vectors, "-o", f"y.{suffix}").code == 0
    AffineMap(np.eye(8), np.zeros(8), {}).save(Path("same.safetensors"))
    done = run("apply", "-t", "same.safetensors", f"y.{suffix}")
    lines = [json.loads(line) for line in done.out.splitlines()]
    np.testing.assert_allclose([line["vector"] for line in lines], expected, atol=1e-6)
    assert [line["id"] for line in lines] == [str(number) for number in range(1, 17)]


def test_an_arrow_stream_goes_on(run, shell, vectors):
    run("reduce", vectors, "--method", "gaussian", "--dim", "4", "-o", "g.safetensors")
    line = "embedkit apply -t g.safetensors docs.vec --format arrow | embedkit index - -o x.idx -q"
    assert shell(line) == (0, "", "")
    assert json.loads(run("search", "x.idx", "red cat", "-k", "1").out)["text"] == "red cat"


@pytest.mark.parametrize(
    ("args", "code", "message"),
    [
        (
            ("whiten", "docs.vec", "--dim", "9"),
            1,
            "whitening needs 9 dimensions, but the data have rank 8 (16 rows, 8 dimensions)",
        ),
        (
            ("whiten", "few.txt", "--dim", "4"),
            1,
            "whitening needs 4 dimensions, but the data have rank 2 (3 rows, 8 dimensions)",
        ),
        (("whiten", "one.txt"), 1, "a covariance needs at least 2 rows, got 1"),
        (("whiten", "nan.npy"), 1, "nan.npy:17: the vector is not finite"),
        (("whiten", "docs.vec", "-m", "hash:dim=8,seed=1"), 1, "--model: the input comes from hash:dim=8 "),
        (
            ("whiten", "docs.vec", "--shrinkage", "much"),
            2,
            "whitening:beta=1.0,gamma=1.0,shrinkage=much: shrinkage=much",
        ),
        (
            ("reduce", "docs.vec", "--dim", "9"),
            1,
            "pca needs 9 dimensions, but the data have rank 8 (16 rows, 8 dimensions)",
        ),
        (
            ("reduce", "docs.vec", "--dim", "9", "--method", "srht"),
            1,
            "srht needs 9 dimensions, vectors have 8",
        ),
        (("reduce", "docs.vec", "--dim", "0"), 2, "pca:dim=0: dim=0 is not positive"),
        (("fit", "whitning", "docs.vec"), 2, "unknown transform kind 'whitning'; did you mean whitening?"),
        (("fit", "gaussian", "docs.vec"), 2, "gaussian: needs dim; write dim=VALUE"),
        (
            ("fit", "gaussian:dim=2,seed=3", "docs.vec", "--seed", "4"),
            2,
            "--seed: 4 contradicts the seed=3 of gaussian:dim=2,seed=3",
        ),
        (("fit", "centre", "here/docs.vec"), 1, "here/docs.vec: no such file"),
        (("apply", "docs.vec"), 2, "--transform: is missing; name a map with -t"),
        (("apply", "-t", "none.safetensors", "docs.vec"), 1, "none.safetensors: no such map"),
        (("apply", "-t", "other.safetensors", "docs.vec"), 1, "the map was fitted on vectors of encoder "),
        (
            ("apply", "-t", "own.safetensors", "-t", "own.safetensors", "docs.vec"),
            1,
            "the next map was fitted on vectors with no",
        ),
        (("apply", "-t", "own.safetensors", "nan.npy"), 1, "nan.npy:17: the vector is not finite"),
    ],
)
def test_what_goes_wrong_is_one_line_and_leaves_nothing(run, vectors, args, code, message):
    Path("few.txt").write_text("one\ntwo\nthree\n")
    Path("one.txt").write_text("one\n")
    np.save("nan.npy", np.where(np.arange(20)[:, None] == 16, np.nan, rows()[:1]).astype(np.float32))
    run("whiten", vectors, "-o", "own.safetensors", "-q")
    run("whiten", "docs.txt", "-m", "hash:dim=8,seed=1", "-o", "other.safetensors", "-q")
    before = sorted(os.listdir())
    done = run(*args, "-o", "out")
    assert (done.code, done.out, done.said.count("\n")) == (code, "", 1)
    assert done.said.startswith(f"embedkit: {message}")
    assert sorted(os.listdir()) == before


@pytest.mark.parametrize("args", [("whiten",), ("apply", "-t", "w.safetensors")])
def test_nothing_is_overwritten_unasked(run, vectors, args):
    run("whiten", vectors, "-o", "w.safetensors")
    Path("out").write_text("mine")
    assert (
        run(*args, vectors, "-o", "out").said == "embedkit: out: already exists; overwrite it with --force\n"
    )
    assert Path("out").read_text() == "mine"
    assert run(*args, vectors, "-o", "out", "--force").code == 0


@pytest.mark.parametrize("name", ["y.vec", "y.npy"])
def test_a_failure_half_way_leaves_no_output(run, name):
    numbers = np.ones((20_000, 2), dtype=np.float32)  # more than a shard
    numbers[-1] = np.nan
    np.save("x.npy", numbers)
    AffineMap(np.eye(2), np.zeros(2), {}).save(Path("same.safetensors"))
    assert run("apply", "-t", "same.safetensors", "x.npy", "-o", name).code == 1
    assert sorted(os.listdir()) == ["same.safetensors", "x.npy"]


def test_info_knows_a_map_by_its_content_whatever_its_name(run, folder):
    AffineMap(np.eye(2, 3), np.zeros(2), {}).save(folder / "turn.bin")
    done = run("info", "turn.bin")
    assert done[0] == 0
    assert done[1].startswith("type         map, format version 1\ntakes        3\ngives        2\n")


def test_info_of_any_other_file_is_one_line(run, folder):
    (folder / "t.bin").write_bytes(b"no map")
    known = "an index, vectors, a map, label vectors, a model, a run of hits or an evaluation"
    assert run("info", "t.bin") == (1, "", f"embedkit: t.bin: is not {known}\n")
