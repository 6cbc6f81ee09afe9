"""Damage to a large index, which is not read in full before a search, is one line and never a crash."""

import subprocess
import sys
from pathlib import Path

import faiss
import numpy as np
import orjson
import pyarrow as pa
import pytest

from embedkit.data.affine import AffineMap
from embedkit.data.vectors.vector_set import Batch, VectorMeta
from embedkit.errors import FormatError
from embedkit.indexing import store
from embedkit.indexing.building import build_index
from embedkit.indexing.faiss_checks import faults
from embedkit.indexing.store import Index
from embedkit.indexing.stored_files import END
from embedkit.indexing.where import rows_where

SCRIPT = Path(__file__).with_name("flipped.py")
ROWS = np.random.default_rng(0).normal(size=(3000, 16)).astype(np.float32)


@pytest.fixture
def idx(folder, monkeypatch):
    """An index that counts as large."""
    monkeypatch.setattr(store, "CHECKED_WHOLE", 0)
    table = pa.table({"id": [str(row) for row in range(len(ROWS))]})
    return build_index("x.idx", VectorMeta(16), [Batch(table, ROWS)]).path


def flip(file, place):
    content = bytearray(file.read_bytes())
    content[place] ^= 1
    file.write_bytes(content)


@pytest.mark.parametrize("place", [0, 20, END - 1, -END, -1])
def test_both_ends_of_a_file_are_checked_when_it_is_opened(idx, place):
    file = idx / "segments/00000/vectors.faiss"
    assert file.stat().st_size > 2 * END
    flip(file, place)
    with pytest.raises(FormatError, match=r"^x.idx/segments/00000/vectors.faiss: its checksum differs"):
        Index.open(idx).search(ROWS[:1], 1)


def test_what_lies_between_is_left_to_verify(idx):
    flip(idx / "segments/00000/vectors.faiss", END)
    Index.open(idx).search(ROWS[:1], 1)
    with pytest.raises(FormatError, match="its checksum differs"):
        Index.open(idx).verify()


def test_a_map_is_checked_when_it_is_read(folder, monkeypatch):
    monkeypatch.setattr(store, "CHECKED_WHOLE", 0)
    table, map = pa.table({"id": ["a"]}), AffineMap(np.eye(16), np.zeros(16), {})
    build_index("x.idx", VectorMeta(16, map=map), [Batch(table, ROWS[:1])])
    assert Index.open("x.idx").map == map
    flip(folder / "x.idx/map.safetensors", 2)
    with pytest.raises(FormatError, match=r"^x.idx/map.safetensors: its checksum differs"):
        _ = Index.open("x.idx").map


def lengthen_an_id(file):
    """Let the last but one end 64 bytes later, behind the end of all ids."""
    content = pa.py_buffer(bytearray(file.read_bytes()))
    ids = pa.ipc.open_file(content).read_all().column("id").chunk(0)
    at = ids.buffers()[1].address - content.address
    ends = np.frombuffer(content, np.int32, len(ids) + 1, offset=at)
    ends[-2] += 64
    file.write_bytes(content)


@pytest.mark.parametrize(
    "read",
    [
        lambda index: index.take(np.array([2998])),
        lambda index: index.take(np.arange(2900, 3000)),
        lambda index: index.find(["7"]),
        lambda index: rows_where(index, "id = '7'"),
    ],
)
def test_documents_that_lie_beyond_their_end_are_never_read(idx, read):
    lengthen_an_id(idx / "segments/00000/documents/part-00000.arrow")
    index = Index.open(idx)
    assert index.take(np.array([7])) == [{"id": "7"}]
    with pytest.raises(
        FormatError, match=r"part-00000.arrow: is damaged: .*; check the index with embedkit index verify$"
    ):
        read(index)


def test_a_manifest_without_those_checksums_is_read(idx):
    """As earlier versions wrote them; what is in the file is then checked by `verify` only."""
    manifest = idx / "manifest.json"
    value = orjson.loads(manifest.read_bytes())
    del value["segments"][0]["files"][0]["ends"]
    value["version"] = 2  # without a checksum of its own
    manifest.write_bytes(orjson.dumps(value))
    index = Index.open(idx)
    assert index.segments[0].files[0].ends is None
    assert index.search(ROWS[7:8], 1)[1].tolist() == [[7]]


def graph():
    index = faiss.IndexHNSWFlat(16, 8, faiss.METRIC_INNER_PRODUCT)
    index.add(ROWS)
    return index


def edges_of(index):
    return faiss.rev_swig_ptr(index.hnsw.neighbors.data(), index.hnsw.neighbors.size())


def offsets_of(index):
    return faiss.rev_swig_ptr(index.hnsw.offsets.data(), index.hnsw.offsets.size())


def levels_of(index):
    return faiss.rev_swig_ptr(index.hnsw.levels.data(), index.hnsw.levels.size())


def edge_leaves_its_level(index):
    """Of a node on the second level, an edge there is led to one that is only on the lowest."""
    upper, lower = np.argmax(levels_of(index) > 1), np.argmin(levels_of(index))
    edges_of(index)[offsets_of(index)[upper] + index.hnsw.cum_nneighbor_per_level.at(1)] = lower


DAMAGE = {
    "is a graph with an edge that leads nowhere": [
        lambda index: edges_of(index).__setitem__(700, 3000),
        lambda index: edges_of(index).__setitem__(701, -2),
        edge_leaves_its_level,
    ],
    "is entered at node 3000 of 3000": [lambda index: setattr(index.hnsw, "entry_point", 3000)],
    "is entered at node -1 of 3000": [lambda index: setattr(index.hnsw, "entry_point", -1)],
    "of 3000, level 9": [lambda index: setattr(index.hnsw, "max_level", 9)],
    "not stored one after the other": [lambda index: offsets_of(index).__setitem__(5, 1 << 40)],
    "has nodes of 77 levels": [lambda index: levels_of(index).__setitem__(9, 77)],
    "is a graph of 2999 nodes": [lambda index: index.hnsw.levels.resize(2999)],
    "holds 2999 vectors, the manifest states 3000": [lambda index: setattr(index.storage, "ntotal", 2999)],
}


@pytest.mark.parametrize(
    ("what", "damage"), [(what, damage) for what, damages in DAMAGE.items() for damage in damages]
)
def test_a_graph_that_leads_out_of_itself_is_found(what, damage):
    index = graph()
    assert list(faults(index, 3000)) == []
    damage(index)
    assert what in next(faults(index, 3000))


def test_lists_that_hold_other_rows_are_found_behind_whatever_stands_before_them():
    index = faiss.index_factory(16, "PCA8,IVF4,Flat", faiss.METRIC_INNER_PRODUCT)
    index.train(ROWS)
    index.add(ROWS)
    assert list(faults(index, 3000)) == []
    faiss.extract_index_ivf(index).invlists.resize(2, 5)
    assert "vectors in its lists, the manifest states 3000" in next(faults(index, 3000))


@pytest.mark.parametrize(
    ("kind", "flips"),
    [
        ("hnsw:m=8,ef_construction=20", 30),
        *[
            pytest.param(kind, 500, marks=pytest.mark.slow)
            for kind in ("hnsw:m=8,ef_construction=20", "ivf:lists=60", "binary", "int8")
        ],
    ],
)
def test_random_flips_are_noticed_by_verify_and_never_crash_a_search(folder, kind, flips):
    done = subprocess.run(
        [sys.executable, SCRIPT, kind, str(flips)], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")
    found = orjson.loads(done.stdout)
    assert found["crashed"] == found["unnoticed"] == []
    assert found["refused"] + found["answered"] == flips
    assert found["refused"] > 0.2 * flips
