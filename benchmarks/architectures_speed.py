"""Architectures: steps of masked language modelling per second of the processor, and peak memory.

    python benchmarks/architectures_speed.py
    python benchmarks/architectures_speed.py --quick  # one step of each: does everything run?

The sides are those of `architectures.py`, and a batch has 4096 tokens at every length. Each side runs in a
process of its own, on one thread, and its processor's time is measured, so other processes matter little.
Prints one JSON line per side and length. Needs no network, and no data.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import time

import numpy as np
import torch
from architectures import SIDES
from masked_training import MOST_TOKENS, VOCABULARY, Reader, batch_at
from measure import emit, run

LENGTHS = (64, 256, 1024)


def main() -> None:
    """Read the options, time every side at every length, print the lines."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--quick", action="store_true", help="one step per side")
    parser.add_argument("--one", nargs=2, metavar=("SIDE", "TOKENS"), help="time one side and print it")
    options = parser.parse_args()
    if options.one:
        one(options.one[0], int(options.one[1]), steps=1 if options.quick else 3)
        return
    for tokens in LENGTHS:
        for side, text in SIDES.items():
            extra = ["--quick"] if options.quick else []
            done = run([sys.executable, __file__, "--one", side, str(tokens), *extra])
            rate = round(float(done.output), 3)
            emit(side=side, spec=text, tokens=tokens, steps_per_second=rate, peak_mb=round(done.peak_mb))


def one(side: str, tokens: int, *, steps: int) -> None:
    """Print the steps per second of one side: the median of some, after one to warm up."""
    torch.set_num_threads(1)
    reader = Reader(SIDES[side], max(LENGTHS)).train()
    optimizer = torch.optim.AdamW(reader.parameters(), fused=True)
    numbers = np.random.default_rng(0)
    stream = numbers.integers(3, VOCABULARY, 20_000)
    seconds = []
    for _ in range(steps + 1):
        batch = batch_at(stream, numbers.integers(0, 10_000, MOST_TOKENS // tokens), tokens, numbers)
        begun = time.process_time()
        optimizer.zero_grad()
        reader(*batch).backward()
        optimizer.step()
        seconds.append(time.process_time() - begun)
    print(1 / statistics.median(seconds[1:]))


if __name__ == "__main__":
    main()
