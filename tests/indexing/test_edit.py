"""Add, delete and compact: what is there afterwards, and what is left behind."""

import os
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from embedkit.data.vectors.vector_set import Batch, VectorMeta
from embedkit.embedding.encoder import unit_length
from embedkit.embedding.loading import load
from embedkit.errors import DataError, FormatError, MismatchError
from embedkit.indexing.building import build_index
from embedkit.indexing.edit import add, compact, delete
from embedkit.indexing.merging import merge
from embedkit.indexing.store import Index


def ids(index):
    return sorted(id for segment in index.segments for id in segment.ids().to_pylist())


def files(folder):
    return {path.relative_to(folder): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.fixture
def idx(folder, docs):
    """The index `x.idx` of a, b and c."""
    return build_index("x.idx", *docs("abc")).path


def test_what_is_added_is_found_beside_what_was_there(idx, docs, answers):
    done = add(idx, *docs("de"))
    assert (done.added, done.replaced, ids(done.after)) == (2, 0, list("abcde"))
    assert [id for id, _ in answers(Index.open(idx), "abcde")] == list("abcde")
    Index.open(idx).verify()


def test_an_id_added_again_replaces_the_old_one(idx, docs, answers):
    done = add(idx, *docs("bd", version=1))
    assert (done.added, done.replaced, done.after.rows) == (2, 1, 4)
    assert ids(done.after) == list("abcd")
    assert answers(done.after, "b", version=1) == [("b", "the text 1 of document b")]
    _, rows = done.after.search(np.ones((1, 16), np.float32), 99)
    assert len(rows[0]) == 4


def test_what_is_deleted_is_never_found_and_never_shrinks_k(idx, docs):
    done = delete(idx, ["b", "zz", "b", "a"])
    assert (done.deleted, done.missing, ids(done.after)) == (2, ("zz",), ["c"])
    ((hit,),) = done.after.hits(np.ones((1, 16), np.float32), 3)
    assert hit.document["id"] == "c"
    add(idx, *docs("xyz"))
    hits = Index.open(idx).hits(np.ones((1, 16), np.float32), 4)[0]
    assert sorted(hit.document["id"] for hit in hits) == list("cxyz")


def test_ids_that_are_not_there_change_nothing(idx):
    before = files(idx)
    assert delete(idx, ["x", "y"]).missing == ("x", "y")
    assert files(idx) == before


def test_deleting_twice_counts_once(idx):
    delete(idx, ["a"])
    assert delete(idx, ["a", "b"]).missing == ("a",)
    assert ids(Index.open(idx)) == ["c"]


def test_an_index_can_be_emptied_and_filled_again(idx, docs, answers):
    index = delete(idx, list("abc")).after
    assert index.rows == 0
    assert index.hits(np.ones((2, 16), np.float32), 5) == [[], []]
    assert list((idx / "segments").iterdir()) == []
    index.verify()
    assert compact(idx).rows == 0
    assert answers(add(idx, *docs("a", version=7)).after, "a", version=7)[0][0] == "a"


def first_number(path, docs):
    """The number that a document without an id would get."""
    numbers = []
    with pytest.raises(DataError, match="there is nothing to index"):
        add(path, docs("")[0], [], number_from=numbers.append)
    return numbers[0]


@pytest.mark.parametrize(
    "change",
    [
        lambda path: None,
        lambda path: delete(path, ["3", "17"]),
        lambda path: delete(path, ["1", "2", "3", "17", "a"]),
        lambda path: [delete(path, ["3", "17"]), compact(path)],
        lambda path: [delete(path, ["1", "2", "3", "17", "a"]), compact(path)],
        lambda path: [delete(path, ["17"]), compact(path), delete(path, list("123a")), compact(path)],
    ],
    ids=["untouched", "some deleted", "all deleted", "compact", "all deleted, compact", "bit by bit"],
)
def test_automatic_numbers_go_on_where_they_were(folder, docs, change):
    build_index("x.idx", *docs(["1", "2", "3", "17", "a"]))
    change("x.idx")
    assert first_number("x.idx", docs) == 18
    assert first_number(merge(["x.idx"], "y.idx").path, docs) == 18


def test_numbers_of_replaced_documents_are_not_given_again(folder, docs):
    build_index("x.idx", *docs(["b", "9"]))
    delete("x.idx", ["9"])
    add("x.idx", *docs("b", version=1))  # the segment that had 9 is gone
    assert first_number("x.idx", docs) == 10


def test_compact_makes_one_segment_and_answers_the_same(idx, docs):
    add(idx, *docs("bde", version=1))
    index = delete(idx, ["c"]).after
    queries = np.random.default_rng(0).normal(size=(9, 16)).astype(np.float32)
    before = index.hits(queries, 9)
    after = compact(idx)
    assert after.hits(queries, 9) == before
    assert (len(after.segments), after.stored_rows) == (1, 4)
    after.verify()


def test_what_is_compact_already_is_left_alone(idx):
    before = files(idx)
    compact(idx)
    assert files(idx) == before


@pytest.mark.parametrize("change", [compact, lambda path: merge([path], "y.idx")])
def test_damage_is_never_copied(idx, docs, change):
    add(idx, *docs("d"))
    file = idx / "segments/00001/vectors.faiss"
    file.write_bytes(file.read_bytes()[:-1] + b"\7")
    before = files(idx)
    with pytest.raises(FormatError, match=r"^x.idx/segments/00001/vectors.faiss: its checksum differs"):
        change(idx)
    assert files(idx) == before
    assert not Path("y.idx").exists()


def test_vectors_of_another_encoder_are_refused_and_nothing_is_left(idx):
    before = files(idx)
    other = load("hash:dim=16,seed=1")
    for meta, message in [
        (
            VectorMeta(16, other.identity),
            rf"^x.idx: the index comes from .*, the input from {other.identity}",
        ),
        (VectorMeta(16), r"the input does not state its encoder; name it as the `model`$"),
    ]:
        with pytest.raises(MismatchError, match=message):
            add(idx, meta, [])
    assert files(idx) == before


def test_vectors_of_another_width_are_refused(folder):
    build_index("x.idx", VectorMeta(2), [Batch(pa.table({"id": ["a"]}), np.ones((1, 2), np.float32))])
    with pytest.raises(MismatchError, match=r"^x.idx: the index has 2 columns, the input 3$"):
        add("x.idx", VectorMeta(3), [])


def test_an_input_that_fails_in_the_middle_leaves_nothing(idx, docs):
    before = files(idx)
    meta, (batch,) = docs("dd")
    with pytest.raises(DataError, match=r"^id 'd' occurs twice"):
        add(idx, meta, [batch])
    assert files(idx) == before


@pytest.mark.parametrize("kind", ["flat", "binary", "binary:rescore=none", "int8", "int8:rescore=none"])
def test_vectors_come_back_as_they_were_stored(folder, kind):
    rows = np.random.default_rng(0).normal(size=(50, 11)).astype(np.float32)
    table = pa.table({"id": [str(row) for row in range(50)]})
    index = build_index("x.idx", VectorMeta(11), [Batch(table, rows)], kind=kind)
    some = np.array([7, 0, 49, 7])
    oracle = unit_length(rows)[some]
    if kind == "binary:rescore=none":
        oracle = np.where(oracle > 0, 1, -1) / np.sqrt(11)
    np.testing.assert_allclose(index.vectors(some), oracle, atol=5e-3 if kind.startswith("int8:") else 1e-7)


def test_the_manifest_is_swapped_and_never_written_into(idx, docs):
    before = (idx / "manifest.json").read_bytes()
    os.link(idx / "manifest.json", "as_it_was")
    add(idx, *docs("d"))
    assert Path("as_it_was").read_bytes() == before
