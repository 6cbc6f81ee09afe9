"""Queries by a student over documents by its teacher: how good they are, and how long one takes.

    python benchmarks/student_queries.py
    python benchmarks/student_queries.py --students layers/    # a folder that student.py kept

minilm encodes the documents of a set. Queries come from minilm itself, from a static encoder that is
distilled in its space (`distill --dim 0`) out of the set's documents and Wikipedia sentences, and from other
students. Prints nDCG@10 on the test queries by vectors, with the difference to the teacher's own
queries, and fused with words; and the seconds and memory of a whole process that answers one query.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from pathlib import Path
from typing import Any

from domain import MEASURE
from measure import alternate, data, embedkit, emit, median, run

SETS = ("scifact-en", "cranfield-en", "stackfaq-en")
QUESTION = "who wrote a novel about the sea"


def main() -> None:
    """Distil, index and measure on each set."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--sets", nargs="*", default=SETS, choices=SETS)
    parser.add_argument("--sentences", type=int, default=100_000, help="of Wikipedia")
    parser.add_argument("--students", nargs="*", default=[], help="folders of other students")
    parser.add_argument("--runs", type=int, default=5)
    options = parser.parse_args()
    lines = data("corpus/wiki-en/sentences_100k.txt").read_text(encoding="utf-8").splitlines()
    for name in options.sets:
        with tempfile.TemporaryDirectory() as folder:
            source, index, static = data(f"retrieval/{name}"), f"{folder}/docs.idx", f"{folder}/static"
            corpus, sentences = str(source / "corpus.jsonl"), Path(folder) / "sentences.txt"
            sentences.write_text(
                "".join(f"{line}\n" for line in lines[: options.sentences]), encoding="utf-8"
            )
            run(embedkit("index", corpus, "-m", "minilm", "-o", index, "-q"))
            taught = ["-m", "minilm", "--dim", "0", "-o", static, "-q"]
            run(embedkit("distill", corpus, str(sentences), *taught))
            encoders = ["minilm", static, *options.students]
            measure(source, index, encoders, options.runs, sentences=options.sentences)


def measure(source: Path, index: str, encoders: list[str], runs: int, **facts: Any) -> None:
    """Emit the measures of the queries of each encoder, the teacher's first, and the time of one query."""
    rules = {"dense": [], "hybrid": ["--hybrid"]}
    found = {name: judged(source, index, encoders, rule) for name, rule in rules.items()}
    for place, encoder in enumerate(encoders):
        ours, theirs = alternate(asking(index, encoder), asking(index, "minilm"), runs)
        measured = {name: results[place] for name, results in found.items()}
        seconds = {"one": median(ours), "teachers": median(theirs)}
        emit(set=source.name, queries=Path(encoder).name, **facts, **measured, **seconds)


def judged(source: Path, index: str, encoders: list[str], rule: list[str]) -> list[dict[str, Any]]:
    """Return the measure of each encoder's queries, with the difference to the first."""
    files = []
    for encoder in encoders:
        asked = ["search", index, "-i", str(source / "queries.jsonl"), "-m", encoder, "-k", "1000", *rule]
        files.append(Path(f"{index}-{len(files)}{''.join(rule)}.trec"))
        files[-1].write_text(run(embedkit(*asked, "--format", "trec", "-q")).output, encoding="utf-8")
    judging = ["--qrels", str(source / "qrels.tsv"), "--measure", MEASURE, "--json", "-q"]
    given = [part for file in files for part in ("--run", str(file))]
    done = run(embedkit("eval", "retrieval", *judging, *given))
    return [
        {**each[MEASURE], "difference": each.get("difference", {}).get(MEASURE)}
        for each in json.loads(done.output)["results"]
    ]


def asking(index: str, encoder: str) -> list[str]:
    """Return the command that answers one query."""
    return embedkit("search", index, QUESTION, "-m", encoder, "-k", "5")


if __name__ == "__main__":
    main()
