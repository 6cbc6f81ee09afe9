"""`embedkit whiten --tune`: a map chosen on scored pairs, or none, and the choice told."""

import json
from pathlib import Path

import numpy as np
import pytest

from embedkit.data.affine import AffineMap
from embedkit.embedding.loading import load
from embedkit.transforms.kinds.whitening import Whitening

PHRASES = ("as it was in the beginning", "for whatever reason there may be", "needless to say to you")


def words(numbers, count):
    return " ".join("".join(numbers.choice(list("abcdefghi"), 4).tolist()) for _ in range(count))


@pytest.fixture
def docs(folder):
    """Texts `docs.txt` that begin with one of three phrases, and `pairs.tsv`, scored by what comes after."""
    numbers = np.random.default_rng(2)
    lines, pairs = [], []
    for number in range(400):
        same, one, other = words(numbers, 2), words(numbers, 2), words(numbers, 2)
        first, second = numbers.choice(PHRASES, 2)
        one, other = (one, other) if number % 2 else (f"{same} {one}", f"{same} {other}")
        lines += [f"{first} {one}", f"{second} {other}"]
        pairs.append(f"{first} {one}\t{second} {other}\t{1 - number % 2}\n")
    Path("docs.txt").write_text("\n".join(lines))
    Path("pairs.tsv").write_text("".join(pairs))
    return Path("docs.txt")


@pytest.fixture
def vectors(run, docs):
    """The vector set `docs.vec` of those texts."""
    assert run("encode", docs, "-m", "hash:dim=64", "-o", "docs.vec", "-q").code == 0
    return Path("docs.vec")


def rescored(name, scores):
    """Write the pairs again, with other scores, and return the name of the file."""
    lines = Path("pairs.tsv").read_text().splitlines()
    texts = (line.rpartition("\t")[0] for line in lines)
    Path(name).write_text("".join(f"{both}\t{score}\n" for both, score in zip(texts, scores, strict=False)))
    return name


def tuned(run, *args):
    done = run("whiten", *args, "--json", "-o", "map.safetensors", "--force")
    assert done.code == 0, done.said
    return json.loads(done.out)


def test_the_map_that_is_written_is_the_one_that_was_chosen(run, vectors):
    facts = tuned(run, vectors, "--tune", "pairs.tsv", "--gamma", "1", "--beta", "1", "--shrinkage", "0.1")
    fitted = AffineMap.load("map.safetensors")
    assert facts["chosen"] == facts["spec"] == fitted.story["spec"]
    assert fitted.story["tuned"]["pairs"] == "pairs.tsv"
    assert fitted.story["encoder"] == load("hash:dim=64").identity.fingerprint
    rows = load("hash:dim=64").encode(Path("docs.txt").read_text().splitlines())
    dim = None if fitted.output_dimension == 64 else fitted.output_dimension
    expected = Whitening(dim, shrinkage=0.1).fit([rows])
    np.testing.assert_allclose(fitted.A, expected.A, atol=1e-8)
    assert facts["candidates"][0]["gain"] > 1


def test_its_gain_is_that_of_eval(run, vectors):
    tuned(run, vectors, "--tune", "pairs.tsv")
    args = ("eval", "sts", "pairs.tsv", "-m", "hash:dim=64", "--compare", "map.safetensors", "--json")
    assert json.loads(run(*args).out)["results"][1]["difference"]["low"] > 0


def test_the_table_shows_the_best_the_chosen_and_no_map(run, vectors):
    done = run("whiten", vectors, "--tune", "pairs.tsv", "-o", "map.safetensors")
    head, *rows = done.out.partition("\n\n")[0].splitlines()
    assert head.split() == ["candidate", "Spearman", "gain", "+-"]
    assert 13 <= len(rows) - 1 <= 14
    assert sum("chosen" in row.split() for row in rows) == 1
    scores = [float(row.split()[-3]) for row in rows[:-1]]
    assert scores == sorted(scores, reverse=True)
    assert sum(row.startswith("no map ") for row in rows) == 1
    assert rows[-1].endswith(" candidates)")
    for fact in ("chosen ", "why ", "held out ", "pairs ", "fitted on  800 rows"):
        assert f"\n{fact}" in done.out
    spec = AffineMap.load("map.safetensors").story["spec"]
    assert done.said.startswith(f"embedkit: {spec}: 64 -> ")
    assert done.said.endswith(" -> map.safetensors\n")


def test_where_nothing_is_gained_the_map_is_the_identity_and_says_so(run, vectors):
    chance = rescored("chance.tsv", np.random.default_rng(5).normal(size=400))
    done = run("whiten", vectors, "--tune", chance, "-o", "map.safetensors")
    assert "\nchosen     no map\nwhy        no gain is sure: " in done.out
    fitted = AffineMap.load("map.safetensors")
    np.testing.assert_array_equal(fitted.A, np.eye(64))
    assert (fitted.story["spec"], fitted.story["tuned"]["pairs"]) == ("identity", "chance.tsv")
    assert run("apply", "-t", "map.safetensors", vectors, "-o", "same.vec", "-q").code == 0


@pytest.mark.parametrize(
    ("scores", "message"),
    [
        ([1] * 400, "few.tsv: the scores of all 400 pairs are 1, so there is no correlation"),
        ([1], "few.tsv: tuning needs at least 20 pairs, got 1"),
        (range(19), "few.tsv: tuning needs at least 20 pairs, got 19"),
    ],
)
def test_pairs_without_a_correlation_are_refused(run, vectors, scores, message):
    done = run("whiten", vectors, "--tune", rescored("few.tsv", scores), "-o", "map.safetensors")
    assert (done.code, done.out, done.said) == (1, "", f"embedkit: {message}\n")
    assert not Path("map.safetensors").exists()


@pytest.mark.parametrize(
    ("option", "value", "key"),
    [("--dim", "16", "dim=16"), ("--beta", "0.7", "beta=0.7"), ("--gamma", "0.6", "gamma=0.6"),
     ("--shrinkage", "0.3", "shrinkage=0.3"), ("--shrinkage", "ledoit-wolf", "shrinkage=ledoit-wolf")],
)  # fmt: skip
def test_what_is_given_is_not_chosen(run, vectors, option, value, key):
    candidates = tuned(run, vectors, "--tune", "pairs.tsv", option, value)["candidates"]
    assert len(candidates) > 10
    assert all(key in each["candidate"] for each in candidates if each["candidate"] != "no map")


def test_text_and_its_vectors_are_tuned_alike(run, vectors, docs):
    one = tuned(run, vectors, "--tune", "pairs.tsv")
    other = tuned(run, docs, "-m", "hash:dim=64", "--tune", "pairs.tsv")
    assert one == other


def test_pairs_go_through_the_maps_that_the_vectors_went_through(run, vectors):
    AffineMap(np.eye(20, 64) * 2, np.ones(20), {}).save(Path("first.safetensors"))
    run("apply", "-t", "first.safetensors", vectors, "-o", "mapped.vec", "-q")
    one = tuned(run, "mapped.vec", "--tune", "pairs.tsv")
    other = tuned(run, vectors, "-t", "first.safetensors", "--tune", "pairs.tsv")
    assert one == other
    assert one["dimension"] <= 20
    AffineMap(np.eye(10, 20), np.zeros(10), {}).save(Path("second.safetensors"))
    both = ("-t", "first.safetensors", "-t", "second.safetensors")
    chained = tuned(run, "mapped.vec", "-t", "second.safetensors", "--tune", "pairs.tsv")
    at_once = tuned(run, vectors, *both, "--tune", "pairs.tsv")
    assert chained["candidates"][0]["spearman"] == pytest.approx(
        at_once["candidates"][0]["spearman"], abs=0.1
    )
    tuned(run, "mapped.vec", "--tune", "pairs.tsv")
    assert AffineMap.load("map.safetensors").story["maps"] == [
        AffineMap.load("first.safetensors").fingerprint
    ]


def test_vectors_of_nobody_want_the_encoder_named(run, vectors):
    rows = load("hash:dim=64").encode(Path("docs.txt").read_text().splitlines())
    np.save("x.npy", rows)
    done = run("whiten", "x.npy", "--tune", "pairs.tsv", "-o", "map.safetensors")
    said = "embedkit: x.npy: the encoder of these vectors is unknown; name it with -m\n"
    assert done == (2, "", said)
    named = tuned(run, "x.npy", "--tune", "pairs.tsv", "-m", "hash:dim=64")
    assert named["candidates"] == tuned(run, vectors, "--tune", "pairs.tsv")["candidates"]


def test_the_seed_moves_the_folds(run, vectors):
    one, other, again = (
        tuned(run, vectors, "--tune", "pairs.tsv", "--seed", seed)["candidates"] for seed in (0, 1, 0)
    )
    assert one == again != other


@pytest.mark.parametrize(
    ("args", "code", "message"),
    [
        (("--tune", "no.tsv"), 1, "no.tsv: no such file"),
        (("--tune", "few.tsv"), 1, "few.tsv: tuning needs at least 20 pairs, got 2"),
        (
            ("--tune", "pairs.tsv", "--dim", "65"),
            1,
            "whitening needs 65 dimensions, but the data have rank 64 ",
        ),
        (
            ("--tune", "pairs.tsv", "--dim", "0"),
            2,
            "whitening:dim=0,beta=1.0,gamma=1.0: dim=0 is not positive",
        ),
        (("--tune", "pairs.tsv", "-m", "hash:dim=8"), 1, "--model: the input comes from hash:dim=64 "),
        (("--tune", "pairs.tsv", "--columns", "a"), 2, "--columns: 'a' does not name three fields"),
        (("--columns", "a,b,c"), 2, "--columns: applies only with --tune"),
    ],
)
def test_what_goes_wrong_is_one_line_and_leaves_nothing(run, vectors, args, code, message):
    Path("few.tsv").write_text("a\tb\t1\nc\td\t0\n")
    done = run("whiten", vectors, *args, "-o", "map.safetensors")
    assert (done.code, done.out, done.said.count("\n")) == (code, "", 1)
    assert done.said.startswith(f"embedkit: {message}")
    assert not Path("map.safetensors").exists()
