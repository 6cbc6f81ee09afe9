"""Merging of hits: the best of all parts, equal scores in the order of rows, against a plain sort."""

import numpy as np
import pytest

from embedkit.indexing.nearest import merged


@pytest.mark.parametrize("parts", [1, 2, 3])
@pytest.mark.parametrize("values", [3, 10_000])  # with three values most scores are equal
def test_the_hits_of_parts_are_merged_like_a_sort_of_all(parts, values):
    random = np.random.default_rng(parts * values)
    starts, found = np.arange(parts) * 100, []
    for _ in range(parts):
        scores = -np.sort(-random.integers(0, values, (4, 12)).astype(np.float32), axis=1)
        found.append((scores, np.stack([random.permutation(100)[:12] for _ in range(4)])))
    scores, rows = merged(found, starts, 8, 4)
    for query in range(4):
        pairs = [
            (-score, row + start)
            for (part, numbers), start in zip(found, starts.tolist(), strict=True)
            for score, row in zip(part[query].tolist(), numbers[query].tolist(), strict=True)
        ]
        best = sorted(pairs)[:8]
        assert scores[query].tolist() == [-score for score, _ in best]
        assert rows[query].tolist() == [row for _, row in best]
