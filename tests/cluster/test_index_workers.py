"""An index built by many answers as that of one process does, and is committed once."""

from pathlib import Path

import numpy as np
import pytest

from embedkit.cluster import index_workers
from embedkit.cluster.encoders import EncoderRecipe
from embedkit.cluster.index_workers import BuildPlan, build_on, sample
from embedkit.cluster.sources import MappedShards
from embedkit.data.affine import AffineMap
from embedkit.data.inputs import open_text
from embedkit.data.text.records import TextFormat
from embedkit.data.vectors.vector_set import Batch, VectorSet
from embedkit.data.vectors.vector_set_writing import VectorSetWriter
from embedkit.embedding.encoder import EncoderSettings
from embedkit.embedding.encoding import encode_to, map_batches
from embedkit.errors import ClusterError, DataError, UsageError
from embedkit.indexing.building import build_index
from embedkit.indexing.kind import Layout
from embedkit.indexing.repeated_ids import stable_hash
from embedkit.indexing.store import Index

RECIPE = EncoderRecipe(EncoderSettings("hash:dim=16"))
QUERIES = RECIPE.load().encode([f"document {n} of some" for n in range(20)])


def vectors(lines, name="a.vec", **options):
    """A vector set of lines of JSON, a shard for 53 of them."""
    Path("a.jsonl").write_text("\n".join(lines))
    with open_text(["a.jsonl"], TextFormat()) as reader:
        list(encode_to(name, RECIPE.load(), reader, shard_rows=53, **options))
    return VectorSet.open(name)


def lines(count):
    """Documents; a field comes up in the last shards only."""
    more = ', "late": 1'
    return [
        f'{{"_id": "i{n}", "text": "document {n} of {n % 7}"{more if n > 350 else ""}}}' for n in range(count)
    ]


def assert_same_hits(found, expected):
    """The same scores, and the same documents of each score; which of those equal to the last is open."""
    for ours, theirs in zip(found, expected, strict=True):
        scores = [hit.score for hit in theirs]
        np.testing.assert_allclose([hit.score for hit in ours], scores, atol=1e-6)
        better = [
            {str(hit.document) for hit in line if hit.score > scores[-1] + 1e-6} for line in (ours, theirs)
        ]
        assert better[0] == better[1]
        assert len(scores) == len({str(hit.document) for hit in ours})


def names(folder):
    return sorted(path.name for path in folder.iterdir())


@pytest.mark.parametrize("metric", ["cosine", "dot"])
def test_flat_hits_are_those_of_one_process(here, metric):
    source = vectors(lines(400))
    many = build_on(here, "many.idx", MappedShards(source), metric=metric)
    one = build_index("one.idx", source.meta, source, metric=metric)
    assert [segment.rows for segment in many.segments] == [212, 188]
    assert_same_hits(many.hits(QUERIES, 30), one.hits(QUERIES, 30))
    assert (many.identity, many.metric, many.kind, many.rows) == (one.identity, metric, "flat", 400)
    many.verify()
    assert names(Path("many.idx")) == names(Path("one.idx"))
    assert names(Path("many.idx/segments")) == ["00000", "00001"]


def test_vectors_that_are_falsely_said_to_have_unit_length_are_compared_as_in_one_process(here):
    source, numbers = vectors(lines(200)), np.random.default_rng(0)
    assert source.meta.normalized
    writer = VectorSetWriter(Path("long.vec"), source.meta, shard_rows=53)
    for batch in source.batches():
        writer.append(Batch(batch.table, batch.vectors * numbers.uniform(0.1, 9, (len(batch.vectors), 1))))
    long = writer.finish()
    many, one = build_on(here, "many.idx", MappedShards(long)), build_index("one.idx", long.meta, long)
    assert_same_hits(many.hits(QUERIES, 30), one.hits(QUERIES, 30))


def test_one_worker_builds_the_index_of_one_process_byte_for_byte(here):
    here._workers = 1
    source = vectors(lines(120))
    build_on(here, "many.idx", MappedShards(source))
    build_index("one.idx", source.meta, source)
    files = [path.relative_to("one.idx") for path in Path("one.idx").rglob("*") if path.is_file()]
    assert len(files) > 2
    for file in files:
        assert ("many.idx" / file).read_bytes() == ("one.idx" / file).read_bytes()


def test_a_map_is_put_behind_and_kept(here):
    source = vectors(lines(120))
    turn = AffineMap(np.random.default_rng(2).normal(size=(6, 16)), np.ones(6), {})
    many = build_on(here, "many.idx", MappedShards(source, (turn,)))
    meta, batches = map_batches(source.meta, source, [turn], None)
    one = build_index("one.idx", meta, batches)
    assert many.map == one.map
    mapped = turn.apply(QUERIES)
    assert_same_hits(many.hits(mapped, 9), one.hits(mapped, 9))


@pytest.mark.parametrize(
    ("dtype", "kind"), [("binary", None), ("int8", None), ("int8", "flat"), ("float16", None)]
)
def test_codes_and_halves_are_taken_as_one_process_takes_them(here, dtype, kind):
    source = vectors(lines(200), dtype=dtype)
    coded = kind is None and dtype != "float16"
    many = build_on(here, "many.idx", MappedShards(source), kind=kind, coded=coded)
    one = build_index(
        "one.idx", source.meta, source.coded_batches() if coded else source, kind=kind, coded=coded
    )
    assert many.kind == one.kind
    assert_same_hits(many.hits(QUERIES, 10), one.hits(QUERIES, 10))


@pytest.mark.parametrize("storage", ["flat", "sq8", "pq,m=4,bits=4"])
def test_what_a_kind_learns_is_learnt_once_of_rows_of_all_shards(here, storage):
    import faiss

    source = vectors(lines(400))
    index = build_on(here, "x.idx", MappedShards(source), kind=f"ivf:lists=5,probes=5,storage={storage}")
    centroids = []
    for segment in index.segments:
        lists = faiss.extract_index_ivf(segment.opened)
        centroids.append(faiss.downcast_index(lists.quantizer).reconstruct_n(0, 5))
    np.testing.assert_array_equal(centroids[0], centroids[1])
    assert names(Path("x.idx")) == ["manifest.json", "segments"]
    exact = build_index("one.idx", source.meta, source)
    if storage == "flat":
        assert_same_hits(index.hits(QUERIES, 10), exact.hits(QUERIES, 10))
    else:
        assert np.abs(index.search(QUERIES, 10)[0] - exact.search(QUERIES, 10)[0]).mean() < 0.1


def test_a_sample_is_of_all_rows_as_they_are_indexed(here):
    source = vectors(lines(400))
    turn = AffineMap(3 * np.eye(16), np.ones(16), {})
    plan = BuildPlan(Path(), MappedShards(source, (turn,)), None, Layout(16, "dot"), *[False] * 3, None)
    rows = np.concatenate([batch.vectors for batch in map_batches(source.meta, source, [turn], None)[1]])
    np.testing.assert_array_equal(sample(plan, 1000, 0), rows)
    drawn = sample(plan, 40, 0)
    places = [int(np.abs(rows - row).sum(axis=1).argmin()) for row in drawn]
    assert len(drawn) == 40
    np.testing.assert_array_equal(rows[places], drawn)
    assert min(places) < 53
    assert max(places) > 350
    assert not np.array_equal(drawn, sample(plan, 40, 1))


@pytest.mark.parametrize("again", [1, 399])
def test_an_id_that_comes_twice_is_named_and_nothing_is_left(here, folder, again):
    texts = lines(400)
    texts[again] = '{"_id": "i0", "text": "again"}'
    source = vectors(texts)
    before = names(folder)
    with pytest.raises(DataError, match=f"^id 'i0' occurs twice, as records 1 and {again + 1}$"):
        build_on(here, "x.idx", MappedShards(source))
    assert names(folder) == before


def test_ids_whose_hashes_meet_are_not_the_same(here, monkeypatch):
    monkeypatch.setattr(
        index_workers, "stable_hash", lambda id: stable_hash(id) if id != "i399" else stable_hash("i0")
    )
    assert build_on(here, "x.idx", MappedShards(vectors(lines(400)))).rows == 400


def test_an_index_is_replaced_whole_or_not_at_all(here):
    source = vectors(lines(120))
    build_on(here, "x.idx", MappedShards(source))
    first = Index.open("x.idx")
    with pytest.raises(UsageError):
        build_on(here, "x.idx", MappedShards(source), kind="ivf:storage=pq,m=99")
    assert Index.open("x.idx").manifest == first.manifest
    assert build_on(here, "x.idx", MappedShards(source)).manifest.generation > first.manifest.generation


def test_a_segment_that_a_lost_worker_began_is_made_again(here, monkeypatch):
    source, build = vectors(lines(120)), index_workers._build

    def twice(task, plan):
        (plan.folder / "segments" / f".{task.number:05d}.killed").mkdir()
        build(task, plan)
        return build(task, plan)

    monkeypatch.setattr(index_workers, "_build", twice)
    monkeypatch.setattr(
        here, "map", lambda work, items, *common, share: (work(item, *common) for item in items)
    )
    monkeypatch.setattr(index_workers, "_refuse_repeated", lambda *_: None)
    index = build_on(here, "x.idx", MappedShards(source))
    index.verify()
    assert names(Path("x.idx/segments")) == ["00000", "00001"]


def test_a_folder_that_is_not_shared_is_named(folder):
    with pytest.raises(ClusterError, match=r"^x: is not on machine \S+; work in a folder that all machines"):
        index_workers._build(index_workers.Task(0, range(1)), BuildPlan(Path("x"), *[None] * 7))
