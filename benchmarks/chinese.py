"""The tables of the articles on whitening and SimCSE, with multilingual-e5-small in place of BERT.

Rows are poolings and columns are the raw vectors, whitening, and whitening to 256 dimensions, fitted on the
texts of the task without its labels (kexue.fm 8069, 8321). With --train, SimCSE is trained on 10,000 texts
of the task with the settings of kexue.fm 8348, and measured for each seed. Figures are Spearman correlations
times 100 on the test pairs, with 95 % intervals. The last lines are a search of CMRC 2018 by vectors, by
words and by both.
"""

from __future__ import annotations

import argparse
import json
import random
import tempfile
from pathlib import Path
from typing import Any

from measure import data, embedkit, emit, run

from embedkit.data.text.scored_pairs import Pair, read_pairs

TASKS = {
    "ATEC": "sts/atec-zh/ATEC.test.data",
    "PAWS-X": "sts/pawsx-zh/PAWSX.test.data",
    "STS-B zh": "sts/stsb-zh/STS-B.test.data",
    "BUSTM": "sts/bustm-zh/test_public.json",
}
POOLINGS = ("cls", "mean", "first-last")
MAPS = {"whitening": [], "whitening 256": ["--dim", "256"]}
TRAINING_TEXTS = 10_000
RETRIEVAL = "retrieval/cmrc2018-zh"


def main() -> None:
    """Measure each task and pooling."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--tasks", nargs="*", default=list(TASKS))
    parser.add_argument("--poolings", nargs="*", default=list(POOLINGS))
    parser.add_argument("--pairs", type=int, help="use only the first pairs of each task")
    parser.add_argument("--train", nargs="*", default=[], help="tasks to train SimCSE on")
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--no-retrieval", action="store_true")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        for task in options.tasks:
            pairs = read_pairs(data(TASKS[task]))[: options.pairs]
            for pooling in options.poolings:
                maps(task, pairs, pooling, Path(scratch))
        for task in options.train:
            pairs = read_pairs(data(TASKS[task]))[: options.pairs]
            for seed in range(options.seeds):
                trained(task, pairs, seed, Path(scratch))
        if not options.no_retrieval:
            retrieval(Path(scratch))


def maps(task: str, pairs: list[Pair], pooling: str, scratch: Path) -> None:
    """Measure the raw vectors of a pooling, and the maps fitted on the texts of the task."""
    model = ["-m", "e5", "--pooling", pooling]
    texts, vectors = scratch / "texts.jsonl", str(scratch / "texts.vec")
    write(texts, [{"text": text} for text in texts_of(pairs)])
    run(embedkit("encode", str(texts), *model, "-o", vectors, "--force", "-q"))
    compared = []
    for number, settings in enumerate(MAPS.values()):
        map = str(scratch / f"map-{number}.safetensors")
        run(embedkit("whiten", vectors, *settings, "-o", map, "--force", "-q"))
        compared += ["--compare", map]
    found = evaluate(pairs, scratch, [*model, *compared])
    for system, result in zip(("raw", *MAPS), found, strict=True):
        emit(
            set=task, what=f"{result['pairs']} test pairs", pooling=pooling, system=system, **figures(result)
        )


def trained(task: str, pairs: list[Pair], seed: int, scratch: Path) -> None:
    """Train SimCSE on texts of the task with the settings of the article, and measure it."""
    texts, model = scratch / "sample.jsonl", str(scratch / f"simcse-{seed}")
    everything = texts_of(pairs)
    chosen = random.Random(0).sample(everything, min(TRAINING_TEXTS, len(everything)))
    write(texts, [{"text": text} for text in chosen])
    command = embedkit(
        "train-simcse", str(texts), "-m", "e5", "--preset", "article-zh", "-o", model, "--force"
    )
    done = run([*command, "--seed", str(seed), "-q"])
    (result,) = evaluate(pairs, scratch, ["-m", model])
    facts = {"seed": seed, "seconds": round(done.seconds, 1)}
    emit(
        set=task,
        what=f"{result['pairs']} test pairs",
        pooling="cls",
        system="SimCSE",
        **facts,
        **figures(result),
    )


def retrieval(scratch: Path) -> None:
    """Measure questions to passages by words, by vectors and by both, with the default weight."""
    folder = data(RETRIEVAL)
    index = str(scratch / "cmrc.idx")
    run(embedkit("index", str(folder / "corpus.jsonl"), "-m", "e5", "-o", index, "-q"))
    given = ["--queries", str(folder / "queries.jsonl"), "--qrels", str(folder / "qrels.tsv"), "--json", "-q"]
    compared = ["--compare", "lexical", "--compare", "hybrid"]
    done = run(embedkit("eval", "retrieval", "--index", index, *given, *compared))
    for result in json.loads(done.output)["results"]:
        emit(set="CMRC 2018", **result)


def texts_of(pairs: list[Pair]) -> list[str]:
    """Return the distinct texts of pairs."""
    return list(dict.fromkeys(text for pair in pairs for text in pair[:2] if text.strip()))


def write(path: Path, rows: list[dict[str, Any]]) -> None:
    """Write rows as JSON lines."""
    path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), encoding="utf-8")


def evaluate(pairs: list[Pair], scratch: Path, given: list[str]) -> list[dict[str, Any]]:
    """Return the figures of each system on the pairs."""
    file = scratch / "pairs.jsonl"
    write(file, [pair._asdict() for pair in pairs])
    done = run(embedkit("eval", "sts", str(file), *given, "--json", "-q"))
    found: list[dict[str, Any]] = json.loads(done.output)["results"]
    return found


def figures(result: dict[str, Any]) -> dict[str, Any]:
    """Return the correlation with its interval, and its difference from the raw vectors."""
    parts = ("value", "low", "high")
    value = [round(result["spearman"][part], 2) for part in parts]
    return {"spearman": value, "difference": result.get("difference")}


if __name__ == "__main__":
    main()
