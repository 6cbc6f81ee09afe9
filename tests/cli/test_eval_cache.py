"""Evaluations that encode nothing twice: whatever one of them encoded, the next one looks up."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from embedkit.data.affine import AffineMap
from embedkit.embedding.loading import load

PAIRS = "a cat\ta dog\t1\na cat\ta cat\t5\none\ttwo\t3\n"
LABELLED = "a cat\tpet\na dog\tpet\none\tnumber\ntwo\tnumber\n"
CORPUS = "".join(
    json.dumps({"_id": f"d{n}", "text": t}) + "\n" for n, t in enumerate(["a cat", "one", "new"])
)
QUERIES = '{"_id": "q", "text": "a dog"}\n'

EVALUATIONS = {
    "sts": ("sts", "pairs.tsv"),
    "labels": ("labels", "labelled.tsv"),
    "retrieval": (
        "retrieval",
        "--qrels",
        "qrels.tsv",
        "--corpus",
        "corpus.jsonl",
        "--queries",
        "queries.jsonl",
    ),
}


class Model:
    """The hash encoder under the name of a model, which remembers what it was asked for."""

    asked: list[str]

    def __init__(self, settings):
        self.encoder = plain("hash:dim=8")
        self.identity = replace(
            self.encoder.identity, model=settings.model, fingerprint=f"of {settings.model}"
        )

    def encode(self, texts, role="document"):
        Model.asked += texts
        return self.encoder.encode(texts)


plain = load


@pytest.fixture
def ask(run, folder, monkeypatch):
    """Return the function that runs an evaluation and gives its JSON and the texts it had encoded."""
    files = {"pairs.tsv": PAIRS, "labelled.tsv": LABELLED, "corpus.jsonl": CORPUS, "queries.jsonl": QUERIES}
    for name, content in {**files, "qrels.tsv": "q\td0\t1\n"}.items():
        Path(name).write_text(content)
    AffineMap(np.eye(3, 8), np.ones(3), {}).save(Path("turn.safetensors"))
    monkeypatch.setenv("EMBEDKIT_CACHE", str(folder / "cache"))
    monkeypatch.setattr("embedkit.embedding.loading.load", Model)

    def call(name, *args):
        Model.asked = []
        done = run("eval", *EVALUATIONS[name], "-m", "model", "--json", *args)
        assert (done.code, done.said) == (0, "")
        return json.loads(done.out), sorted(Model.asked)

    return call


@pytest.mark.parametrize("name", EVALUATIONS)
def test_a_second_run_encodes_nothing_and_says_the_same(ask, name):
    compare = ("--compare", "turn.safetensors", "--compare", "other")
    first, encoded = ask(name, *compare)
    assert len(encoded) == 2 * len(set(encoded)) == 8  # two models, four texts
    second, again = ask(name, *compare)
    assert again == []
    assert second == first


def test_evaluations_share_what_they_encoded(ask):
    ask("sts")
    assert ask("labels")[1] == []
    assert ask("retrieval")[1] == ["new"]
    assert ask("retrieval", "-t", "turn.safetensors")[1] == []


@pytest.mark.parametrize("name", EVALUATIONS)
def test_without_the_cache_everything_is_encoded_anew_and_nothing_kept(ask, name):
    first, encoded = ask(name, "--no-cache")
    second, again = ask(name, "--no-cache")
    assert again == encoded == sorted(set(encoded))
    assert second == first
    assert not Path("cache").exists()
    assert ask(name) == (first, encoded)


@pytest.mark.parametrize(
    "option", [("--precision", "bf16"), ("--runtime", "torch"), ("--device", "cpu"), ("-m", "another")]
)
def test_vectors_made_otherwise_are_not_taken(ask, option):
    encoded = ask("sts")[1]
    assert ask("sts", *option)[1] == encoded


def test_an_index_is_searched_with_queries_that_are_looked_up(ask, run):
    assert run("index", "corpus.jsonl", "-o", "docs.idx", "-m", "model", "-q").code == 0
    door = ("--qrels", "qrels.tsv", "--index", "docs.idx", "--queries", "queries.jsonl", "-k", "100")
    for expected in (["a dog"], []):
        Model.asked = []
        assert run("eval", "retrieval", *door).code == 0
        assert Model.asked == expected


@pytest.mark.parametrize("command", ["advise", "whiten"])
@pytest.mark.parametrize("no_cache", [False, True])
def test_advice_and_tuning_encode_nothing_twice(ask, run, command, no_cache):
    words = [f"{one} {other}" for one in ("red", "green", "blue", "cat", "dog") for other in "abcdefgh"]
    Path("docs.txt").write_text("\n".join(words))
    lines = [f"{words[row]}\tnew {words[row + 1]}\t{row % 5}\n" for row in range(39)]
    Path("scored.tsv").write_text("".join(lines))
    texts = {*words, *(f"new {text}" for text in words[1:])}
    commands = {
        "advise": ("advise", "docs.txt", "--pairs", "scored.tsv", "--json"),
        "whiten": (
            "whiten",
            "docs.txt",
            "--tune",
            "scored.tsv",
            "-o",
            "map.safetensors",
            "--json",
            "--force",
        ),
    }
    said = []
    for first in (True, False):
        Model.asked = []
        done = run(*commands[command], "-m", "model", *(["--no-cache"] if no_cache else []))
        assert (done.code, done.said) == (0, "")
        assert set(Model.asked) == (texts if first or no_cache else set())
        said.append(done.out)
    assert said[0] == said[1]
    assert Path("cache").exists() == (not no_cache)


def test_without_tuning_there_is_no_cache_to_leave_out(run, folder):
    refused = "embedkit: --no-cache: applies only with --tune\n"
    assert run("whiten", "docs.txt", "-o", "a.safetensors", "--no-cache") == (2, "", refused)


def test_a_cache_that_cannot_be_written_costs_a_warning(ask, run):
    Path("cache").write_text("not a folder")
    done = run("eval", "sts", "pairs.tsv", "-m", "model")
    assert done.code == 0
    assert done.said.startswith("embedkit: ")
    assert "cannot be used (" in done.said
    assert done.said.count("\n") == 1
