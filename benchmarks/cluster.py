"""Encoding on a cluster: two workers of one processor each, against one process that uses two processors.

    python benchmarks/cluster.py
    python benchmarks/cluster.py --sentences 20000 --model hash:dim=384

Claim: at least 85 % of its sentences a second at 50,000 sentences; models are loaded before the clock starts.
Needs the extra `ray`, which starts two machines of one processor each here. Sides alternate; prints one JSON
line a side, and needs no network.
"""

from __future__ import annotations

import argparse
import os
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from measure import data, emit

os.environ |= {"HF_HUB_OFFLINE": "1", "RAY_USAGE_STATS_ENABLED": "0"}

GOAL = 0.85
WARM_UP = 4096  # sentences, in a shard for each of 256
MACHINE = {"num_cpus": 1, "object_store_memory": 200_000_000}


def main() -> None:
    """Time both sides in turn."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--sentences", type=int, default=50_000)
    parser.add_argument("--model", default="minilm")
    parser.add_argument("--runs", type=int, default=3)
    options = parser.parse_args()
    try:
        from ray.cluster_utils import Cluster as Machines
    except ImportError:
        emit(skipped="ray is not installed")
        return
    lines = data("corpus/wiki-en/sentences_100k.txt").read_text().splitlines()[: options.sentences]
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)
        Path("corpus.txt").write_text("\n".join(lines))
        Path("warm.txt").write_text("\n".join(lines[:WARM_UP]))
        machines = Machines(initialize_head=True, head_node_args={**MACHINE, "include_dashboard": False})
        machines.add_node(**MACHINE)
        try:
            _compare(options, machines.address, len(lines))
        finally:
            machines.shutdown()


def _compare(options: argparse.Namespace, address: str, sentences: int) -> None:
    from embedkit.cluster.connection import connected
    from embedkit.cluster.encoders import EncoderRecipe
    from embedkit.cluster.encoding_workers import encode_on, survey_texts
    from embedkit.data.inputs import open_text
    from embedkit.data.text.records import TextFormat
    from embedkit.data.vectors.shards import SHARD_ROWS
    from embedkit.embedding.encoder import EncoderSettings
    from embedkit.embedding.encoding import encode_to

    recipe = EncoderRecipe(EncoderSettings(options.model))
    encoder = recipe.load()
    with connected(address) as cluster:

        def many(name: str, rows: int = SHARD_ROWS) -> None:
            texts = survey_texts(cluster, [name], TextFormat())
            for _ in encode_on(cluster, Path("many.vec"), recipe, texts, force=True, shard_rows=rows):
                pass

        def one(name: str) -> None:
            with open_text([name], TextFormat()) as reader:
                for _ in encode_to("one.vec", encoder, reader, force=True):
                    pass

        many("warm.txt", 256), one("warm.txt")
        sides = [(timed(many), timed(one)) for _ in range(options.runs)]
    ours, theirs = (statistics.median(side) for side in zip(*sides, strict=True))
    facts = {"model": options.model, "sentences": sentences, "runs": options.runs}
    emit(side="one process, two processors", sentences_per_second=round(sentences / theirs, 1), **facts)
    ratio = theirs / ours
    rate = round(sentences / ours, 1)
    emit(
        side="two workers, a processor each", sentences_per_second=rate, ratio=round(ratio, 3),
        goal=GOAL, met=ratio >= GOAL, **facts,
    )  # fmt: skip


def timed(encode: Callable[[str], None]) -> float:
    """Return the seconds that encoding the corpus takes."""
    started = time.perf_counter()
    encode("corpus.txt")
    return time.perf_counter() - started


if __name__ == "__main__":
    main()
