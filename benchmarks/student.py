"""A student with three of minilm's six layers, which learns from its teacher by text alone.

The texts are 20,000 Wikipedia sentences and the documents of SciFact. Quality is nDCG@10 on SciFact's test
claims, compared with that of the teacher and of the same layers before training. Speed is that of whole
processes which encode the sentences in turn. The student learns the teacher's vectors (vector-mse), or, for
comparison, its similarities within a batch (batch-kl). Claims: at least 1.7 times as fast, at 95 % of the
teacher's nDCG@10. Nothing was chosen by the test claims.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from pathlib import Path

from domain import MEASURE, figures
from measure import alternate, data, embedkit, emit, median, run

LAYERS = "0,2,5"
SENTENCES = 20_000
LESSONS = {"vector-mse": "3e-4", "batch-kl": "1e-4"}  # kinds of --distill, and their learning rates
SETTINGS = [
    *("--teacher", "minilm", "--loss", "none", "--warmup", "0.1"),
    *("--batch-size", "64", "--max-length", "128"),
]
GOAL = {"ratio": 1.7, "kept": 0.95}


def main() -> None:
    """Export, train, measure the quality and time both encoders in turn."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--lesson", choices=LESSONS, default="vector-mse")
    parser.add_argument("--epochs", type=float, default=1)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--keep", type=Path, help="a new folder for the trained student")
    options = parser.parse_args()
    source = data("retrieval/scifact-en")
    lines = data("corpus/wiki-en/sentences_100k.txt").read_text(encoding="utf-8").splitlines()[:SENTENCES]
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        start, student = folder / "start", options.keep or folder / "student"
        sentences, texts = folder / "sentences.txt", folder / "texts.txt"
        sentences.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
        texts.write_text("".join(f"{line}\n" for line in [*lines, *documents(source)]), encoding="utf-8")
        run(embedkit("export", "-m", "minilm", "--layers", LAYERS, "-o", str(start), "-q"))
        lesson = ["--distill", options.lesson, "--learning-rate", LESSONS[options.lesson]]
        how = [*SETTINGS, *lesson, "--epochs", str(options.epochs), "-o", str(student)]
        trained = run(embedkit("train-simcse", str(texts), "-m", str(start), *how))
        judged = ["--queries", str(source / "queries.jsonl"), "--qrels", str(source / "qrels.tsv")]
        compared = ["--compare", str(start), "--compare", str(student)]
        corpus = str(source / "corpus.jsonl")
        found = figures(["--corpus", corpus, *judged, "-m", "minilm", *compared])
        teacher, before, after = (each[MEASURE] for each in found)
        ours, theirs = alternate(
            *(encoding(sentences, model) for model in (str(student), "minilm")), options.runs
        )
        mine, other = median(ours), median(theirs)
        emit(
            layers=LAYERS,
            lesson=options.lesson,
            epochs=options.epochs,
            train_seconds=round(trained.seconds, 1),
            scifact={"teacher": teacher, "before": before, "student": after},
            difference=found[2]["difference"][MEASURE],
            kept=round(after["value"] / teacher["value"], 4),
            seconds={"student": mine, "teacher": other},
            ratio=round(other["seconds"] / mine["seconds"], 2),
            goal=GOAL,
        )


def documents(source: Path) -> list[str]:
    """Return the documents of a set, each as one line."""
    rows = map(json.loads, (source / "corpus.jsonl").read_text(encoding="utf-8").splitlines())
    return [" ".join(f"{row['title']} {row['text']}".split()) for row in rows]


def encoding(sentences: Path, model: str) -> list[str]:
    """Return the command that encodes the sentences."""
    return embedkit("encode", str(sentences), "-m", model, "-o", f"{sentences}.vec", "--force", "-q")


if __name__ == "__main__":
    main()
