"""Maps: what they do to the Spearman correlation on STS-B, and how fast they are fitted and applied.

Claims: the reference table to .1; whitening fitted on a stream within 2 x scikit-learn's PCA in memory (which
sums float32 in float32), and 10 x faster than its IncrementalPCA; a Gaussian projection within 1.2 x the bare
matrix product; flat memory.
"""

from __future__ import annotations

import math
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from measure import data, embedkit, emit, run
from numpy.typing import NDArray

from embedkit import spec
from embedkit.embedding.encoder import load, unit_length
from embedkit.transforms.fitting import fit_map

MAPS = ("whitening", "whitening:dim=256", "whitening:dim=128", "whitening:dim=64", "pca:dim=128")
REFERENCE = {  # Spearman x 100 on STS-B test, maps fitted on its train sentences: raw, MAPS, gaussian:dim=128
    # (whitening at its full rank, which is 381 of 384: all-MiniLM-L6-v2 has columns that are constant)
    "mean": (82.03, 80.28, 80.64, 81.37, 79.72, 81.21, 80.83),
    "cls": (73.50, 79.27, 79.14, 78.52, 76.54, 77.84, 72.91),
    "embedding": (55.60, 67.79, 67.13, 65.91, 62.82, 56.78, 52.24),
    "first-last": (81.55, 78.87, 79.45, 79.37, 77.97, 79.63, 79.47),
}
ROWS, COLUMNS, SEED = 400_000, 384, 0
GAUSSIAN_SEEDS = 10

Rows = NDArray[np.float32]


def main() -> None:
    """Print memory (first: a process starts as large as the one it comes from), times, correlations."""
    memory()
    speed()
    correlations()


def correlations() -> None:
    """Compare every pooling and map with the reference, and with what other readings of it give.

    The reference is met by vectors as they are pooled, before the model's own scaling to unit length, of all
    train sentences of both columns, repeated ones kept.
    """
    train, test = pairs("train"), pairs("test")
    sentences = [row[column] for column in (0, 1) for row in train]
    _, once = np.unique(np.array(sentences), return_index=True)
    gold = [row[2] for row in test]
    for pooling, reference in REFERENCE.items():
        encoder = load("minilm", pooling=pooling, precision="fp32", normalize=False)
        rows = encoder.encode(sentences)
        left, right = (encoder.encode([row[column] for row in test]) for column in (0, 1))
        variants = {
            "as pooled": (rows, left, right),
            "as pooled, repeated sentences once": (rows[np.sort(once)], left, right),
            "unit length": (unit_length(rows), unit_length(left), unit_length(right)),
        }
        for variant, vectors in variants.items():
            ours = scores(*vectors, gold)
            emit(
                what="STS-B test, Spearman x 100, maps fitted on STS-B train",
                pooling=pooling,
                vectors=variant,
                rows=len(vectors[0]),
                maps=["raw", *MAPS, f"gaussian:dim=128, mean of {GAUSSIAN_SEEDS} seeds"],
                ours=[round(value, 2) for value in ours],
                reference=reference,
                largest_difference=round(max(map(abs, np.subtract(ours, reference)[:-1])), 3),
            )


def scores(rows: Rows, left: Rows, right: Rows, gold: list[float]) -> list[float]:
    """Return the correlations without a map, with MAPS fitted on `rows`, and with Gaussian projections."""

    def score(kind: str) -> float:
        fitted = fit_map(spec.parse("transform", kind), [rows], dimension=COLUMNS)
        return spearman(fitted.apply(left), fitted.apply(right), gold)

    random = statistics.mean(score(f"gaussian:dim=128,seed={seed}") for seed in range(GAUSSIAN_SEEDS))
    return [spearman(left, right, gold), *map(score, MAPS), random]


def pairs(split: str) -> list[tuple[str, str, float]]:
    """Read STS-B: genre, file, year, id, score and two sentences, by tabs, without quoting."""
    lines = data(f"sts/stsb-en/sts-{split}.csv").read_text(encoding="utf-8").splitlines()
    rows = (line.split("\t") for line in lines)
    return [(row[5], row[6], float(row[4])) for row in rows]


def spearman(left: Rows, right: Rows, gold: list[float]) -> float:
    """Return 100 x the rank correlation of cosines with the gold scores."""
    from scipy.stats import spearmanr

    cosines = (unit_length(left) * unit_length(right)).sum(axis=1)
    return 100 * float(spearmanr(cosines, gold).statistic)


def speed() -> None:
    """Time fits against scikit-learn and a projection against a bare product, in turn; print the growth."""
    from sklearn.decomposition import PCA, IncrementalPCA

    rows = np.random.default_rng(SEED).standard_normal((ROWS, COLUMNS), dtype=np.float32)
    quarter = rows[: ROWS // 4]
    in_turn(
        "whitening fit from blocks, against PCA(covariance_eigh) in memory",
        lambda: fit("whitening", rows),
        lambda: PCA(svd_solver="covariance_eigh", whiten=True).fit(rows),
        goal=2.0,
        runs=5,
    )
    in_turn(
        "whitening fit from blocks, against PCA(covariance_eigh) in memory in float64",
        lambda: fit("whitening", quarter),
        lambda: PCA(svd_solver="covariance_eigh", whiten=True).fit(quarter.astype(np.float64)),
        runs=5,
    )
    in_turn(
        "whitening fit from blocks, against IncrementalPCA",
        lambda: fit("whitening", quarter),
        lambda: IncrementalPCA(whiten=True).fit(quarter),
        goal=0.1,
        runs=2,
    )
    gaussian = fit("gaussian:dim=128", rows)
    A = np.asarray(gaussian.A.T, dtype=np.float32)
    in_turn(
        "gaussian projection, against the bare matrix product",
        lambda: [gaussian.apply(rows[start : start + 4096]) for start in range(0, ROWS, 4096)],
        lambda: [rows[start : start + 4096] @ A for start in range(0, ROWS, 4096)],
        goal=1.2,
        runs=5,
    )
    sizes = [ROWS // 16, ROWS // 4, ROWS]
    seconds = [
        min(timed(lambda size=size: fit("whitening", rows[:size])) for _ in range(3)) for size in sizes
    ]
    exponent = math.log(seconds[2] / seconds[0]) / math.log(sizes[2] / sizes[0])
    emit(
        what="whitening fit", rows=sizes, seconds=[round(s, 3) for s in seconds], exponent=round(exponent, 2)
    )


def fit(kind: str, rows: Rows) -> Any:
    """Fit a kind on blocks of 4096 rows."""
    blocks = (rows[start : start + 4096] for start in range(0, len(rows), 4096))
    return fit_map(spec.parse("transform", kind), blocks, dimension=COLUMNS)


def in_turn(
    what: str, ours: Callable[[], Any], theirs: Callable[[], Any], *, runs: int, goal: float | None = None
) -> None:
    """Time two functions in turn after a warm-up of each, and print medians and their ratio."""
    ours(), theirs()
    times = [(timed(ours), timed(theirs)) for _ in range(runs)]
    mine, others = (statistics.median(side) for side in zip(*times, strict=True))
    emit(
        what=what,
        seed=SEED,
        seconds=[round(mine, 3), round(others, 3)],
        ratio=round(statistics.median(ours / theirs for ours, theirs in times), 2),
        goal=goal,
    )


def timed(function: Callable[[], Any]) -> float:
    """Return the seconds a call takes."""
    started = time.perf_counter()
    function()
    return time.perf_counter() - started


def memory() -> None:
    """Fit and apply as whole processes on ten times the rows, and print peaks."""
    sizes = (30_000, 300_000)
    with tempfile.TemporaryDirectory() as folder:
        names = [str(Path(folder) / f"{size}.npy") for size in sizes]
        for name, size in zip(names, sizes, strict=True):
            write_random(name, size)
        fits = [run(embedkit("whiten", name, "-o", f"{name}.safetensors", "-q")) for name in names]
        applied = [
            run(embedkit("apply", "-t", f"{name}.safetensors", name, "-o", f"{name}.vec", "-q"))
            for name in names
        ]
        for what, runs in (("whiten", fits), ("apply", applied)):
            peaks = [round(run.peak_mb, 1) for run in runs]
            emit(
                what=f"embedkit {what}",
                rows=sizes,
                peak_mb=peaks,
                growth=round(peaks[1] / peaks[0] - 1, 3),
                goal={"growth": 0.1},
            )


def write_random(name: str, rows: int) -> None:
    """Write a .npy file of random rows of 64 columns without ever holding them."""
    numbers = np.random.default_rng(SEED)
    with open(name, "wb") as file:
        header = {"descr": "<f4", "fortran_order": False, "shape": (rows, 64)}
        np.lib.format.write_array_header_1_0(file, header)
        for _ in range(rows // 10_000):
            file.write(numbers.standard_normal((10_000, 64), np.float32).tobytes())


if __name__ == "__main__":
    main()
