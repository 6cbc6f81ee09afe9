"""Damaged postings of an index that is not read in full before a search are one line, or wrong numbers, but
never a crash.
"""

import re
import warnings

import numpy as np
import pytest

from embedkit.data.vectors.vector_set import VectorMeta
from embedkit.errors import FormatError
from embedkit.indexing import store
from embedkit.indexing.building import build_index
from embedkit.indexing.edit import add, delete
from embedkit.indexing.lexical.fusion import Fusion
from embedkit.indexing.lexical.operators import parse_query
from embedkit.indexing.lexical.postings import Postings
from embedkit.indexing.query import Query, hits
from embedkit.indexing.store import Index
from embedkit.indexing.stored_files import StoredFile

META = VectorMeta(8)
VECTORS = np.random.default_rng(0).normal(size=(5, 8)).astype(np.float32)
WORDS = ["one two", '"one two" -five', "人", '"人工智能"', "+three zebra"]
DOCUMENTS = {
    "a": "one two three",
    "b": "two one two",
    "c": "人工智能 one",
    "d": None,
    "e": "five " * 300,
    "f": "人 工人 zebra",
}


@pytest.fixture
def idx(folder, batch, monkeypatch):
    """An index of two segments with a deleted document, whose files are not checked when they are opened."""
    build_index("x.idx", META, [batch(DOCUMENTS | {"g": "one"})])
    delete("x.idx", ["g"])
    add("x.idx", META, [batch({"h": "one two", "i": "人工"})])
    monkeypatch.setattr(store, "CHECKED_WHOLE", 0)
    monkeypatch.setattr(StoredFile, "require_ends", StoredFile.require_size)
    return folder / "x.idx"


def use(path):
    """Search in every way."""
    index = Index.open(path)
    typed = [parse_query(text, index.manifest.lexical) for text in WORDS]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # sums of wrong numbers may overflow
        hits(index, None, Query(10, explain=True), texts=typed)
        hits(index, VECTORS, Query(10, fusion=Fusion()), texts=typed)
        hits(index, VECTORS, Query(10, fusion=Fusion(0.5, "rrf")), texts=typed)


def outcome(path):
    """Return the error of a search, or an empty string when it answered."""
    try:
        use(path)
    except FormatError as error:
        return str(error)
    return ""


@pytest.mark.parametrize("segment", ["00000", "00002"])
def test_each_changed_byte_is_refused_or_gives_wrong_numbers(idx, segment):
    file = idx / "segments" / segment / "lexical.safetensors"
    whole = file.read_bytes()
    start = 8 + int.from_bytes(whole[:8], "little")
    places = [*range(start, len(whole), 1 + len(whole) // 400), *range(8, start, 17)]
    found = []
    for place in places:
        changed = bytearray(whole)
        changed[place] ^= 0xFF if place % 2 else 1
        file.write_bytes(changed)
        found.append(outcome(idx))
        assert "\n" not in found[-1]
        with pytest.raises(FormatError, match="its checksum differs from the one that was written"):
            Index.open(idx).verify()
    refused = list(filter(None, found))
    assert 20 < len(refused) < len(found)
    assert all(f"{segment}/lexical.safetensors: " in error for error in refused)
    file.write_bytes(whole)
    assert not outcome(idx)


@pytest.mark.parametrize("value", [0, 1, 0x7F, 0xFF])
@pytest.mark.parametrize(
    "name",
    [
        "terms",
        "term_ends",
        "rows",
        "counts",
        "posting_ends",
        "positions",
        "position_ends",
        "lengths",
        "sample_rows",
        "sample_keys",
    ],
)
def test_an_array_of_wrong_numbers_is_refused_or_searched(idx, name, value):
    for segment in Index.open(idx).segments:
        file = segment.folder / "lexical.safetensors"
        content = bytearray(file.read_bytes())
        array = Postings.open(segment.folder, segment.rows).arrays[name]
        place = array.__array_interface__["data"][0] - _start(segment)
        content[place : place + array.nbytes] = bytes([value]) * array.nbytes
        file.write_bytes(content)
    assert "\n" not in outcome(idx)


def _start(segment):
    """The address of the first byte of a mapped file."""
    array = Postings.open(segment.folder, segment.rows).arrays["term_ends"]
    mapped = array.base
    while not isinstance(mapped, np.memmap):
        mapped = mapped.base if isinstance(mapped, np.ndarray) else mapped.obj
    return mapped.__array_interface__["data"][0]


def test_damage_is_named_with_its_file(idx):
    file = idx / "segments/00000/lexical.safetensors"
    whole = file.read_bytes()
    header = whole[8 : 8 + int.from_bytes(whole[:8], "little")]
    first = int(re.search(rb'"rows".*?data_offsets": \[(\d+)', header)[1]) + 8 + len(header)
    file.write_bytes(whole[:first] + b"\xff" * 4 + whole[first + 4 :])
    with pytest.raises(FormatError, match=r"x.idx/segments/00000/lexical.safetensors: is damaged: .*verify$"):
        use(idx)


@pytest.mark.parametrize("how", ["missing", "cut", "longer", "foreign"])
def test_another_file_is_refused(idx, how):
    file = idx / "segments/00000/lexical.safetensors"
    whole = file.read_bytes()
    file.unlink()
    if how != "missing":
        file.write_bytes({"cut": whole[:-1], "longer": whole + b"x", "foreign": b"x" * len(whole)}[how])
    with pytest.raises(FormatError, match=r"x.idx/segments/00000/lexical.safetensors"):
        use(idx)
    with pytest.raises(FormatError, match=r"x.idx/segments/00000/lexical.safetensors"):
        Index.open(idx).verify()
