"""What every index kind must be, held against exact search in plain numpy."""

import functools
import shutil
import tempfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pytest

from embedkit import spec
from embedkit.data.vectors.vector_set import Batch, VectorMeta
from embedkit.embedding.encoder import unit_length
from embedkit.errors import FormatError, UsageError
from embedkit.indexing.building import build_index
from embedkit.indexing.edit import add, compact, delete
from embedkit.indexing.store import Index


class Example(NamedTuple):
    """A spec, the recall at 10 that it must reach by cosine and by dot, and how far its scores may be off
    when both vectors have unit length.
    """

    spec: str
    cosine: float
    dot: float | None  # None: it refuses the dot product
    error: float = 1e-6


EXAMPLES = [
    Example("flat", 1, 1),
    Example("binary", 0.75, 0.6),  # of 16 signs and 100 candidates; more in tests/indexing
    Example("binary:oversample=8,rescore=float16", 0.75, 0.6, 1e-3),
    Example("binary:rescore=none", 0.2, None, 1),
    Example("hnsw", 0.99, 0.97),
    Example("hnsw:m=8,ef_search=16,storage=fp16", 0.95, 0.9, 1e-3),
    Example("hnsw:storage=sq8", 0.93, 0.9, 2e-2),
    Example("ivf:probes=4", 0.6, 0.6),
    Example("ivf:lists=8,probes=8", 1, 1),
    Example("ivf:probes=99,storage=sq8", 0.93, 0.9, 2e-2),
    Example("ivf:probes=99,storage=pq,m=5,bits=4", 0.3, 0.3, 1),
    Example("ivf:lists=4,probes=4,storage=pq,m=8,opq=no", 0.3, 0.3, 1),
    Example("fastscan", 0.99, 0.9),
    Example("fastscan:lists=8,probes=8,m=16", 0.99, 0.99),
    Example("fastscan:probes=2,oversample=20", 0.3, 0.3),
    Example("factory:Flat", 1, 1),
    Example("factory:IVF4,SQ8", 0.3, 0.3, 2e-2),
    Example("factory:HNSW16,SQfp16", 0.9, 0.9, 1e-3),
    Example("int8", 1, 1),
    Example("int8:rescore=float16", 1, 1, 1e-3),
    Example("int8:rescore=none", 0.98, 0.98, 1e-2),
]
NUMBERS = np.random.default_rng(3)
ROWS = (NUMBERS.normal(size=(500, 16)) * NUMBERS.uniform(0.1, 9, (500, 1))).astype(
    np.float32
)  # no unit lengths
QUERIES = (NUMBERS.normal(size=(30, 16)) * NUMBERS.uniform(0.1, 9, (30, 1))).astype(np.float32)
TEMPLATES = []  # folders of indexes that tests copy
each_metric = pytest.mark.parametrize("metric", ["cosine", "dot"])


@pytest.fixture(params=EXAMPLES, ids=lambda example: example.spec)
def example(request):
    """One example of a kind."""
    return request.param


@pytest.fixture
def floor(example, metric):
    """The recall it must reach."""
    if getattr(example, metric) is None:
        with pytest.raises(UsageError):
            built(example.spec, metric)
        pytest.skip(f"{example.spec} refuses {metric}, as it should")
    return getattr(example, metric)


@pytest.mark.parametrize("kind", spec.kinds("index"))
def test_every_kind_has_an_example(kind):
    assert kind in {example.spec.partition(":")[0] for example in EXAMPLES}


@pytest.fixture(autouse=True, scope="module")
def folder_of_templates() -> Iterator[None]:
    """Forget the indexes that tests copied, and remove them, after the last test of this file."""
    yield
    for folder in TEMPLATES:
        shutil.rmtree(folder)
    TEMPLATES.clear()
    template.cache_clear()


def build(rows, kind, metric, path="x.idx"):
    chunks = np.array_split(np.arange(len(rows)), min(len(rows), 3))
    batches = [Batch(pa.table({"id": [str(row) for row in chunk]}), rows[chunk]) for chunk in chunks]
    return build_index(path, VectorMeta(rows.shape[1]), batches, kind=kind, metric=metric)


@functools.cache
def template(size, kind, metric):
    """The folder of an index of the first `size` of ROWS, which is built once and never changed."""
    TEMPLATES.append(Path(tempfile.mkdtemp()))
    return build(ROWS[:size], kind, metric, TEMPLATES[-1] / "x.idx").path


def built(kind, metric, size=500):
    """An index of the first `size` of ROWS, copied into the current folder."""
    shutil.copytree(template(size, kind, metric), "x.idx")
    return Index.open("x.idx")


def exact(metric):
    """All scores, `(queries, rows)`, in float64."""
    one, other = QUERIES.astype(float), ROWS.astype(float)
    if metric == "cosine":
        one = one / np.linalg.norm(one, axis=1, keepdims=True)
        other = other / np.linalg.norm(other, axis=1, keepdims=True)
    return one @ other.T


def off(scores, rows, metric):
    """How far scores of `rows` are from the similarities, for vectors of unit length."""
    lengths = [np.linalg.norm(vectors.astype(float), axis=-1) for vectors in (QUERIES, ROWS)]
    scale = lengths[0][:, None] * lengths[1][rows] if metric == "dot" else 1
    return (np.abs(scores - np.take_along_axis(exact(metric), rows, axis=1)) / scale).max()


@each_metric
def test_it_finds_what_exact_search_finds(folder, example, metric, floor):
    _, rows = built(example.spec, metric).search(QUERIES, 10)
    oracle = exact(metric)
    tenth = np.sort(oracle, axis=1)[:, -10:-9] - 1e-4  # ties are allowed
    assert (np.take_along_axis(oracle, rows, axis=1) >= tenth).mean() >= floor
    assert all(len(set(line)) == 10 for line in rows.tolist())


@each_metric
def test_its_scores_are_the_similarities_best_first(folder, example, metric, floor):
    scores, rows = built(example.spec, metric).search(QUERIES, 10)
    assert off(scores, rows, metric) <= example.error
    assert (np.diff(scores, axis=1) <= 0).all()


@each_metric
@pytest.mark.parametrize("size", [1, 7])
def test_k_beyond_the_size_gives_what_there_is(folder, example, metric, floor, size):
    scores, rows = built(example.spec, metric, size).search(QUERIES, 1000)
    assert [sorted(line) for line in rows.tolist()] == [list(range(size))] * len(QUERIES)
    assert off(scores, rows, metric) <= example.error


@each_metric
def test_a_hit_is_the_document_at_its_row(folder, example, metric, floor):
    index = built(example.spec, metric)
    _, rows = index.search(QUERIES, 3)
    assert [[hit.document["id"] for hit in hits] for hits in index.hits(QUERIES, 3)] == rows.astype(
        str
    ).tolist()


def test_rows_that_are_alike_come_in_order(folder, example):
    _, rows = build(np.repeat(ROWS[:1], 5, axis=0), example.spec, "cosine").search(QUERIES[:1], 5)
    assert rows.tolist() == [[0, 1, 2, 3, 4]]


@pytest.mark.parametrize(
    "kind", ["flat", "hnsw", "ivf:lists=1,probes=1", "fastscan:lists=1,probes=1", "int8"]
)
def test_any_number_of_rows_that_are_alike_come_in_order(folder, kind):
    chance = np.random.default_rng(3)
    row, query = chance.normal(size=(2, 1, 384)).astype(np.float32)
    for alike in (1, 6, 21):
        rows = np.concatenate(
            [np.repeat(row, alike, axis=0), chance.normal(size=(90, 384)).astype(np.float32)]
        )
        index = build(rows, kind, "cosine")
        scores, found = index.search(row + 0.1 * query, alike)
        assert found.tolist() == [list(range(alike))]
        assert len(set(scores[0].tolist())) == 1
        assert [each.shape for each in index.search(query[:0], 3)] == [(0, 3), (0, 3)]


def test_the_same_rows_are_the_same_files(folder, example):
    first = build(ROWS, example.spec, "cosine").segments[0].files
    assert build(ROWS, example.spec, "cosine", "again.idx").segments[0].files == first


def test_it_answers_the_same_when_it_is_opened_again(folder, example):
    index = build(ROWS, example.spec, "cosine")
    again = Index.open(index.path)
    assert again.kind == index.kind
    for one, other in zip(again.search(QUERIES, 10), index.search(QUERIES, 10), strict=True):
        np.testing.assert_array_equal(one, other)
    again.verify()


@pytest.mark.parametrize("how", ["missing", "cut", "longer"])
def test_a_file_of_another_size_is_refused_at_the_first_search(folder, example, how):
    for file in built(example.spec, "cosine").segments[0].files:
        path = folder / "x.idx/segments/00000" / file.name
        whole = path.read_bytes()
        path.unlink()
        if how != "missing":
            path.write_bytes(whole[:-1] if how == "cut" else whole + b"x")
        with pytest.raises(FormatError, match=rf"^x.idx/segments/00000/{file.name}: "):
            Index.open("x.idx").search(QUERIES, 1)
        path.write_bytes(whole)


def test_files_of_other_rows_are_refused(folder, example):
    (segment,) = built(example.spec, "cosine").segments
    with pytest.raises(FormatError, match=r"holds .*, the manifest states 501"):
        _ = replace(segment, rows=501).opened


def test_kept_rows_of_another_precision_are_refused(folder):
    (segment,) = built("binary", "cosine").segments
    other = spec.parse("index", "binary:rescore=float16")
    message = r"vectors.npy: holds float32 of shape \(500, 16\), the manifest states 500 rows of float16$"
    with pytest.raises(FormatError, match=message):
        _ = replace(segment, kind=other).opened


def test_a_flipped_bit_is_noticed_by_verify(folder, example):
    index = built(example.spec, "cosine")
    for file in index.segments[0].files:
        path = folder / "x.idx/segments/00000" / file.name
        whole = path.read_bytes()
        path.write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))
        with pytest.raises(FormatError, match=rf"{file.name}: its checksum differs"):
            index.verify()
        path.write_bytes(whole)


@pytest.mark.parametrize("size", [1, 500])
def test_the_flat_file_is_what_faiss_writes(folder, size):
    import faiss

    oracle = faiss.IndexFlatIP(16)
    oracle.add(ROWS[:size])
    faiss.write_index(oracle, "oracle.faiss")
    build(ROWS[:size], "flat", "dot")
    assert (folder / "x.idx/segments/00000/vectors.faiss").read_bytes() == (
        folder / "oracle.faiss"
    ).read_bytes()


@each_metric
def test_deleted_rows_are_never_found_and_never_shrink_k(folder, example, metric, floor):
    built(example.spec, metric)
    gone = np.arange(0, 500, 3)
    index = delete("x.idx", gone.astype(str).tolist()).after
    _, rows = index.search(QUERIES, 10)
    assert rows.shape == (len(QUERIES), 10)
    assert (rows % 3 != 0).all()
    oracle = np.where(np.arange(500) % 3, exact(metric), -np.inf)
    tenth = np.sort(oracle, axis=1)[:, -10:-9] - 1e-4
    assert (np.take_along_axis(oracle, rows, axis=1) >= tenth).mean() >= floor
    assert off(*index.search(QUERIES, 10), metric) <= example.error


@each_metric
def test_an_index_that_was_emptied_finds_nothing_until_it_is_filled_again(folder, example, metric, floor):
    built(example.spec, metric, 20)
    index = delete("x.idx", [str(row) for row in range(20)]).after
    assert [part.shape for part in index.search(QUERIES, 5)] == [(len(QUERIES), 0)] * 2
    assert index.hits(QUERIES, 5) == [[]] * len(QUERIES)
    assert compact("x.idx").search(QUERIES, 5)[1].shape == (len(QUERIES), 0)
    batch = Batch(pa.table({"id": ["0"]}), ROWS[:1])
    scores, rows = add("x.idx", VectorMeta(16), [batch]).after.search(QUERIES, 5)
    assert rows.tolist() == [[0]] * len(QUERIES)
    assert off(scores, rows, metric) <= example.error


@each_metric
@pytest.mark.parametrize("few", [0, 1, 12, 250])
def test_only_rows_that_pass_are_found_and_all_of_them(folder, example, metric, floor, few):
    passing = np.zeros(500, dtype=bool)
    passing[np.random.default_rng(few).choice(500, few, replace=False)] = True
    _, rows = built(example.spec, metric).search(QUERIES, 1000, passing)
    assert [sorted(line) for line in rows.tolist()] == [np.flatnonzero(passing).tolist()] * len(QUERIES)


@each_metric
def test_it_answers_after_it_was_added_to_and_compacted(folder, example, metric, floor):
    built(example.spec, metric, 300)
    rest = [Batch(pa.table({"id": [str(row) for row in range(290, 500)]}), ROWS[290:])]
    index = add("x.idx", VectorMeta(16), rest).after
    delete("x.idx", ["7"])
    for index in (Index.open("x.idx"), compact("x.idx")):
        found = [[int(hit.document["id"]) for hit in line] for line in index.hits(QUERIES, 10)]
        oracle = np.where(np.arange(500) != 7, exact(metric), -np.inf)
        tenth = np.sort(oracle, axis=1)[:, -10:-9] - 1e-4
        assert (np.take_along_axis(oracle, np.array(found), axis=1) >= tenth).mean() >= floor - 0.02
        index.verify()
    assert (len(index.segments), index.stored_rows) == (1, 499)


def test_vectors_are_kept_exactly_where_a_kind_says_so(folder, example):
    index = built(example.spec, "cosine")
    kept = index.vectors(np.arange(len(ROWS)))
    assert (kept == unit_length(ROWS)).all() or not index.settings.keeps_vectors


def test_its_spec_reads_back(example):
    settings = spec.parse("index", example.spec)
    assert spec.parse("index", spec.render(settings)) == settings
