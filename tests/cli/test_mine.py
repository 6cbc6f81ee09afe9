"""`embedkit mine`: an index and judged queries in, examples for training out."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from embedkit.data.text.examples import read_examples

WORDS = ["copy", "folder", "letter", "send", "thread", "wait", "file", "tree", "socket", "server"]
TEXTS = [f"{a} the {b} number {n}" for n, (a, b) in enumerate((a, b) for a in WORDS for b in WORDS)]


@pytest.fixture
def judged(run):
    """An index of a hundred documents, forty queries, and a judgement for most of them."""
    documents = ({"id": f"d{place}", "text": text} for place, text in enumerate(TEXTS))
    Path("docs.jsonl").write_text("".join(json.dumps(each) + "\n" for each in documents))
    queries = ({"id": f"q{place}", "text": f"how to {TEXTS[place]}"} for place in range(40))
    Path("q.jsonl").write_text("".join(json.dumps(each) + "\n" for each in queries))
    Path("qrels.tsv").write_text("".join(f"q{place}\t0\td{place}\t{place % 4}\n" for place in range(40)))
    assert run("index", "docs.jsonl", "-o", "docs.idx", "-q").code == 0
    return ("mine", "docs.idx", "--queries", "q.jsonl", "--qrels", "qrels.tsv", "-o", "mined.jsonl")


def lines(name="mined.jsonl"):
    return [json.loads(line) for line in Path(name).read_text().splitlines()]


def test_examples_are_read_by_training_as_they_are(run, judged):
    done = run(*judged, "--negatives", "3", "--json")
    facts = json.loads(done.out)
    assert (facts["queries"], facts["examples"] + facts["without"]) == (30, 30)
    examples = read_examples(["mined.jsonl"])
    assert examples.columns[:2] == ("query", "positive")
    assert [row[:2] for row in examples.rows] == [(each["query"], each["positive"]) for each in lines()]
    assert [list(row[2:]) for row in examples.rows] == [each["negatives"] for each in lines()]
    for each in lines():
        assert each["positive_id"] == "d" + each["query_id"][1:]
        assert len(each["negatives"]) == len(each["negative_ids"]) == len(each["similarities"]) <= 3


def test_scores_of_a_hybrid_search_are_read_by_training_as_they_are(run, judged):
    assert run(*judged, "--negatives", "3", "--hybrid", "0.5").code == 0
    read = read_examples(["mined.jsonl"], scores=())
    assert read.scores == [(each["score"], *each["scores"]) for each in lines()]
    assert str(read.choices[0]).split("; ")[0].endswith("scores = score, scores")
    assert run(*judged, "--negatives", "3", "--force").code == 0
    assert not {"score", "scores"} & lines()[0].keys()
    read = read_examples(["mined.jsonl"], scores=())
    assert read.scores == [(each["similarity"], *each["similarities"]) for each in lines()]


def test_pairs_are_mined_like_judged_queries(run, judged):
    run(*judged, "--negatives", "4")
    pairs = [{"anchor": each["query"], "positive": each["positive"]} for each in lines()]
    Path("pairs.jsonl").write_text("".join(json.dumps(each) + "\n" for each in pairs))
    assert run("mine", "docs.idx", "--pairs", "pairs.jsonl", "--negatives", "4", "-o", "two.jsonl").code == 0
    by_query = {each["query"]: each["negative_ids"] for each in lines()}
    assert {each["query"]: each["negative_ids"] for each in lines("two.jsonl")} == by_query


def test_a_document_that_made_a_positive_is_no_negative(run, judged):
    line = {"query": f"how to {TEXTS[5]}", "positive": f"how to {TEXTS[5]}"}
    for source in ("d5", None):
        Path("pairs.jsonl").write_text(json.dumps({**line, "positive_id": source}) + "\n")
        more = ("--pairs", "pairs.jsonl", "--share", "1", "--duplicate", "1", "-o", "mined.jsonl", "--force")
        assert run("mine", "docs.idx", *more, "--negatives", "100").code == 0
        (mined,) = lines()
        assert (source is None) == ("d5" in mined["negative_ids"])


def test_faults_are_one_line(run, judged):
    cases = [
        (("--ranks", "9"), "--ranks: '9' is not a range of ranks; --ranks 1-100"),
        (("--share", "2"), "--share: must be above 0 and at most 1, got 2"),
        (("--pairs", "x"), "pairs and judged queries were both given; give one of them"),
    ]
    for more, message in cases:
        assert run(*judged, *more) == (2, "", f"embedkit: {message}\n")
    assert run("mine", "docs.idx", "-o", "x").said == "embedkit: needs --queries with --qrels, or --pairs\n"
    Path("none.tsv").write_text("other\t0\td1\t1\n")
    done = run(*judged[:4], "--qrels", "none.tsv", "-o", "x.jsonl")
    assert (done.code, done.said) == (1, "embedkit: the input has no query with a known answer\n")
    assert not Path("x.jsonl").exists()


def test_a_killed_run_is_continued_to_the_same_bytes(run, judged, monkeypatch):
    monkeypatch.setattr("embedkit.adaptation.mining.WINDOW", 4)
    monkeypatch.setattr("embedkit.adaptation.mined_examples.WINDOW", 4)
    run(*judged)
    whole = Path("mined.jsonl").read_bytes()
    program = (
        "import embedkit.adaptation.mining as mining, embedkit.adaptation.mined_examples as written, time;"
        "mining.WINDOW = written.WINDOW = 4; line = written._line;"
        "written._line = lambda mined: (time.sleep(.02), line(mined))[1];"
        "from embedkit.cli.app import main; main()"
    )
    killed = 0
    for attempt in range(6):
        again = ("--resume",) if Path("killed.jsonl.partial").exists() else ("--force",)
        command = [sys.executable, "-c", program, *judged[:-1], "killed.jsonl", *again]
        process = subprocess.Popen(command, stderr=subprocess.DEVNULL)
        deadline = time.monotonic() + 30
        before = written_bytes()
        while process.poll() is None and written_bytes() == before and time.monotonic() < deadline:
            time.sleep(0.005)
        time.sleep(0.01 * attempt)
        process.send_signal(signal.SIGKILL)
        killed += process.wait() == -signal.SIGKILL
        if Path("killed.jsonl").exists():
            break
    assert killed
    if not Path("killed.jsonl").exists():
        done = run(*judged[:-1], "killed.jsonl")
        assert done.code == 1
        assert "killed.jsonl.partial: an unfinished run is there; continue it with --resume" in done.said
        done = run(*judged[:-1], "killed.jsonl", "--resume", "--negatives", "2")
        assert (done.code, "had other settings: negatives" in done.said) == (1, True)
        assert run(*judged[:-1], "killed.jsonl", "--resume").code == 0
    assert Path("killed.jsonl").read_bytes() == whole
    assert not Path("killed.jsonl.partial").exists()


def written_bytes() -> int:
    try:
        return os.path.getsize("killed.jsonl.partial/state.json")
    except FileNotFoundError:
        return 0


@pytest.mark.parametrize(
    "content", ["", '{"query": "a"}\n', "a sentence\n", '{"query": "a", "positive": "b\\']
)
def test_an_input_that_cannot_be_read_leaves_no_unfinished_run(run, judged, content):
    Path("bad.jsonl").write_text(content)
    assert run("mine", "docs.idx", "--pairs", "bad.jsonl", "-o", "mined.jsonl").code in (1, 2)
    Path("qrels.tsv").write_text("q0\t0\td0\t1\n" * 2)
    assert run(*judged).code == 1
    assert not list(Path().glob("mined*"))
