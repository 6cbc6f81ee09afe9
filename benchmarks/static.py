"""Static encoders: texts per second of embedkit, of model2vec and of sentence-transformers, on one folder.

    python benchmarks/static.py
    python benchmarks/static.py --sentences 5000

The folder holds the token vectors of all-MiniLM-L6-v2, so its speed is that of any static encoder with this
vocabulary. Sides take turns over sentences, and over long documents. Claims: at least 25 times the texts per
second of all-MiniLM-L6-v2 through embedkit in the same run, and 1.5 times model2vec's own `encode`. Prints
one JSON line per side; `largest_difference` is between the unit vectors of ours and of the side. Needs no
network.
"""

from __future__ import annotations

import argparse
import json
import os
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from measure import DATA, emit, write_static

os.environ.setdefault("HF_HUB_OFFLINE", "1")

SENTENCES = DATA / "corpus/wiki-en/sentences_100k.txt"
DOCUMENTS = DATA / "retrieval/scifact-en/corpus.jsonl"
NETWORK_GOAL, PEER_GOAL = 25.0, 1.5
TURN = 4096  # texts that a side encodes before the next side does
NETWORK_TEXTS = 1024  # texts that the network encodes: it is the slow side
WARM_UP = ["A sentence before the clock starts."] * 1024  # enough for every side to load all that it uses

Encode = Callable[[list[str]], Any]


def main() -> None:
    """Read the options, run all sides on both kinds of text, print the lines."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--sentences", type=int, default=20_000)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        sides = load_sides(Path(folder) / "static")
        for name, file, read in (("sentences", SENTENCES, lines_of), ("documents", DOCUMENTS, texts_of)):
            if not file.is_file():
                emit(skipped=f"{file} is not there")
                continue
            compare(name, read(file)[: options.sentences], sides)


def lines_of(file: Path) -> list[str]:
    """Return the lines of a file."""
    return file.read_text(encoding="utf-8").splitlines()


def texts_of(file: Path) -> list[str]:
    """Return the titles and texts of JSON lines."""
    return [f"{each['title']} {each['text']}" for each in map(json.loads, lines_of(file))]


def load_sides(folder: Path) -> dict[str, Encode]:
    """Write a static folder of minilm's token vectors, and return every side loaded and warm."""
    from model2vec import StaticModel
    from sentence_transformers import SentenceTransformer

    from embedkit.embedding.loading import load

    write_static(folder)
    plain = SentenceTransformer(str(folder), device="cpu")
    sides: dict[str, Encode] = {
        "embedkit": load(str(folder)).encode,
        "model2vec": StaticModel.from_pretrained(str(folder), max_length=None).encode,
        "sentence-transformers": lambda texts: plain.encode(texts, show_progress_bar=False),
        "embedkit minilm": load("minilm", device="cpu").encode,
    }
    for encode in sides.values():
        encode(WARM_UP)
    return sides


def compare(name: str, texts: list[str], sides: dict[str, Encode]) -> None:
    """Time all sides in turns, and print their speeds with the ratios of ours to them."""
    seconds = dict.fromkeys(sides, 0.0)
    read = dict.fromkeys(sides, 0)
    apart = dict.fromkeys(sides, 0.0)
    for start in range(0, len(texts), TURN):
        turn = texts[start : start + TURN]
        ours = None
        for side, encode in sides.items():
            part = turn
            if side == "embedkit minilm":
                part = turn[: max(0, NETWORK_TEXTS - read[side])]
            if not part:
                continue
            before = time.perf_counter()
            vectors = np.asarray(encode(part))
            seconds[side] += time.perf_counter() - before
            read[side] += len(part)
            ours = vectors if ours is None else ours
            if vectors.shape == ours.shape:
                apart[side] = max(apart[side], float(np.abs(vectors - ours).max()))
    speed = {side: read[side] / seconds[side] for side in sides}
    for side in sides:
        facts: dict[str, Any] = {"texts": read[side], "texts_per_second": round(speed[side], 1)}
        if side != "embedkit":
            ratio = speed["embedkit"] / speed[side]
            facts["ratio"] = round(ratio, 2)
        if side in ("model2vec", "sentence-transformers"):
            facts["largest_difference"] = apart[side]
        if side in GOALS:
            facts |= {"goal": GOALS[side], "met": ratio >= GOALS[side]}
        emit(kind=name, side=side, **facts)


GOALS = {"model2vec": PEER_GOAL, "embedkit minilm": NETWORK_GOAL}

if __name__ == "__main__":
    main()
