"""A contrastive training step: time against sentence-transformers, memory against batch size.

    python benchmarks/contrastive.py                       # seconds of a step, batch 256, chunks of 32
    python benchmarks/contrastive.py --batch 64 --runs 1   # a short look
    python benchmarks/contrastive.py --memory              # peaks at batch 256 and 8192, and 65 536 texts

Claims: a step in two passes is at least 2 times as fast as CachedMultipleNegativesRankingLoss in float32, and
4.5 times with bf16 autocast (where the processor has it), for chunks of about as many tokens; the peak of
memory at batch 8192 is within 15 % of that at 256. Every side trains the same weights on the same sentences,
dropout and AdamW included; the sides take turns. Prints one JSON line a side. Needs no network.
"""

from __future__ import annotations

import argparse
import bisect
import math
import os
import random
import resource
import statistics
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch
from measure import data, emit, run
from torch import Tensor

os.environ.setdefault("HF_HUB_OFFLINE", "1")

CORPUS = "corpus/wiki-en/sentences_100k.txt"
GOALS = {"embedkit fp32": 2.0, "embedkit bf16": 4.5}  # how many times as fast as the peer
PEER = "CachedMultipleNegativesRankingLoss"
MEMORY_BATCHES, HUGE_BATCH, CHUNK_TOKENS = (256, 8192), 65_536, 512
MEMORY_GOAL = 0.15  # growth of the peak at most
TEMPERATURE, LEARNING_RATE = 0.05, 3e-5

Step = Callable[[list[str]], float]


def main() -> None:
    """Read the options, run what was asked for, print the lines."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--batch", type=int, default=256, help="sentences, each seen twice")
    parser.add_argument("--chunk", type=int, default=32, help="sentences of a chunk (ours: as many tokens)")
    parser.add_argument("--runs", type=int, default=3, help="steps of each side, after one to warm up")
    parser.add_argument("--seed", type=int, default=0, help="chooses the sentences")
    parser.add_argument(
        "--no-full", action="store_true", help="leave out the plain full batch (13 GB at 256)"
    )
    parser.add_argument("--memory", action="store_true", help="measure memory instead of time")
    parser.add_argument(
        "--huge", type=int, default=HUGE_BATCH, help="sentences of the largest step of --memory"
    )
    parser.add_argument("--step", type=int, help="take one step of so many short texts and print its time")
    options = parser.parse_args()
    if options.step:
        one_step(options.step)
    elif options.memory:
        memory(options.huge)
    else:
        speed(options)


def speed(options: argparse.Namespace) -> None:
    """Time steps of all sides in turn on the same sentences."""
    lines = data(CORPUS).read_text(encoding="utf-8").splitlines()
    chosen = random.Random(options.seed)
    batches = [chosen.sample(lines, options.batch) for _ in range(options.runs + 1)]
    tokens = tokens_of_chunks(batches[0], options.chunk)
    sides = dict(all_sides(tokens, options.chunk, full=not options.no_full))
    seconds: dict[str, list[float]] = {side: [] for side in sides}
    losses: dict[str, float] = {}
    for batch in batches:
        for side, step in sides.items():
            before = time.perf_counter()
            losses[side] = step(batch)
            seconds[side].append(time.perf_counter() - before)
    for side, times in seconds.items():
        others = zip(seconds[PEER][1:], times[1:], strict=True)
        ratio = statistics.median(peer / mine for peer, mine in others)
        emit(
            what=f"contrastive step, batch {options.batch}, chunks of about {options.chunk}",
            side=side,
            seed=options.seed,
            seconds=[round(value, 2) for value in times[1:]],
            loss=round(losses[side], 4),
            ratio=round(ratio, 2),
            goal=GOALS.get(side),
        )


def all_sides(chunk_tokens: int, rows: int, *, full: bool) -> Iterator[tuple[str, Step]]:
    """Yield the name and the step of each side, each with a model of its own."""
    from sentence_transformers.sentence_transformer import losses

    from embedkit.losses.kinds.two_view import TwoView
    from embedkit.training.dropout import quicken_dropout
    from embedkit.training.objective import Contrastive

    def ours(model: Any) -> Any:
        quicken_dropout(model)  # as `load_trainable` does
        return Contrastive(model, TwoView(TEMPERATURE), chunk_tokens=chunk_tokens)

    def cached(model: Any) -> Any:
        loss = losses.CachedMultipleNegativesRankingLoss
        return loss(model, scale=1 / TEMPERATURE, mini_batch_size=rows)

    def plain(model: Any) -> Any:
        return losses.MultipleNegativesRankingLoss(model, scale=1 / TEMPERATURE)

    yield PEER, step_of(cached)
    yield "embedkit fp32", step_of(ours)
    if has_bf16():
        yield "embedkit bf16", step_of(ours, bf16)
    if full:
        yield "MultipleNegativesRankingLoss", step_of(plain)


def step_of(
    objective_of: Callable[[Any], Any], precision: Callable[[], AbstractContextManager[Any]] = nullcontext
) -> Step:
    """Return what tokenises sentences, goes forward and back, and takes a step of AdamW."""
    model = minilm()
    objective = objective_of(model)
    optimizer = torch.optim.AdamW(model.parameters(), lr=LEARNING_RATE, fused=True)  # as trainers have it

    def step(sentences: list[str]) -> float:
        optimizer.zero_grad()
        columns = [model.preprocess(sentences) for _ in range(2)]
        with precision():
            value: Tensor = objective(columns, None)
        value.backward()
        optimizer.step()
        return float(value.detach())

    return step


def bf16() -> AbstractContextManager[Any]:
    """Return mixed precision on the processor."""
    context: AbstractContextManager[Any] = torch.autocast("cpu", dtype=torch.bfloat16)
    return context


def minilm() -> Any:
    """Return all-MiniLM-L6-v2 as it is trained: with its dropout of .1, at most 256 tokens."""
    from sentence_transformers import SentenceTransformer

    from embedkit.embedding.model_finding import find_model

    torch.manual_seed(0)
    model = SentenceTransformer(str(find_model("minilm").path), device="cpu", local_files_only=True)
    return model.train()


def tokens_of_chunks(sentences: list[str], rows: int) -> int:
    """Return the smallest budget of tokens that cuts two views into chunks of `rows` on average."""
    from embedkit.training.objective import cut_columns

    columns = [minilm().preprocess(sentences)] * 2
    wanted = math.ceil(2 * len(sentences) / rows)
    return bisect.bisect_left(
        range(100_000), -wanted, lo=1, key=lambda budget: -len(cut_columns(columns, budget))
    )


def memory(huge: int) -> None:
    """Take a step of each batch in a process of its own, chunks alike; print peaks, growth and time."""
    runs = {}
    for batch in (*MEMORY_BATCHES, huge):
        runs[batch] = run([sys.executable, __file__, "--step", str(batch)])
        peak, seconds = map(float, runs[batch].output.split())
        first = float(runs[MEMORY_BATCHES[0]].output.split()[0])
        emit(
            what=f"contrastive step of short texts in chunks of {CHUNK_TOKENS} tokens",
            batch=batch,
            seconds=round(seconds, 1),
            peak_mb=round(peak, 1),
            growth=round(peak / first - 1, 3),
            goal=MEMORY_GOAL if batch == MEMORY_BATCHES[1] else None,
        )


def one_step(batch: int) -> None:
    """Take one step and print this process's peak in MB and the seconds."""
    from embedkit.losses.kinds.two_view import TwoView
    from embedkit.training.dropout import quicken_dropout
    from embedkit.training.objective import Contrastive

    def ours(model: Any) -> Any:
        quicken_dropout(model)
        return Contrastive(model, TwoView(TEMPERATURE), chunk_tokens=CHUNK_TOKENS)

    step = step_of(ours, bf16 if has_bf16() else nullcontext)
    before = time.perf_counter()
    step([f"text {number}" for number in range(batch)])
    print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024, time.perf_counter() - before)


def has_bf16() -> bool:
    """True when the processor has bf16 instructions."""
    from embedkit.embedding.compiled import current_kind

    return "BF16" in current_kind("").processor.split()


if __name__ == "__main__":
    main()
