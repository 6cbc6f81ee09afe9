"""The agreement of two encoders, against counting by hand."""

from __future__ import annotations

import numpy as np
from scipy.stats import spearmanr

from embedkit.training.distillation.quality import agreement, mean_cosine


def test_overlap_is_counted_over_all_rows():
    rng = np.random.default_rng(0)
    teacher, student = rng.standard_normal((60, 8)), rng.standard_normal((60, 5))
    teacher, student = teacher.astype(np.float32), student.astype(np.float32)

    def neighbours(vectors, row):
        unit = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
        return {n for n in np.argsort(-(unit @ unit[row]), kind="stable") if n != row} and set(
            [n for n in np.argsort(-(unit @ unit[row]), kind="stable") if n != row][:10]
        )

    shared = [len(neighbours(teacher, row) & neighbours(student, row)) for row in range(60)]
    assert agreement(teacher, student).overlap == sum(shared) / 600
    same = agreement(teacher, teacher * 3)
    assert (same.overlap, round(same.spearman, 9)) == (1.0, 1.0)


def test_spearman_is_scipys_on_all_pairs_in_the_limit():
    rng = np.random.default_rng(1)
    teacher = rng.standard_normal((1500, 8)).astype(np.float32)
    student = teacher + 0.7 * rng.standard_normal((1500, 8)).astype(np.float32)
    pairs = np.triu_indices(1500, 1)

    def cosines(vectors):
        unit = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
        return (unit @ unit.T)[pairs]

    expected = spearmanr(cosines(teacher), cosines(student)).statistic
    assert abs(agreement(teacher, student).spearman - expected) < 0.03  # 15 000 random pairs of a million


def test_mean_cosine():
    first = np.array([[1, 0], [3, 4]], np.float32)
    second = np.array([[0, 2], [3, 4]], np.float32)
    assert mean_cosine(first, second) == 0.5
