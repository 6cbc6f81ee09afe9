"""Indexes that were made apart become one."""

from pathlib import Path

import numpy as np
import pytest

from embedkit.data.affine import AffineMap
from embedkit.data.vectors.vector_set import VectorMeta
from embedkit.embedding.loading import load
from embedkit.errors import DataError, MismatchError
from embedkit.indexing.building import build_index
from embedkit.indexing.edit import add, delete
from embedkit.indexing.merging import merge
from embedkit.indexing.store import Index


def ids(index):
    return sorted(id for segment in index.segments for id in segment.ids().to_pylist())


def test_all_documents_are_in_it_and_the_sources_stay(folder, docs, answers):
    build_index("a.idx", *docs("abc"))
    build_index("b.idx", *docs("de"))
    delete("a.idx", ["b"])
    add("b.idx", *docs("f"))
    index = merge(["a.idx", "b.idx"], "c.idx")
    assert (ids(index), index.rows) == (list("acdef"), 5)
    assert [id for id, _ in answers(index, "acdef")] == list("acdef")
    index.verify()
    assert ids(Index.open("a.idx")) == list("ac")
    assert ids(add("c.idx", *docs("g")).after) == list("acdefg")


def test_an_id_in_two_of_them_is_refused_by_name(folder, docs):
    build_index("a.idx", *docs("abc"))
    build_index("b.idx", *docs("xcb"))
    message = r"^a.idx: id 'b' is in more than one index; keep the later one with `replace=True`$"
    with pytest.raises(DataError, match=message):
        merge(["a.idx", "b.idx"], "c.idx")
    assert not Path("c.idx").exists()


def test_the_later_of_two_is_kept_where_that_was_asked(folder, docs, answers):
    for version, name in enumerate("abc"):
        build_index(f"{name}.idx", *docs("xy"[: 2 - version % 2], version=version))
    index = merge(["a.idx", "b.idx", "c.idx"], "d.idx", replaces=True)
    assert ids(index) == ["x", "y"]
    assert answers(index, "xy", version=2) == [
        ("x", "the text 2 of document x"),
        ("y", "the text 2 of document y"),
    ]


def test_a_document_that_is_deleted_meets_none(folder, docs):
    build_index("a.idx", *docs("ab"))
    build_index("b.idx", *docs("bc"))
    delete("b.idx", ["b"])
    assert ids(merge(["a.idx", "b.idx"], "c.idx")) == list("abc")


def test_the_map_goes_with_it(folder, docs):
    meta, batches = docs("a")
    map = AffineMap(np.eye(16), np.zeros(16), {})
    build_index("a.idx", VectorMeta(16, meta.identity, map=map), batches)
    index = merge(["a.idx"], "c.idx")
    assert index.map == map
    assert index.manifest.map.bytes == len(map.to_bytes())


@pytest.mark.parametrize(
    ("options", "identity", "what"),
    [
        ({"kind": "int8"}, load("hash:dim=16").identity, "b.idx: has kind int8, a.idx has flat"),
        ({"metric": "dot"}, load("hash:dim=16").identity, "b.idx: has metric dot, a.idx has cosine"),
        ({}, load("hash:dim=16,seed=1").identity, "b.idx: a.idx comes from .*, this index from "),
        ({}, None, "b.idx: comes from an unknown encoder, a.idx from hash"),
    ],
)
def test_indexes_that_do_not_belong_together_are_refused(folder, docs, options, identity, what):
    build_index("a.idx", *docs("a"))
    _, batches = docs("b")
    build_index("b.idx", VectorMeta(16, identity), batches, **options)
    with pytest.raises(MismatchError, match=f"^{what}"):
        merge(["a.idx", "b.idx"], "c.idx")


def test_empty_indexes_can_be_merged(folder, docs):
    build_index("a.idx", *docs("a"))
    delete("a.idx", ["a"])
    index = merge(["a.idx"], "c.idx")
    assert index.search(np.ones((1, 16), np.float32), 3)[1].shape == (1, 0)
