"""`reduce` to codes, `encode` to codes, and what every other command makes of them."""

import json
import os
from pathlib import Path

import numpy as np
import pytest

from embedkit.data.affine import AffineMap
from embedkit.data.vectors.codes import calibrate
from embedkit.data.vectors.vector_set import VectorSet
from embedkit.embedding.loading import load
from embedkit.indexing.store import Index
from embedkit.transforms.kinds.gaussian import Gaussian

TEXTS = [f"{one} {other}" for one in ("red", "green", "blue") for other in ("cat", "dog", "house")]


@pytest.fixture
def vectors(run):
    """The vector set `docs.vec` of nine lines."""
    Path("docs.txt").write_text("\n".join(TEXTS))
    assert run("encode", "docs.txt", "-o", "docs.vec", "-q").code == 0
    return Path("docs.vec")


def rows():
    return load("hash:dim=8").encode(TEXTS)


def all_vectors(path):
    return np.concatenate([vectors for _, vectors in VectorSet.open(path)])


def files(path):
    return {file.name: file.read_bytes() for file in Path(path).iterdir()}


def test_signs_are_those_of_the_vectors(run, vectors):
    done = run("reduce", vectors, "--method", "sign", "-o", "s.vec")
    assert (done.code, done.out) == (0, "")
    assert done.said.startswith("embedkit: 9 rows of 8 dimensions in ")
    np.testing.assert_array_equal(all_vectors("s.vec") > 0, rows() > 0)


def test_int8_is_calibrated_on_all_rows(run, vectors):
    assert run("reduce", vectors, "--method", "int8", "-o", "i.vec").code == 0
    codes = calibrate([rows()])
    np.testing.assert_array_equal(all_vectors("i.vec"), codes.decode(codes.encode(rows())))
    assert sorted(os.listdir()) == ["docs.txt", "docs.vec", "i.vec"]


@pytest.mark.parametrize(("method", "dtype"), [("sign", "binary"), ("int8", "int8")])
def test_encode_writes_the_same_bytes(run, vectors, method, dtype):
    assert run("reduce", vectors, "--method", method, "-o", "r.vec").code == 0
    assert run("encode", "docs.txt", "--dtype", dtype, "-o", "e.vec").code == 0
    assert files("r.vec") == files("e.vec")


def test_a_projection_goes_before_the_signs_and_stays_beside_them(run, vectors):
    assert run("reduce", vectors, "--method", "sign", "--dim", "20", "--seed", "3", "-o", "s.vec").code == 0
    A = np.random.default_rng(3).normal(size=(20, 8))
    np.testing.assert_array_equal(all_vectors("s.vec") > 0, rows() @ A.T > 0)
    kept = AffineMap.load("s.vec/map.safetensors")
    assert (kept.output_dimension, VectorSet.open("s.vec").meta.identity.maps) == (20, kept.fingerprints)


def test_fewer_dimensions_are_those_of_the_gaussian(run, vectors):
    assert run("reduce", vectors, "--method", "sign", "--dim", "5", "-o", "s.vec").code == 0
    expected = Gaussian(5).fit(iter([rows()])).apply(rows())
    np.testing.assert_array_equal(all_vectors("s.vec") > 0, expected > 0)


@pytest.mark.parametrize("dim", [None, 20])
def test_signs_about_the_mean(run, vectors, dim):
    args = () if dim is None else ("--dim", dim)
    assert run("reduce", vectors, "--method", "sign", "--centre", *args, "-o", "s.vec").code == 0
    A = np.eye(8) if dim is None else np.random.default_rng(0).normal(size=(dim, 8))
    expected = (rows().astype(float) - rows().astype(float).mean(axis=0)) @ A.T
    np.testing.assert_array_equal(all_vectors("s.vec") > 0, expected > 0)


@pytest.mark.parametrize("args", [(), ("--dim", "64"), ("--dim", "64", "--centre")])
def test_queries_are_mapped_as_the_codes_were(run, vectors, args):
    run("reduce", vectors, "--method", "sign", *args, "-o", "s.vec")
    assert run("index", "s.vec", "-o", "s.idx").code == 0
    assert Index.open("s.idx").kind == "binary:rescore=none"
    hits = map(json.loads, run("search", "s.idx", "green dog").out.splitlines())
    assert {hit["text"]: hit["score"] for hit in hits}["green dog"] == pytest.approx(1)


def test_text_and_pipes_are_coded_too(run, shell, vectors):
    assert run("reduce", "docs.txt", "--method", "int8", "-o", "t.vec").code == 0
    piped = "cat docs.txt | embedkit encode --format arrow | embedkit reduce - --method int8 -o p.vec -q"
    assert shell(piped).code == 0
    np.testing.assert_array_equal(all_vectors("t.vec"), all_vectors("p.vec"))


@pytest.mark.parametrize("command", ["apply", "fit", "whiten", "index"])
def test_every_command_takes_codes_as_vectors(run, vectors, command):
    run("reduce", vectors, "--method", "sign", "-o", "s.vec")
    AffineMap(np.eye(4, 8), np.zeros(4), {}).save(Path("m.safetensors"))
    args = {
        "apply": ("apply", "-t", "m.safetensors", "s.vec", "-o", "out.vec"),
        "fit": ("fit", "centre", "s.vec", "-o", "out.vec"),
        "whiten": ("whiten", "s.vec", "--dim", "2", "-o", "out.vec"),
        "index": ("index", "s.vec", "--kind", "flat", "-o", "out.vec"),
    }[command]
    assert run(*args).code == 0
    if command == "apply":  # mapped codes are numbers again
        made = VectorSet.open("out.vec")
        assert made.meta.dtype == "float32"
        expected = all_vectors("s.vec")[:, :4]
        expected = expected / np.linalg.norm(expected, axis=1, keepdims=True)
        np.testing.assert_allclose(all_vectors("out.vec"), expected, rtol=1e-6)


@pytest.mark.parametrize(
    ("args", "facts"),
    [
        (
            ("--method", "sign", "--dim", "20"),
            {"stored as": "binary", "dimension": 20, "bytes a vector": 3},
        ),
        (("--method", "int8"), {"stored as": "int8", "dimension": 8, "bytes a vector": 8}),
    ],
)
def test_info_says_how_vectors_are_coded(run, vectors, args, facts):
    run("reduce", vectors, *args, "-o", "c.vec")
    said = json.loads(run("info", "c.vec", "--json").out)
    assert {key: said[key] for key in facts} == facts
    assert said["type"] == "vector set, format version 2"


def test_info_says_what_a_vector_takes_in_an_index(run, vectors):
    run("index", vectors, "--kind", "binary:rescore=float16", "-o", "b.idx")
    said = json.loads(run("index", "info", "b.idx", "--json").out)
    assert said["kind"] == "binary:rescore=float16"
    assert said["bytes a vector, codes.faiss"] == round((33 + 9 * 1) / 9)
    assert said["bytes a vector, vectors.npy"] == round((128 + 9 * 16) / 9)


@pytest.mark.parametrize("old", ["int8", "binary"])
def test_codes_are_not_reused_for_floats(run, vectors, old):
    run("encode", "docs.txt", "--dtype", old, "-o", "old.vec")
    done = run("encode", "docs.txt", "--reuse", "old.vec", "-o", "x.vec")
    assert done.said.startswith(f"embedkit: old.vec: stores {old}, the new set float32")
    same = run("encode", "docs.txt", "--reuse", "old.vec", "--dtype", old, "-o", "x.vec")
    assert same.code == (0 if old == "binary" else 1)  # int8 would be rounded twice
    if old == "binary":
        np.testing.assert_array_equal(all_vectors("x.vec"), all_vectors("old.vec"))


@pytest.mark.parametrize(
    ("args", "code", "message"),
    [
        (
            ["reduce", "docs.vec", "--method", "sign", "-o", "x.safetensors"],
            2,
            "x.safetensors: codes are neither an affine map nor plain numbers and cannot be written as "
            ".safetensors; name a folder, such as docs.codes.vec",
        ),
        (
            ["reduce", "docs.vec", "--dim", "4", "-o", "x.vec"],
            2,
            "x.vec: pca makes a map, not vectors; name a file such as map.safetensors",
        ),
        (
            ["reduce", "docs.vec", "-o", "x.safetensors"],
            2,
            "--method pca: needs a number of dimensions; set it with --dim",
        ),
        (
            ["reduce", "docs.vec", "--method", "int8", "--dim", "4", "-o", "x.vec"],
            2,
            "--method int8: keeps every dimension; omit --dim, or apply a map first with -t",
        ),
        (
            ["reduce", "docs.vec", "--method", "int8", "--centre", "-o", "x.vec"],
            2,
            "--centre: applies only to --method sign; centre by a map: embedkit fit centre",
        ),
        (
            ["reduce", "docs.txt", "--method", "sign", "--centre", "-o", "x.vec"],
            2,
            "--centre: needs to read the vectors twice, for their mean and for the signs; "
            "make a vector set first, with embedkit encode -o",
        ),
        (
            ["reduce", "docs.vec", "--method", "sign", "--dim", "0", "-o", "x.vec"],
            2,
            "hyperplanes:dim=0: dim=0 is not positive",
        ),
        (["reduce", "nan.npy", "--method", "int8", "-o", "x.vec"], 1, "nan.npy:2: the vector is not finite"),
        (
            ["encode", "docs.txt", "--dtype", "int8", "-o", "x.npy"],
            2,
            "x.npy: int8 codes are kept in a vector set, not as .npy; write to a folder",
        ),
        (
            ["encode", "docs.txt", "--dtype", "binary"],
            2,
            "binary codes are kept in a vector set, not on standard output; write to a folder",
        ),
        (
            ["encode", "docs.txt", "--dtype", "int8", "--shard", "1/2", "-o", "x.vec"],
            2,
            "--shard: int8 codes need the ranges of the whole corpus, and a slice has only its own; "
            "encode and merge float32 slices, then run embedkit reduce --method int8",
        ),
        (
            ["index", "docs.vec", "--kind", "binary:rescore=none", "--metric", "dot", "-o", "x.idx"],
            2,
            "sign codes store angles and no lengths, so they cannot score dot products; use --metric cosine",
        ),
    ],
)
def test_what_goes_wrong_is_one_line_and_leaves_nothing(run, vectors, args, code, message):
    np.save("nan.npy", np.array([[1.0], [np.nan]], np.float32))
    before = sorted(os.listdir())
    assert run(*args) == (code, "", f"embedkit: {message}\n")
    assert sorted(os.listdir()) == before
