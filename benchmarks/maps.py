"""Maps: what they do to the Spearman correlation on STS-B, and how fast they are fitted and applied.

Goals: the reference table to .1; whitening fitted on a vector set on disk within 2 x scikit-learn's PCA in
memory (which sums float32 in float32), and 10 x faster than its IncrementalPCA; a Gaussian projection within
1.2 x the bare matrix product; cost that grows with rows; flat memory, below 500 MB at 1 000 000 x 384.

Times are the least of some runs in turn, on a machine that others use too.
"""

from __future__ import annotations

import contextlib
import shutil
import statistics
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from measure import data, embedkit, emit, run
from numpy.typing import NDArray

from embedkit import spec
from embedkit.data.vectors.vector_set import Batch, VectorMeta, VectorSet
from embedkit.data.vectors.vector_set_writing import VectorSetWriter
from embedkit.embedding.encoder import unit_length
from embedkit.embedding.loading import load
from embedkit.transforms.fitting import fit_map
from embedkit.transforms.kinds.procrustes import Procrustes

MAPS = ("whitening", "whitening:dim=256", "whitening:dim=128", "whitening:dim=64", "pca:dim=128")
REFERENCE = {  # Spearman x 100 on STS-B test, maps fitted on its train sentences: raw, MAPS, gaussian:dim=128
    # (whitening at its full rank, which is 381 of 384: all-MiniLM-L6-v2 has columns that are constant)
    "mean": (82.03, 80.28, 80.64, 81.37, 79.72, 81.21, 80.83),
    "cls": (73.50, 79.27, 79.14, 78.52, 76.54, 77.84, 72.91),
    "embedding": (55.60, 67.79, 67.13, 65.91, 62.82, 56.78, 52.24),
    "first-last": (81.55, 78.87, 79.45, 79.37, 77.97, 79.63, 79.47),
}
SIZES, LARGE, COLUMNS, SEED = (25_000, 100_000, 400_000), (100_000, 1_000_000), 384, 0
RUNS = 5
GAUSSIAN_SEEDS = 10

Rows = NDArray[np.float32]


def main() -> None:
    """Print memory (first: a process starts as large as the one it comes from), times, correlations."""
    memory()
    own_memory()
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
    """Time fits and a projection against their peers, in turn, at three sizes; print the growth of each."""
    from sklearn.decomposition import PCA, IncrementalPCA

    with tempfile.TemporaryDirectory() as folder:
        rows = {size: VectorSet.open(write_set(Path(folder) / f"{size}.vec", size)) for size in SIZES}
        loaded = {size: np.concatenate([vectors for _, vectors in rows[size]]) for size in SIZES}
        gaussian = fit("gaussian:dim=128", rows[SIZES[0]])
        A = np.asarray(gaussian.A.T, dtype=np.float32)
        in_turn(
            "whitening fit from disk, against PCA(covariance_eigh) in memory",
            lambda size: fit("whitening", rows[size]),
            lambda size: PCA(svd_solver="covariance_eigh", whiten=True).fit(loaded[size]),
            goal=2.0,
        )
        in_turn(
            "whitening fit from disk, against the bare product in float64",
            lambda size: fit("whitening", rows[size]),
            lambda size: product(loaded[size]),
        )
        in_turn(
            "gaussian projection, against the bare matrix product",
            lambda size: [gaussian.apply(block) for block in blocks(loaded[size])],
            lambda size: [block @ A for block in blocks(loaded[size])],
            goal=1.2,
        )
        in_turn(
            "procrustes fit, against a whitening fit",
            lambda size: Procrustes().fit((block, block) for block in blocks(loaded[size])),
            lambda size: fit("whitening", rows[size]),
        )
        in_turn(
            "whitening fit from disk, against IncrementalPCA",
            lambda size: fit("whitening", rows[size]),
            lambda size: IncrementalPCA(whiten=True).fit(loaded[size]),
            goal=0.1,
            sizes=SIZES[:2],
            runs=2,
        )


def fit(kind: str, rows: VectorSet) -> Any:
    """Fit a kind on a vector set."""
    vectors = (batch.vectors for batch in rows)
    return fit_map(spec.parse("transform", kind), vectors, dimension=COLUMNS)


def product(rows: Rows) -> NDArray[np.float64]:
    """Return rows^T rows in float64, block by block: the least that an exact covariance costs."""
    from scipy.linalg.blas import dsyrk

    total = np.zeros((COLUMNS, COLUMNS), order="F")
    for block in blocks(rows):
        total = dsyrk(1.0, block.astype(np.float64).T, beta=1.0, c=total, overwrite_c=True)
    return total


def blocks(rows: Rows) -> Iterator[Rows]:
    """Cut rows into blocks of 4096."""
    return (rows[start : start + 4096] for start in range(0, len(rows), 4096))


def in_turn(
    what: str,
    ours: Callable[[int], Any],
    theirs: Callable[[int], Any],
    *,
    goal: float | None = None,
    sizes: Sequence[int] = SIZES,
    runs: int = RUNS,
) -> None:
    """Time two functions of a size in turn, and print the least times, their ratios and how they grow."""
    times = [
        [(timed(partial(ours, size)), timed(partial(theirs, size))) for _ in range(runs)] for size in sizes
    ]
    mine, others = ([min(pair[side] for pair in pairs) for pairs in times] for side in (0, 1))
    emit(
        what=what,
        rows=sizes,
        seed=SEED,
        seconds={"ours": [round(s, 3) for s in mine], "theirs": [round(s, 3) for s in others]},
        ratio=[round(one / other, 2) for one, other in zip(mine, others, strict=True)],
        exponent={"ours": growth(sizes, mine), "theirs": growth(sizes, others)},
        goal=goal,
    )


def growth(sizes: Sequence[int], seconds: Sequence[float]) -> float:
    """Return the exponent e of the fit seconds ~ size^e."""
    return round(float(np.polyfit(np.log(sizes), np.log(seconds), 1)[0]), 2)


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


def own_memory() -> None:
    """Fit a large vector set as a whole process, and print the memory that is its own.

    Pages of the mapped shards belong to the page cache; the kernel counts them apart (RssFile, RssAnon).
    """
    with tempfile.TemporaryDirectory() as folder:
        peaks = []
        for size in LARGE:
            made = write_set(Path(folder) / f"{size}.vec", size)
            peaks.append(
                round(peak_anonymous_mb(embedkit("whiten", str(made), "-o", f"{made}.map", "-q")), 1)
            )
            shutil.rmtree(made)
        emit(
            what="embedkit whiten of a vector set, memory of its own",
            rows=LARGE,
            columns=COLUMNS,
            peak_anonymous_mb=peaks,
            goal=500,
        )


def peak_anonymous_mb(command: Sequence[str]) -> float:
    """Run a process and return its largest anonymous resident set, looked at every hundredth of a second."""
    process, peak = subprocess.Popen(command), 0
    while process.poll() is None:
        with contextlib.suppress(OSError):
            for line in Path(f"/proc/{process.pid}/status").read_text().splitlines():
                if line.startswith("RssAnon:"):
                    peak = max(peak, int(line.split()[1]))
        time.sleep(0.01)
    if process.returncode:
        raise SystemExit(f"{' '.join(command)} ended with status {process.returncode}")
    return peak / 1024


def write_set(path: Path, rows: int) -> Path:
    """Write a vector set of random rows without ever holding them."""
    import pyarrow as pa

    writer = VectorSetWriter(path, VectorMeta(COLUMNS, has_text=False))
    numbers = np.random.default_rng(SEED)
    for start in range(0, rows, 10_000):
        ids = [str(row) for row in range(start, min(start + 10_000, rows))]
        vectors = numbers.standard_normal((len(ids), COLUMNS), np.float32)
        writer.append(Batch(pa.table({"id": ids}), vectors))
    return writer.finish().path


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
