"""A segment keeps vectors and documents side by side, and notices when either is not what was written."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from embedkit import spec
from embedkit.data.vectors.vector_set import Batch
from embedkit.errors import DataError, FormatError, MismatchError
from embedkit.indexing import repeated_ids, segment_writing
from embedkit.indexing.kind import Layout
from embedkit.indexing.segment import Segment
from embedkit.indexing.segment_writing import write_segment
from embedkit.indexing.stored_files import StoredFile

FLAT = spec.parse("index", "flat")
VECTORS = np.random.default_rng(0).normal(size=(9, 3)).astype(np.float32)


def written(ids="abcdefghi", vectors=VECTORS, dimension=3):
    batches = [
        Batch(pa.table({"id": list(ids[start : start + 4])}), vectors[start : start + 4])
        for start in range(0, len(ids), 4)
    ]
    return write_segment(Path("s"), FLAT, batches, Layout(dimension, "cosine"))


def test_documents_come_back_in_the_order_asked(folder, monkeypatch):
    monkeypatch.setattr(
        segment_writing.ShardWriter.__init__, "__kwdefaults__", {"shard_rows": 2, "resume": False}
    )
    made = written()
    assert len(made.shards) == 5
    rows = np.array([8, 0, 3, 3])
    assert [row["id"] for row in made.take(rows)] == ["i", "a", "d", "d"]


def test_it_is_found_again_by_what_the_manifest_says(folder):
    made = written()
    assert Segment.from_json(folder.relative_to(folder), made.to_json(), FLAT) == made


@pytest.mark.parametrize("first", [0, 3, 5])
def test_an_id_that_comes_twice_is_refused(folder, first):
    ids = "abcdefgh" + "abcdefgh"[first]
    with pytest.raises(DataError, match=rf"^id '{ids[-1]}' occurs twice, as records {first + 1} and 9$"):
        written(ids)


def test_ids_whose_hashes_meet_are_still_told_apart(folder, monkeypatch):
    monkeypatch.setattr(repeated_ids, "hash", lambda _: 7, raising=False)
    assert written().rows == 9


def test_nothing_to_index_is_refused(folder):
    with pytest.raises(DataError, match=r"^there is nothing to index$"):
        written("")


def test_faulty_vectors_are_refused(folder):
    with pytest.raises(MismatchError, match=r"^vectors have 3 dimensions, expected 4$"):
        written(dimension=4)


def test_a_vector_that_is_not_finite_is_refused(folder):
    vectors = VECTORS.copy()
    vectors[5] = np.inf
    with pytest.raises(DataError, match=r"^the vector of id 'f' is not finite$"):
        written(vectors=vectors)


def test_a_faiss_file_cut_anywhere_is_refused_and_never_a_crash(folder):
    """FAISS crashes the process on a few of these lengths."""
    written()
    file = folder / "s/vectors.faiss"
    whole = file.read_bytes()
    for length in range(len(whole)):
        file.write_bytes(whole[:length])
        again = Segment(Path("s"), 9, FLAT, (StoredFile("vectors.faiss", len(whole), ""),), ())
        with pytest.raises(
            FormatError, match=rf"^s/vectors.faiss: has {length} bytes, expected {len(whole)}"
        ):
            again.search(VECTORS, 1)


@pytest.mark.parametrize("file", ["vectors.faiss", "documents/part-00000.arrow"])
@pytest.mark.parametrize("how", ["missing", "flipped", "cut"])
def test_damage_is_noticed(folder, file, how):
    made = written()
    path = folder / "s" / file
    whole = path.read_bytes()
    path.unlink()
    if how != "missing":
        path.write_bytes(whole[:-1] + (bytes([whole[-1] ^ 1]) if how == "flipped" else b""))
    with pytest.raises(FormatError, match=rf"^s/{file}: "):
        made.verify()
