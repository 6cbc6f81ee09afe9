"""What an objective with class vectors begins with: the encoder's own class means."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

MOST = 100  # texts of a class that are encoded for its mean
_WINDOW = 16384  # texts encoded at a time

Float64 = NDArray[np.float64]


def class_means(
    encode: Callable[[Sequence[str]], Float64],
    rows: Sequence[tuple[str, Sequence[int]]],
    classes: int,
    *,
    centres: int = 1,
    seed: int = 0,
) -> torch.Tensor:
    """Return the mean direction of each class's texts, `(classes * centres, dim)`, unit length, float32.

    `rows` are texts and the numbers of their classes. Centres of one class differ by the texts they are the
    mean of: the i-th has every text whose turn it is, a class with too few texts all of them, and a little
    noise.
    """
    numbers = np.random.default_rng(seed)
    counts, chosen = np.zeros(classes, dtype=np.int64), []
    for place in numbers.permutation(len(rows)).tolist():
        if any(counts[number] < MOST for number in rows[place][1]):
            counts[list(rows[place][1])] += 1
            chosen.append(place)
    sums: Float64 | None = None
    turn = np.zeros(classes, dtype=np.int64)
    for start in range(0, len(chosen), _WINDOW):
        window = chosen[start : start + _WINDOW]
        vectors = encode([rows[place][0] for place in window])
        vectors = vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-30)
        if sums is None:
            sums = np.zeros((classes, centres, vectors.shape[1]))
        for place, vector in zip(window, vectors, strict=True):
            for number in rows[place][1]:
                sums[number, turn[number] % centres] += vector
                turn[number] += 1
    assert sums is not None
    return torch.from_numpy(_unit_centres(sums, numbers).reshape(classes * centres, -1)).float()


def _unit_centres(sums: Float64, numbers: np.random.Generator) -> Float64:
    if sums.shape[1] > 1:
        empty = ~np.any(sums, axis=2)
        sums = sums + np.where(empty[..., None], sums.sum(axis=1, keepdims=True), 0.0)
        noise = numbers.standard_normal(sums.shape) * 0.1 / np.sqrt(sums.shape[2])
        sums = sums + noise * np.linalg.norm(sums, axis=2, keepdims=True)
    lengths: Float64 = np.linalg.norm(sums, axis=2, keepdims=True)
    return sums / np.maximum(lengths, 1e-30)


def class_weights(labels: NDArray[np.int64]) -> torch.Tensor:
    """Return a weight for each class, inverse to its texts, whose mean over texts is 1, `(classes,)`."""
    counts = np.bincount(labels)
    return torch.from_numpy(len(labels) / (len(counts) * counts)).float()


def first_offset(class_vectors: torch.Tensor) -> float:
    """Return a cosine between that of a text to its own class and that to others, as ZLPR's zero to begin
    with: half way from the mean cosine of two classes to 1.
    """
    unit = torch.nn.functional.normalize(class_vectors, dim=1).double()
    n = len(unit)
    mean: Any = (unit.sum(dim=0).square().sum() - n) / max(1, n * (n - 1))
    return float((1 + mean) / 2)
