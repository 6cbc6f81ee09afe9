"""`eval retrieval --index` by vectors, words and both: each system is the search of the same options."""

import json
import os
from pathlib import Path

import ir_measures
import numpy as np
import pytest

from embedkit.indexing.edit import keep_weight
from embedkit.indexing.lexical.tuned_weight import TunedWeight

WORDS = "cat dog river stone bread moon tree song night door house garden".split()  # noqa: SIM905
NDCG, AP = ir_measures.parse_measure("nDCG@10"), ir_measures.parse_measure("AP")


def lines(name, rows):
    Path(name).write_text("".join(json.dumps(row) + "\n" for row in rows))


@pytest.fixture
def index(run, folder):
    """The index `docs.idx`, `queries.jsonl` with a query that has quotes and signs, and `qrels.tsv`."""
    numbers = np.random.default_rng(3)
    texts = [" ".join(numbers.choice(WORDS, 5)) for _ in range(120)]
    lines("corpus.jsonl", [{"_id": f"d{row}", "text": text} for row, text in enumerate(texts)])
    asked = [f"{text.split()[0]} {text.split()[3]} {numbers.choice(WORDS)}" for text in texts[:30]]
    asked[4] = '"cat door" -dog +river'
    lines("queries.jsonl", [{"_id": f"q{row}", "text": text} for row, text in enumerate(asked)])
    judged = [
        f"q{row}\td{document}\t{int(document == row) + int(document % 7 == row % 7)}"
        for row in range(30)
        for document in (row, *numbers.choice(range(30, 120), 6, replace=False))
    ]
    Path("qrels.tsv").write_text("query-id\tcorpus-id\tscore\n" + "\n".join(judged) + "\n")
    assert run("index", "corpus.jsonl", "-o", "docs.idx", "-q").code == 0
    return "docs.idx"


@pytest.fixture
def evaluate(run):
    """Evaluate `docs.idx` with more options."""

    def call(*args):
        asked = ("--index", "docs.idx", "--queries", "queries.jsonl", "--qrels", "qrels.tsv")
        return run("eval", "retrieval", *asked, *args)

    return call


def results(done):
    assert (done.code, done.said) == (0, "")
    return json.loads(done.out)["results"]


def values(result):
    return [result[name]["value"] for name in ("nDCG@10", "AP")]


@pytest.fixture
def searched(run, index):
    """Values of ir_measures for the run that `search` writes with some options."""

    def call(*args):
        done = run("search", index, "-i", "queries.jsonl", "-k", 120, "--format", "trec", *args)
        assert done.code == 0, done.said
        Path("run.trec").write_text(done.out)
        found = ir_measures.calc_aggregate(
            [NDCG, AP],
            [
                ir_measures.Qrel(query, document, int(grade))
                for query, document, grade in map(str.split, Path("qrels.tsv").read_text().splitlines()[1:])
            ],
            ir_measures.read_trec_run("run.trec"),
        )
        return [100 * found[NDCG], 100 * found[AP]]

    return call


SYSTEMS = [
    ("dense", ()),
    ("lexical", ("--lexical",)),
    ("hybrid:0.3", ("--hybrid", ".3")),
    ("rrf:0.5", ("--fusion", "rrf")),
    ("rrf:0.2", ("--hybrid", ".2", "--fusion", "rrf")),
]


def test_each_system_is_the_search_of_the_same_options(evaluate, searched):
    """As `search -i` does, queries are taken literally: their quotes and signs are no operators."""
    compared = ("lexical", "hybrid:.3", "rrf", "rrf:.2")
    side_by_side = results(evaluate("--json", *(part for name in compared for part in ("--compare", name))))
    assert [each["system"] for each in side_by_side] == [name for name, _ in SYSTEMS]
    for (name, options), each in zip(SYSTEMS, side_by_side, strict=True):
        assert values(each) == pytest.approx(searched(*options), abs=1e-6), name
        (alone,) = results(evaluate("--json", *options))
        assert values(alone) == values(each)
        assert alone["system"] == ("docs.idx" if name == "dense" else f"docs.idx {name}")
    assert len({tuple(values(each)) for each in side_by_side}) == 5
    gain = side_by_side[2]["difference"]["AP"]
    expected = side_by_side[2]["AP"]["value"] - side_by_side[0]["AP"]["value"]
    assert gain["value"] == pytest.approx(expected, abs=1e-5)
    assert gain["low"] < gain["value"] < gain["high"]


def test_the_protocol_names_the_ranking_of_each_system(evaluate, index):
    facts = json.loads(evaluate("--json", "--compare", "lexical", "--compare", "hybrid:.5").out)["protocol"]
    words = "BM25 with language=en,k1=1.2,b=0.75"
    assert facts["ranking 1"] == "by vectors"
    assert facts["ranking 2"] == f"by words, {words}"
    assert facts["ranking 3"] == f"by the sum of standardised scores, weight 0.5 for vectors, {words}"
    assert {"index", "model", "answers 3"} < facts.keys()
    facts = json.loads(evaluate("--json", "--fusion", "rrf").out)["protocol"]
    assert facts["ranking"] == f"by the sum of reciprocal ranks, weight 0.5 for vectors, {words}"
    assert "ranking" not in json.loads(evaluate("--json").out)["protocol"]


def test_words_alone_need_no_encoder(evaluate, index, monkeypatch):
    from embedkit.cli.eval import index_searches

    monkeypatch.setattr(index_searches, "load_cached_for", None)
    done = evaluate("--json", "--lexical", "--compare", "lexical")
    assert [each["system"] for each in results(done)] == ["lexical", "lexical"]
    assert not {"model", "maps", "precision"} & json.loads(done.out)["protocol"].keys()
    done = evaluate("--lexical", "-m", "minilm")
    what = "apply to vectors, and words alone are searched; drop them, or search with --hybrid"
    assert done == (2, "", f"embedkit: -m and -t: {what}\n")


def test_queries_are_encoded_once_for_all_systems(evaluate, index, monkeypatch):
    from embedkit.embedding.loading import load

    kind, encoded = type(load("hash:dim=8")), []
    encode = kind.encode

    def counted(self, texts, role="document"):
        encoded.extend(texts)
        return encode(self, texts, role)

    monkeypatch.setattr(kind, "encode", counted)
    evaluate("--no-cache", "--hybrid", ".4", "--compare", "dense", "--compare", "rrf")
    assert len(encoded) == 30


def test_a_hybrid_without_a_number_has_the_weight_of_the_index(evaluate, index):
    """The vectors of hash: have a default of their own; a tuned weight replaces it."""

    def names(*args):
        return [each["system"] for each in results(evaluate("--json", *args))]

    assert names("--hybrid", "--compare", "hybrid") == ["hybrid:0.15", "hybrid:0.15"]
    assert names("--hybrid", "--fusion", "rrf") == ["docs.idx rrf:0.5"]
    keep_weight("docs.idx", TunedWeight(0.6, "nDCG@10", 99, 0.5, 0.4, 0.05, 0.2))
    assert names("--hybrid", "--compare", "hybrid", "--compare", "rrf") == [
        "hybrid:0.6",
        "hybrid:0.6",
        "rrf:0.5",
    ]


def test_several_indexes_are_searched_in_several_ways(evaluate, run, index):
    run(
        "index", "corpus.jsonl", "-o", "other.idx", "-q", "--lexical", "language=none,b=0", "-m", "hash:dim=4"
    )
    done = evaluate("--index", "other.idx", "--compare", "lexical", "--json")
    names = ["docs.idx dense", "docs.idx lexical", "other.idx dense", "other.idx lexical"]
    assert [each["system"] for each in results(done)] == names
    facts = json.loads(done.out)["protocol"]
    assert facts["ranking 4"] == "by words, BM25 with language=none,k1=1.2,b=0.0"
    assert facts["index 2"].startswith("other.idx ")
    assert facts["model 2"].startswith("hash:dim=4 ")


def test_an_optional_weight_does_not_swallow_what_follows(run, index):
    done = run("eval", "retrieval", "--qrels", "qrels.tsv", "--hybrid", "--index", index, "--json",
               "--queries", "queries.jsonl")  # fmt: skip
    assert results(done)[0]["system"] == "docs.idx hybrid:0.15"
    done = run("eval", "retrieval", "--hybrid", "docs.idx", "--qrels", "qrels.tsv", "--index", index)
    assert done.code == 2
    assert "docs.idx" in done.said


KNOWN = "write dense, lexical, hybrid, hybrid:0.5 or rrf"


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (("--hybrid", "1.5"), "--hybrid: the weight must lie between 0 and 1, got 1.5"),
        (("--compare", "hybrid:1.5"), "--compare hybrid:1.5: the weight must lie between 0 and 1, got 1.5"),
        (("--compare", "rrf:x"), "--compare rrf:x: 'x' is not a weight from 0 to 1"),
        (("--compare", "hybrid:"), f"--compare: 'hybrid:' is not a way to search an index; {KNOWN}"),
        (("--compare", "minilm"), f"--compare: 'minilm' is not a way to search an index; {KNOWN}"),
        (("--compare", "dense:.5"), f"--compare: 'dense:.5' is not a way to search an index; {KNOWN}"),
        (("--lexical", "--hybrid"), "--lexical and --hybrid were both given; give one of them"),
    ],
)
def test_a_mistake_is_one_line(evaluate, index, args, message):
    assert evaluate(*args) == (2, "", f"embedkit: {message}\n")


DOORS = {
    "run": ("--run", "run.trec"),
    "corpus": ("--corpus", "corpus.jsonl", "--queries", "queries.jsonl"),
}


@pytest.mark.parametrize("door", DOORS)
@pytest.mark.parametrize("option", [("--hybrid",), ("--fusion", "rrf"), ("--lexical",)])
def test_words_are_searched_in_an_index_only(run, index, door, option):
    done = run("eval", "retrieval", "--qrels", "qrels.tsv", *DOORS[door], *option)
    what = "applies to a search of an --index; build one of the documents with embedkit index"
    assert done == (2, "", f"embedkit: {option[0]}: {what}\n")


@pytest.mark.parametrize("name", ["dense", "lexical", "hybrid", "hybrid:.5", "rrf"])
def test_a_way_to_search_an_index_is_not_a_model(run, index, name):
    done = run("eval", "retrieval", "--qrels", "qrels.tsv", *DOORS["corpus"], "--compare", name)
    what = f"{name!r} is a way to search an --index; name a map, a model or none for a --corpus"
    assert done == (2, "", f"embedkit: --compare: {what}\n")


def test_an_index_without_words_says_how_to_add_them(run, evaluate, index):
    run("index", "corpus.jsonl", "-o", index, "--force", "-q", "--no-lexical")
    what = "docs.idx: has no lexical part; add it with embedkit index compact docs.idx --lexical language=en"
    for args in (("--hybrid",), ("--lexical",), ("--compare", "rrf")):
        assert evaluate(*args) == (2, "", f"embedkit: {what}\n")
    assert evaluate().code == 0
    assert sorted(os.listdir()) == ["corpus.jsonl", "docs.idx", "qrels.tsv", "queries.jsonl"]
