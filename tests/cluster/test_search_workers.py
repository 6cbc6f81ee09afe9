"""What many find is what one process finds in the same index."""

from dataclasses import replace

import numpy as np
import pyarrow as pa
import pytest

from embedkit.cluster.search_workers import cut_evenly, spread_index
from embedkit.data.vectors.vector_set import Batch, VectorMeta
from embedkit.embedding.loading import load
from embedkit.indexing.building import build_index
from embedkit.indexing.edit import add, delete
from embedkit.indexing.lexical.fusion import Fusion
from embedkit.indexing.lexical.operators import literal_query, parse_query
from embedkit.indexing.query import Query, hits
from embedkit.indexing.store import Index

HASH = load("hash:dim=16")
QUERIES = HASH.encode([f"a text of number {n}" for n in range(9)])


def batch(start, count):
    texts = [f"text {n % 40} of number {n}" for n in range(start, start + count)]  # equal scores come up
    ids = [str(n) for n in range(start, start + count)]
    return Batch(pa.table({"id": ids, "text": texts}), HASH.encode(texts))


@pytest.fixture(params=["flat", "hnsw:m=8", "int8", "binary"])
def index(folder, request):
    """Five segments, some rows of which are deleted."""
    meta = VectorMeta(16, HASH.identity)
    build_index("x.idx", meta, [batch(0, 50)], kind=request.param)
    for start in range(50, 90, 10):
        add("x.idx", meta, [batch(start, 10)])
    delete("x.idx", ["3", "55", "56"])
    return Index.open("x.idx")


@pytest.mark.parametrize("k", [1, 7, 200])
def test_scores_and_rows_are_those_of_one_process(here, index, k):
    spread = spread_index(here, index)
    for found, expected in zip(spread.search(QUERIES, k), index.search(QUERIES, k), strict=True):
        np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize("query", [Query(5), Query(5, min_score=0.6), Query(5, dedupe=0.95)])
def test_hits_are_those_of_one_process(here, index, query):
    assert hits(spread_index(here, index), QUERIES, query) == hits(index, QUERIES, query)


@pytest.mark.parametrize("fusion", [None, Fusion(0.4), Fusion(0.5, "rrf")])
@pytest.mark.parametrize("query", [Query(5), Query(5, dedupe=0.95, passing=np.arange(90) % 3 > 0)])
def test_hits_by_words_are_those_of_one_process(here, index, query, fusion):
    settings = index.manifest.lexical
    texts = [literal_query(f"text of number {n}", settings) for n in range(8)]
    texts.append(parse_query('text "number 17" -19', settings))
    query = replace(query, fusion=fusion, explain=True)
    vectors = None if fusion is None else QUERIES
    found = hits(spread_index(here, index), vectors, query, texts=texts)
    assert found == hits(index, vectors, query, texts=texts)
    assert all(line[0].terms for line in found)


def test_only_what_passes_is_found(here, index):
    passing = np.arange(index.stored_rows) % 3 == 0
    found, expected = (each.search(QUERIES, 6, passing) for each in (spread_index(here, index), index))
    np.testing.assert_array_equal(found[1], expected[1])
    assert set(found[1].ravel().tolist()) <= set(np.flatnonzero(passing).tolist())


@pytest.mark.parametrize(("count", "parts"), [(5, 2), (2, 5), (7, 7), (1, 1), (100, 16)])
def test_runs_are_even_and_whole(count, parts):
    runs = cut_evenly(count, parts)
    lengths = [len(run) for run in runs]
    assert [place for run in runs for place in run] == list(range(count))
    assert len(runs) == min(count, parts)
    assert max(lengths) - min(lengths) <= 1
