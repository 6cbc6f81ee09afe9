"""`embedkit eval geometry`: vectors or text in; figures, protocol, JSON and a picture out."""

import json
import re
import sys
from pathlib import Path

import numpy as np
import pytest

from embedkit.data.affine import AffineMap
from embedkit.data.text.scored_pairs import read_pairs
from embedkit.data.vectors.vector_set import VectorSet
from embedkit.embedding.encoder import with_maps
from embedkit.embedding.loading import load
from embedkit.evaluation.geometry.survey import survey
from embedkit.evaluation.geometry.vector_measures import GeometryProtocol, agree, geometry
from embedkit.evaluation.sts import cosines

WORDS = ["red", "green", "blue", "cat", "dog", "house", "tree", "river", "stone", "bread", "milk", "night"]


@pytest.fixture
def corpus(folder):
    """The file `docs.jsonl` of 80 texts in two languages, and `docs.vec`, their vectors."""
    numbers = np.random.default_rng(1)
    lines = [
        {"id": f"d{n}", "text": " ".join(numbers.choice(WORDS, 4)), "lang": ["en", "zh"][n % 2], "year": n}
        for n in range(80)
    ]
    Path("docs.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    return Path("docs.jsonl")


@pytest.fixture
def vectors(run, corpus):
    """The vector set `docs.vec`."""
    assert run("encode", corpus, "-o", "docs.vec", "-q").code == 0
    return "docs.vec"


@pytest.fixture
def pairs(folder):
    """The file `pairs.tsv` of pairs, scored from 0 to 5."""
    lines = [
        f"{a} {b}\t{b} {c}\t{score}"
        for score, (a, b, c) in enumerate(zip(WORDS, WORDS[1:], WORDS[2:6], strict=False))
    ]
    Path("pairs.tsv").write_text("\n".join([*lines, "red cat\tcat red\t5", "a dog\tthe dog\t4.5"]) + "\n")
    return "pairs.tsv"


@pytest.fixture
def turned(folder):
    """The map `turn.safetensors`, which keeps the first three columns of eight."""
    AffineMap(np.eye(3, 8), np.ones(3), {}).save(Path("turn.safetensors"))
    return "turn.safetensors"


def result(done):
    return json.loads(done.out)["results"][0]


def test_the_figures_are_those_of_the_library(run, vectors):
    protocol = GeometryProtocol(resamples=200, seed=4)
    found = geometry(survey(VectorSet.open("docs.vec"), protocol.sample, seed=4), protocol)
    facts = result(run("eval", "geometry", vectors, "--json", "--resamples", "200", "--seed", "4"))
    assert (facts["rows"], facts["dimension"], facts["rank"]) == (80, 8, found.spectrum.rank)
    for name in ("mean_cosine", "uniformity"):
        assert facts[name] == pytest.approx(getattr(found, name)._asdict(), abs=1e-7)
    for name in ("isoscore", "effective_rank", "participation_ratio"):
        assert facts[name] == pytest.approx(getattr(found.spectrum, name))
    assert facts["first_axis"] == pytest.approx(found.spectrum.first_share)
    assert facts["spectrum"] == pytest.approx(found.spectrum.variances.tolist())
    assert facts["norms"] == pytest.approx(found.norms._asdict())
    assert facts["hubness"] == pytest.approx(found.hubness._asdict())
    assert "alignment" not in facts


def test_the_table_and_the_protocol_are_on_standard_output(run, vectors):
    done = run("eval", "geometry", vectors)
    facts = result(run("eval", "geometry", vectors, "--json"))
    assert (done.code, done.said) == (0, "")
    table, _, protocol = done.out.partition("\n\n")
    lines = table.splitlines()
    assert lines[0].split() == ["figure", "reads", "value", "95", "%"]
    assert [line[:20].strip() for line in lines[1:]] == [
        "mean cosine", "uniformity", "IsoScore", "effective rank", "participation ratio", "first axis",
        "mean norm", "norm deviation", "hub skewness", "anti-hubs",
    ]  # fmt: skip
    figure = facts["mean_cosine"]
    shown = f"{figure['value']:.4f} {figure['low']:.4f} to {figure['high']:.4f}"
    assert lines[1].split()[-4:] == shown.split()
    assert max(map(len, lines)) <= 100
    told = dict(line.split(maxsplit=1) for line in protocol.splitlines())
    assert told["vectors"] == "docs.vec (80 rows of 8 dimensions, rank 8; 0 zero vectors)"
    assert told["model"] == str(load("hash:dim=8").identity)
    assert told["pairs"] == "40 random pairs of rows, no row in two of them"
    assert told["neighbours"] == "the 10 nearest by cosine, exact; hubs and anti-hubs among 80 rows"
    assert told["intervals"] == "95 %, percentile bootstrap over pairs or rows, 1,000 resamples, seed 0"


@pytest.mark.parametrize("door", ["text", "pipe", "npy"])
def test_the_same_vectors_by_every_door_have_the_same_geometry(run, vectors, door):
    if door == "text":
        done = run("eval", "geometry", "docs.jsonl", "--json")
    elif door == "pipe":
        done = run(
            "eval", "geometry", "--json", "--input-format", "jsonl", stdin=Path("docs.jsonl").read_text()
        )
    else:
        run("encode", "docs.jsonl", "-o", "docs.npy", "-q")
        done = run("eval", "geometry", "docs.npy", "--json")
    facts = result(done)
    expected = result(run("eval", "geometry", vectors, "--json"))
    assert facts.pop("system") == {"text": "docs.jsonl", "pipe": "-", "npy": "docs.npy"}[door]
    del expected["system"]
    assert facts == expected


def test_a_map_is_applied_first(run, vectors, turned):
    run("apply", "-t", turned, vectors, "-o", "turned.vec", "-q")
    mapped = result(run("eval", "geometry", vectors, "-t", turned, "--json"))
    applied = result(run("eval", "geometry", "turned.vec", "--json"))
    assert mapped["dimension"] == 3
    assert {**mapped, "system": ""} == {**applied, "system": ""}


def expected_alignment(encoder, above):
    positives = [pair for pair in read_pairs("pairs.tsv") if pair.score > above]
    return float(np.mean(2 - 2 * cosines(encoder, positives)))


def test_alignment_is_of_pairs_above_a_score_by_the_encoder_of_the_vectors(
    run, vectors, pairs, turned, monkeypatch
):
    monkeypatch.setenv("EMBEDKIT_MODEL", "hash:dim=64")  # not who made the vectors
    encoder = load("hash:dim=8")
    done = run("eval", "geometry", vectors, "--pairs", pairs, "--json")
    assert result(done)["alignment"]["value"] == pytest.approx(expected_alignment(encoder, 4), abs=1e-6)
    assert json.loads(done.out)["protocol"]["alignment"] == "pairs.tsv: 2 of 6 pairs, which score above 4"
    lower = result(run("eval", "geometry", vectors, "--pairs", pairs, "--above", "1.5", "--json"))
    assert lower["alignment"]["value"] == pytest.approx(expected_alignment(encoder, 1.5), abs=1e-6)
    assert lower["alignment"] != result(done)["alignment"]
    mapped = result(run("eval", "geometry", vectors, "-t", turned, "--pairs", pairs, "--json"))
    behind = with_maps(encoder, [AffineMap.load(turned)])
    assert mapped["alignment"]["value"] == pytest.approx(expected_alignment(behind, 4), abs=1e-6)
    run("apply", "-t", turned, vectors, "-o", "turned.vec", "-q")
    AffineMap(np.eye(2, 3), np.ones(2), {}).save(Path("again.safetensors"))
    twice = result(
        run("eval", "geometry", "turned.vec", "-t", "again.safetensors", "--pairs", pairs, "--json")
    )
    behind = with_maps(encoder, [AffineMap.load(turned), AffineMap.load("again.safetensors")])
    assert twice["alignment"]["value"] == pytest.approx(expected_alignment(behind, 4), abs=1e-6)
    assert "\nalignment " in run("eval", "geometry", vectors, "--pairs", pairs).out


def test_two_sets_stand_side_by_side_with_what_neighbours_they_share(run, vectors, turned, pairs):
    run("apply", "-t", turned, vectors, "-o", "turned.vec", "-q")
    done = run("eval", "geometry", vectors, "--compare", "turned.vec", "--pairs", pairs, "--json")
    facts = json.loads(done.out)
    alone = result(run("eval", "geometry", "turned.vec", "--pairs", pairs, "--json"))
    assert facts["results"][0]["system"] == "docs.vec"
    assert facts["results"][1] == alone
    protocol = GeometryProtocol()
    found = [survey(VectorSet.open(name), protocol.sample) for name in ("docs.vec", "turned.vec")]
    shared = agree(*found, protocol)
    for name in ("overlap", "jaccard"):
        assert facts["agreement"][name] == pytest.approx(getattr(shared, name)._asdict(), abs=1e-7)
    assert (facts["agreement"]["rows"], facts["agreement"]["k"]) == (80, 10)
    lines = run("eval", "geometry", vectors, "--compare", "turned.vec").out.splitlines()
    assert lines[0].split() == ["figure", "reads", "vectors", "value", "95", "%"]
    assert ["docs.vec" in lines[1], "turned.vec" in lines[2]] == [True, True]
    assert [line.split()[0] for line in lines if "@10" in line] == ["overlap@10", "Jaccard@10"]
    assert {"vectors 2", "model 2", "agreement"} <= {*facts["protocol"]}


def test_a_set_is_its_own_best_friend_in_any_order(run, vectors):
    lines = Path("docs.jsonl").read_text().splitlines(keepends=True)
    Path("mixed.jsonl").write_text("".join(lines[::-1][:60]))
    run("encode", "mixed.jsonl", "-o", "mixed.vec", "-q")
    shared = json.loads(run("eval", "geometry", vectors, "--compare", "mixed.vec", "--json").out)["agreement"]
    assert shared == {
        "overlap": {"value": 1, "low": 1, "high": 1}, "jaccard": {"value": 1, "low": 1, "high": 1},
        "rows": 60, "k": 10,
    }  # fmt: skip


def test_few_rows_have_no_hubs(run, vectors):
    np.save("few.npy", np.random.default_rng(0).normal(size=(8, 3)).astype(np.float32))
    done = run("eval", "geometry", "few.npy")
    assert "hub" not in done.out.partition("\n\n")[0]
    assert "too few rows: 11 that are not zero are needed" in done.out
    assert re.search(r"^model +unknown$", done.out, re.MULTILINE)
    assert result(run("eval", "geometry", "few.npy", "--json"))["hubness"] is None


@pytest.mark.parametrize("colour", [(), ("--colour", "lang"), ("--colour", "year")])
@pytest.mark.parametrize("name", ["map.png", "map.html"])
def test_the_spectrum_and_the_map_are_drawn(run, vectors, name, colour):
    pytest.importorskip("matplotlib")
    assert run("eval", "geometry", vectors, "--plot", name, "--theme", "dark", *colour).said == ""
    content = Path(name).read_bytes()
    assert content.startswith(b"\x89PNG" if name.endswith("png") else b"<!doctype html>")
    if name.endswith("html") and colour:
        assert all(
            word in content.decode() for word in (["en (40)", "zh (40)"] if colour[1] == "lang" else ["year"])
        )


def test_a_picture_without_matplotlib_names_the_extra(run, vectors, monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    done = run("eval", "geometry", vectors, "--plot", "a.png")
    assert done == (
        1, "", "embedkit: --plot needs the package matplotlib; pip install 'embedkit[plot]'\n"
    )  # fmt: skip
    assert not Path("a.png").exists()


@pytest.mark.parametrize(
    ("args", "code", "line"),
    [
        (["none.vec"], 1, "none.vec: no such file"),
        (["one.npy"], 1, "one.npy: the geometry of vectors needs at least 2 rows, got 1"),
        (["docs.vec", "--compare", "docs.jsonl"], 1, "docs.jsonl: holds text, not vectors; "),
        (["docs.vec", "--compare", "few.npy"], 1, "10 neighbours need at least 11 rows in both sets, "),
        (["docs.vec", "--above", "3"], 2, "--above: needs scored pairs; add --pairs"),
        (["docs.vec", "--columns", "a,b,c"], 2, "--columns: needs scored pairs; add "),
        (["docs.vec", "--colour", "lang"], 2, "--colour: needs a picture to colour; add "),
        (
            ["docs.vec", "--colour", "x", "--plot", "a.png"], 1,
            "docs.vec: the vectors have no field 'x'; fields: lang, year",
        ),
        (["docs.vec", "--plot", "a.gif"], 2, "a.gif: must end in .png, .svg, .pdf or .html"),
        (["docs.vec", "--pairs", "none.tsv"], 1, "none.tsv: no such file"),
        (
            ["docs.vec", "--pairs", "pairs.tsv", "--above", "5"], 1,
            "pairs.tsv: no pair scores above 5; the scores are 0 to 5; lower --above",
        ),
        (
            ["few.npy", "--pairs", "pairs.tsv"], 2,
            "few.npy: the encoder of these vectors is unknown; name it with -m",
        ),
        (["docs.vec", "-t", "other.safetensors"], 1, "the map expects 9 dimensions, "),
    ],
)  # fmt: skip
def test_what_goes_wrong_is_one_line(run, vectors, pairs, args, code, line):
    np.save("one.npy", np.ones((1, 4), dtype=np.float32))
    np.save("few.npy", np.random.default_rng(0).normal(size=(20, 3)).astype(np.float32))
    AffineMap(np.eye(9), np.zeros(9), {}).save(Path("other.safetensors"))
    done = run("eval", "geometry", *args)
    assert (done.code, done.out, done.said.count("\n")) == (code, "", 1)
    assert done.said.startswith(f"embedkit: {line}")
    assert not Path("a.png").exists()
