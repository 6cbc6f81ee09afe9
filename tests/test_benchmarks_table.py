"""The benchmarks' table: lines in, both sides and a verdict out; losses and gaps are told."""

import importlib.util
import json
import subprocess
import sys
from pathlib import Path

import pytest

FILE = Path(__file__).resolve().parent.parent / "benchmarks/table.py"
PLACE = {
    "machine": {"cpus": 2, "processor": "Some CPU avx2", "python": "3.11.7"},
    "versions": {"embedkit": "0.1.0", "torch": "2.13.0"},
    "date": "2026-11-21",
}


@pytest.fixture(scope="module")
def table():
    spec = importlib.util.spec_from_file_location("benchmarks_table", FILE)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def line(benchmark, **values):
    return {"benchmark": benchmark, **values, **PLACE}


def cells(page, start):
    """Return the cells of the one row that begins so."""
    (row,) = [row for row in page.splitlines() if row.startswith(f"| {start} |")]
    return [cell.strip() for cell in row.strip("|").split("|")]


def encoding(rate, ratio, met, precision="bf16"):
    ours = {"side": "embedkit", "runtime": "openvino", "precision": precision, "lowest_cosine": 0.99996}
    return line("encode", **ours, sentences_per_second=rate, ratio=ratio, met=met)


PEER = line("encode", side="sentence-transformers", runtime="torch", sentences_per_second=167.4)
STEPS = {
    "CachedMultipleNegativesRankingLoss": ([20.0, 22.0, 24.0], 1.0, None),
    "embedkit fp32": ([10.0, 11.0, 30.0], 2.0, 2.0),
    "embedkit bf16": ([5.0, 5.0, 5.0], 4.4, 4.5),
}


def test_both_sides_the_ratio_and_the_goal_stand_in_a_row(table):
    page = table.table([PEER, encoding(888.2, 5.3, True)])
    assert cells(page, "encode 20 000 sentences, bf16") == [
        "encode 20 000 sentences, bf16", "sentence-transformers `encode`, torch fp32", "167 a second",
        "888 a second, lowest cosine 0.99996", "5.30", ">= 5 x: met", "[encode](encode.py)",
    ]  # fmt: skip


def test_a_loss_is_told_in_bold(table):
    page = table.table([PEER, encoding(700.0, 4.2, False)])
    assert cells(page, "encode 20 000 sentences, bf16")[-2] == ">= 5 x: **lost**"


def test_a_server_is_judged_by_its_median_and_its_share_of_the_offline_rate(table):
    load = {
        "one text per request": {"texts_per_second": 850.0, "share": 0.85, "p99_ms": 90.0},
        "32 texts per request": {"texts_per_second": 840.0, "share": 0.84, "p99_ms": 900.0},
    }
    facts = {"side": "minilm", "kind": table.SERVED, "load": load, "offline_texts_per_second": 1000.0}
    single, goal = {"p50_ms": 7.9, "p99_ms": 20.0}, {"p50_ms": 8, "share": 0.85}
    lines = [
        line("serve", **facts, quick=False, single=single, goal=goal),
        line("serve", **facts, quick=True, single={"p50_ms": 99.0, "p99_ms": 99.0}, goal=goal),
    ]
    page = table.table(lines)
    assert cells(page, "one query to a server, minilm, hnsw")[3:6] == [
        "7.9 ms, p99 20.0 ms", "", "<= 8 ms: met",
    ]  # fmt: skip
    assert cells(page, "64 clients, a query per request")[2:6] == [
        "1000 a second", "850 a second, p99 90 ms", "0.85", ">= 0.85 x: met",
    ]  # fmt: skip
    assert cells(page, "the same, 32 queries per request")[5] == ">= 0.85 x: **lost**"


def test_what_was_not_measured_is_told(table):
    page = table.table([PEER])
    assert cells(page, "encode 20 000 sentences, bf16")[3] == "not measured"
    assert page.count("not measured") == len(table.CLAIMS)


def test_of_several_runs_the_last_counts(table):
    page = table.table([PEER, encoding(700.0, 4.2, False), encoding(888.2, 5.3, True)])
    assert cells(page, "encode 20 000 sentences, bf16")[4] == "5.30"


def test_whole_processes_are_not_taken_for_computing_alone(table):
    whole = [
        line("encode", side="sentence-transformers", whole_process=True, seconds=127.0),
        line("encode", side="embedkit", whole_process=True, seconds=27.0, ratio=4.7, met=True),
    ]
    page = table.table([*whole, PEER, encoding(888.2, 5.3, True)])
    assert cells(page, "the same, whole processes")[2:5] == ["127.0 s", "27.0 s", "4.70"]
    assert cells(page, "encode 20 000 sentences, bf16")[2] == "167 a second"


@pytest.mark.parametrize(
    ("start", "expected"),
    [
        ("contrastive step, batch 256, fp32", ["22.0 s", "11.0 s", "2.00", ">= 2 x: met"]),
        ("the same, ours in bf16", ["22.0 s", "5.0 s", "4.40", ">= 4.5 x: **lost**"]),
    ],
)
def test_steps_are_medians(table, start, expected):
    lines = [
        line("contrastive", side=side, seconds=seconds, ratio=ratio, goal=goal)
        for side, (seconds, ratio, goal) in STEPS.items()
    ]
    assert cells(table.table(lines), start)[2:6] == expected


@pytest.mark.parametrize(("ours", "verdict"), [(0.8, "met"), (0.84, "met"), (0.86, "**lost**")])
def test_a_goal_in_shares_of_the_peers_time_holds_at_the_largest_size(table, ours, verdict):
    what = "whitening fit from disk, against PCA(covariance_eigh) in memory"
    seconds = {"ours": [9.0, 9.0, ours], "theirs": [0.1, 0.1, 0.425]}
    page = table.table([line("maps", what=what, seconds=seconds, goal=2.0)])
    row = cells(page, "whitening fit, 400 000 x 384")
    assert (row[4], row[5]) == (f"{0.425 / ours:.2f}", f">= 0.5 x: {verdict}")


@pytest.mark.parametrize(
    ("seconds", "ratio", "peak", "verdict"),
    [
        (0.7, 9.0, 400, "met"),
        (0.9, 9.0, 400, "**lost**"),
        (0.7, 7.0, 400, "**lost**"),
        (0.7, 9.0, 900, "**lost**"),
    ],
)
def test_one_search_has_three_goals(table, seconds, ratio, peak, verdict):
    sides = {"embedkit": {"seconds": seconds, "peak_mb": peak}, "script": {"seconds": 6.0, "peak_mb": 800}}
    goal = {"seconds": 0.8, "ratio": 8, "peak_mb": "below the script's"}
    page = table.table([line("search", **sides, ratio=ratio, goal=goal)])
    row = cells(page, "one search of 100 000 documents, whole process")
    assert row[5] == f"<= 0.8 s, >= 8 x, less memory: {verdict}"
    static = line("search", **sides, ratio=ratio, goal=goal | {"seconds": 0.35}, encoder="static")
    page = table.table([line("search", **sides, ratio=ratio, goal=goal), static])
    assert cells(page, "one search of 100 000 documents, whole process") == row
    assert cells(page, "the same, static encoder")[5].endswith("**lost**")


@pytest.mark.parametrize(("ratio", "shown", "verdict"), [(1.25, "0.80", "**lost**"), (1.0, "1.00", "met")])
def test_building_is_judged_by_the_share_of_the_peers_time(table, ratio, shown, verdict):
    values = {
        "seconds": [12.0, 12.5, 20.0],
        "faiss": [9.0, 10.0, 11.0],
        "ratio": ratio,
        "goal": {"ratio": 1.2},
    }
    page = table.table([line("index", what="hnsw of 99000 rows", **values)])
    assert cells(page, "HNSW index of 99 000 x 384")[2:6] == [
        "10.0 s",
        "12.5 s",
        shown,
        f">= 0.83 x: {verdict}",
    ]


def test_recall_is_that_of_most_rows(table):
    values = {"interval": [0.95, 0.97], "queries_a_second": 9000, "exact": 1000, "ratio": 9.0}
    values["goal"] = {"recall": 0.95, "ratio": 3}
    lines = [
        line("index", what=f"{rows} rows, --recall .95, 1000 unseen queries", recall=recall, **values)
        for rows, recall in ((6187, 0.99), (99000, 0.96), (24750, 0.93))
    ]
    row = cells(table.table(lines), "search at recall .95, asked and found")
    assert row[2:6] == ["1,000 queries/s", "recall 0.960 (0.950 to 0.970), 9,000 queries/s", "9.00", row[5]]
    assert row[5].endswith(": met")
    lines[1]["recall"] = 0.949
    assert cells(table.table(lines), "search at recall .95, asked and found")[5].endswith(": **lost**")


@pytest.mark.parametrize(
    ("recall", "peak", "verdict"), [(0.951, 950, "met"), (0.949, 950, "**lost**"), (0.951, 960, "**lost**")]
)
def test_a_million_rows_have_two_goals_and_a_row_of_their_own(table, recall, peak, verdict):
    values = {"interval": [0.9, 0.97], "queries_a_second": 90, "exact": 50, "ratio": 1.8, "recall": recall}
    goal = {"recall": 0.95, "peak": 10**9}
    lines = [line("index", what="1000000 rows, --recall .95", peak_mb=peak, goal=goal, **values)]
    row = cells(table.table(lines), "a million rows within --max-memory")
    assert row[3] == f"recall {recall}, {peak * 1.048576:.0f} of 1000 MB"  # measured in units of 2**20
    assert row[5] == f"recall >= 0.95, within it: {verdict}"
    assert cells(table.table(lines), "search at recall .95, asked and found")[3] == "not measured"


def test_two_workers_stand_beside_one_process(table):
    one = line("cluster", side="one process, two processors", sentences_per_second=758.1)
    many = line(
        "cluster", side="two workers, a processor each", sentences_per_second=683.6, ratio=0.902, met=True
    )
    row = cells(table.table([one, many]), "encode on two Ray nodes, a core each")
    assert row[2:6] == ["758 a second", "684 a second", "0.90", ">= 0.85 x: met"]


@pytest.mark.parametrize(("mean", "verdict"), [(72.58, "met"), (72.4, "**lost**")])
def test_unseen_labels_are_judged_by_the_mean_over_seeds(table, mean, verdict):
    raw = {"map": [69.48, 67.2, 71.7]}
    taught = {"map": {"mean": mean, "deviation": 0.23}}
    lines = [
        line("labels", set=name, what=what, system=system, **figures)
        for name in ("hwu64-en", "banking77-en")
        for what in ("unseen labels, 1080 queries", "seen labels, 2000 queries")
        for system, figures in (("raw minilm", raw), ("softmax", taught))
        if (name, what[:4]) != ("banking77-en", "seen") or system == "raw minilm"
    ]
    row = cells(table.table(lines), "labels never seen, banking77, softmax")
    assert row[2:4] == ["MAP 69.48 (67.2 to 71.7)", f"MAP {mean:.2f}, deviation 0.23 over seeds"]
    assert row[5] == f">= 72.5: {verdict}"


@pytest.mark.parametrize(
    ("seconds", "recall", "verdict"),
    [(14.0, 0.951, "met"), (14.0, 0.94, "**lost**"), (30.0, 0.951, "**lost**")],
)
def test_an_index_by_wishes_has_two_goals(table, seconds, recall, verdict):
    ours = line(
        "autotune", side="embedkit", seconds=seconds, recall=recall, goal={"recall": 0.95, "ratio": 1.0}
    )
    lines = [ours, line("autotune", side="autofaiss", seconds=28.0, recall=0.94)]
    row = cells(table.table(lines), "index of 99 000 x 384 in 300 MB and 5 ms a query")
    assert row[4:6] == [f"{28 / seconds:.2f}", f">= 1 x, recall >= 0.95: {verdict}"]


def test_the_command_reads_files_and_passes_over_what_was_skipped(table, tmp_path):
    lines = [line("encode", skipped="no data"), PEER, encoding(888.2, 5.3, True)]
    (tmp_path / "a.jsonl").write_text("".join(json.dumps(each) + "\n" for each in lines))
    command = [sys.executable, str(FILE), str(tmp_path / "a.jsonl"), "-o", str(tmp_path / "RESULTS.md")]
    subprocess.run(command, check=True)
    page = (tmp_path / "RESULTS.md").read_text()
    assert page == table.table(lines[1:])
    assert "- date: 2026-11-21\n- machine: 2 processors, Some CPU avx2, Python 3.11.7\n" in page
    assert "- versions: embedkit 0.1.0, torch 2.13.0\n" in page


def test_every_benchmark_that_is_named_is_there(table):
    missing = {
        claim.benchmark for claim in table.CLAIMS if not FILE.with_name(f"{claim.benchmark}.py").is_file()
    }
    assert missing == set()


def test_memory_of_labels_is_judged_by_copies_of_their_vectors(table):
    def row(copies):
        peaks = {"labels": [500, 50_000], "peak_mb": [900.4, 1383.2], "copies": copies, "goal": {"copies": 8}}
        return cells(table.table([line("memory", **peaks)]), "memory of training as labels grow")

    assert row(6.7)[3] == "1383 MB at 50,000, 900 MB at 500"
    assert row(6.7)[-2].endswith(": met")
    assert row(8.1)[-2].endswith(": **lost**")


def test_words_are_judged_by_what_they_add(table):
    sides = {"embedkit": {"seconds": 6.0}, "vectors": {"seconds": 3.0}}
    what = "fused search of 100 000 documents, 2 000 queries at once"
    for more, verdict in ((0.004, "met"), (0.006, "lost")):
        page = table.table([line("lexical", what=what, **sides, more=more, goal={"more": 0.005})])
        row = cells(page, "2 000 queries, vectors and words")
        assert row[2:5] == ["3.00 s", "6.00 s", "0.50"]
        assert verdict in row[5]
    own, peer = {"index": 10.0, "query": 0.03, "peak_mb": 1}, {"index": 20.0, "query": 0.04, "peak_mb": 2}
    lines = [
        line("lexical", what="postings", embedkit=own, bm25s=peer, ratio=2, goal={"ratio": 1, "query": 0.02})
    ]
    assert (
        "lost" in cells(table.table(lines), "postings of 1 000 000 short documents, with their analysis")[5]
    )


@pytest.mark.parametrize(("lows", "verdict"), [((1.0, 0.5), "met"), ((1.0, -0.5), "**lost**")])
def test_a_gain_by_training_is_certain_for_every_seed(table, lows, verdict):
    def side(value):
        return {"value": value, "low": value - 4, "high": value + 4}

    lines = [line("domain", system="minilm", dense=side(64.5), hybrid=side(73.8))]
    for seed, low in enumerate(lows):
        figures = {"dense": side(70.0 + seed), "hybrid": side(76.0), "difference": {"low": low}}
        lines.append(line("domain", system="hard negatives", seed=seed, **figures))
    page = table.table(lines)
    row = cells(page, "SciFact after training, nDCG@10")
    assert "70.50 (70.00 to 71.00 over 2 seeds)" in row
    assert "64.50 (60.5 to 68.5)" in row
    assert row[5] == f">= 68: {verdict}"
