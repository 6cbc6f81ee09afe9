"""What training on a domain's own questions gives: SciFact's training claims, over several seeds.

Four of five training claims with their documents are trained on; the others chose the settings below by their
nDCG@10. The test claims are used once, at the end: each trained model beside the one it started from, by
vectors and, fused, by vectors and words. Systems: pairs alone, a mined hard negative per pair, the scores of
the hybrid search taught besides, and vectors that can be truncated.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from pathlib import Path
from typing import Any

from measure import data, embedkit, emit, run

SYSTEMS = {
    "pairs": ["--columns", "query,positive"],
    "hard negatives": [],
    "hybrid scores": ["--distill", "kl:teacher_temperature=1"],
    "truncatable": ["--dims", "384,192,96,48"],
}
SETTINGS = [
    *("--epochs", "6", "--learning-rate", "6e-5", "--warmup", "0.1"),
    *("--batch-size", "64", "--max-length", "128", "--distinct"),
]
MEASURE = "nDCG@10"
DEV = 5  # every fifth training claim is held out


def main() -> None:
    """Train each system with each seed, and measure it."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--systems", nargs="*", default=["pairs", "hard negatives"], choices=SYSTEMS)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--dev", action="store_true", help="measure on the held-out training claims")
    options = parser.parse_args()
    source = data("retrieval/scifact-en")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        index, triplets = mined(source, folder)
        corpus = str(source / "corpus.jsonl")
        judged = ["--queries", str(source / "queries.jsonl"), "--qrels", str(source / "qrels.tsv")]
        if options.dev:
            judged = ["--queries", str(folder / "dev.jsonl"), "--qrels", str(folder / "dev.tsv")]
        emit(set="scifact-en", system="minilm", **hybrid(index, judged))
        for system in options.systems:
            for seed in range(options.seeds):
                model = folder / f"{system}-{seed}".replace(" ", "-")
                given = [*SETTINGS, *SYSTEMS[system], "--seed", str(seed), "-o", str(model), "-q"]
                trained = run(embedkit("train-simcse", str(triplets), "-m", "minilm", *given))
                report(system, seed, trained.seconds, corpus, model, judged)


def mined(source: Path, folder: Path) -> tuple[Path, Path]:
    """Index the documents, mine a hard negative for each training claim, and return index and examples."""
    claims(source, folder)
    index, triplets = folder / "docs.idx", folder / "triplets.jsonl"
    run(embedkit("index", str(source / "corpus.jsonl"), "-o", str(index), "-m", "minilm", "-q"))
    asked = ["--queries", str(folder / "train.jsonl"), "--qrels", str(folder / "train.tsv")]
    run(embedkit("mine", str(index), *asked, "--hybrid", "--negatives", "1", "-o", str(triplets), "-q"))
    return index, triplets


def claims(source: Path, folder: Path) -> None:
    """Write the training claims and their judgements: those to train on, and those to choose by."""
    lines = (source / "train_queries.tsv").read_text(encoding="utf-8").splitlines()
    held_out = {line.split("\t")[0] for line in lines[DEV - 1 :: DEV]}
    judgements = (source / "train_qrels.tsv").read_text(encoding="utf-8").splitlines()
    for name, wanted in (("train", False), ("dev", True)):
        own = [line.split("\t") for line in lines if (line.split("\t")[0] in held_out) == wanted]
        rows = [json.dumps({"_id": claim, "text": text}) for claim, text in own]
        (folder / f"{name}.jsonl").write_text("".join(f"{row}\n" for row in rows), encoding="utf-8")
        judged = [line for line in judgements if (line.split("\t")[0] in held_out) == wanted]
        content = ["query-id\tcorpus-id\tscore", *judged]
        (folder / f"{name}.tsv").write_text("".join(f"{line}\n" for line in content), encoding="utf-8")


def report(system: str, seed: int, seconds: float, corpus: str, model: Path, judged: list[str]) -> None:
    """Emit the figures of a trained model: by vectors against the model it started from, and with words."""
    compared = ["--corpus", corpus, *judged, "-m", "minilm", "--compare", str(model)]
    difference = figures(compared)[1]["difference"][MEASURE]
    index = model.with_suffix(".idx")
    run(embedkit("index", corpus, "-o", str(index), "-m", str(model), "-q"))
    told = {"seed": seed, "train_seconds": round(seconds, 1), "difference": difference}
    emit(set="scifact-en", system=system, **told, **hybrid(index, judged))


def hybrid(index: Path, judged: list[str]) -> dict[str, Any]:
    """Return the measure by vectors and by vectors and words, with their intervals."""
    dense, fused = figures(["--index", str(index), *judged, "--compare", "hybrid"])
    return {"dense": dense[MEASURE], "hybrid": fused[MEASURE]}


def figures(given: list[str]) -> list[dict[str, Any]]:
    """Return what `eval retrieval` found, per system."""
    command = embedkit("eval", "retrieval", *given, "--measure", MEASURE, "--json", "-q")
    found: list[dict[str, Any]] = json.loads(run(command).output)["results"]
    return found


if __name__ == "__main__":
    main()
