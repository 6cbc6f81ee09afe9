"""Rows of a flat file are read as FAISS wrote them; a damaged header is found before they are read."""

import struct

import faiss
import numpy as np
import pytest

from embedkit.errors import FormatError
from embedkit.indexing.faiss_files import write_rows
from embedkit.indexing.flat_file import FlatFile, empty_file

ROWS = np.random.default_rng(5).standard_normal((50, 6)).astype(np.float32)


@pytest.fixture
def path(tmp_path):
    index = faiss.IndexFlatIP(6)
    index.add(ROWS)
    faiss.write_index(index, str(tmp_path / "vectors.faiss"))
    return tmp_path / "vectors.faiss"


@pytest.mark.parametrize("rows", [[], [0], [7, 8, 9], [9, 8, 7], [0, 2, 2], [5, 5, 7], [49, 3], range(50)])
def test_rows_are_those_that_faiss_wrote(path, rows):
    taken = FlatFile.open(path, 50).take(np.array(list(rows), dtype=np.int64))
    assert taken.dtype == np.float32
    assert taken.flags.aligned
    np.testing.assert_array_equal(taken, ROWS[list(rows)])


@pytest.mark.parametrize("blocks", [[], [ROWS], [ROWS[:20], ROWS[20:]]])
def test_the_file_is_the_one_that_faiss_writes(tmp_path, blocks):
    index = faiss.IndexFlatIP(6)
    for block in blocks:
        index.add(block)
    write_rows(tmp_path / "ours", empty_file(6), iter(blocks))
    assert (tmp_path / "ours").read_bytes() == bytes(faiss.serialize_index(index))


def test_an_index_without_rows_has_none(tmp_path):
    faiss.write_index(faiss.IndexFlatIP(6), str(tmp_path / "empty.faiss"))
    assert FlatFile.open(tmp_path / "empty.faiss", 0).take(np.zeros(0, np.int64)).shape == (0, 6)


@pytest.mark.parametrize(
    ("place", "bytes", "what"),
    [
        (0, b"IxF2", "not a flat FAISS index"),
        (4, struct.pack("<i", 7), "not a flat FAISS index"),
        (4, struct.pack("<i", -6), "not a flat FAISS index"),
        (8, struct.pack("<q", 49), "not a flat FAISS index"),
        (33, struct.pack("<i", 1), "not a flat FAISS index"),
        (37, struct.pack("<Q", 2**63), "not a flat FAISS index"),
    ],
)
def test_a_damaged_header_is_an_error(path, place, bytes, what):
    content = bytearray(path.read_bytes())
    content[place : place + len(bytes)] = bytes
    path.write_bytes(content)
    with pytest.raises(FormatError, match=what):
        FlatFile.open(path, 50)


def test_another_number_of_rows_is_an_error(path):
    with pytest.raises(FormatError, match="holds 50 vectors, the manifest states 51"):
        FlatFile.open(path, 51)


@pytest.mark.parametrize("size", [0, 44, 45, 1244])
def test_a_truncated_file_is_an_error(path, size):
    path.write_bytes(path.read_bytes()[:size])
    with pytest.raises(FormatError, match="is truncated"):
        FlatFile.open(path, 50)
