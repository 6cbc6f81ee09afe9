"""`embedkit report`: what the commands write with --json, as they write it, becomes a page."""

import json
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

WORDS = ["red", "green", "blue", "cat", "dog", "house", "tree", "river", "stone", "bread", "milk", "night"]


@pytest.fixture
def corpus(folder):
    """Pairs, texts with labels, documents with queries and judgements; all of a few words."""
    numbers = np.random.default_rng(1)
    lines = [" ".join(numbers.choice(WORDS, 4, replace=False)) for _ in range(60)]
    pairs = [f"{a}\t{b}\t{len({*a.split()} & {*b.split()})}" for a, b in pairwise(lines)]
    Path("pairs.tsv").write_text("\n".join(pairs) + "\n")
    Path("docs.txt").write_text("\n".join(lines) + "\n")
    labelled = [f"{line},{line.split()[0]}" for line in lines]
    Path("labelled.csv").write_text("\n".join(["text,label", *labelled]) + "\n")
    documents = [json.dumps({"_id": f"d{place}", "text": line}) for place, line in enumerate(lines)]
    Path("corpus.jsonl").write_text("\n".join(documents) + "\n")
    queries = [json.dumps({"_id": f"q{place}", "text": line[:12]}) for place, line in enumerate(lines[:9])]
    Path("queries.jsonl").write_text("\n".join(queries) + "\n")
    judged = [f"q{place}\td{place}\t1" for place in range(9)]
    Path("qrels.tsv").write_text("\n".join(["query-id\tcorpus-id\tscore", *judged]) + "\n")


RETRIEVAL = ("--qrels", "qrels.tsv", "--corpus", "corpus.jsonl", "--queries", "queries.jsonl")
COMMANDS = {
    "Semantic textual similarity": ("eval", "sts", "pairs.tsv", "--compare", "hash:dim=16"),
    "Retrieval by label": ("eval", "labels", "labelled.csv", "--compare", "hash:dim=16"),
    "Retrieval": ("eval", "retrieval", *RETRIEVAL, "--compare", "hash:dim=16"),
    "Geometry": ("eval", "geometry", "docs.txt"),
    "Dimensions": ("advise", "docs.txt", "--pairs", "pairs.tsv"),
}


@pytest.mark.parametrize("title", COMMANDS)
def test_what_a_command_writes_is_read(run, corpus, title):
    done = run(*COMMANDS[title], "--json")
    assert done.code == 0, done.said
    Path("a.json").write_text(done.out)
    assert run("report", "a.json", "-o", "r.html") == (0, "", "embedkit: 1 evaluation -> r.html\n")
    page = Path("r.html").read_text()
    assert f"<h2>{title}</h2>" in page
    results = json.loads(done.out).get("results", [])
    values = [
        each["value"]
        for result in results
        for each in result.values()
        if isinstance(each, dict) and "value" in each
    ]
    assert (len(values) > 1) == bool(results)
    for value in values:
        assert f"{value:,.2f}" in page or f"{value:.4f}" in page
    assert "hash:dim=8" in page or title == "Dimensions"


def test_evaluations_stand_in_the_order_of_the_files(run, corpus):
    for name in ("Geometry", "Semantic textual similarity"):
        Path(f"{name[0]}.json").write_text(run(*COMMANDS[name], "--json").out)
    done = run("report", "S.json", "G.json", "-o", "r.html", "--title", "Of <Tuesday>", "--json")
    assert json.loads(done.out) == {"output": "r.html", "evaluations": 2}
    page = Path("r.html").read_text()
    assert page.index('<section id="e1">') < page.index("<h2>Semantic") < page.index("<h2>Geometry")
    assert "<h1>Of &lt;Tuesday&gt;</h1>" in page
    before = Path("r.html").read_bytes()
    assert (
        run("report", "S.json", "G.json", "-o", "r.html", "--title", "Of <Tuesday>", "--force", "-q").said
        == ""
    )
    assert Path("r.html").read_bytes() == before


@pytest.mark.parametrize("args", [["-"], []])
def test_json_comes_by_the_pipe(run, corpus, args):
    content = run(*COMMANDS["Geometry"], "--json").out
    assert run("report", *args, "-o", "r.html", stdin=content).code == 0
    assert "<h2>Geometry</h2>" in Path("r.html").read_text()


@pytest.mark.parametrize(
    ("args", "code", "line"),
    [
        (["a.json"], 2, "-o: is missing; name the page with -o report.html\n"),
        (["none.json", "-o", "r.html"], 1, "none.json: no such file or directory\n"),
        (["a.json", "bad.json", "-o", "r.html"], 1, "bad.json: is not the JSON of an evaluation; "),
        (["text.json", "-o", "r.html"], 1, "text.json: is not JSON: "),
        (["a.json", "-o", "there.html"], 1, "there.html: already exists; overwrite it with --force\n"),
        (["a.json", "-o", "no/r.html"], 1, "no/r.html: its parent folder does not exist; "),
        (["-", "-", "-o", "r.html"], 2, "-: standard input can be read only once\n"),
    ],
)
def test_what_goes_wrong_is_one_line_and_nothing_is_written(run, corpus, args, code, line):
    Path("a.json").write_text(run(*COMMANDS["Geometry"], "--json").out)
    Path("bad.json").write_text('{"output": "docs.vec", "rows": 3}')
    Path("text.json").write_text("figure  value\n")
    Path("there.html").write_text("mine")
    done = run("report", *args)
    assert (done.code, done.out, done.said.count("\n")) == (code, "", 1)
    assert done.said.startswith(f"embedkit: {line}")
    assert not Path("r.html").exists()
    assert Path("there.html").read_text() == "mine"
