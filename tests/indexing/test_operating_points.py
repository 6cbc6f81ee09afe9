"""Operating points: kept with the index, chosen by recall, noted when the index changes."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from embedkit.data.vectors.vector_set import Batch, VectorMeta
from embedkit.errors import UsageError
from embedkit.indexing.building import build_index
from embedkit.indexing.edit import add, compact, delete, keep_tuning
from embedkit.indexing.merging import merge
from embedkit.indexing.operating_points import OperatingPoint, Tuning, ladder
from embedkit.indexing.query import at_recall
from embedkit.indexing.store import Index

ROWS = np.random.default_rng(0).normal(size=(300, 16)).astype(np.float32)
POINTS = (
    OperatingPoint({"ef_search": 10}, 0.93, 0.92, 0.94, 0.1, 9000.0),
    OperatingPoint({"ef_search": 24}, 0.96, 0.955, 0.965, 0.3, 5000.0),
    OperatingPoint({"ef_search": 16}, 0.955, 0.945, 0.965, 0.2, 7000.0),
    OperatingPoint({"ef_search": 96}, 0.99, 0.985, 0.995, 0.9, 1000.0),
)
TUNING = Tuning(10, 500, 7, "q.txt", 300, POINTS)


def batch(first, last):
    return [Batch(pa.table({"id": [str(row) for row in range(first, last)]}), ROWS[first:last])]


@pytest.fixture
def idx(folder):
    """A graph of 200 documents."""
    build_index("x.idx", VectorMeta(16), batch(0, 200), kind="hnsw:m=4")
    return Path("x.idx")


@pytest.mark.parametrize(("recall", "ef"), [(0.5, 10), (0.92, 10), (0.945, 16), (0.95, 24), (0.985, 96)])
def test_the_quickest_point_whose_whole_interval_reaches_the_recall(idx, recall, ef):
    keep_tuning(idx, TUNING)
    assert at_recall(Index.open(idx), recall, 10).settings.ef_search == ef


def test_none_that_reaches_it_is_one_line_with_the_points_known(idx):
    keep_tuning(idx, TUNING)
    points = r"ef_search=10 0.930 \(0.920 to 0.940\); .*`exact=True`$"
    message = rf"^x.idx: no point reaches recall 0.99; measured: {points}"
    with pytest.raises(UsageError, match=message):
        at_recall(Index.open(idx), 0.99, 10)


def test_an_index_that_was_not_measured_says_how_to(idx):
    with pytest.raises(
        UsageError, match=r"^x.idx: its recall has not been measured; embedkit index tune x.idx$"
    ):
        at_recall(Index.open(idx), 0.9, 10)


def test_more_hits_than_were_measured_are_refused_and_fewer_are_not(idx):
    keep_tuning(idx, TUNING)
    with pytest.raises(UsageError, match=r"measured for 10 hits, 11 are asked for; .* tune x.idx -k 11$"):
        at_recall(Index.open(idx), 0.9, 11)
    assert at_recall(Index.open(idx), 0.9, 3).settings.ef_search == 10


def test_a_flat_index_finds_everything_without_being_measured(folder):
    index = build_index("x.idx", VectorMeta(16), batch(0, 20))
    assert at_recall(index, 1, 500) is index


def test_points_come_back_as_they_were_and_settle_how_it_is_searched(idx):
    before = Index.open(idx)
    assert before.manifest.tuning is None
    after = keep_tuning(idx, TUNING, {"ef_search": 24})
    assert Index.open(idx).manifest.tuning == after.manifest.tuning == TUNING
    assert after.kind == "hnsw:m=4,ef_search=24"
    assert after.manifest.generation == before.manifest.generation + 1
    after.verify()
    np.testing.assert_array_equal(
        after.search(ROWS[:9], 5)[1], before.tuned(ef_search=24).search(ROWS[:9], 5)[1]
    )


def test_points_stay_when_documents_come_and_go_with_the_rows_of_their_time(idx):
    keep_tuning(idx, TUNING)
    add(idx, VectorMeta(16), batch(200, 300))
    index = delete(idx, ["3", "4"]).after
    assert index.manifest.tuning == TUNING
    assert (index.rows, index.manifest.tuning.rows) == (298, 300)


def test_points_end_with_what_they_were_measured_of(idx):
    keep_tuning(idx, TUNING)
    build_index("y.idx", VectorMeta(16), batch(200, 300), kind="hnsw:m=4")
    assert merge(["x.idx", "y.idx"], "z.idx").manifest.tuning is None
    delete(idx, ["3"])
    assert compact(idx).manifest.tuning is None


def test_the_manifest_of_an_index_that_was_not_measured_has_no_word_of_it(idx):
    assert b"tuning" not in (idx / "manifest.json").read_bytes()


def test_the_ladder_grows_by_a_half_and_a_third():
    assert list(ladder(24)) == [1, 2, 3, 4, 6, 8, 12, 16, 24]
