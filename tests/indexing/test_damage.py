"""Every byte of a small index counts: one that changes is noticed by verify, and by search."""

import shutil
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from embedkit.data.affine import AffineMap
from embedkit.data.vectors.vector_set import Batch, VectorMeta
from embedkit.errors import FormatError
from embedkit.indexing.building import build_index
from embedkit.indexing.edit import delete
from embedkit.indexing.store import Index

QUERIES = np.ones((1, 3), np.float32)


@pytest.fixture
def idx(folder):
    """An index with texts, a map and tombstones."""
    rows = np.arange(9, dtype=np.float32).reshape(3, 3)
    meta = VectorMeta(3, map=AffineMap(np.eye(3), np.zeros(3), {}))
    build_index("x.idx", meta, [Batch(pa.table({"id": list("abc"), "text": ["one", "two", "人工"]}), rows)])
    delete("x.idx", ["b"])
    return Path("x.idx")


def files(folder):
    return sorted(path for path in folder.rglob("*") if path.is_file())


def test_every_byte_that_changes_is_noticed(idx):
    names = {"manifest.json", "map.safetensors", "deleted-00001.bits", "lexical.safetensors"}
    assert {path.name for path in files(idx)} >= names
    for path in files(idx):
        whole = path.read_bytes()
        for place in range(len(whole)):
            flipped = bytearray(whole)
            flipped[place] ^= 1 << (place % 8)
            path.write_bytes(flipped)
            with pytest.raises(FormatError):
                Index.open(idx).verify()
            with pytest.raises(FormatError):  # an index of less than 64 MB is checked before it answers
                Index.open(idx).search(QUERIES, 2)
            with pytest.raises(FormatError):
                _ = Index.open(idx).lexical
        path.write_bytes(whole)
    Index.open(idx).verify()


@pytest.mark.parametrize("how", ["missing", "cut", "longer"])
def test_a_file_of_another_length_is_noticed(idx, how):
    for path in files(idx):
        whole = path.read_bytes()
        path.unlink()
        if how != "missing":
            path.write_bytes(whole[:-1] if how == "cut" else whole + b"x")
        with pytest.raises(FormatError):
            Index.open(idx).verify()
        with pytest.raises(FormatError):
            _ = Index.open(idx).lexical
        path.write_bytes(whole)


def test_a_segment_that_is_missing_is_one_line(idx):
    shutil.rmtree(idx / "segments/00000")
    with pytest.raises(FormatError, match=r"^x.idx/segments/00000: is missing; the folder is damaged$"):
        Index.open(idx)


def test_an_index_is_checked_once(idx, monkeypatch):
    index = Index.open(idx)
    index.search(QUERIES, 1)
    monkeypatch.setattr(Index, "verify", lambda _: pytest.fail("again"))
    index.search(QUERIES, 1)
