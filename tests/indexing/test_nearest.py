"""The nearest rows of several parts are those of a plain sort; few queries are compared without FAISS."""

import subprocess
import sys

import numpy as np
import pytest

from embedkit.indexing.nearest import FEW, merged, nearest

RNG = np.random.default_rng(7)
ROWS = RNG.standard_normal((500, 37)).astype(np.float32)


def in_blocks(rows, size):
    numbers = np.arange(len(rows))
    return [
        (numbers[start : start + size], rows[start : start + size]) for start in range(0, len(rows), size)
    ]


@pytest.mark.parametrize("queries", [1, 3, FEW - 1, FEW])
@pytest.mark.parametrize(("k", "size"), [(1, 500), (10, 64), (10, 3), (700, 100)])
def test_it_finds_what_a_product_in_float64_finds(queries, k, size):
    asked = RNG.standard_normal((queries, 37)).astype(np.float32)
    scores, rows = nearest(asked, in_blocks(ROWS, size), k)
    every = asked.astype(np.float64) @ ROWS.T.astype(np.float64)
    expected = np.argsort(-every, axis=1, kind="stable")[:, :k]
    largest = 37 * np.abs(asked).max() * np.abs(ROWS).max()
    tolerance = 37 * np.finfo(np.float32).eps * largest  # of a sum of 37 products
    assert rows.shape == scores.shape == (queries, min(k, 500))
    np.testing.assert_allclose(scores, np.take_along_axis(every, expected, axis=1), atol=tolerance)
    np.testing.assert_allclose(scores, np.take_along_axis(every, rows, axis=1), atol=tolerance)


@pytest.mark.parametrize("size", [1, 7, 64, 500])
def test_equal_rows_have_equal_scores_and_are_in_row_order(size):
    rows = ROWS.copy()
    copies = [3, 8, 63, 64, 65, 200, 201, 499]
    rows[copies] = rows[3]
    scores, found = nearest(rows[3:4], in_blocks(rows, size), 6)
    assert found[0].tolist() == copies[:6]
    assert len(set(scores[0].tolist())) == 1


def test_a_score_that_is_not_a_number_is_last():
    rows = ROWS[:4].copy()
    rows[1] = np.nan
    scores, found = nearest(np.ones((1, 37), np.float32), [(np.arange(4), rows)], 4)
    assert found[0, 3] == 1
    assert np.isnan(scores[0, 3])
    assert np.isfinite(scores[0, :3]).all()


def test_few_queries_do_not_import_faiss():
    program = (
        "import sys, numpy as np; from embedkit.indexing.nearest import nearest\n"
        "rows = np.eye(4, dtype=np.float32); found = nearest(rows[2:3], [(np.arange(4), rows)], 1)[1]\n"
        "print(found.tolist(), 'faiss' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout == "[[2]] False\n"


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
