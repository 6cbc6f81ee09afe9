"""The main job on real text: the vectors of sentence-transformers, and the published figure on SciFact."""

import csv
import gzip
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

DATA = Path(__file__).resolve().parent.parent.parent / "shared" / "data"
PROGRAM = str(Path(sys.executable).with_name("embedkit"))

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not DATA.is_dir(), reason="the measurement data is not beside the project"),
]


def embedkit(*arguments, **options):
    done = subprocess.run([PROGRAM, *map(str, arguments)], capture_output=True, check=False, **options)
    assert done.returncode == 0, done.stderr.decode()
    return done.stdout


@pytest.fixture(scope="module")
def sentences():
    with open(DATA / "corpus/wiki-en/sentences_100k.txt", encoding="utf-8") as file:
        return [next(file).rstrip("\n") for _ in range(2000)]


@pytest.fixture(scope="module")
def plain(sentences):
    """The vectors that a user's own script would get."""
    os.environ["HF_HUB_OFFLINE"] = "1"
    from sentence_transformers import SentenceTransformer

    from embedkit.embedding.model_finding import find_model

    return SentenceTransformer(str(find_model("minilm").path), device="cpu").encode(sentences)


def as_text(sentences, path):
    path.write_text("".join(f"{text}\n" for text in sentences), encoding="utf-8")


def as_jsonl(sentences, path):
    with open(path, "w", encoding="utf-8") as file:
        for number, text in enumerate(sentences, 1):
            file.write(json.dumps({"_id": f"{number}", "text": text}) + "\n")


def as_csv(sentences, path):
    with open(path, "w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["id", "note", "text"])
        for number, text in enumerate(sentences, 1):
            writer.writerow([number, 'two\nlines, "quoted"', text])


def as_gzip(sentences, path):
    with gzip.open(path, "wt", encoding="utf-8") as file:
        file.writelines(f"{text}\n" for text in sentences)


@pytest.mark.parametrize(
    ("name", "write", "piped"),
    [
        ("s.txt", as_text, False),
        ("s.jsonl", as_jsonl, False),
        ("s.csv", as_csv, False),
        ("s.txt.gz", as_gzip, False),
        ("s.txt", as_text, True),
        ("s.txt.gz", as_gzip, True),
    ],
)
def test_vectors_are_those_of_sentence_transformers(sentences, plain, tmp_path, name, write, piped):
    write(sentences, tmp_path / name)
    arguments = ["encode", "--precision", "fp32", "-o", tmp_path / "s.npy", "-q"]
    if piped:
        embedkit(*arguments, input=(tmp_path / name).read_bytes())
    else:
        embedkit(*arguments, tmp_path / name)
    vectors = np.load(tmp_path / "s.npy")
    assert vectors.shape == plain.shape
    assert (vectors * plain).sum(axis=1).min() >= 0.99999
    ids = [json.loads(line)["id"] for line in (tmp_path / "s.npy.ids.jsonl").read_text().splitlines()]
    assert ids == [str(number) for number in range(1, 2001)]


def test_scifact_gives_the_published_figure(tmp_path):
    import ir_measures
    from ir_measures import R, nDCG

    folder = DATA / "retrieval/scifact-en"
    embedkit("index", folder / "corpus.jsonl", "-o", tmp_path / "s.idx")
    run = tmp_path / "run.trec"
    run.write_bytes(
        embedkit("search", tmp_path / "s.idx", "-i", folder / "queries.jsonl", "-k", 100, "--format", "trec")
    )
    lines = [line.split() for line in (folder / "qrels.tsv").read_text().splitlines()[1:]]
    judged = [ir_measures.Qrel(query, document, int(grade)) for query, document, grade in lines]
    figures = ir_measures.calc_aggregate([nDCG @ 10, R @ 100], judged, ir_measures.read_trec_run(str(run)))
    assert figures[nDCG @ 10] == pytest.approx(0.645, abs=0.002)
    assert figures[R @ 100] == pytest.approx(0.925, abs=0.003)
