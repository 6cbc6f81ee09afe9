"""`embedkit eval sts`: pairs in, correlations with intervals and their protocol out."""

import json
from pathlib import Path

import numpy as np
import pytest

from embedkit.data.affine import AffineMap
from embedkit.data.text.scored_pairs import read_pairs
from embedkit.embedding.encoder import with_maps
from embedkit.embedding.loading import load
from embedkit.evaluation.sts import cosines, pearson, spearman

WORDS = ["red", "green", "blue", "cat", "dog", "house", "tree", "river", "stone", "bread", "milk", "night"]


@pytest.fixture
def pairs(folder):
    """The file `pairs.tsv` of sixty pairs, scored by how many words they share."""
    numbers = np.random.default_rng(1)
    lines = []
    for _ in range(60):
        one, other = (set(numbers.choice(WORDS, 4, replace=False).tolist()) for _ in range(2))
        lines.append(f"{' '.join(sorted(one))}\t{' '.join(sorted(other))}\t{len(one & other)}\n")
    Path("pairs.tsv").write_text("".join(lines))
    return Path("pairs.tsv")


@pytest.fixture
def turned(folder):
    """The map `turn.safetensors`, which keeps the first three columns of eight."""
    AffineMap(np.eye(3, 8), np.ones(3), {}).save(Path("turn.safetensors"))
    return "turn.safetensors"


def expected(name, encoder):
    judged = read_pairs(name)
    predicted, gold = cosines(encoder, judged), [pair.score for pair in judged]
    return 100 * spearman(predicted, gold), 100 * pearson(predicted, gold)


def figures(result):
    return result["spearman"]["value"], result["pearson"]["value"]


def test_the_figures_are_those_of_the_library_times_100(run, pairs, turned):
    plain = json.loads(run("eval", "sts", pairs, "--json").out)["results"]
    assert figures(plain[0]) == pytest.approx(expected(pairs, load("hash:dim=8")), abs=1e-5)
    mapped = json.loads(run("eval", "sts", pairs, "-t", turned, "--json").out)["results"]
    encoder = with_maps(load("hash:dim=8"), [AffineMap.load(turned)])
    assert figures(mapped[0]) == pytest.approx(expected(pairs, encoder), abs=1e-5)
    assert figures(mapped[0]) != figures(plain[0])


def test_the_table_and_the_protocol_are_on_standard_output(run, pairs, turned):
    done = run("eval", "sts", pairs, "-t", turned)
    assert (done.code, done.said) == (0, "")
    head, row, blank, *protocol = done.out.splitlines()
    assert head.split() == ["file", "pairs", "Spearman", "95", "%", "Pearson", "95", "%"]
    encoder = with_maps(load("hash:dim=8"), [AffineMap.load(turned)])
    spearman_100, pearson_100 = expected(pairs, encoder)
    cells = row.split()
    assert cells[:3] == ["pairs.tsv", "60", f"{spearman_100:.2f}"]
    assert float(cells[3]) < spearman_100 < float(cells[5])
    assert cells[6] == f"{pearson_100:.2f}"
    assert blank == ""
    facts = dict(line.split(maxsplit=1) for line in protocol)
    assert facts["files"] == "pairs.tsv (60 pairs)"
    assert facts["model"] == f"hash:dim=8 {load('hash:dim=8').identity.fingerprint}, unit length"
    assert facts["maps"].startswith("map ")
    assert facts["intervals"] == "95 %, percentile bootstrap over pairs, 1,000 resamples, seed 0"
    assert facts["versions"].startswith("embedkit ")
    assert facts["ties"].startswith("share their mean rank; where all ")
    assert "aggregation" not in facts


@pytest.mark.parametrize("door", ["argument", "hyphen", "pipe"])
def test_pairs_come_by_every_door(run, pairs, door):
    if door == "argument":
        done = run("eval", "sts", pairs, "--json")
    else:
        done = run("eval", "sts", *(["-"] if door == "hyphen" else []), "--json", stdin=pairs.read_text())
    facts = json.loads(done.out)
    assert facts["results"][0]["file"] == ("pairs.tsv" if door == "argument" else "-")
    assert figures(facts["results"][0]) == pytest.approx(expected(pairs, load("hash:dim=8")), abs=1e-5)


def test_several_files_are_aggregated_by_name(run, pairs):
    Path("b.tsv").write_text("".join(pairs.read_text().splitlines(keepends=True)[:20]))
    done = run("eval", "sts", pairs, "b.tsv")
    rows = [line.split()[:2] for line in done.out.splitlines()[1:6]]
    assert rows == [["pairs.tsv", "60"], ["b.tsv", "20"], ["all", "80"], ["mean", "80"], ["wmean", "80"]]
    assert "aggregation  all: all pairs as one file; mean: " in done.out


def test_files_of_one_name_are_told_apart(run, pairs):
    for name in ("a", "b"):
        Path(name).mkdir()
        Path(name, "dev.tsv").write_text(pairs.read_text())
    lines = run("eval", "sts", "a/dev.tsv", "b/dev.tsv").out.splitlines()
    assert [line.split()[0] for line in lines[1:3]] == ["a/dev.tsv", "b/dev.tsv"]


def test_systems_stand_side_by_side_with_the_difference(run, pairs, turned):
    compare = ("--compare", turned, "--compare", "hash:dim=64", "--compare", "none")
    done = run("eval", "sts", pairs, *compare, "--json")
    results = json.loads(done.out)["results"]
    names = ["hash:dim=8", "hash:dim=8 + turn.safetensors", "hash:dim=64", "hash:dim=8"]
    assert [each["system"] for each in results] == names
    maps = [AffineMap.load(turned)]
    encoders = [load("hash:dim=8"), with_maps(load("hash:dim=8"), maps), load("hash:dim=64")]
    first = results[0]["spearman"]["value"]
    for each, encoder in zip(results, encoders, strict=False):
        assert figures(each) == pytest.approx(expected(pairs, encoder), abs=1e-5)
    assert "difference" not in results[0]
    for each in results[1:]:
        assert each["difference"]["value"] == pytest.approx(each["spearman"]["value"] - first, abs=1e-5)
    assert results[3]["difference"] == {"value": 0, "low": 0, "high": 0, "p": 1}
    table = run("eval", "sts", pairs, *compare).out.splitlines()
    assert table[0].split()[-4:] == ["difference", "95", "%", "p"]
    assert "model 3      hash:dim=64 " in "\n".join(table)


@pytest.mark.parametrize("name", ["pairs.png", "pairs.svg"])
def test_pairs_are_drawn_with_their_spearman(run, pairs, turned, name):
    pytest.importorskip("matplotlib")
    plain = run("eval", "sts", pairs, "--compare", turned)
    done = run("eval", "sts", pairs, "--compare", turned, "--plot", name, "--theme", "dark")
    assert done == plain
    content = Path(name).read_bytes()
    assert content.startswith(b"\x89PNG" if name.endswith("png") else b"<?xml")
    if name.endswith("svg"):
        results = json.loads(run("eval", "sts", pairs, "--compare", turned, "--json").out)["results"]
        titles = [f"Spearman {each['spearman']['value']:.2f}" for each in results]
        assert len(set(titles)) == 2
        assert [title for title in titles if title not in content.decode()] == []
    refused = f"embedkit: {name}: already exists; overwrite it with --force\n"
    assert run("eval", "sts", pairs, "--plot", name) == (1, "", refused)


def test_none_takes_the_map_away(run, pairs, turned):
    results = json.loads(run("eval", "sts", pairs, "-t", turned, "--compare", "none", "--json").out)[
        "results"
    ]
    assert [each["system"] for each in results] == ["hash:dim=8 + turn.safetensors", "hash:dim=8"]
    assert figures(results[1]) == pytest.approx(expected(pairs, load("hash:dim=8")), abs=1e-5)


def test_the_seed_and_the_resamples_settle_the_intervals(run, pairs):
    def interval(*args):
        return json.loads(run("eval", "sts", pairs, "--json", *args).out)["results"][0]["spearman"]["low"]

    assert interval() == interval("--seed", "0")
    assert len({interval(), interval("--seed", "1"), interval("--resamples", "500")}) == 3


def test_columns_are_named_by_an_option(run, folder):
    Path("a.csv").write_text("left,right,grade\na b,a c,1\na,a,2\nb,d,0\n")
    done = run("eval", "sts", "a.csv", "--columns", "left, right,grade", "--json")
    assert json.loads(done.out)["results"][0]["pairs"] == 3


@pytest.mark.parametrize(
    ("args", "code", "message"),
    [
        (["no.tsv", "-m", "no/model"], 1, "no.tsv: no such file"),  # the files first
        (["bad.tsv", "-m", "no/model"], 1, "bad.tsv:2: has the score 'x', which is not a number"),
        (["pairs.tsv", "--compare", "no.safetensors"], 1, "no.safetensors: no such map"),
        (["pairs.tsv", "--compare", "pairs.tsv"], 1, "pairs.tsv: is truncated, or not a map file"),
        (["pairs.tsv", "--compare", "other.safetensors"], 1, "the map expects 9 dimensions, "),
        (
            ["pairs.tsv", "--columns", "a,b"],
            2,
            "--columns: 'a,b' does not name three fields; write A,B,SCORE",
        ),
        (
            ["pairs.tsv", "--resamples", "9"],
            2,
            "Invalid value for '--resamples': ",
        ),
        (
            ["pairs.tsv", "--query-prompt", "query: "],
            2,
            "--query-prompt: is for queries, and all texts are encoded as documents here; --document-prompt ",
        ),
        (["-", "-"], 2, "-: standard input can be read only once"),
    ],
)
def test_a_mistake_is_one_line(run, pairs, args, code, message):
    Path("bad.tsv").write_text("a\tb\t1\na\tb\tx\n")
    AffineMap(np.eye(9), np.zeros(9), {}).save(Path("other.safetensors"))
    done = run("eval", "sts", *args)
    assert (done.code, done.out, done.said.count("\n")) == (code, "", 1)
    assert done.said.startswith(f"embedkit: {message}")


def test_eval_alone_says_what_it_has(run):
    done = run("eval")
    assert (done.code, done.said) == (0, "")
    assert "sts" in done.out


def test_a_folder_of_semeval_is_evaluated_by_file_and_together(run, pairs):
    Path("STS12").mkdir()
    rows = [line.rsplit("\t", 1) for line in pairs.read_text().splitlines()]
    for name, part in (("one", rows[:30]), ("two", rows[30:])):
        Path(f"STS12/STS.input.{name}.txt").write_text("".join(f"{texts}\n" for texts, _ in part))
        Path(f"STS12/STS.gs.{name}.txt").write_text("".join(f"{score}\n" for _, score in part))
    found = json.loads(run("eval", "sts", "STS12", "--json").out)["results"]
    assert [each["file"] for each in found] == ["STS12/one", "STS12/two", "all", "mean", "wmean"]
    whole = json.loads(run("eval", "sts", pairs, "--json").out)["results"][0]
    assert figures(found[2]) == pytest.approx(figures(whole), abs=1e-5)
