"""Hits that are chosen: against plain numpy over all documents, filtered and collapsed by loops."""

import builtins

import numpy as np
import pyarrow as pa
import pytest

from embedkit.data.text.record import Record
from embedkit.data.vectors import tables
from embedkit.data.vectors.vector_set import Batch, VectorMeta
from embedkit.embedding.encoder import unit_length
from embedkit.errors import MissingPackageError, UsageError
from embedkit.indexing.building import build_index
from embedkit.indexing.edit import add, delete
from embedkit.indexing.query import Query, exact_search, hits
from embedkit.indexing.store import Index
from embedkit.indexing.where import rows_where

NUMBERS = np.random.default_rng(5)
ROWS = NUMBERS.normal(size=(60, 8)).astype(np.float32)
ROWS[40:50] = ROWS[:10] + 0.01 * NUMBERS.normal(size=(10, 8))  # near-duplicates
QUERIES = NUMBERS.normal(size=(7, 8)).astype(np.float32)
KINDS = ["flat", "binary", "int8", "int8:rescore=none"]


def batch(rows):
    records = [
        Record(str(row), "", {"year": 2000 + row, "lang": "en" if row % 2 else "zh", "tags": {"row": row}})
        for row in rows
    ]
    return Batch(tables.to_table(records), ROWS[rows])


@pytest.fixture(params=KINDS)
def index(request, folder):
    """Two segments, 5 deleted."""
    build_index("x.idx", VectorMeta(8), [batch(range(30))], kind=request.param)
    add("x.idx", VectorMeta(8), [batch(range(30, 60))])
    return delete("x.idx", ["5"]).after


def ids(lines):
    return [[hit.document["id"] for hit in line] for line in lines]


def oracle(passes, k):
    """Ids and cosines by plain numpy, best first."""
    scores = unit_length(QUERIES).astype(float) @ unit_length(ROWS).T.astype(float)
    there = [row for row in range(60) if row != 5 and passes(row)]
    found = [[there[place] for place in np.argsort(-line[there])[:k]] for line in scores]
    return [[str(row) for row in line] for line in found], [
        [scores[place, row] for row in line] for place, line in enumerate(found)
    ]


def test_sql_chooses_rows_and_k_counts_only_those(index):
    passing = rows_where(index, "year < 2045 and lang = 'en'")
    found = hits(index, QUERIES, Query(9, passing, exact=True))
    expected, scores = oracle(lambda row: row < 45 and row % 2, 9)
    if index.kind != "int8:rescore=none":
        assert ids(found) == expected
    np.testing.assert_allclose([[hit.score for hit in line] for line in found], scores, atol=2e-2)
    found = ids(hits(index, QUERIES, Query(99, passing)))
    assert [sorted(line) for line in found] == [
        sorted(line) for line in oracle(lambda r: r < 45 and r % 2, 99)[0]
    ]


def test_exact_is_what_flat_search_gives(index):
    scores, rows = exact_search(index, QUERIES, 12)
    stored = index.vectors(np.arange(60))
    flat = build_index("f.idx", VectorMeta(8), [Batch(batch(range(60)).table, stored)], metric="dot")
    expected = flat.search(unit_length(QUERIES), 12, np.arange(60) != 5)
    for one, other in zip((scores, rows), expected, strict=True):
        np.testing.assert_allclose(one, other, atol=1e-6)


@pytest.mark.parametrize(
    ("condition", "count"),
    [
        ("true", 60),
        ("year > 2057", 2),
        ("year > 3000", 0),
        ("tags->>'row' = '7'", 1),
        ("id in ('1', '2') -- why", 2),
        ("year IS NULL", 0),
    ],
)
def test_rows_where(index, condition, count):
    mask = rows_where(index, condition)
    assert mask.shape == (60,)
    assert mask.sum() == count


@pytest.mark.parametrize(
    "condition", ["yeer > 1", "year >", "", "1) union select 1 --", "id in (select * from 'x.csv')"]
)
def test_sql_that_cannot_be_evaluated_is_one_line(index, condition):
    with pytest.raises(UsageError, match=r"^`where`: .*; fields: id, text, year, lang, tags$") as caught:
        rows_where(index, condition)
    assert "\n" not in str(caught.value)


def test_without_duckdb_it_says_what_to_install(index, monkeypatch):
    real = builtins.__import__

    def without(name, *args):
        if name == "duckdb":
            raise ImportError
        return real(name, *args)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(
        MissingPackageError, match=r"^`where` needs the package duckdb; pip install 'embedkit\[wh"
    ):
        rows_where(index, "true")


def test_segments_whose_fields_differ_are_one_table(folder):
    first = Batch(pa.table({"id": ["a"], "n": [1]}), ROWS[:1])
    build_index("y.idx", VectorMeta(8), [first])
    add("y.idx", VectorMeta(8), [Batch(pa.table({"id": ["b"], "m": ["x"]}), ROWS[1:2])])
    index = Index.open("y.idx")
    assert rows_where(index, "n = 1").tolist() == [True, False]
    assert rows_where(index, "m = 'x' or n = 1").tolist() == [True, True]
    assert rows_where(delete("y.idx", ["a", "b"]).after, "anything").tolist() == []


def test_hits_under_a_score_are_left_out(index):
    every = hits(index, QUERIES, Query(60))
    some = hits(index, QUERIES, Query(60, min_score=0.2))
    assert some == [[hit for hit in line if hit.score >= 0.2] for line in every]
    assert 0 < sum(map(len, some)) < sum(map(len, every))


@pytest.mark.parametrize("k", [3, 12, 60])
def test_hits_near_a_better_one_are_left_out_and_k_is_filled(index, k):
    if index.kind == "int8:rescore=none":
        pytest.skip("its vectors are rounded")
    unit = unit_length(ROWS)
    expected = []
    for line in oracle(lambda row: True, 60)[0]:
        kept = []
        for id in line:
            if all(unit[int(id)] @ unit[int(other)] < 0.98 for other in kept):
                kept.append(id)
        expected.append(kept[:k])
    assert ids(hits(index, QUERIES, Query(k, exact=True, dedupe=0.98))) == expected
    assert max(map(len, expected)) == min(k, 50)


@pytest.mark.parametrize("cosine", [0, 1.1])
def test_a_cosine_that_is_none_is_refused(cosine):
    with pytest.raises(UsageError, match=r"^`dedupe`: must be a cosine above 0 and at most 1, got .*$"):
        Query(dedupe=cosine)


def test_many_copies_of_the_best_hit_leave_room_for_the_next(folder):
    rows = np.concatenate([np.repeat(ROWS[:1], 20, axis=0), ROWS[20:25]])
    table = pa.table({"id": [str(row) for row in range(25)]})
    index = build_index("x.idx", VectorMeta(8), [Batch(table, rows)])
    (found,) = ids(hits(index, ROWS[:1], Query(4, dedupe=0.98)))
    assert (found[0], len(found)) == ("0", 4)
    assert min(map(int, found[1:])) >= 20
