"""Retrieval sets: which files make one, and their nDCG@10 against plain numpy."""

import json
import math
from pathlib import Path

import numpy as np
import pytest

from embedkit.embedding.loading import load
from embedkit.errors import DataError, UsageError
from embedkit.evaluation.judged_sets import JudgedFiles, judged_files, read_judged_set

WORDS = ["cat", "dog", "river", "stone", "bread", "moon", "tree", "song", "night", "door"]


def written(path="set", qrels="qrels.tsv"):
    """A folder in BEIR's layout: 200 documents, and 20 queries with two judged documents each."""
    chance, folder = np.random.default_rng(0), Path(path)
    (folder / qrels).parent.mkdir(parents=True)
    texts = [" ".join(chance.choice(WORDS, 5)) for _ in range(200)]
    documents = ({"_id": f"d{n}", "title": text[:3], "text": text} for n, text in enumerate(texts))
    (folder / "corpus.jsonl").write_text("".join(json.dumps(each) + "\n" for each in documents))
    queries = ({"_id": f"q{n}", "text": " ".join(texts[n].split()[:3])} for n in range(25))
    (folder / "queries.jsonl").write_text("".join(json.dumps(each) + "\n" for each in queries))
    judged = "".join(f"q{n}\td{n}\t2\nq{n}\td{n + 30}\t1\n" for n in range(20))
    (folder / qrels).write_text("query-id\tcorpus-id\tscore\n" + judged)
    return folder


def test_its_value_is_that_of_plain_numpy(folder):
    written()
    encoder = load("hash:dim=64")
    judged = read_judged_set(judged_files("set"))
    assert len(judged.queries) == 20
    rows = [json.loads(line) for line in Path("set/corpus.jsonl").read_text().splitlines()]
    vectors = encoder.encode([f"{row['title']} {row['text']}" for row in rows]).astype(np.float64)
    values = []
    for n, vector in enumerate(encoder.encode([query.text for query in judged.queries], "query")):
        scores = np.float32(vectors @ vector)
        order = sorted(range(200), key=lambda row: (-scores[row], row))[:11]
        order = sorted(order, key=lambda row: (scores[row], rows[row]["_id"]), reverse=True)[:10]
        gains = {n: 2, n + 30: 1}
        dcg = sum(gains.get(row, 0) / math.log2(2 + rank) for rank, row in enumerate(order))
        values.append(dcg / (2 + 1 / math.log2(3)))
    assert judged.value(encoder) == pytest.approx(np.mean(values), abs=5e-3)  # ties of rounding swap hits
    assert 0.2 < judged.value(encoder) < 1
    assert judged.value(encoder) == judged.value(encoder)  # documents are read anew


@pytest.mark.parametrize("qrels", ["qrels.tsv", "qrels/dev.tsv", "dev.txt"])
def test_a_folder_or_files_make_one(folder, qrels):
    written(qrels=qrels)
    files = JudgedFiles("set/queries.jsonl", f"set/{qrels}", "set/corpus.jsonl")
    assert judged_files("set") == files
    assert judged_files(*files) == files
    assert judged_files("set", qrels="other.tsv", corpus="c.jsonl") == JudgedFiles(
        "set/queries.jsonl", "other.tsv", "c.jsonl"
    )
    assert judged_files("pairs.tsv") is None


def test_what_makes_none_is_one_line(folder):
    written()
    with pytest.raises(UsageError, match="`eval_corpus`: is missing for a retrieval set of files"):
        judged_files("set/queries.jsonl", qrels="set/qrels.tsv")
    with pytest.raises(UsageError, match="`eval_qrels`: is missing for a retrieval set of files"):
        judged_files("set/queries.jsonl", corpus="set/corpus.jsonl")
    Path("set/corpus.csv").touch()
    with pytest.raises(DataError, match=r"set: has several files of corpus: corpus\.csv, corpus\.jsonl"):
        judged_files("set")
    Path("set/qrels.tsv").unlink()
    with pytest.raises(DataError, match=r"set: has no file dev\.\* or qrels\.\*"):
        judged_files("set", corpus="set/corpus.csv")


def test_a_corpus_without_the_relevant_documents_is_refused(folder):
    written()
    judged = read_judged_set(judged_files("set"))
    judged.require_documents(record.id for record in judged.documents())
    with pytest.raises(DataError, match=r"set/corpus\.jsonl: has none of the documents that are relevant"):
        judged.require_documents(iter(["x", "y"]))
