"""Near-duplicates against a loop over all pairs."""

import numpy as np
import pyarrow as pa
import pytest

from embedkit.data.vectors.vector_set import Batch, VectorMeta
from embedkit.errors import UsageError
from embedkit.indexing import duplicates
from embedkit.indexing.building import build_index
from embedkit.indexing.duplicates import near_duplicates

NUMBERS = np.random.default_rng(1)
ROWS = NUMBERS.normal(size=(50, 6)).astype(np.float32)
ROWS[20:45] = ROWS[NUMBERS.integers(0, 20, 25)] * 3 + 0.3 * NUMBERS.normal(size=(25, 6))


@pytest.mark.parametrize("blocks", [(7, 5), (50, 3), (3, 50), (1024, 16384), None])
@pytest.mark.parametrize("cosine", [0.3, 0.9, 0.99])
def test_each_is_found_with_the_nearest_before_it(folder, monkeypatch, blocks, cosine):
    if blocks is None:
        monkeypatch.setattr(duplicates, "JOINED_ROWS", 50)
    else:
        monkeypatch.setattr(duplicates, "_QUERIES", blocks[0])
        monkeypatch.setattr(duplicates, "_ROWS", blocks[1])
    table = pa.table({"id": [f"d{row}" for row in range(50)]})
    index = build_index("x.idx", VectorMeta(6), [Batch(table, ROWS)])
    expected = []
    for row in range(1, 50):
        one = ROWS[row].astype(float)
        before = [one @ other / np.linalg.norm(one) / np.linalg.norm(other) for other in ROWS[:row]]
        if max(before) >= cosine:
            expected.append((f"d{row}", f"d{np.argmax(before)}", pytest.approx(max(before), abs=1e-6)))
    found = [(near.document["id"], near.original, near.cosine) for near in near_duplicates(index, cosine)]
    assert found == expected
    assert 3 < len(found) < 50


@pytest.mark.parametrize("exhaustive", [True, False])
def test_the_first_of_equals_is_the_original(folder, exhaustive):
    index = build_index(
        "x.idx", VectorMeta(6), [Batch(pa.table({"id": list("abc")}), np.ones((3, 6), np.float32))]
    )
    found = [
        (near.document["id"], near.original) for near in near_duplicates(index, 0.98, exhaustive=exhaustive)
    ]
    assert found == [("b", "a"), ("c", "a")]


@pytest.mark.parametrize("cosine", [0, -1, 1.5, float("nan")])
def test_what_is_no_cosine_is_refused(cosine):
    with pytest.raises(UsageError, match=r"^`threshold`: must be a cosine above 0 and at most 1, got .*$"):
        next(near_duplicates(None, cosine))
