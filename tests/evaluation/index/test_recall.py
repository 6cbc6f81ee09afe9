"""Recall of an index against plain numpy, queries that are none of the documents, and ties."""

import numpy as np
import pyarrow as pa
import pytest

from embedkit import spec
from embedkit.data.vectors.vector_set import Batch, VectorMeta
from embedkit.evaluation.index.document_queries import COPY, held_out, stored, turned_queries, without
from embedkit.evaluation.index.recall import Unfinished, curve, measure, measure_exact
from embedkit.evaluation.index.truth import find_truth
from embedkit.evaluation.plots.recall_plot import draw
from embedkit.indexing.building import build_index
from embedkit.indexing.edit import add, delete
from embedkit.indexing.kind import Rehearsal

NUMBERS = np.random.default_rng(0)
ROWS = (NUMBERS.normal(size=(400, 16)) * NUMBERS.uniform(0.1, 9, (400, 1))).astype(np.float32)
QUERIES = (NUMBERS.normal(size=(40, 16)) * NUMBERS.uniform(0.1, 9, (40, 1))).astype(np.float32)


MOST = {"hnsw": {"ef_search": 400}, "ivf": {"probes": 8}}


def built(kind, metric="cosine", rows=ROWS, name="x.idx"):
    batch = Batch(pa.table({"id": [str(row) for row in range(len(rows))]}), rows)
    return build_index(name, VectorMeta(rows.shape[1]), [batch], kind=kind, metric=metric)


def truth_of(index, k=10):
    return find_truth(index.prepared(QUERIES), stored(index), k)


@pytest.mark.parametrize("metric", ["cosine", "dot"])
@pytest.mark.parametrize("probes", [1, 2, 20])
def test_recall_is_the_share_of_the_true_nearest(folder, metric, probes):
    index = built("ivf:lists=10", metric)
    scale = np.linalg.norm(ROWS, axis=1) if metric == "cosine" else 1
    nearest = np.argsort(-(QUERIES.astype(float) @ ROWS.T / scale), axis=1)
    found = index.tuned(probes=probes).search(QUERIES, 10)[1]
    shares = [
        len(set(a) & set(b)) / 10 for a, b in zip(found.tolist(), nearest[:, :10].tolist(), strict=True)
    ]
    done = measure(index, truth_of(index), {"probes": probes})
    assert done.recall.value == pytest.approx(np.mean(shares))
    assert done.first.value == pytest.approx(np.mean(found[:, 0] == nearest[:, 0]))
    assert done.recall.low <= done.recall.value <= done.recall.high
    assert (done.recall.value == 1) == (probes == 20)
    assert 0 < done.milliseconds <= done.p95


def test_documents_that_are_alike_count_as_one_another(folder):
    index = built("flat", rows=np.repeat(ROWS[:20], 20, axis=0))
    truth = truth_of(index)
    assert ((truth.rows >= 0).sum(axis=1) == 20).all()
    other = np.where(truth.rows >= 0, truth.rows, -1)[:, 10:20]  # none of the ten that exact search names

    class Other:
        settings, search = index.settings, staticmethod(lambda queries, k: (None, other[: len(queries)]))

    assert measure(Other(), truth, {}).recall.value == 1
    assert measure(index, truth, {}).recall.value == 1


def test_deleted_documents_are_no_truth_and_several_segments_are_one(folder):
    built("hnsw:m=4", rows=ROWS[:300])
    add("x.idx", VectorMeta(16), [Batch(pa.table({"id": [str(row) for row in range(300, 400)]}), ROWS[300:])])
    index = delete("x.idx", [str(row) for row in range(0, 400, 2)]).after
    truth = truth_of(index)
    scores = QUERIES @ (ROWS / np.linalg.norm(ROWS, axis=1, keepdims=True)).T
    scores[:, ::2] = -np.inf
    assert [set(line[:10]) for line in truth.rows.tolist()] == [
        set(line) for line in np.argsort(-scores, axis=1)[:, :10].tolist()
    ]


@pytest.mark.parametrize("size", [1, 7])
def test_k_beyond_the_size_is_the_size(folder, size):
    index = built("hnsw:m=4", rows=ROWS[:size])
    truth = truth_of(index)
    assert truth.k == size
    assert measure(index, truth, {"ef_search": 16}).recall.value == 1


def test_queries_from_documents_are_turned_by_45_degrees_and_as_long(folder):
    index = built("flat", "dot")
    queries = turned_queries(stored(index), 50, 3).queries
    lengths = np.linalg.norm(queries, axis=1)
    cosines = (queries / lengths[:, None]) @ (ROWS / np.linalg.norm(ROWS, axis=1, keepdims=True)).T
    own = np.abs(lengths[:, None] - np.linalg.norm(ROWS, axis=1)).argmin(axis=1)
    np.testing.assert_allclose(cosines[np.arange(50), own], np.sqrt(0.5), atol=1e-4)
    assert len(set(own.tolist())) == 50
    np.testing.assert_array_equal(turned_queries(stored(index), 50, 3).queries, queries)
    assert not np.array_equal(turned_queries(stored(index), 50, 4).queries, queries)


def with_copies(copies, dim=64):
    """Sixty rows that come several times, each time a little moved; the times of a row lie far apart."""
    rows = NUMBERS.normal(size=(60, dim)) + 0.3 * NUMBERS.normal(size=(copies, 60, dim))
    return rows.reshape(-1, dim).astype(np.float32)


def test_a_document_that_asks_is_named_with_its_near_copies(folder):
    built("flat", rows=with_copies(4))
    index = delete("x.idx", ["0", "77"]).after  # row numbers are no longer places
    drawn = turned_queries(stored(index), 40, 0)
    there = np.setdiff1d(np.arange(240), [0, 77])
    own = there[np.abs(drawn.queries @ index.vectors(there).T - np.sqrt(0.5)).argmin(axis=1)]
    assert len(set(own.tolist())) == 40
    for row, copies in zip(own, drawn.copies, strict=True):
        assert set(copies[copies >= 0].tolist()) == {int(other) for other in there if other % 60 == row % 60}


def test_near_copies_count_neither_as_found_nor_as_missed(folder):
    """Of ten times the same rows the nearest ten are copies, all in the first list that is looked into."""
    index = built("ivf:lists=12,probes=1", rows=with_copies(10))
    drawn = turned_queries(stored(index), 60, 0)
    easy, hard = (find_truth(drawn.queries, stored(index), 10, copies) for copies in (None, drawn.copies))
    assert measure(index, easy, {"probes": 1}).recall.value > 0.8
    assert measure(index, hard, {"probes": 1}).recall.value < 0.6
    assert measure(index, hard, {"probes": 12}).recall.value == 1
    exact = drawn.queries @ index.vectors(np.arange(600)).T
    for line, copies, rows in zip(exact, drawn.copies, hard.rows, strict=True):
        line[copies[copies >= 0]] = -np.inf
        assert set(np.argsort(-line)[:10].tolist()) == set(rows[rows >= 0].tolist())


def test_a_document_without_near_copies_stays(folder):
    index = built("flat", rows=with_copies(1))
    assert turned_queries(stored(index), 40, 0).copies.shape == (40, 0)


def test_near_copies_stay_where_nothing_would_be_left(folder):
    index = built("flat", rows=np.repeat(ROWS[:1], 30, axis=0))
    drawn = turned_queries(stored(index), 5, 0)
    assert drawn.copies.shape == (5, 30)
    truth = find_truth(drawn.queries, stored(index), 10, drawn.copies)
    assert (truth.k, truth.searched) == (10, 10)
    assert measure(index, truth, {}).recall.value == 1


def in_blocks(rows):
    """A corpus of rows of unit length, in two blocks."""
    rows = rows / np.linalg.norm(rows, axis=1, keepdims=True)
    return rows, lambda: [(np.arange(2500), rows[:2500]), (np.arange(2500, len(rows)), rows[2500:])]


def test_what_is_held_out_is_a_document_with_all_that_are_like_it(folder):
    rows = NUMBERS.normal(size=(4000, 32)).astype(np.float32)
    rows, corpus = in_blocks(np.concatenate([rows, rows[:2000] + np.float32(0.01)]))
    held = held_out(corpus, 150, 6000, 0)
    assert len(held.queries) == 150
    assert 150 < len(held.rows) <= 300
    left = np.setdiff1d(np.arange(6000), held.rows)
    assert (held.queries @ rows[left].T).max() < COPY
    assert set((held.queries @ rows.T).argmax(axis=1).tolist()) <= set(held.rows.tolist())
    numbers, blocks = zip(*without(corpus, held.rows)(), strict=True)
    np.testing.assert_array_equal(np.concatenate(numbers), np.arange(len(left)))
    np.testing.assert_array_equal(np.concatenate(blocks), rows[left])


def test_a_twentieth_is_held_out_at_most(folder):
    _, corpus = in_blocks(NUMBERS.normal(size=(4000, 32)).astype(np.float32))
    assert len(held_out(corpus, 1000, 4000, 0).rows) == 200
    _, corpus = in_blocks(with_copies(100, 32))  # of each document a hundred: two families would be all
    assert held_out(corpus, 1000, 6000, 0) is None


@pytest.mark.parametrize(
    "kind", ["hnsw:m=8", "hnsw:m=8,storage=sq8", "ivf:lists=8", "ivf:lists=8,storage=pq,m=4"]
)
def test_an_index_is_asked_when_the_first_rows_are_in_it(folder, kind):
    batches = [
        Batch(pa.table({"id": [str(n) for n in part]}), ROWS[part]) for part in np.split(np.arange(400), 4)
    ]
    found = []

    def ask(opened):
        every = Unfinished(spec.parse("index", kind), opened).tuned(**MOST[kind.partition(":")[0]])
        found.append((opened.ntotal, every.search(QUERIES, 200)[1].max()))

    rehearsal = Rehearsal(250, ask)
    index = build_index("r.idx", VectorMeta(16), batches, kind=kind, metric="dot", rehearsal=rehearsal)
    assert found == [(250, 249)]
    plain = build_index("p.idx", VectorMeta(16), batches, kind=kind, metric="dot")
    for one, other in zip(index.search(QUERIES, 10), plain.search(QUERIES, 10), strict=True):
        np.testing.assert_array_equal(one, other)


def test_a_curve_rises_until_all_is_found(folder):
    index = built("ivf:lists=10")
    points = list(curve(index, truth_of(index)))
    assert [point.settings["probes"] for point in points[:4]] == [1, 2, 3, 4]
    recalls = [point.recall.value for point in points]
    assert recalls == sorted(recalls)
    assert (recalls[0] < 0.7, recalls[-1]) == (True, 1)
    assert all(value < 1 for value in recalls[:-1])


def test_a_curve_ends_where_more_effort_finds_no_more(folder):
    index = built("ivf:lists=4,storage=pq,m=4,bits=4,opq=no")
    truth = find_truth(index.prepared(QUERIES), lambda: [(np.arange(400), index.prepared(ROWS))], 10)
    points = list(curve(index, truth))
    assert points[-1].recall.value < 0.9  # against the rows themselves, not what their codes say
    assert points[-1].settings["probes"] <= 16


def test_a_graph_is_not_tried_below_k(folder):
    index = built("hnsw:m=4")
    assert next(curve(index, truth_of(index, 12))).settings == {"ef_search": 12}


def test_a_kind_without_settings_for_search_is_one_point(folder):
    index = built("flat")
    (point,) = curve(index, truth_of(index))
    assert (dict(point.settings), point.recall) == ({}, (1, 1, 1))


def test_the_picture_has_a_point_a_setting_and_exact_search(folder):
    index = built("hnsw:m=4")
    truth = truth_of(index)
    points, exact = list(curve(index, truth)), measure_exact(index, truth)
    left, right = draw(points, exact, 10, "x $y$ " * 40).axes
    for axes, name in ((left, "queries_a_second"), (right, "milliseconds")):
        line, broken = axes.lines[0], axes.lines[-1]
        np.testing.assert_allclose(line.get_xdata().astype(float), [getattr(point, name) for point in points])
        np.testing.assert_allclose(line.get_ydata().astype(float), [point.recall.value for point in points])
        assert list(broken.get_xdata()) == [getattr(exact, name)] * 2
