"""`embedkit eval retrieval`: judgements and a search in, measures with intervals and their protocol out."""

import json
from pathlib import Path

import ir_measures
import numpy as np
import pytest

from embedkit.data.affine import AffineMap
from embedkit.embedding.encoder import with_maps
from embedkit.embedding.loading import load

WORDS = "cat dog river stone bread moon tree song night door house garden".split()  # noqa: SIM905
NAMES = ["nDCG@10", "R@100", "RR@10", "AP"]
MEASURES = [ir_measures.parse_measure(name) for name in NAMES]


def lines(name, rows):
    Path(name).write_text("".join(json.dumps(row) + "\n" for row in rows))


@pytest.fixture
def task(folder):
    """A corpus, queries and judgements that need some luck: `corpus.jsonl`, `queries.jsonl`, `qrels.tsv`."""
    numbers = np.random.default_rng(3)
    texts = [" ".join(numbers.choice(WORDS, 5)) for _ in range(120)]
    lines("corpus.jsonl", [{"_id": f"d{row}", "title": "", "text": text} for row, text in enumerate(texts)])
    asked = [f"{text.split()[0]} {text.split()[3]} {numbers.choice(WORDS)}" for text in texts[:30]]
    lines("queries.jsonl", [{"_id": f"q{row}", "text": text} for row, text in enumerate(asked)])
    judged = [
        f"q{row}\td{document}\t{int(document == row) + int(document % 7 == row % 7)}"
        for row in range(24)
        for document in (row, *numbers.choice(range(30, 120), 6, replace=False))
    ]
    Path("qrels.tsv").write_text("query-id\tcorpus-id\tscore\n" + "\n".join(judged) + "\nq24\td1\t0\n")
    return folder


def qrels():
    """Return the judgements as ir_measures takes them, without the query for which nothing is relevant."""
    cells = [line.split("\t") for line in Path("qrels.tsv").read_text().splitlines()[1:]]
    return [
        ir_measures.Qrel(query, document, int(grade)) for query, document, grade in cells if query != "q24"
    ]


def by_hand(run, measures=MEASURES):
    """Return the figures of ir_measures for a TREC run, times 100."""
    figures = ir_measures.calc_aggregate(measures, qrels(), ir_measures.read_trec_run(run))
    return [100 * figures[measure] for measure in measures]


def figures(result, names=NAMES):
    return [result[name]["value"] for name in names]


def results(done):
    assert (done.code, done.said) == (0, "")
    return json.loads(done.out)["results"]


@pytest.fixture
def evaluate(run):
    def call(*args, **more):
        return run("eval", "retrieval", "--qrels", "qrels.tsv", *args, **more)

    return call


CORPUS = ("--corpus", "corpus.jsonl", "--queries", "queries.jsonl")


@pytest.fixture
def turned(folder):
    """The map `turn.safetensors`, which keeps the first three columns of eight."""
    AffineMap(np.eye(3, 8), np.ones(3), {}).save(Path("turn.safetensors"))
    return "turn.safetensors"


@pytest.fixture
def index(run, task):
    assert run("index", "corpus.jsonl", "-o", "docs.idx", "-q").code == 0
    return "docs.idx"


@pytest.fixture
def found(run, index):
    """The run of that index, `run.trec`."""
    done = run("search", index, "-i", "queries.jsonl", "-k", 1000, "--format", "trec")
    Path("run.trec").write_text(done.out)
    return "run.trec"


# One search


def test_a_run_an_index_and_a_model_agree_with_ir_measures_by_hand(evaluate, run, index, found):
    expected = by_hand(found)
    searched = run("search", index, "-i", "queries.jsonl", "-k", 1000)
    Path("run.jsonl").write_text(searched.out)
    doors = [
        ("--run", found),
        ("--run", "run.jsonl"),
        ("--index", index, "--queries", "queries.jsonl"),
        CORPUS,
    ]
    for door in doors:
        (result,) = results(evaluate(*door, "--json"))
        assert figures(result) == pytest.approx(expected, abs=1e-6)
        assert 0 < result["nDCG@10"]["low"] < result["nDCG@10"]["value"] < result["nDCG@10"]["high"] < 100
        counts = [result[name] for name in ("queries", "left_out", "missing")]
        assert counts == [24, 1, 0]
    assert min(expected) > 5


def test_maps_and_depth_change_what_is_found(evaluate, task, turned):
    plain = figures(results(evaluate(*CORPUS, "--json"))[0])
    mapped = figures(results(evaluate(*CORPUS, "-t", turned, "--json"))[0])
    shallow = results(evaluate(*CORPUS, "-k", "10", "--measure", "AP", "--measure", "nDCG@10", "--json"))[0]
    assert plain != mapped
    assert shallow["nDCG@10"]["value"] == plain[0]
    assert shallow["AP"]["value"] < plain[3]
    encoder = with_maps(load("hash:dim=8"), [AffineMap.load(turned)])
    texts = [json.loads(line)["text"] for line in Path("corpus.jsonl").read_text().splitlines()]
    asked = [json.loads(line)["text"] for line in Path("queries.jsonl").read_text().splitlines()]
    cosines = encoder.encode(asked, "query") @ encoder.encode(texts).T
    run = {f"q{q}": {f"d{d}": float(score) for d, score in enumerate(row)} for q, row in enumerate(cosines)}
    oracle = ir_measures.calc_aggregate(MEASURES, qrels(), run)
    assert mapped == pytest.approx([100 * oracle[measure] for measure in MEASURES], abs=1e-3)


def test_a_deeper_measure_is_searched_deeper(evaluate, task):
    more = [{"_id": f"e{row}", "text": "cat dog"} for row in range(1200)]
    with open("corpus.jsonl", "a") as file:
        file.writelines(json.dumps(row) + "\n" for row in more)
    (result,) = results(evaluate(*CORPUS, "--measure", "R@1320", "--json"))
    assert result["R@1320"]["value"] == 100  # all there is


def test_the_table_and_the_protocol_are_on_standard_output(evaluate, found):
    done = evaluate("--run", found)
    assert (done.code, done.said) == (0, "")
    table, _, protocol = done.out.partition("\n\n")
    head, *rows = table.splitlines()
    assert head.split() == ["measure", "value", "95", "%"]
    for row, name, value in zip(rows, NAMES, by_hand(found), strict=True):
        cells = row.split()
        assert cells[:2] == [name, f"{value:.2f}"]
        assert float(cells[2]) <= value <= float(cells[4])
    facts = dict(line.split(maxsplit=1) for line in protocol.splitlines())
    relevant = sum(judgement.relevance > 0 for judgement in qrels())
    told = (
        f"qrels.tsv (24 queries, {len(qrels())} judgements, {relevant} of them relevant; 1 query left out, "
    )
    assert facts["qrels"] == told + "to which nothing is relevant)"
    assert facts["relevant"] == "grade 1 or more; a document without a judgement is not"
    assert facts["run"] == "run.trec"
    assert facts["answers"].startswith(
        "24 of 24 queries; 6 others without such judgements left out; judged@10 "
    )
    assert facts["ties"].startswith("by document id, the last one first; ")
    assert facts["intervals"] == "95 %, percentile bootstrap over queries, 1,000 resamples, seed 0"
    assert "ir_measures " in facts["versions"]
    assert not {"model", "corpus", "queries"} & set(facts)


def test_the_protocol_of_a_model_and_of_an_index(evaluate, index):
    facts = json.loads(evaluate(*CORPUS, "--json").out)["protocol"]
    assert facts["queries"] == "queries.jsonl (30 queries, 6 of them left out as above or not judged)"
    assert facts["corpus"] == "corpus.jsonl (120 documents)"
    assert facts["search"] == "exact, by cosine, 1,000 hits per query"
    assert facts["model"] == f"hash:dim=8 {load('hash:dim=8').identity.fingerprint}, unit length"
    facts = json.loads(evaluate("--index", index, "--queries", "queries.jsonl", "--json").out)["protocol"]
    assert facts["index"] == "docs.idx (flat, cosine, 120 documents), 1,000 hits per query"
    assert facts["model"].startswith("hash:dim=8 ")


def test_measures_are_typed_and_printed_alike(evaluate, found):
    names = ["P(rel=2)@5", "MRR@10", "nDCG"]
    asked = [part for name in names for part in ("--measure", name)]
    (result,) = results(evaluate("--run", found, *asked, "--json"))
    assert figures(result, names) == pytest.approx(
        by_hand(found, list(map(ir_measures.parse_measure, names)))
    )
    assert "AP" not in result


def test_what_a_run_leaves_out_is_counted_and_told(evaluate, task):
    Path("run.trec").write_text(
        "q0 Q0 d0 1 1 a\nq1 Q0 d1 1 1 a\nq1 Q0 d0 1 1 a\nq24 Q0 d1 1 1 a\nnew Q0 d 1 1 a\n"
    )
    done = evaluate("--run", "run.trec", "--measure", "RR@10", "--json")
    (result,) = results(done)
    assert result["RR@10"]["value"] == pytest.approx(100 * 2 / 24)
    counts = ("queries", "left_out", "missing", "unjudged")
    assert [result[name] for name in counts] == [24, 1, 22, 2]
    assert json.loads(done.out)["protocol"]["answers"] == (
        "2 of 24 queries; the other 22 count as if nothing relevant was found; "
        "2 others without such judgements left out; "
        "1 with all scores equal, ordered by id alone; judged@10 75.0 %"
    )


def test_per_query_figures(evaluate, found):
    done = evaluate("--run", found, "--run", found, "--per-query", "each.jsonl", "--json")
    result = results(done)[0]
    rows = [json.loads(line) for line in Path("each.jsonl").read_text().splitlines()]
    assert [row["query_id"] for row in rows] == [f"q{query}" for query in range(24)] * 2
    for name in NAMES:
        assert np.mean([row[name] for row in rows[:24]]) == pytest.approx(result[name]["value"], abs=1e-5)
    oracle = {
        m.query_id: m.value
        for m in ir_measures.iter_calc([ir_measures.AP], qrels(), ir_measures.read_trec_run(found))
    }
    assert [row["AP"] for row in rows[:24]] == pytest.approx(
        [100 * oracle[f"q{query}"] for query in range(24)]
    )
    again = evaluate("--run", found, "--per-query", "each.jsonl")
    assert (again.code, again.out) == (1, "")
    assert again.said == "embedkit: each.jsonl: already exists; overwrite it with --force\n"
    assert evaluate("--run", found, "--per-query", "each.jsonl", "--force").code == 0
    assert len(Path("each.jsonl").read_text().splitlines()) == 24


@pytest.mark.parametrize("door", ["qrels", "corpus", "queries"])
def test_one_input_may_be_piped(run, evaluate, task, door):
    args = {"qrels": "qrels.tsv", "corpus": "corpus.jsonl", "queries": "queries.jsonl"}
    content = Path(args[door]).read_text()
    piped = [part for name, value in args.items() for part in (f"--{name}", "-" if name == door else value)]
    assert figures(results(run("eval", "retrieval", *piped, "--json", stdin=content))[0]) == figures(
        results(evaluate(*CORPUS, "--json"))[0]
    )


# Several


def test_runs_stand_side_by_side_with_paired_differences(evaluate, found):
    rows = [line.split() for line in Path(found).read_text().splitlines()]
    numbers = np.random.default_rng(0)
    worse = [[*row[:4], str(float(row[4]) + numbers.normal()), row[5]] for row in rows]
    Path("b").mkdir()
    Path("b/run.trec").write_text("\n".join(" ".join(row) for row in worse))
    measured = results(evaluate("--run", found, "--run", "b/run.trec", "--run", found, "--json"))
    assert [each["system"] for each in measured] == ["run.trec", "b/run.trec", "run.trec"]
    assert figures(measured[1]) == pytest.approx(by_hand("b/run.trec"))
    assert "difference" not in measured[0]
    gains = [measured[1]["difference"][name] for name in NAMES]
    assert [gain["value"] for gain in gains] == pytest.approx(
        np.subtract(figures(measured[1]), figures(measured[0])), abs=1e-5
    )
    assert gains[0]["high"] < 0
    assert gains[0]["p"] < 0.05
    assert measured[2]["difference"]["AP"] == {"value": 0, "low": 0, "high": 0, "p": 1}
    table = evaluate("--run", found, "--run", "b/run.trec").out.splitlines()
    assert table[0].split() == ["measure", "system", "value", "95", "%", "difference", "95", "%", "p"]
    assert [line.split()[:2] for line in table[1:3]] == [["nDCG@10", "run.trec"], ["nDCG@10", "b/run.trec"]]
    assert "answers 2  24 of 24 queries; " in "\n".join(table)


def test_models_and_maps_stand_side_by_side(evaluate, task, turned):
    measured = results(evaluate(*CORPUS, "--compare", turned, "--compare", "hash:dim=64", "--json"))
    assert [each["system"] for each in measured] == [
        "hash:dim=8",
        "hash:dim=8 + turn.safetensors",
        "hash:dim=64",
    ]
    alone = [("-t", turned), ("-m", "hash:dim=64")]
    for each, args in zip(measured[1:], alone, strict=True):
        assert figures(each) == figures(results(evaluate(*CORPUS, *args, "--json"))[0])


def test_indexes_stand_side_by_side(evaluate, run, index):
    run("index", "corpus.jsonl", "-o", "codes.idx", "-q", "--kind", "binary:rescore=none")
    measured = results(
        evaluate("--index", index, "--index", "codes.idx", "--queries", "queries.jsonl", "--json")
    )
    assert [each["system"] for each in measured] == ["docs.idx", "codes.idx"]
    assert measured[1]["difference"]["AP"]["value"] < 0


def test_each_text_is_encoded_once_an_encoder(evaluate, task, turned, monkeypatch):
    encoded = []
    encode = type(load("hash:dim=8")).encode

    def counted(self, texts, role="document"):
        encoded.extend(texts)
        return encode(self, texts, role)

    monkeypatch.setattr(type(load("hash:dim=8")), "encode", counted)
    evaluate(*CORPUS, "--compare", turned, "--compare", "none")
    judged = {f"q{query}" for query in range(24)}
    rows = [
        json.loads(line)
        for name in ("corpus", "queries")
        for line in Path(f"{name}.jsonl").read_text().splitlines()
    ]
    assert sorted(encoded) == sorted(
        row["text"] for row in rows if row["_id"] in judged or row["_id"][0] == "d"
    )


def test_the_seed_and_the_resamples_settle_the_intervals(evaluate, found):
    def low(*args):
        return results(evaluate("--run", found, "--json", *args))[0]["AP"]["low"]

    assert low() == low("--seed", "0")
    assert len({low(), low("--seed", "1"), low("--resamples", "500")}) == 3


# Ids


@pytest.fixture
def asking(run, folder):
    """Documents that are queries too, as in ArguAna: `corpus.jsonl`, `qrels.tsv`, `docs.idx`, `run.trec`."""
    numbers = np.random.default_rng(6)
    rows = [{"_id": f"d{row}", "text": " ".join(numbers.choice(WORDS, 4))} for row in range(60)]
    lines("corpus.jsonl", rows)
    lines("queries.jsonl", rows[:20])
    judged = [f"d{row}\td{document}\t1" for row in range(20) for document in numbers.integers(20, 60, 1)]
    Path("qrels.tsv").write_text("query-id\tcorpus-id\tscore\n" + "\n".join(judged) + "\n")
    run("index", "corpus.jsonl", "-o", "docs.idx", "-q")
    done = run("search", "docs.idx", "-i", "queries.jsonl", "-k", 60, "--format", "trec")
    Path("run.trec").write_text(done.out)


OWN = (
    "--run run.trec",
    "--index docs.idx --queries queries.jsonl",
    "--corpus corpus.jsonl --queries queries.jsonl",
)


@pytest.mark.parametrize("door", OWN)
def test_the_query_itself_is_no_hit_unless_it_is_kept(evaluate, asking, door):
    """By BEIR's rule on the run, ir_measures by hand; each query was its own first hit."""
    hits = list(ir_measures.read_trec_run("run.trec"))
    others = [hit for hit in hits if hit.query_id != hit.doc_id]
    own = "20 of 20 queries; 20 documents with the query's own id left out; judged@10 "
    for kept, option, told in ((others, (), own), (hits, ("--keep-self",), "20 of 20 queries; judged@10 ")):
        done = evaluate(*door.split(), *option, "--json")
        expected = ir_measures.calc_aggregate(MEASURES, qrels(), kept)
        assert figures(results(done)[0]) == pytest.approx([100 * expected[m] for m in MEASURES], abs=1e-6)
        protocol = json.loads(done.out)["protocol"]
        assert protocol["answers"].startswith(told)
        assert protocol["own id"].startswith(
            "a document with the id of its query " + ("counts" if option else "is")
        )


@pytest.mark.parametrize("door", OWN[1:])
def test_a_depth_is_what_is_left_without_the_query_itself(evaluate, asking, door):
    """The tenth hit of others is the eleventh of all."""
    done = evaluate(*door.split(), "-k", "10", "--measure", "R@10", "--json")
    others = [hit for hit in ir_measures.read_trec_run("run.trec") if hit.query_id != hit.doc_id]
    expected = ir_measures.calc_aggregate([ir_measures.R @ 10], qrels(), others)[ir_measures.R @ 10]
    assert figures(results(done)[0], ["R@10"]) == [pytest.approx(100 * expected, abs=1e-6)]


def test_a_query_that_is_judged_relevant_to_itself_is_said(evaluate, asking):
    with open("qrels.tsv", "a") as file:
        file.write("d3\td3\t1\n")
    done = evaluate("--run", "run.trec", "--json")
    assert done.said.startswith(
        "embedkit: run.trec: 1 of the documents left out as their queries themselves is "
    )
    assert "--keep-self" in done.said
    assert evaluate("--run", "run.trec", "--json", "-q").said == ""
    assert evaluate("--run", "run.trec", "--json", "--keep-self").said == ""


@pytest.mark.parametrize("door", [("--index", "docs.idx"), ("--corpus", "corpus.jsonl")])
def test_judgements_of_documents_that_are_not_there_are_counted(evaluate, index, door):
    fact = "index" if door[0] == "--index" else "corpus"
    with open("qrels.tsv", "a") as file:
        file.write("q0\tgone\t1\nq1\tgone\t1\nq1\tlost\t0\nq24\tgone\t0\n")
    done = evaluate(*door, "--queries", "queries.jsonl", "--json")
    told = "120 documents; 3 judgements name documents that it lacks, 2 of them relevant)"
    assert told in json.loads(done.out)["protocol"][fact]
    Path("qrels.tsv").write_text("q0\tD0\t1\nq1\tD1\t2\nq1\td1\t0\n")
    done = evaluate(*door, "--queries", "queries.jsonl")
    what = "has none of the documents that are relevant, such as 'D0'; do its ids match the judgements?"
    assert (done.code, done.out, done.said) == (1, "", f"embedkit: {door[1]}: {what}\n")


def test_a_run_none_of_whose_documents_is_judged_is_said(evaluate, found):
    Path("other.trec").write_text(Path(found).read_text().replace(" d", " doc"))
    done = evaluate("--run", "other.trec", "--json")
    what = "no document in it is judged for its query; do its ids match the judgements?"
    assert (done.code, done.said) == (0, f"embedkit: other.trec: {what}\n")


@pytest.mark.parametrize("door", OWN)
def test_blanks_around_ids_do_not_count(evaluate, run, index, found, door):
    """As text `d1 ` and `d1` are two, and every figure was 0 without a word."""
    expected = by_hand(found)
    for name in ("corpus", "queries"):
        rows = [json.loads(line) for line in Path(f"{name}.jsonl").read_text().splitlines()]
        lines(f"{name}.jsonl", [row | {"_id": f" {row['_id']}\u3000"} for row in rows])
    head, *judged = Path("qrels.tsv").read_text().splitlines()
    cells = (line.split("\t") for line in judged)
    Path("qrels.tsv").write_text("\n".join([head, *(f"{q} \t {d}\t{grade} " for q, d, grade in cells)]))
    assert run("index", "corpus.jsonl", "-o", "docs.idx", "-q", "--force").code == 0
    assert figures(results(evaluate(*door.split(), "--json"))[0]) == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize("number", [np.nan, np.inf])
@pytest.mark.parametrize("door", OWN[1:])
def test_a_query_whose_vector_is_not_finite_is_named(evaluate, index, monkeypatch, door, number):
    kind = type(load("hash:dim=8"))
    encode, asked = kind.encode, json.loads(Path("queries.jsonl").read_text().splitlines()[5])["text"]

    def spoilt(self, texts, role="document"):
        vectors = encode(self, texts, role)
        vectors[[text == asked for text in texts], 2] = number
        return vectors

    monkeypatch.setattr(kind, "encode", spoilt)
    done = evaluate(*door.split(), "--json")
    what = f"the vector of {asked!r} has a number that is not finite"
    assert (done.code, done.out) == (1, "")
    assert done.said.endswith(f"{what}\n")
    assert done.said.count("\n") == 1


# Mistakes


@pytest.mark.parametrize(
    ("args", "code", "message"),
    [
        ([], 2, "there is nothing to judge; name one of --run, --index, and --corpus with -m"),
        (["--run", "a", "--corpus", "b"], 2, "--run and --corpus were both given; name one of "),
        (["--run", "a", "--queries", "b"], 2, "--queries: a run has its queries and hits in it"),
        (["--run", "a", "-k", "5"], 2, "-k: a run has its queries and hits in it"),
        (["--run", "a", "-m", "minilm"], 2, "--run: a run is judged as it is; "),
        (["--run", "a", "--id-field", "x"], 2, "--run: a run is judged as it is; "),
        (["--run", "a", "--compare", "none"], 2, "--compare: does not apply to a --run; "),
        (["--index", "a"], 2, "--queries: --index is searched for queries; name their FILE"),
        (["--corpus", "-", "--queries", "-"], 2, "-: standard input can be read only once"),
        (["--run", "a", "--measure", "nDGC@5"], 2, "--measure: unknown measure 'nDGC'; did you mean nDCG?"),
        (
            [*CORPUS, "-k", "50"],
            2,
            "-k: R@100 looks at 100 hits per query, 50 are asked for; -k 100, or another",
        ),
        (["--run", "no.trec"], 1, "no.trec: no such file"),
        (["--run", "twice.trec"], 1, "twice.trec:2: has document 'd' for query 'q0' again"),
        (["--run", "nan.trec"], 1, "nan.trec:1: has the score 'nan', which is not a finite number"),
        (["--run", "other.trec"], 1, "other.trec: none of 24 judged queries is answered, such as 'q0'; "),
        (["--index", "no.idx", "--queries", "queries.jsonl"], 1, "no.idx: no such index"),
        (
            ["--corpus", "corpus.jsonl", "--queries", "corpus.jsonl"],
            1,
            "corpus.jsonl: has none of 24 judged queries, such as 'q0'; its first is 'd0'; --id-field names",
        ),
        (["--corpus", "corpus.jsonl", "--queries", "empty"], 1, "empty: there is no query in the input"),
        (["--corpus", "empty", "--queries", "queries.jsonl"], 1, "empty: the input contains no text"),
        (
            ["--corpus", "corpus.jsonl", "--corpus", "corpus.jsonl", "--queries", "queries.jsonl"],
            1,
            "corpus.jsonl, corpus.jsonl: id 'd0' occurs twice",
        ),
        (
            ["--corpus", "corpus.jsonl", "--queries", "queries.jsonl", "--queries", "queries.jsonl"],
            1,
            "queries.jsonl, queries.jsonl: id 'q0' occurs twice",
        ),
        ([*CORPUS, "--compare", "other.safetensors"], 1, "the map expects 9 dimensions, "),
        (
            [*CORPUS, "--per-query", "no/such.jsonl"],
            1,
            "no/such.jsonl: its parent folder does",
        ),
    ],
)
def test_a_mistake_is_one_line(evaluate, task, args, code, message):
    Path("twice.trec").write_text("q0 Q0 d 1 1 a\nq0 Q0 d 2 1 a\n")
    Path("nan.trec").write_text("q0 Q0 d 1 nan a\n")
    Path("other.trec").write_text("Q0 Q0 d 1 1 a\n")
    Path("empty").touch()
    AffineMap(np.eye(9), np.zeros(9), {}).save(Path("other.safetensors"))
    done = evaluate(*args)
    assert (done.code, done.out, done.said.count("\n")) == (code, "", 1)
    assert done.said.startswith(f"embedkit: {message}")


def test_mistakes_in_the_judgements(run, task):
    Path("zero.tsv").write_text("q\td\t0\n")
    Path("twice.tsv").write_text("q\td\t0\nq\td\t1\n")
    for name, message in (
        ("zero.tsv", "zero.tsv: no document is relevant to any of 1 queries; their grades are below 1"),
        ("twice.tsv", "twice.tsv:2: has document 'd' for query 'q' again"),
    ):
        done = run("eval", "retrieval", "--qrels", name, *CORPUS)
        assert (done.code, done.out, done.said) == (1, "", f"embedkit: {message}\n")
    assert run("eval", "retrieval", *CORPUS).code == 2
