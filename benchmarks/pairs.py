"""Whether pairs made of documents without labels improve an encoder, by method and by set.

As many documents of each set as the smallest has become pairs by each method; the encoder is trained on them
for one epoch, and measured on the set's judged queries beside the encoder that it started from: nDCG@10 and
the paired difference, with 95 % intervals. The settings are those of domain.py, and nothing was chosen by the
judged queries. No document of CMRC 2018 has a title.
"""

from __future__ import annotations

import argparse
import random
import tempfile
from pathlib import Path

from domain import MEASURE, figures
from measure import data, embedkit, emit, run

SETS = {
    "scifact-en": "minilm",
    "cranfield-en": "minilm",
    "cmrc2018-zh": "e5",
}
METHODS = ("title", "inverse-cloze", "gap-sentences", "neighbours")
WITHOUT_TITLES = "cmrc2018-zh"
DOCUMENTS = 848
SETTINGS = [
    *("--learning-rate", "6e-5", "--warmup", "0.1", "--batch-size", "32"),
    *("--max-length", "64", "--distinct"),
]


def main() -> None:
    """Train and measure each method on each set."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--sets", nargs="*", default=list(SETS), choices=SETS)
    parser.add_argument("--methods", nargs="*", default=list(METHODS), choices=METHODS)
    options = parser.parse_args()
    for name in options.sets:
        methods = [method for method in options.methods if (name, method) != (WITHOUT_TITLES, "title")]
        with tempfile.TemporaryDirectory() as folder:
            compare(name, methods, Path(folder))


def compare(name: str, methods: list[str], folder: Path) -> None:
    """Emit the measure of the encoder as it was, and of each method with its difference."""
    source, sample = data(f"retrieval/{name}"), folder / "sample.jsonl"
    corpus = (source / "corpus.jsonl").read_text(encoding="utf-8").splitlines(keepends=True)
    sample.write_text("".join(random.Random(0).sample(corpus, DOCUMENTS)), encoding="utf-8")
    facts: list[dict[str, object]] = [{}]
    compared: list[str] = []
    for method in methods:
        pairs, model = folder / f"{method}.jsonl", folder / method
        run(embedkit("pairs", str(sample), "--method", method, "-o", str(pairs), "-q"))
        given = ["-m", SETS[name], *SETTINGS, "-o", str(model), "-q"]
        seconds = run(embedkit("train-simcse", str(pairs), *given)).seconds
        made = len(pairs.read_text(encoding="utf-8").splitlines())
        facts.append({"pairs": made, "train_seconds": round(seconds, 1)})
        compared += ["--compare", str(model)]
    judged = ["--queries", str(source / "queries.jsonl"), "--qrels", str(source / "qrels.tsv")]
    found = figures(["--corpus", str(source / "corpus.jsonl"), *judged, "-m", SETS[name], *compared])
    for method, told, result in zip(("not trained", *methods), facts, found, strict=True):
        difference = result.get("difference", {}).get(MEASURE)
        value = {MEASURE: result[MEASURE], "difference": difference}
        emit(set=name, model=SETS[name], method=method, **told, **value)


if __name__ == "__main__":
    main()
