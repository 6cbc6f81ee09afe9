"""`index plan`, `build --recall`, `tune`, `search --recall` and `eval index`: planned, then measured."""

import json
import os
import time
from pathlib import Path

import numpy as np
import pytest

from embedkit.evaluation.index import document_queries, recall
from embedkit.indexing.planning import machine
from embedkit.indexing.store import Index


@pytest.fixture(autouse=True)
def known_machine(monkeypatch):
    """A machine whose figures no test measures, and few queries."""
    figures = machine.Machine(30e9, 24e9, 12e6, 1, 2)
    monkeypatch.setattr(machine, "this_machine", lambda: figures)
    monkeypatch.setattr(document_queries, "QUERIES", 200)
    monkeypatch.setattr(recall, "ALONE", 20)


@pytest.fixture
def rows(folder):
    """The file `x.npy` of 1,500 rows."""
    np.save("x.npy", np.random.default_rng(0).normal(size=(1500, 24)).astype(np.float32))
    return "x.npy"


@pytest.fixture
def graph(run, rows):
    """The index `x.idx`, a graph that finds little unless it is asked to."""
    done = run(
        "index", rows, "-o", "x.idx", "--kind", "hnsw:m=8,ef_construction=20", "-q", "-m", "hash:dim=24"
    )
    assert done == (0, "", "")
    return "x.idx"


def test_a_plan_for_a_billion_rows_shows_its_arithmetic_at_once(run):
    started = time.process_time()  # others use the machine too
    done = run("index", "plan", "--rows", "1e9", "--dim", 256, "--max-memory", "64GB")
    assert (done.code, done.said) == (0, "")
    assert time.process_time() - started < 2
    (chosen,) = [line for line in done.out.splitlines() if line.startswith(">")]
    assert "storage=pq" in chosen
    assert "1,000,000,000 x" in done.out
    assert "machine: 30 G multiply-adds" in done.out


def test_a_plan_as_json_holds_bytes_and_the_chosen_kind_is_one_that_can_be_built(run, rows):
    args = ("--rows", "1_500", "--dim", 24, "--recall", ".99", "--json")
    facts = json.loads(run("index", "plan", *args).out)
    assert (facts["rows"], facts["wishes"]["recall"], facts["chosen"]["kind"]) == (1500, 0.99, "flat")
    for candidate in facts["candidates"]:
        kind = candidate["kind"]
        if "pq" in kind:
            continue  # learns for a second; its bytes are those of tests/indexing/planning/test_plan.py
        assert run("index", rows, "-o", "y.idx", "--kind", kind, "--force", "-q").code == 0, kind
        written = sum(file.bytes for file in Index.open("y.idx").segments[0].files)
        assert written == pytest.approx(candidate["disk_bytes"], rel=0.1, abs=4000), kind


@pytest.mark.parametrize(
    ("args", "code", "message"),
    [
        (
            ("--rows", "many"),
            2,
            "--rows: 'many' is not a number of rows; write 1000000, 1_000_000, 1e6 or 1M",
        ),
        (("--rows", 9, "--recall", 2), 2, "--recall: must be above 0 and at most 1, got 2"),
        (
            ("--rows", 9, "--max-memory", "2XB"),
            2,
            "--max-memory: '2XB' is not a size; write 500MB, 2GB or 64GiB",
        ),
        (("--rows", 9, "--latency", "fast"), 2, "--latency: 'fast' is not a time; write 5ms, 200us or 2s"),
        (("--rows", 9, "--kind", "flt"), 2, "unknown index kind 'flt'; did you mean flat?"),
    ],
)
def test_a_wish_that_is_none_is_one_line(run, args, code, message):
    assert run("index", "plan", "--dim", 8, *args) == (code, "", f"embedkit: {message}\n")


def test_what_does_not_fit_is_one_line_and_leaves_nothing(run, rows):
    before = sorted(os.listdir())
    done = run("index", rows, "-o", "y.idx", "--max-memory", "1MB")
    assert (done.code, done.out, done.said.count("\n")) == (1, "", 1)
    assert done.said.startswith("embedkit: --max-memory: not even ")
    assert sorted(os.listdir()) == before


@pytest.mark.parametrize("door", ["vectors", "text", "pipe"])
def test_a_dry_run_counts_the_rows_and_writes_nothing(run, rows, docs, door):
    before = sorted(os.listdir())
    name, stdin, count = {"vectors": (rows, None, 1500), "text": (docs, None, 3), "pipe": ("-", "a\nb\n", 2)}[
        door
    ]
    done = run("index", name, "-o", "y.idx", "--dry-run", "--json", stdin=stdin)
    assert json.loads(done.out)["rows"] == count
    assert sorted(os.listdir()) == before


@pytest.mark.parametrize("door", ["vectors", "text"])
def test_the_recall_asked_for_is_the_recall_measured(run, rows, door):
    Path("x.txt").write_text("".join(f"line {n} of {n * n}\n" for n in range(1500)))
    source = rows if door == "vectors" else "x.txt"
    args = ("--kind", "hnsw:m=8,ef_construction=20", "--recall", ".9")
    done = run("index", source, "-o", "x.idx", *args, "-m", "hash:dim=24")
    assert (done.code, done.out) == (0, ""), done.said
    assert done.said.startswith("embedkit: plan: hnsw:m=8,ef_construction=20,ef_search=")
    index = Index.open("x.idx")
    unseen = np.random.default_rng(9).normal(size=(300, 24)).astype(np.float32)
    exact = index.prepared(unseen) @ index.vectors(np.arange(1500)).T
    nearest = np.argsort(-exact, axis=1)[:, :10].tolist()
    found = index.search(unseen, 10)[1].tolist()
    if door == "vectors":  # the sentences do not lie where these queries do
        assert np.mean([len(set(a) & set(b)) / 10 for a, b in zip(found, nearest, strict=True)]) >= 0.88
    (point,) = [
        each
        for each in index.manifest.tuning.points
        if each.settings == {"ef_search": index.settings.ef_search}
    ]
    assert point.low >= 0.9
    assert sorted(os.listdir()) == ["x.idx", "x.npy", "x.txt"]


def test_a_recall_that_no_setting_reaches_is_said_and_the_index_is_there(run, rows):
    done = run(
        "index", rows, "-o", "x.idx", "--kind", "ivf:storage=pq,m=1,bits=4,opq=no", "--recall", ".99", "-q"
    )
    assert (done.code, done.out) == (1, "")
    assert done.said.startswith(
        "embedkit: x.idx: no setting reaches recall 0.99; the index is kept at the best, probes="
    )
    assert Index.open("x.idx").rows == 1500


def test_tune_keeps_points_and_search_takes_the_quickest(run, graph):
    done = run("index", "tune", graph)
    assert done.code == 0
    source = "documents, each turned by 45 degrees, its near-copies left out"
    assert done.said == f"embedkit: x.idx: 200 queries from {source}\n"
    assert done.out.splitlines()[0].split() == [
        "setting",
        "recall@10",
        "95",
        "%",
        "per",
        "query",
        "queries/s",
    ]
    assert len(Index.open(graph).manifest.tuning.points) > 3
    assert run("search", graph, "one", "--recall", ".9").code == 0
    done = run("search", graph, "one", "--recall", "1.5")
    assert done == (2, "", "embedkit: --recall: 1.5 is not a share above 0, at most 1\n")
    done = run("search", graph, "one", "--recall", ".9", "--exact")
    assert done == (2, "", "embedkit: --recall: is settled by --exact; give one of them\n")
    assert "recall@10 of 200 documents" in run("info", graph).out


def test_tune_takes_queries_of_the_user_and_a_recall(run, graph):
    Path("q.txt").write_text("".join(f"question {n}\n" for n in range(60)))
    np.save("q.npy", np.random.default_rng(4).normal(size=(60, 24)).astype(np.float32))
    for name in ("q.txt", "q.npy"):
        facts = json.loads(
            run("index", "tune", graph, "--queries", name, "--recall", ".8", "-k", 5, "--json").out
        )
        assert (facts["queries"], facts["source"], facts["k"]) == (60, name, 5)
        assert facts["chosen"] == {"ef_search": Index.open(graph).settings.ef_search}
        kept = Index.open(graph).manifest.tuning.to_json()
        assert {key: facts[key] for key in kept} == json.loads(json.dumps(kept))
    np.save("w.npy", np.ones((3, 9), np.float32))
    done = run("index", "tune", graph, "--queries", "w.npy")
    assert done == (1, "", "embedkit: w.npy: has vectors of 9 dimensions, the index has 24\n")


def test_eval_index_shows_the_curve_beside_exact_search_and_changes_nothing(run, graph):
    before = Path("x.idx/manifest.json").read_bytes()
    done = run("eval", "index", graph, "--json", "--plot", "c.svg")
    facts = json.loads(done.out)
    *points, exact = facts["results"]
    assert (exact["setting"], exact["ratio"], exact["recall@10"]["value"]) == ("exact search", 1, 1)
    assert [point["settings"]["ef_search"] for point in points][:3] == [12, 16, 24]
    assert points[0]["recall@10"]["value"] < points[-1]["recall@10"]["value"]
    assert (
        facts["protocol"]["index"]
        == "x.idx (hnsw:m=8,ef_construction=20, cosine, 1,500 documents, 24 dimensions)"
    )
    assert "<svg" in Path("c.svg").read_text()
    assert Path("x.idx/manifest.json").read_bytes() == before
    Path("c.json").write_text(done.out)
    assert run("report", "c.json", "-o", "r.html").code == 0
    page = Path("r.html").read_text()
    assert "Recall and queries per second" in page
    assert "ef_search=12" in page


def test_eval_index_is_a_table_with_its_protocol(run, graph):
    lines = run("eval", "index", graph).out.splitlines()
    assert lines[0].split()[:4] == ["setting", "recall@1", "95", "%"]
    assert any(line.startswith("exact search") for line in lines)
    assert {"index", "queries", "truth", "times", "intervals", "versions"} <= {
        line.split()[0] for line in lines if line
    }


def test_the_machine_is_measured_once(monkeypatch, tmp_path):
    monkeypatch.undo()
    monkeypatch.setenv("EMBEDKIT_CACHE", str(tmp_path))
    measured = []
    monkeypatch.setattr(
        machine, "measure_machine", lambda: measured.append(1) or machine.Machine(1, 2, 3, 4, 5)
    )
    assert machine.this_machine() == machine.this_machine() == machine.Machine(1, 2, 3, 4, 5)
    assert len(measured) == 1
    machine.machine_file().write_bytes(b"{")
    assert machine.this_machine() == machine.Machine(1, 2, 3, 4, 5)
    assert len(measured) == 2


def test_a_build_measures_its_recall_with_the_queries_given(run, rows):
    np.save("q.npy", np.random.default_rng(4).normal(size=(60, 24)).astype(np.float32))
    kind = ("--kind", "hnsw:m=8,ef_construction=20")
    done = run("index", rows, "-o", "x.idx", *kind, "--recall", ".9", "--queries", "q.npy")
    assert done.code == 0, done.said
    tuning = Index.open("x.idx").manifest.tuning
    assert (tuning.queries, tuning.source) == (60, "q.npy")


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (("--queries", "q.npy"), "--queries: applies only with --recall"),
        (("--queries", "q.npy", "--recall", ".9"), "q.npy: no such file"),
    ],
)
def test_queries_that_are_of_no_use_are_one_line(run, rows, args, message):
    assert run("index", rows, "-o", "x.idx", *args) == (2, "", f"embedkit: {message}\n")
    assert not Path("x.idx").exists()


def test_a_build_holds_documents_out_until_they_have_asked(run, folder):
    np.save("x.npy", np.random.default_rng(0).normal(size=(4000, 32)).astype(np.float32))
    done = run("index", "x.npy", "-o", "x.idx", "--kind", "hnsw:m=8,ef_construction=20", "--recall", ".8")
    assert done.code == 0, done.said
    index = Index.open("x.idx")
    assert (index.rows, len(index.segments)) == (4000, 1)
    tuning = index.manifest.tuning
    assert (tuning.queries, tuning.source) == (200, "documents that were not in it yet")
    assert tuning.cheapest(0.8).settings == {"ef_search": index.settings.ef_search}
    ids = np.array([int(id) for table in index.segments[0].documents() for id in table["id"].to_pylist()])
    assert (np.diff(ids) < 0).sum() == 1  # those that were held out came last
    assert sorted(ids) == list(range(1, 4001))
    rows = np.load("x.npy")[ids - 1]
    unit = rows / np.linalg.norm(rows, axis=1, keepdims=True)
    np.testing.assert_allclose(index.vectors(np.arange(4000)), unit, atol=1e-6)
