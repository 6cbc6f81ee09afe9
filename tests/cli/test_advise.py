"""`advise`: rules, curves and a recommendation, as a page, as JSON and as a picture."""

import json
import shlex
import sys
from pathlib import Path

import numpy as np
import pytest

from embedkit.data.affine import AffineMap

RNG = np.random.default_rng(0)


@pytest.fixture
def plane(folder):
    """The file `x.npy`: 300 rows in 32 columns, all but 6 dimensions of them noise."""
    rows = RNG.normal(size=(300, 6)) @ RNG.normal(size=(6, 32)) + 1e-3 * RNG.normal(size=(300, 32))
    np.save("x.npy", rows.astype(np.float32))
    return Path("x.npy")


@pytest.fixture
def pairs(folder):
    """The file `pairs.tsv` of a few labelled pairs."""
    lines = ["sentence1\tsentence2\tscore"]
    words = ["red cat", "a red cat", "green dog", "the tree", "trees of green", "dogs"]
    lines += [f"{a}\t{b}\t{len({*a} & {*b})}" for a in words for b in words if a < b]
    Path("pairs.tsv").write_text("\n".join(lines) + "\n")
    return Path("pairs.tsv")


def test_the_page_holds_rules_curves_and_what_to_type_next(run, plane):
    done = run("advise", plane, "--rows", "5e6")
    assert (done.code, done.said) == (0, "")
    assert "Rules of thumb for 5,000,000 vectors\n" in done.out
    assert "      129  entropy, 8.31 ln N: an order of magnitude, not a distance guarantee\n" in done.out
    assert "  13,221  the same, by the sharper bound" in done.out
    assert "The lemma requires more than the 32 dimensions of these vectors, so it gives no help." in done.out
    assert "Recommended: svd to 8 dimensions,\n  the fewest dimensions that keep 95% or more: " in done.out
    assert max(map(len, done.out.splitlines())) <= 100


def test_what_it_says_to_type_makes_the_map(run, plane):
    for args in ([], ["--keep", "0.5"]):
        following = json.loads(run("advise", plane, "--json", *args).out)["next"]
        words = shlex.split(following)
        assert words[0] == "embedkit"
        assert run(*words[1:], "-q", "--force").code == 0
        chosen = AffineMap.load(words[words.index("-o") + 1])
        assert chosen.output_dimension < chosen.input_dimension == 32


def test_json_holds_all_of_it_and_a_seed_settles_it(run, plane):
    facts = json.loads(run("advise", plane, "--json").out)
    assert facts["rows"] == facts["rules"]["rows"] == 300
    assert facts["protocol"] == {"sample": 40000, "queries": 1000, "k": 10, "keep": None, "seed": 0}
    assert (facts["fitted"], facts["measured"], facts["queries"]) == (150, 150, 150)
    assert {point["method"] for point in facts["curves"]} == {
        "svd", "pca", "whitening", "gaussian", "truncate", "int8", "sign",
    }  # fmt: skip
    sizes = {(point["method"], point["dim"]): point["size"] for point in facts["curves"]}
    assert (sizes["svd", 16], sizes["int8", 16], sizes["sign", 16]) == (64, 16, 2)
    assert json.loads(run("advise", plane, "--json").out) == facts
    other = json.loads(run("advise", plane, "--json", "--seed", "1").out)
    assert other["curves"] != facts["curves"]
    assert other["protocol"]["seed"] == 1


def test_text_is_encoded_first_and_pairs_by_the_same_encoder(run, pairs):
    Path("docs.txt").write_text("\n".join(f"{'abcdefghij'[n % 10]} cat {n} {n % 7}" for n in range(60)))
    text = json.loads(run("advise", "docs.txt", "--pairs", pairs, "--json").out)
    run("encode", "docs.txt", "-o", "docs.vec", "-q")
    vectors = json.loads(run("advise", "docs.vec", "--pairs", pairs, "--json").out)
    assert text["curves"] == vectors["curves"]
    scores = {(point["method"], point["dim"]): point["spearman"] for point in text["curves"]}
    assert scores["truncate", 8] == pytest.approx(text["full"]["spearman"])
    page = run("advise", "docs.vec", "--pairs", pairs).out
    assert f"full vectors: {100 * text['full']['spearman']:.2f}\n" in page


@pytest.mark.parametrize("name", ["curves.png", "curves.svg", "curves.html", "curves.pdf"])
def test_curves_are_drawn(run, plane, pairs, name):
    pytest.importorskip("matplotlib")
    assert run("advise", plane, "--plot", name).code == 0
    starts = {"png": b"\x89PNG", "svg": b"<?xml", "html": b"<!doctype html>", "pdf": b"%PDF"}
    content = Path(name).read_bytes()
    assert content.startswith(starts[name.rpartition(".")[2]])
    if name.endswith(".html"):
        assert b"<svg" in content
    assert run("advise", plane, "--plot", name, "--force").code == 0
    assert Path(name).read_bytes() == content
    assert run("advise", plane, "--plot", name).said == (
        f"embedkit: {name}: already exists; overwrite it with --force\n"
    )


def test_a_picture_without_matplotlib_names_the_extra(run, plane, monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    done = run("advise", plane, "--plot", "a.png")
    assert done == (
        1, "", "embedkit: --plot needs the package matplotlib; pip install 'embedkit[plot]'\n"
    )  # fmt: skip
    assert not Path("a.png").exists()


@pytest.mark.parametrize(
    ("args", "code", "line"),
    [
        (["x.npy", "--keep", "2"], 2, "--keep: must be above 0 and at most 1, got 2.0"),
        (["x.npy", "--rows", "1"], 2, "--rows: must be at least 2, got 1"),
        (["x.npy", "--rows", "nan"], 2, "--rows: nan is not a finite number"),
        (["few.npy"], 1, "10 neighbours need at least 22 rows, got 5"),
        (["same.npy"], 1, "pca needs rows that differ, but the data have rank 0 (50 rows, 4 dimensions)"),
        (["none.vec"], 1, "none.vec: no such file"),
        (["x.npy", "--pairs", "none.tsv"], 1, "none.tsv: no such file"),
        (
            ["x.npy", "--plot", "a.jpeg"], 2,
            "a.jpeg: must end in .png, .svg, .pdf or .html",
        ),
        (
            ["x.npy", "--pairs", "pairs.tsv"], 2,
            "x.npy: the encoder of these vectors is unknown; name it with -m",
        ),
    ],
)  # fmt: skip
def test_what_goes_wrong_is_one_line(run, plane, pairs, args, code, line):
    np.save("few.npy", np.ones((5, 4), dtype=np.float32))
    np.save("same.npy", np.ones((100, 4), dtype=np.float32))
    assert run("advise", *args) == (code, "", f"embedkit: {line}\n")
