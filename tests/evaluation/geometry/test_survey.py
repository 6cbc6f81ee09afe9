"""One pass: the same however rows are cut; a sample that depends on ids alone."""

import numpy as np
import pyarrow as pa
import pytest

from embedkit.data.reservoir import keys_of
from embedkit.data.vectors.vector_set import Batch
from embedkit.errors import DataError
from embedkit.evaluation.geometry.survey import survey

RNG = np.random.default_rng(0)
ROWS = (RNG.normal(size=(1000, 6)) + 40).astype(np.float32)
IDS = [f"d{number}" for number in range(1000)]


def batches(rows=ROWS, ids=IDS, step=300, **fields):
    for start in range(0, len(rows), step):
        part = slice(start, start + step)
        columns = {"id": ids[part], **{name: values[part] for name, values in fields.items()}}
        yield Batch(pa.table(columns), rows[part].copy())


def test_lengths_and_moments_are_those_of_numpy():
    found = survey(batches(), 10)
    lengths = np.linalg.norm(ROWS.astype(np.float64), axis=1)
    expected = [lengths.mean(), lengths.std(), lengths.min(), lengths.max(), 0]
    np.testing.assert_allclose(found.norms, expected, rtol=1e-12)
    np.testing.assert_allclose(found.moments.mean, ROWS.mean(axis=0, dtype=np.float64))
    assert found.moments.rows == 1000


def test_lengths_that_hardly_differ_keep_their_deviation():
    rows = np.zeros((1000, 2), dtype=np.float32)
    rows[:, 0] = 1000 + 1e-3 * RNG.normal(size=1000)
    found = survey(batches(rows), 10).norms
    assert found.deviation == pytest.approx(rows[:, 0].astype(np.float64).std(), rel=1e-6)


@pytest.mark.parametrize("step", [1, 77, 1000])
def test_the_cut_changes_nothing(step):
    one, other = survey(batches(step=step), 50), survey(batches(), 50)
    np.testing.assert_array_equal(one.vectors, other.vectors)
    np.testing.assert_array_equal(one.ids, other.ids)
    np.testing.assert_allclose(one.norms, other.norms)
    np.testing.assert_array_equal(one.moments.co_moment, other.moments.co_moment)


def test_rows_keep_their_ids_and_values_and_no_row_comes_twice():
    found = survey(batches(number=list(range(1000))), 50, field="number")
    assert len(set(found.ids)) == 50
    for vector, name, value in zip(found.vectors, found.ids, found.values, strict=True):
        assert name == f"d{value}"
        np.testing.assert_array_equal(vector, ROWS[value])


def test_the_sample_holds_its_own_rows():
    block = ROWS[:20].copy()
    found = survey([Batch(pa.table({"id": IDS[:20]}), block)], 50)
    block[:] = 0
    assert found.vectors.min() > 0


def test_sets_of_the_same_ids_draw_the_same_rows_in_any_order():
    mixed = RNG.permutation(1000)
    one = survey(batches(), 50)
    other = survey(batches(2 * ROWS[mixed, :3], [IDS[place] for place in mixed]), 50)
    np.testing.assert_array_equal(one.ids, other.ids)
    np.testing.assert_array_equal(2 * one.vectors[:, :3], other.vectors)
    subset = survey(batches(ROWS[500:], IDS[500:]), 50)
    assert len({*one.ids} & {*subset.ids}) == sum(int(name[1:]) >= 500 for name in one.ids) > 10


def test_another_seed_draws_others_and_every_row_as_often():
    counts = np.zeros(1000)
    for seed in range(300):
        counts[np.argsort(keys_of(IDS, seed=seed))[:100]] += 1
    deviation = np.sqrt(300 * 0.1 * 0.9)
    assert np.abs(counts - 30).max() < 5 * deviation
    assert counts.var() == pytest.approx(deviation**2, rel=0.2)


def test_few_rows_are_all_there():
    found = survey(batches(), 5000)
    assert sorted(found.ids) == sorted(IDS)
    assert list(found.ids) != IDS


def test_zero_vectors_are_counted():
    rows = ROWS.copy()
    rows[[3, 700]] = 0
    found = survey(batches(rows), 10).norms
    assert (found.zeros, found.least) == (2, 0)


def test_values_may_be_lists_or_missing():
    found = survey(batches(tags=[["a"], None] * 500), 1000, field="tags")
    assert [found.values[list(found.ids).index(name)] for name in ("d0", "d1")] == [["a"], None]


@pytest.mark.parametrize(
    ("given", "field", "message"),
    [
        (lambda: [], None, "the input contains no vector to measure"),
        (lambda: [Batch(pa.table({"id": []}), ROWS[:0])], None, "the input contains no vector to measure"),
        (lambda: batches(lang=["x"] * 1000), "tongue", "have no field 'tongue'; fields: lang"),
        (batches, "lang", "have no field 'lang'; fields: none"),
        (lambda: batches(ROWS * np.float32(np.nan)), None, "row 1: the vector is not finite"),
    ],
)
def test_what_goes_wrong_is_said(given, field, message):
    with pytest.raises(DataError, match=message):
        survey(given(), 10, field=field)
