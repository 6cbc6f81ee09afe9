"""The flat kind: few queries use all threads, and find what one thread finds, to the bit."""

from __future__ import annotations

import faiss
import numpy as np
import pytest

from embedkit.indexing.kind import Layout
from embedkit.indexing.kinds import flat
from embedkit.indexing.kinds.flat import Flat

DIMENSION, ROWS = 24, 1000


@pytest.fixture
def opened(tmp_path):
    """Rows of few values, so that many scores are equal."""
    rows = np.random.default_rng(0).integers(-1, 2, (ROWS, DIMENSION)).astype(np.float32)
    Flat().build(iter([rows]), Layout(DIMENSION, "dot", ROWS), tmp_path)
    return Flat().open(tmp_path, ROWS)


@pytest.mark.parametrize("threads", [1, 2, 3, 7])
@pytest.mark.parametrize("queries", [1, 2, 3, 19])
@pytest.mark.parametrize("masked", [False, True])
@pytest.mark.parametrize("k", [1, 10, 300])
def test_the_hits_do_not_depend_on_the_threads(opened, monkeypatch, threads, queries, masked, k):
    chance = np.random.default_rng(queries)
    asked = chance.normal(size=(queries, DIMENSION)).astype(np.float32)
    asked[0] = np.round(asked[0])
    allowed = chance.random(ROWS) < 0.4 if masked else None
    once = Flat().search(opened, asked, k, allowed)
    monkeypatch.setenv("EMBEDKIT_THREADS", str(threads))
    monkeypatch.setattr(flat, "_LEAST", 100 * DIMENSION)
    flat._threads.cache_clear()
    scores, rows = Flat().search(opened, asked, k, allowed)
    np.testing.assert_array_equal(scores, once[0])
    vectors = faiss.rev_swig_ptr(opened.index.get_xb(), ROWS * DIMENSION).reshape(ROWS, DIMENSION)
    exact = np.where(True if allowed is None else allowed, asked.astype(float) @ vectors.T, -np.inf)
    expected = -np.sort(-exact, axis=1)[:, :k]
    np.testing.assert_allclose(scores, expected, atol=DIMENSION * 1e-6)
    np.testing.assert_allclose(np.take_along_axis(exact, rows, 1), scores, atol=DIMENSION * 1e-6)
    assert all(len(set(line)) == k for line in rows.tolist())
    flat._threads.cache_clear()


def test_rows_are_divided_among_idle_threads_alone(monkeypatch):
    monkeypatch.setenv("EMBEDKIT_THREADS", "4")
    rows = 8 * flat._LEAST // DIMENSION + 8
    asked = (1, 2, 3, 4, 19, 20)
    assert [len(flat._parts(rows, DIMENSION, queries)) for queries in asked] == [4, 2, 1, 1, 1, 1]
    parts = flat._parts(rows, DIMENSION, 1)
    assert [row for part in parts for row in (part.start, part.stop)][1:-1] == [
        row for part in parts[1:] for row in (part.start, part.start)
    ]
    assert (parts[0].start, parts[-1].stop) == (0, rows)
    assert flat._parts(10, DIMENSION, 1) == [range(10)]
    assert flat._parts(0, DIMENSION, 1) == [range(0)]
