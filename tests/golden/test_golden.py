"""Files of every format version are read for ever, and today's are written the same, byte for byte."""

import runpy
import shutil
from pathlib import Path

import numpy as np
import orjson
import pytest

from embedkit.data.affine import AffineMap
from embedkit.data.folders.file_states import FileState, Root, read_states
from embedkit.data.folders.folder_settings import FolderSettings
from embedkit.data.text.record import Record
from embedkit.data.vectors import tables
from embedkit.data.vectors.label_vectors import Calibration, LabelVectors, read_names
from embedkit.data.vectors.vector_set import Batch, VectorMeta, VectorSet
from embedkit.embedding.loading import load
from embedkit.errors import FormatError, UsageError
from embedkit.indexing.edit import add, compact, delete
from embedkit.indexing.lexical.operators import literal_query
from embedkit.indexing.query import Query, hits
from embedkit.indexing.store import Index

GOLDEN = Path(__file__).parent
TODAY = {
    "vectors": "vectors-v1",
    "binary": "binary-v2",
    "int8": "int8-v2",
    "index": "index-v4",
    "deleted": "index-v4-deleted",
    "files.arrow": "files-v1.arrow",
    "map.safetensors": "map-v1.safetensors",
    "labels.safetensors": "labels-v1.safetensors",
}
ROWS = [{"id": "a", "text": "one", "n": 1, "tags": None}, {"id": "b", "text": "二", "n": 2, "tags": ["x", 1]}]


def test_a_vector_set_of_version_1_is_read():
    made = VectorSet.open(GOLDEN / "vectors-v1")
    made.verify()
    ((table, vectors),) = made
    assert tables.to_rows(table) == ROWS
    np.testing.assert_array_equal(vectors, load("hash:dim=2").encode(["one", "二"]))
    assert made.meta.identity == load("hash:dim=2").identity


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("binary-v2", np.sqrt(np.float32(0.5)) * np.array([[1, -1], [-1, 1]])),
        ("int8-v2", np.array([[0.5, -0.25], [-0.25, 1]])),  # two rows: each column is one end of its range
    ],
)
def test_codes_of_version_2_are_read(name, expected):
    made = VectorSet.open(GOLDEN / name)
    made.verify()
    ((table, vectors),) = made
    assert tables.to_rows(table) == ROWS
    np.testing.assert_allclose(vectors, expected, rtol=1e-6)


def test_a_map_of_version_1_is_read():
    transform = AffineMap.load(GOLDEN / "map-v1.safetensors")
    assert (transform.A.tolist(), transform.b.tolist(), transform.story) == (
        [[1, 2]],
        [0.5],
        {"spec": "example"},
    )
    assert transform.to_bytes() == (GOLDEN / "map-v1.safetensors").read_bytes()


def test_label_vectors_of_version_1_are_read(folder):
    labels = LabelVectors.load(GOLDEN / "labels-v1.safetensors")
    assert labels.vectors.tolist() == np.float32([[1, 0], [0.6, 0.8], [0, 1], [0, -1]]).tolist()
    assert (labels.names, labels.centres, labels.multiple) == (("one", "二"), 2, False)
    assert (labels.scale, labels.offset) == (20, 0)
    assert labels.calibration == Calibration(1.5, 0.25, 8, 4, 0.75, 0.5, 0.375, 0.25, 0.125, 0.875, 0.5)
    assert (labels.held_out, labels.loss) == (("three",), "sub-centre:centres=2")
    labels.require_encoder(load("hash:dim=2").identity, where="golden")
    shutil.copy(GOLDEN / "labels-v1.safetensors", "labels.safetensors")
    assert read_names(Path()) == ["one", "二"]


@pytest.mark.parametrize("version", ["index-v1", "index-v2", "index-v3", "index-v4"])
def test_an_index_of_every_version_is_read(version):
    index = Index.open(GOLDEN / version)
    index.verify()
    ((hit, _),) = index.hits(load("hash:dim=2").encode(["二"]), 2)
    assert (hit.rank, hit.document) == (1, ROWS[1])
    assert hit.score == pytest.approx(1)


@pytest.mark.parametrize("version", ["index-v3-deleted", "index-v4-deleted"])
def test_tombstones_of_every_version_are_read(version):
    index = Index.open(GOLDEN / version)
    index.verify()
    ((hit,),) = index.hits(load("hash:dim=2").encode(["one"]), 2)
    assert hit.document == ROWS[1]


def words_found(index):
    """The ids of the documents that each of two words finds."""
    words = [literal_query(text, index.manifest.lexical) for text in ("ones", "二")]
    return [[hit.document["id"] for hit in line] for line in hits(index, None, Query(2), texts=words)]


@pytest.mark.parametrize(
    ("version", "found"), [("index-v4", [["a"], ["b"]]), ("index-v4-deleted", [[], ["b"]])]
)
def test_the_lexical_part_of_version_4_is_read(version, found):
    index = Index.open(GOLDEN / version)
    assert words_found(index) == found
    vectors = load("hash:dim=2").encode(["二"])
    ((hit, *_),) = index.hits(vectors, 2, texts=["二"], hybrid=0.7)
    assert (hit.document, hit.dense, hit.lexical > 0) == (ROWS[1], pytest.approx(1), True)


@pytest.mark.parametrize("version", ["index-v1", "index-v2", "index-v3"])
def test_an_earlier_index_has_no_lexical_part_and_says_how_it_gets_one(version):
    with pytest.raises(UsageError, match=r"has no lexical part; add it with embedkit index compact .*$"):
        _ = Index.open(GOLDEN / version).lexical


@pytest.mark.parametrize("version", ["index-v1", "index-v2", "index-v3"])
def test_an_earlier_index_is_upgraded_by_its_first_write(folder, version):
    shutil.copytree(GOLDEN / version, "x.idx")
    delete("x.idx", ["a"])
    written, earlier = files(folder / "x.idx"), files(GOLDEN / "index-v3-deleted")
    manifest = orjson.loads(written.pop(Path("manifest.json")))
    assert (manifest["version"], manifest["lexical"]) == (4, None)
    assert manifest["segments"] == orjson.loads(earlier.pop(Path("manifest.json")))["segments"]
    assert written == earlier


@pytest.mark.parametrize("version", ["index-v1", "index-v2", "index-v3"])
def test_an_earlier_index_receives_its_lexical_part_when_it_is_compacted(folder, version):
    shutil.copytree(GOLDEN / version, "x.idx")
    index = compact("x.idx")
    assert words_found(index) == [["a"], ["b"]]
    assert files(folder / "x.idx/segments/00001") == files(GOLDEN / "index-v4/segments/00000")


def test_what_is_added_to_an_earlier_index_has_no_lexical_part_before_it_is_compacted(folder):
    shutil.copytree(GOLDEN / "index-v3", "x.idx")
    encoder = load("hash:dim=2")
    table = tables.to_table([Record("c", "ones again", {})])
    index = add(
        "x.idx", VectorMeta(2, encoder.identity), [Batch(table, encoder.encode(["ones again"]))]
    ).after
    assert [segment.postings for segment in index.segments] == [None, None]
    assert words_found(compact("x.idx")) == [["a", "c"], ["b"]]


def files(folder):
    return {path.relative_to(folder): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_states_of_files_of_version_1_are_read():
    states = read_states(GOLDEN / "files-v1.arrow")
    assert states.settings == FolderSettings(chunk=9, include=("*.md",))
    assert states.roots == (Root("docs", "/docs"),)
    assert list(states) == [
        FileState("docs/二.md", 0, 7, 5, "ab", ("docs/二.md:1", "docs/二.md:3")),
        FileState("docs/b.png", 0, 9, -1, "", (), "binary"),
    ]


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        (b'"version":1', b'"version":9', "is a file of states of version 9, this embedkit reads version 1"),
        (b'"embedkit-files"', b'"embedkit-other"', "is not a file of states"),
        (b"ARROW1", b"XRROW1", "is damaged"),
        (b"passages", b"passagez", "has other columns"),
    ],
)
def test_other_states_of_files_are_refused(folder, old, new, message):
    content = (GOLDEN / "files-v1.arrow").read_bytes()
    assert old in content
    Path("copy").write_bytes(content.replace(old, new))
    with pytest.raises(FormatError, match=rf"^copy: {message}"):
        read_states(Path("copy"))


def test_the_same_content_is_written_as_the_same_bytes(folder):
    runpy.run_path(str(GOLDEN / "write.py"))["write_all"](folder)
    for today, golden in TODAY.items():
        if (folder / today).is_dir():
            assert files(folder / today) == files(GOLDEN / golden)
        else:
            assert (folder / today).read_bytes() == (GOLDEN / golden).read_bytes()


@pytest.mark.parametrize(
    ("name", "file", "opening", "what"),
    [
        ("vectors-v1", "meta.json", VectorSet.open, "vector set"),
        ("index-v1", "manifest.json", Index.open, "index"),
    ],
)
@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        (b'"version": 1', b'"version": 9', "is an? {} of version 9, this embedkit reads versions 1 and 2"),
        (b'"embedkit-', b'"other-', "is not an? {}$"),
        (b"{", b"", "is damaged: "),
    ],
)
def test_another_version_or_format_is_refused(folder, name, file, opening, what, old, new, message):
    shutil.copytree(GOLDEN / name, "copy")
    manifest = folder / "copy" / file
    manifest.write_bytes(manifest.read_bytes().replace(old, new, 1))
    with pytest.raises(FormatError, match=rf"^copy: .*{message.format(what)}"):
        opening(Path("copy"))
