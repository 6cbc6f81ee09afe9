"""What the first dimensions of vectors keep: trained to be truncated, trained without, and not trained.

The models are trained on SciFact's training claims with a mined hard negative each, as in domain.py. Each of
them, and the model that they started from, is measured at its own dimension and at fewer: its first
dimensions, PCA, and whitening, fitted on the documents. Measures are nDCG@10 on SciFact's test claims and the
Spearman correlation on STS-B's test pairs, with intervals. Claim: a model trained to be truncated keeps 97 %
of either at 96 of 384 dimensions.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from pathlib import Path
from typing import Any

from domain import MEASURE, SETTINGS, SYSTEMS, figures, mined
from measure import data, embedkit, emit, run

DIMENSIONS = (192, 96, 48)
TRAINED = ("hard negatives", "truncatable")
METHODS = ("truncate", "pca", "whitening")
GOAL = {"dimension": 96, "method": "truncate", "kept": 0.97}


def main() -> None:
    """Train the models, then measure each of them under every map."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--systems", nargs="*", default=list(TRAINED), choices=TRAINED)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    source = data("retrieval/scifact-en")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        triplets = str(mined(source, folder)[1])
        report(source, "not trained", "minilm", folder / "untrained")
        for system in options.systems:
            model = folder / system.replace(" ", "-")
            given = [*SETTINGS, *SYSTEMS[system], "--seed", str(options.seed), "-o", str(model), "-q"]
            run(embedkit("train-simcse", triplets, "-m", "minilm", *given))
            report(source, system, str(model), folder / f"{model.name}-maps")


def report(source: Path, system: str, model: str, folder: Path) -> None:
    """Emit both measures of a model, whole and under each map."""
    maps = fitted(source / "corpus.jsonl", model, folder)
    compared = [part for file in maps.values() for part in ("--compare", str(file))]
    judged = ["--queries", str(source / "queries.jsonl"), "--qrels", str(source / "qrels.tsv")]
    ranked = figures(["--corpus", str(source / "corpus.jsonl"), *judged, "-m", model, *compared])
    pairs = str(data("sts/stsb-en/sts-test.csv"))
    done = run(embedkit("eval", "sts", pairs, "-m", model, *compared, "--json", "-q"))
    scored = json.loads(done.output)["results"]
    for place, (method, dimension) in enumerate([("none", 384), *maps]):
        found: dict[str, Any] = {"scifact": ranked[place][MEASURE], "stsb": scored[place]["spearman"]}
        whole = {"scifact": ranked[0][MEASURE], "stsb": scored[0]["spearman"]}
        kept = {name: round(found[name]["value"] / whole[name]["value"], 4) for name in found}
        emit(system=system, method=method, dimension=dimension, **found, kept=kept, goal=GOAL)


def fitted(corpus: Path, model: str, folder: Path) -> dict[tuple[str, int], Path]:
    """Fit every map on the vectors of the documents, and return the files by method and dimension."""
    folder.mkdir()
    vectors = str(folder / "corpus.vec")
    run(embedkit("encode", str(corpus), "-m", model, "-o", vectors, "-q"))
    maps = {}
    for dimension in DIMENSIONS:
        for method in METHODS:
            file = maps[method, dimension] = folder / f"{method}-{dimension}.safetensors"
            kind = ["whiten"] if method == "whitening" else ["reduce", "--method", method]
            run(embedkit(*kind, vectors, "--dim", str(dimension), "-o", str(file), "-q"))
    return maps


if __name__ == "__main__":
    main()
