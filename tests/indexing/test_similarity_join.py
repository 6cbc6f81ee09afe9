"""An exact join against plain numpy over all pairs, and the two bounds that it rests on."""

import numpy as np
import pyarrow as pa
import pytest

from embedkit.data.vectors.vector_set import Batch, VectorMeta
from embedkit.indexing import similarity_join
from embedkit.indexing.building import build_index
from embedkit.indexing.similarity_join import nearest_before, shortened

NUMBERS = np.random.default_rng(4)


def indexed(rows):
    table = pa.table({"id": [str(row) for row in range(len(rows))]})
    return build_index("x.idx", VectorMeta(rows.shape[1]), [Batch(table, rows.astype(np.float32))])


def corpus(rows, columns):
    """Vectors in clusters of unequal size and spread, some copied, some nearly, at cosines of all sizes."""
    centres = NUMBERS.normal(size=(30, columns)) * (1 / np.sqrt(1 + np.arange(columns)))
    made = centres[NUMBERS.integers(0, 30, rows)] + 0.3 * NUMBERS.normal(size=(rows, columns))
    copies = NUMBERS.choice(np.arange(rows // 2, rows), rows // 4, replace=False)
    noise = NUMBERS.uniform(0, 0.4, (len(copies), 1)) * NUMBERS.normal(size=(len(copies), columns))
    made[copies] = made[NUMBERS.integers(0, rows // 2, len(copies))] + noise
    made[-50:] = made[:50] * 3
    return made


def best_before(rows):
    """The best cosine to a row before, and the first that has it, in float64."""
    unit = rows / np.linalg.norm(rows, axis=1, keepdims=True)
    cosines = np.where(np.tri(len(rows), k=-1, dtype=bool), unit @ unit.T, -np.inf)
    return cosines.max(axis=1), cosines


@pytest.mark.parametrize("cosine", [0.6, 0.9, 0.98, 1.0])
@pytest.mark.parametrize("columns", [6, 80])
def test_no_pair_is_lost(folder, monkeypatch, columns, cosine):
    monkeypatch.setattr(similarity_join, "_BLOCK_ROWS", 300)
    monkeypatch.setattr(similarity_join, "_TOGETHER", 16)
    rows = corpus(2000, columns).astype(np.float32).astype(float)
    expected, cosines = best_before(rows)
    found = nearest_before(indexed(rows), cosine)
    reached = expected >= cosine - 1e-6
    assert 40 < reached.sum() < 2000
    np.testing.assert_allclose(found.cosines[reached], expected[reached], atol=1e-6)
    of_found = cosines[np.flatnonzero(reached), found.rows[reached]]  # which of two alike is rounding
    np.testing.assert_allclose(of_found, expected[reached], atol=1e-6)


def test_the_inner_products_of_short_vectors_are_never_smaller(folder, monkeypatch):
    monkeypatch.setattr(similarity_join, "COLUMNS", 10)
    index = indexed(corpus(500, 40))
    rows, short = index.vectors(np.arange(500)), shortened(index)
    assert short.shape == (500, 11)
    np.testing.assert_allclose(np.linalg.norm(short, axis=1), 1, atol=1e-5)
    assert (short @ short.T >= rows @ rows.T - 1e-5).all()


def test_few_of_all_pairs_are_compared(folder, monkeypatch):
    """So that the bounds are there for something; 2 % of all with these clusters."""
    index, compared = indexed(corpus(4000, 80)), []
    real = similarity_join._within

    def counted(*arguments):
        for queries, others in real(*arguments):
            compared.append(len(queries) * len(others))
            yield queries, others

    monkeypatch.setattr(similarity_join, "_within", counted)
    nearest_before(index, 0.98)
    assert 0 < sum(compared) < 0.2 * 4000**2
