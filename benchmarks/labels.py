"""What training on labels gives: retrieval of seen and of unseen labels, by loss, over several seeds.

A part of the labels is held out from training, the same one for every loss and seed. Seen labels: each test
text queries the training texts. Unseen labels: each test text of a held-out label queries the others. The
model of the last step is taken: no figure of the held-out labels chooses it.
"""

from __future__ import annotations

import argparse
import json
import statistics
import tempfile
from pathlib import Path
from typing import Any

from measure import data, embedkit, emit, run

SETS = {  # name: training texts, test texts, labels held out
    "banking77-en": ("train.csv", "test.csv", 27),
    "hwu64-en": ("train.tsv", "test.tsv", 22),
}
FLOOR = {"thucnews-zh": ("dev.txt", "test.txt")}  # e5 reads Chinese, and its training takes hours here
LOSSES = {
    "softmax": ["--loss", "softmax"],
    "am-softmax .35": ["--loss", "am-softmax", "--margin", "0.35"],
    "am-softmax auto": ["--loss", "am-softmax", "--margin", "auto"],
    "arc-face": ["--loss", "arc-face"],
}
NEVER = "1000000"


def main() -> None:
    """Measure each set and loss."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--sets", nargs="*", default=[*SETS, *FLOOR])
    parser.add_argument("--losses", nargs="*", default=list(LOSSES))
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--train", nargs=argparse.REMAINDER, default=[], help="further options of training")
    options = parser.parse_args()
    for name in options.sets:
        folder = data(f"labels/{name}")
        floor(name, folder, *(SETS | FLOOR)[name][:2])
        if name in SETS:
            with tempfile.TemporaryDirectory() as scratch:
                trained(name, folder, Path(scratch), options)


def floor(name: str, folder: Path, train: str, test: str) -> None:
    """Measure hashed n-grams, which nothing trains."""
    found = evaluate([str(folder / test), "--gallery", str(folder / train), "-m", "hash:dim=512"])
    emit(set=name, what="all labels, gallery of training texts", system="hash:dim=512", **figures(found[0]))


def trained(name: str, folder: Path, scratch: Path, options: argparse.Namespace) -> None:
    """Train with each loss and seed, and measure beside the model that it started from."""
    train, test, held_out = SETS[name]
    files = {"seen": [str(folder / test), "--gallery", str(folder / train), "--seen"]}
    files["unseen"] = [str(folder / test), "--holdout"]
    for loss in options.losses:
        runs: dict[str, list[list[dict[str, Any]]]] = {"seen": [], "unseen": []}
        facts = []
        for seed in range(options.seeds):
            model = scratch / f"{loss}-{seed}".replace(" ", "")
            facts.append(
                fit(folder / train, model, held_out, [*LOSSES[loss], "--seed", str(seed), *options.train])
            )
            for labels, given in files.items():
                runs[labels].append(evaluate([*given, "-m", "minilm", "--compare", str(model)]))
        for labels in files:
            report(name, labels, loss, runs[labels], facts)


def fit(texts: Path, model: Path, held_out: int, given: list[str]) -> dict[str, Any]:
    """Train, and return what the run says of itself."""
    command = embedkit("train-amsoftmax", str(texts), "-o", str(model), "--holdout-labels", str(held_out))
    done = run([*command, "--eval-steps", NEVER, "--json", "-q", *given])
    facts: dict[str, Any] = json.loads(done.output)["runs"][0]
    return {"seconds": round(done.seconds, 1), "margin": facts.get("margin"), "steps": facts["steps"]}


def evaluate(given: list[str]) -> list[dict[str, Any]]:
    """Return the figures of each system."""
    found: list[dict[str, Any]] = json.loads(run(embedkit("eval", "labels", *given, "--json", "-q")).output)[
        "results"
    ]
    return found


def figures(found: dict[str, Any]) -> dict[str, Any]:
    """Return values with their intervals."""
    names = ("top1", "top5", "top10", "map")
    return {name: [round(found[name][part], 2) for part in ("value", "low", "high")] for name in names}


def report(
    name: str, labels: str, loss: str, runs: list[list[dict[str, Any]]], facts: list[dict[str, Any]]
) -> None:
    """Print the figures of the model that was started from, and those of the trained ones over seeds."""
    what = f"{labels} labels, {runs[0][0]['queries']} queries"
    emit(set=name, what=what, system="raw minilm", **figures(runs[0][0]))
    seeds = [figures(found[1]) for found in runs]
    together = {}
    for measure in seeds[0]:
        values = [one[measure][0] for one in seeds]
        together[measure] = {
            "mean": round(statistics.fmean(values), 2),
            "deviation": round(statistics.stdev(values), 2) if len(values) > 1 else None,
            "by_seed": [one[measure] for one in seeds],
        }
    gains = [{key: found[1]["difference"][key] for key in ("map", "top1")} for found in runs]
    emit(set=name, what=what, system=loss, **together, difference_to_raw=gains, runs=facts)


if __name__ == "__main__":
    main()
