"""An index folder is whole, says what it is, and answers only questions of its own encoder."""

import hashlib
from pathlib import Path

import numpy as np
import orjson
import pyarrow as pa
import pytest

from embedkit.data.affine import AffineMap
from embedkit.data.vectors.vector_set import Batch, VectorMeta
from embedkit.embedding.loading import load
from embedkit.errors import DataError, FormatError, MismatchError, UnknownNameError, UsageError
from embedkit.indexing.building import build_index
from embedkit.indexing.store import Index

HASH = load("hash:dim=8")
MAP = AffineMap(np.eye(8), np.zeros(8), {"spec": "example"})
TEXTS = ["one", "two", "three"]


def built(**options):
    table = pa.table({"id": ["a", "b", "c"], "text": TEXTS})
    meta = VectorMeta(8, HASH.identity, map=MAP)
    return build_index(Path("x.idx"), meta, [Batch(table, HASH.encode(TEXTS))], **options)


def rewritten(manifest, **changed):
    """Write a manifest that says something else, with the checksum that belongs to it."""
    value = orjson.loads(manifest.read_bytes()) | changed
    del value["sha256"]
    for _ in range(2):  # first without, then with it
        content = orjson.dumps(value, option=orjson.OPT_INDENT_2) + b"\n"
        value["sha256"] = value.get("sha256") or hashlib.sha256(content).hexdigest()
    manifest.write_bytes(content)


def test_it_opens_as_it_was_built(folder):
    index = Index.open(built().path)
    assert (index.rows, index.dimension, index.kind, index.metric) == (3, 8, "flat", "cosine")
    assert (index.identity, index.map) == (HASH.identity, MAP)


def test_a_hit_is_the_document_and_its_similarity(folder):
    ((hit,),) = built().hits(HASH.encode(["two"]), 1)
    assert (hit.rank, hit.document) == (1, {"id": "b", "text": "two"})
    assert hit.score == pytest.approx(1)


def test_only_the_columns_asked_for_are_read(folder):
    ((hit,),) = built().hits(HASH.encode(["two"]), 1, ["id", "nothing"])
    assert hit.document == {"id": "b"}


def test_a_failed_build_leaves_the_old_index_and_nothing_else(folder):
    built()
    with pytest.raises(DataError):
        build_index(Path("x.idx"), VectorMeta(8), [])
    assert Index.open(Path("x.idx")).rows == 3
    assert [path.name for path in folder.iterdir()] == ["x.idx"]


@pytest.mark.parametrize("k", [0, -1])
def test_k_is_positive(folder, k):
    with pytest.raises(UsageError, match=rf"^`k`: must be at least 1, got {k}$"):
        built().search(HASH.encode(["two"]), k)


def test_queries_of_another_width_are_refused(folder):
    with pytest.raises(MismatchError, match=r"^x.idx: the index has 8 columns, the queries 4$"):
        built().search(np.ones((1, 4), np.float32), 1)


@pytest.mark.parametrize("spec", ["hash:dim=8,seed=1", "hash:dim=9"])
def test_another_encoder_is_refused_naming_both(folder, spec):
    other = load(spec)
    with pytest.raises(MismatchError) as caught:
        built().require_encoder(other)
    assert str(HASH.identity) in str(caught.value)
    assert str(other.identity) in str(caught.value)


def test_its_own_encoder_is_welcome(folder):
    built().require_encoder(HASH)


def test_names_that_do_not_exist_are_refused_before_anything_is_written(folder):
    with pytest.raises(UnknownNameError, match=r"^unknown index kind 'flt'; did you mean flat\?$"):
        built(kind="flt")
    with pytest.raises(UsageError, match=r"^unknown metric 'euclid'; known: cosine, dot$"):
        built(metric="euclid")
    assert list(folder.iterdir()) == []


@pytest.mark.parametrize("damage", [{"segments": None}, {"segments": [{}]}, {"encoder": {"a": 1}}])
def test_a_damaged_manifest_is_one_line(folder, damage):
    built()
    rewritten(folder / "x.idx/manifest.json", **damage)
    with pytest.raises(FormatError, match=r"^x.idx: manifest.json is damaged: "):
        Index.open(Path("x.idx"))


@pytest.mark.parametrize(
    ("name", "message"), [("no", "no: no such index"), (".", ".: is not an index: it has no manifest.json")]
)
def test_what_is_no_index_is_refused(folder, name, message):
    with pytest.raises(FormatError) as caught:
        Index.open(Path(name))
    assert str(caught.value) == message


def test_a_kind_of_a_later_embedkit_is_refused_by_name(folder):
    built()
    rewritten(folder / "x.idx/manifest.json", kind="flux:m=3")
    with pytest.raises(FormatError, match=r"^x.idx: its kind is not one this embedkit knows: .*'flux'"):
        Index.open("x.idx")


def test_what_is_left_to_the_query_can_be_changed(folder):
    index = built(kind="binary")
    assert index.tuned(oversample=9).kind == "binary:oversample=9"
    assert index.tuned(oversample=9).hits(HASH.encode(["two"]), 1)[0][0].document["id"] == "b"
    assert index.kind == "binary"


@pytest.mark.parametrize(
    ("kind", "name", "known"), [("binary", "rescore", "oversample"), ("flat", "oversample", "none")]
)
def test_what_settled_the_files_cannot_be_changed(folder, kind, name, known):
    with pytest.raises(UsageError) as caught:
        built(kind=kind).tuned(**{name: 3})
    assert str(caught.value) == f"x.idx: {kind} is not searched with {name}; its settings for search: {known}"


def test_vectors_that_only_say_that_they_are_of_unit_length_are_brought_to_it(folder):
    """`index rows.npy -m MODEL` names a model for vectors that nobody scaled."""
    vectors = HASH.encode(TEXTS)
    long = vectors.copy()
    long[1] *= 3
    table = pa.table({"id": ["a", "b", "c"], "text": TEXTS})
    index = build_index(Path("y.idx"), VectorMeta(8, HASH.identity), [Batch(table, long)])
    np.testing.assert_allclose(index.vectors(np.arange(3)), vectors, atol=1e-6)
    np.testing.assert_array_equal(index.vectors(np.array([0, 2])), vectors[[0, 2]])
