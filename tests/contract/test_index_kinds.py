"""What every index kind must be, held against exact search in plain numpy."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from embedkit import spec
from embedkit.data.vectors import Batch, VectorMeta
from embedkit.indexing.store import build_index

EXAMPLES = {"flat": ("flat", 1.0)}  # a spec of each kind, and the recall at 10 that it must reach
NUMBERS = np.random.default_rng(3)
ROWS = (NUMBERS.normal(size=(500, 16)) * NUMBERS.uniform(0.1, 9, (500, 1))).astype(
    np.float32
)  # no unit lengths
QUERIES = (NUMBERS.normal(size=(30, 16)) * NUMBERS.uniform(0.1, 9, (30, 1))).astype(np.float32)
each_metric = pytest.mark.parametrize("metric", ["cosine", "dot"])


@pytest.fixture(params=spec.kinds("index"))
def example(request):
    """The spec of a kind, and its recall."""
    if request.param not in EXAMPLES:
        pytest.fail(f"{request.param} is a new index kind: add a spec of it to EXAMPLES in {__name__}.py")
    return EXAMPLES[request.param]


def built(rows, kind, metric):
    chunks = np.array_split(np.arange(len(rows)), min(len(rows), 3))
    batches = [Batch(pa.table({"id": [str(row) for row in chunk]}), rows[chunk]) for chunk in chunks]
    return build_index(Path("x.idx"), VectorMeta(rows.shape[1]), batches, kind=kind, metric=metric)


def exact(metric, rows=ROWS):
    """All scores, `(queries, rows)`, in float64."""
    one, other = QUERIES.astype(float), rows.astype(float)
    if metric == "cosine":
        one = one / np.linalg.norm(one, axis=1, keepdims=True)
        other = other / np.linalg.norm(other, axis=1, keepdims=True)
    return one @ other.T


@each_metric
def test_it_finds_what_exact_search_finds(folder, example, metric):
    _, rows = built(ROWS, example[0], metric).search(QUERIES, 10)
    oracle = exact(metric)
    tenth = np.sort(oracle, axis=1)[:, -10:-9] - 1e-4  # ties are allowed
    assert (np.take_along_axis(oracle, rows, axis=1) >= tenth).mean() >= example[1]


@each_metric
def test_its_scores_are_the_similarities_best_first(folder, example, metric):
    scores, rows = built(ROWS, example[0], metric).search(QUERIES, 10)
    if example[1] == 1:
        np.testing.assert_allclose(
            scores, np.take_along_axis(exact(metric), rows, axis=1), rtol=1e-5, atol=1e-5
        )
    assert (np.diff(scores, axis=1) <= 0).all()


@each_metric
@pytest.mark.parametrize("size", [1, 7])
def test_k_beyond_the_size_gives_what_there_is(folder, example, metric, size):
    scores, rows = built(ROWS[:size], example[0], metric).search(QUERIES, 1000)
    assert [sorted(line) for line in rows.tolist()] == [list(range(size))] * len(QUERIES)
    if example[1] == 1:
        expected = -np.sort(-exact(metric, ROWS[:size]), axis=1)
        np.testing.assert_allclose(scores, expected, rtol=1e-5, atol=1e-5)


@each_metric
def test_a_hit_is_the_document_at_its_row(folder, example, metric):
    index = built(ROWS, example[0], metric)
    _, rows = index.search(QUERIES, 3)
    assert [[hit.document["id"] for hit in hits] for hits in index.hits(QUERIES, 3)] == rows.astype(
        str
    ).tolist()


def test_rows_that_are_alike_come_in_order(folder, example):
    _, rows = built(np.repeat(ROWS[:1], 5, axis=0), example[0], "dot").search(QUERIES[:1], 5)
    assert rows.tolist() == [[0, 1, 2, 3, 4]]


def test_the_same_rows_are_the_same_file(folder, example):
    first = built(ROWS, example[0], "dot").segments[0].vectors_sha256
    assert built(ROWS, example[0], "dot").segments[0].vectors_sha256 == first


@pytest.mark.parametrize("size", [1, 500])
def test_the_flat_file_is_what_faiss_writes(folder, size):
    import faiss

    oracle = faiss.IndexFlatIP(16)
    oracle.add(ROWS[:size])
    faiss.write_index(oracle, "oracle.faiss")
    built(ROWS[:size], "flat", "dot")
    assert (folder / "x.idx/segments/00000/vectors.faiss").read_bytes() == (
        folder / "oracle.faiss"
    ).read_bytes()


def test_its_spec_reads_back(example):
    settings = spec.parse("index", example[0])
    assert spec.parse("index", spec.render(settings)) == settings
