"""`index tune --qrels`: the weight of `search --hybrid` is chosen on judged queries, and kept if better."""

import json
from pathlib import Path

import numpy as np
import pytest

from embedkit.indexing.store import Index

WORDS = "cat dog river stone bread moon tree song night door house garden".split()  # noqa: SIM905


def lines(name, rows):
    Path(name).write_text("".join(json.dumps(row) + "\n" for row in rows))


@pytest.fixture
def judged(run, folder):
    """The index `x.idx`, `queries.jsonl`, and a function that writes `qrels.tsv` by the best hits of a
    search with some options.
    """
    numbers = np.random.default_rng(3)
    texts = [" ".join(numbers.choice(WORDS, 6)) for _ in range(150)]
    lines("corpus.jsonl", [{"_id": f"d{row}", "text": text} for row, text in enumerate(texts)])
    asked = [" ".join(numbers.choice(WORDS, 4)) for _ in range(60)]
    lines("queries.jsonl", [{"_id": f"q{row}", "text": text} for row, text in enumerate(asked)])
    assert run("index", "corpus.jsonl", "-o", "x.idx", "-q").code == 0

    def judge(*options):
        done = run("search", "x.idx", "-i", "queries.jsonl", "-k", 5, "--format", "trec", *options)
        hits = [line.split() for line in done.out.splitlines()]
        Path("qrels.tsv").write_text("".join(f"{query}\t{document}\t1\n" for query, _, document, *_ in hits))

    return judge


@pytest.fixture
def tune(run):
    """Tune the weight of `x.idx` with more options."""

    def call(*args):
        return run("index", "tune", "x.idx", "--queries", "queries.jsonl", "--qrels", "qrels.tsv", *args)

    return call


def test_a_certain_gain_is_kept_and_used(run, tune, judged):
    judged("--hybrid", ".6")
    facts = json.loads(tune("--json").out)
    kept = Index.open("x.idx").manifest.weight
    assert facts["weight"] == facts["best"] == kept.weight == 0.6
    assert (facts["default"], facts["queries"], facts["folds"], facts["index"]) == (0.15, 60, 10, "x.idx")
    assert [each["weight"] for each in facts["weights"]] == [step / 20 for step in range(21)]
    assert facts["weights"][12]["nDCG@10"]["value"] == pytest.approx(100)
    assert facts["held_out"] == pytest.approx(100 * kept.value, abs=1e-4)
    assert facts["difference"]["low"] == pytest.approx(100 * kept.low, abs=1e-4)
    assert kept.low > 0
    evaluated = run("eval", "retrieval", "--qrels", "qrels.tsv", "--index", "x.idx", "--hybrid", "--json",
                    "--queries", "queries.jsonl")  # fmt: skip
    (result,) = json.loads(evaluated.out)["results"]
    assert (result["system"], result["nDCG@10"]["value"]) == ("x.idx hybrid:0.6", pytest.approx(100))
    query = ("search", "x.idx", "cat river", "--format", "ids")
    assert run(*query, "--hybrid") == run(*query, "--hybrid", ".6")
    (line,) = [each for each in run("index", "info", "x.idx").out.splitlines() if each.startswith("weight")]
    assert line.split(maxsplit=3) == ["weight", "of", "vectors", str(kept)]
    assert run("index", "compact", "x.idx", "--lexical", "b=0.5", "-q").code == 0
    assert "weight of vectors" not in run("index", "info", "x.idx").out


def test_the_default_stays_where_no_gain_is_certain(tune, judged):
    judged("--hybrid", ".15")
    before = Path("x.idx/manifest.json").read_bytes()
    done = tune()
    assert done.code == 0
    assert done.said.startswith(
        "embedkit: x.idx: the default weight 0.15 stays; nDCG@10 is 100.00 with weights chosen on other "
        "queries, 100.00 with the default 0.15: +0.00 (95 % +0.00 to +0.00; 60 queries)"
    )
    head, *rows = done.out.splitlines()
    assert head.split() == ["weight", "nDCG@10", "95", "%", "to", "0.15", "95", "%", "p"]
    assert [row.split()[0] for row in rows] == [f"{step / 20:g}" for step in range(21)]
    assert rows[3].split()[1] == "100.00"
    assert Path("x.idx/manifest.json").read_bytes() == before
    assert tune("-q").said == ""


def test_a_weight_that_is_no_longer_better_gives_way_to_the_default(tune, judged):
    judged("--hybrid", ".6")
    assert "weight 0.6 is kept; nDCG@10 is 100.00 with weights" in tune().said
    judged("--hybrid", ".15")
    tune()
    assert Index.open("x.idx").manifest.weight is None


@pytest.mark.parametrize(
    ("args", "code", "message"),
    [
        (("-k", 5), 2, "-k: does not apply to the weight; drop it; recall is measured without --qrels"),
        (("--recall", ".9"), 2, "--recall: does not apply to the weight; drop it; recall is measured"),
        (("--qrels", "no.tsv"), 1, "no.tsv: no such file"),
        (("--queries", "corpus.jsonl"), 1, "corpus.jsonl: has none of 60 judged queries, such as 'q0'; "),
        (
            ("--queries", "few.jsonl"),
            1,
            "few.jsonl: a weight is chosen on at least 20 judged queries, found 9",
        ),
        (("--qrels", "other.tsv"), 1, "x.idx: has none of the documents that are relevant, such as 'D'; "),
        (("-m", "hash:dim=4"), 1, "x.idx: the index holds hash:dim=8"),
    ],
)
def test_a_mistake_is_one_line_and_changes_nothing(tune, judged, args, code, message):
    judged()
    rows = Path("queries.jsonl").read_text().splitlines(keepends=True)
    Path("few.jsonl").write_text("".join(rows[:9]))
    Path("other.tsv").write_text("q0\tD\t1\n")
    before = Path("x.idx/manifest.json").read_bytes()
    done = tune(*args)
    assert (done.code, done.out, done.said.count("\n")) == (code, "", 1)
    assert done.said.startswith(f"embedkit: {message}")
    assert Path("x.idx/manifest.json").read_bytes() == before


def test_judgements_need_queries_and_words(run, judged):
    judged()
    done = run("index", "tune", "x.idx", "--qrels", "qrels.tsv")
    assert done == (2, "", "embedkit: --qrels: needs the judged queries; name their file with --queries\n")
    done = run("index", "tune", "x.idx", "--qrels", "-", "--queries", "-", stdin="")
    assert done == (2, "", "embedkit: -: standard input can be read only once\n")
    run("index", "corpus.jsonl", "-o", "x.idx", "--force", "-q", "--no-lexical")
    done = run("index", "tune", "x.idx", "--qrels", "qrels.tsv", "--queries", "queries.jsonl")
    what = "has no lexical part; add it with embedkit index compact x.idx --lexical language=en"
    assert done == (2, "", f"embedkit: x.idx: {what}\n")
