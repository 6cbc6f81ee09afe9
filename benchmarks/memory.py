"""Peak memory of encode and index as the input grows, and of training as labels do.

Claims: ten times the lines cost less than 10 % more memory; 50 000 labels instead of 500 cost a few copies of
their vectors (weights, gradient, two moments of Adam), and nothing that grows with texts times labels.
"""

from __future__ import annotations

import math
import tempfile
from pathlib import Path

from measure import embedkit, emit, run

SIZES = (10_000, 100_000, 1_000_000)
LABELS, TEXTS, STEPS, DIMENSION, COPIES = (500, 50_000), 100_000, 50, 384, 8


def main() -> None:
    """Print peaks of both."""
    lines()
    labels()


def lines() -> None:
    """Write numbered lines, encode and index them at three sizes, print peaks and the exponent of time."""
    with tempfile.TemporaryDirectory() as folder:
        for command in ("encode", "index"):
            runs = []
            for size in SIZES:
                text = Path(folder) / f"{size}.txt"
                text.write_text(
                    "".join(f"a short line about the number {number}\n" for number in range(size))
                )
                runs.append(
                    run(embedkit(command, str(text), "-m", "hash:dim=64", "-o", f"{text}.{command}", "-q"))
                )
            emit(
                what=f"{command}, hash:dim=64",
                rows=SIZES,
                seconds=[round(run.seconds, 2) for run in runs],
                peak_mb=[round(run.peak_mb, 1) for run in runs],
                growth=round(runs[2].peak_mb / runs[1].peak_mb - 1, 3),
                exponent=round(math.log10(runs[2].seconds / runs[1].seconds), 2),
                goal={"growth": 0.1, "exponent": 1},
            )


def labels() -> None:
    """Train on short texts with few and with many labels; print peaks, and how many copies of vectors lie
    between them.
    """
    peaks = []
    with tempfile.TemporaryDirectory() as folder:
        for count in LABELS:
            text = Path(folder) / f"{count}.tsv"
            rows = "".join(f"text {number}\tlabel {number % count}\n" for number in range(TEXTS))
            text.write_text(f"text\tlabel\n{rows}")
            given = ["--max-steps", str(STEPS), "-o", f"{text}.model", "-q"]
            peaks.append(run(embedkit("train-amsoftmax", str(text), *given)).peak_mb)
    a_copy = (LABELS[1] - LABELS[0]) * DIMENSION * 4 / 2**20
    emit(
        what=f"train-amsoftmax, minilm, {TEXTS} texts",
        labels=LABELS,
        peak_mb=[round(peak, 1) for peak in peaks],
        copies=round((peaks[1] - peaks[0]) / a_copy, 1),
        goal={"copies": COPIES},
    )


if __name__ == "__main__":
    main()
