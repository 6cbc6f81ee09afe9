"""Initial class vectors of an objective: the class means of the encoder's own vectors."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from embedkit.data.arrays import Float64, unit_vectors

MOST = 100  # texts per class that are encoded for its mean
_WINDOW = 16384  # texts encoded at a time


def class_means(
    encode: Callable[[Sequence[str]], Float64],
    rows: Sequence[tuple[str, Sequence[int]]],
    classes: int,
    *,
    centres: int = 1,
    seed: int = 0,
) -> torch.Tensor:
    """Return the mean direction of each class's texts, `(classes * centres, dim)`, unit length, float32.

    `rows` are texts with the numbers of their classes. The centres of a class are means of different texts,
    which are dealt to them in turn; a centre that gets no text takes the mean of all. Several
    centres also get a little noise.
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
        vectors = unit_vectors(vectors)
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
    return unit_vectors(sums)


def class_weights(labels: NDArray[np.int64]) -> torch.Tensor:
    """Return one weight per class, inverse to its number of texts, with mean 1 over texts: `(classes,)`."""
    counts = np.bincount(labels)
    return torch.from_numpy(len(labels) / (len(counts) * counts)).float()


def first_offset(class_vectors: torch.Tensor) -> float:
    """Return the initial offset, ZLPR's zero, between a text's cosines to its own and to other classes: half
    way from the mean cosine of two classes to 1.
    """
    unit = torch.nn.functional.normalize(class_vectors, dim=1).double()
    n = len(unit)
    mean: Any = (unit.sum(dim=0).square().sum() - n) / max(1, n * (n - 1))
    return float((1 + mean) / 2)
