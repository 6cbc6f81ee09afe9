"""Vector sets keep vectors, ids, text and fields; what is damaged or does not belong is refused."""

import io
import shutil
from pathlib import Path

import numpy as np
import orjson
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from embedkit.data.affine import AffineMap
from embedkit.data.text.record import Record
from embedkit.data.vectors import tables
from embedkit.data.vectors.columns import vectors_of, with_vectors
from embedkit.data.vectors.vector_files import write_jsonl
from embedkit.data.vectors.vector_set import Batch, VectorMeta, VectorSet
from embedkit.data.vectors.vector_set_writing import VectorSetWriter
from embedkit.errors import DataError, EmbedkitError, ExistsError, FormatError, MismatchError

VALUES = st.one_of(st.none(), st.booleans(), st.integers(-(2**53), 2**53), st.text(max_size=5))
NAMES = st.sampled_from(["title", "score", "vector", "id", "id_", "题"])
RECORDS = st.lists(
    st.builds(Record, st.text(max_size=5), st.text(max_size=5), st.dictionaries(NAMES, VALUES)),
    min_size=1,
    max_size=12,
)


def numbers(rows, width=3):
    return np.random.default_rng(rows).normal(size=(rows, width)).astype(np.float32)


def batch_of(records, vectors=None):
    return Batch(tables.to_table(records), numbers(len(records)) if vectors is None else vectors)


def written(batches, path="x.vec", shard_rows=4, **meta):
    writer = VectorSetWriter(Path(path), VectorMeta(3, **meta), force=True, shard_rows=shard_rows)
    for batch in batches:
        writer.append(batch)
    return writer.finish()


def ten(**meta):
    return written([batch_of([Record(f"é {n}", f"text {n}", {"n": n}) for n in range(10)])], **meta)


def content(vectors):
    """All rows with their vectors."""
    parts = list(vectors)
    rows = [row for table, _ in parts for row in tables.to_rows(table)]
    return rows, np.concatenate([part for _, part in parts])


@given(records=RECORDS, split=st.integers(0, 12))
def test_everything_comes_back_as_it_went(folder, records, split):
    vectors = numbers(len(records))
    parts = [slice(0, split), slice(split, None)]
    made = written([batch_of(records[part], vectors[part]) for part in parts if records[part]])
    rows, again = content(made)
    np.testing.assert_array_equal(again, vectors)
    assert [(row["id"], row["text"]) for row in rows] == [(record.id, record.text) for record in records]
    for record, row in zip(records, rows, strict=True):
        kept = {
            name: value for name, value in row.items() if name not in ("id", "text") and value is not None
        }
        given = {tables._free(name): value for name, value in record.fields.items() if value is not None}
        assert kept == given


def test_shards_hold_as_many_rows_as_asked(folder):
    assert [shard.rows for shard in ten().shards] == [4, 4, 2]
    assert sorted(path.name for path in folder.iterdir()) == ["x.vec"]
    assert sorted(path.name for path in (folder / "x.vec").iterdir()) == [
        "meta.json", "part-00000.arrow", "part-00001.arrow", "part-00002.arrow"
    ]  # fmt: skip


def test_halves_are_stored_rounded(folder):
    made = ten(dtype="float16")
    np.testing.assert_array_equal(content(made)[1], numbers(10).astype(np.float16).astype(np.float32))
    assert pa.ipc.open_file("x.vec/part-00000.arrow").schema.field("vector").type == pa.list_(pa.float16(), 3)


def test_a_number_too_large_for_halves_is_refused_and_not_stored_as_infinity(folder, capfd):
    most = np.full((3, 3), np.finfo(np.float16).max, np.float32)
    records = [Record(f"r{n}", "", {}) for n in range(3)]
    assert np.isfinite(written([batch_of(records, most)], dtype="float16").vectors(0)).all()
    most[1, 2] = 1e5
    with pytest.raises(DataError, match=r"^the vector of id 'r1' has a number that is too"):
        written([batch_of(records, most)], "y.vec", dtype="float16")
    with pytest.raises(DataError, match=r"^the vector of id 'r1' has a number that is too"):
        write_jsonl([batch_of(records, most)], io.BytesIO(), "float16")
    assert capfd.readouterr() == ("", "")


def test_without_text_everything_else_is_kept(folder):
    rows, _ = content(ten(has_text=False))
    assert rows[0] == {"id": "é 0", "n": 0}


def test_shards_that_disagree_on_a_field_are_read_as_one(folder):
    values = [1, 2.5, "three", {"four": 4}, None]
    made = written(
        [batch_of([Record(str(n), "", {"x": value})]) for n, value in enumerate(values)], shard_rows=1
    )
    assert [row["x"] for row in content(made)[0]] == values


def test_two_runs_write_the_same_bytes(folder):
    ten(path="one.vec")
    ten(path="two.vec")
    for file in (folder / "one.vec").iterdir():
        assert file.read_bytes() == (folder / "two.vec" / file.name).read_bytes()


@pytest.mark.parametrize("package", ["polars", "pandas", "duckdb"])
def test_other_programs_read_the_shards_as_they_are(folder, package):
    module = pytest.importorskip(package)
    ten()
    file = "x.vec/part-00001.arrow"
    if package == "polars":
        vectors = module.read_ipc(file)["vector"].to_numpy()
    elif package == "pandas":
        vectors = np.stack(module.read_feather(file)["vector"])
    else:
        shard = pa.ipc.open_file(file).read_all()
        vectors = module.from_arrow(shard).project("vector").fetchall()
        vectors = [vector for (vector,) in vectors]
    np.testing.assert_array_equal(np.asarray(vectors, np.float32), numbers(10)[4:8])


def test_every_flipped_byte_is_noticed(folder):
    made = ten()
    made.verify()
    file = folder / "x.vec/part-00002.arrow"
    whole = file.read_bytes()
    for place in range(0, len(whole), 7):
        file.write_bytes(whole[:place] + bytes([whole[place] ^ 1]) + whole[place + 1 :])
        with pytest.raises(FormatError, match=r"^x.vec/part-00002.arrow: its checksum differs"):
            made.verify()


def test_a_shard_cut_short_is_noticed(folder):
    made = ten()
    file = folder / "x.vec/part-00002.arrow"
    file.write_bytes(file.read_bytes()[:-1])
    with pytest.raises(FormatError, match=r"^x.vec/part-00002.arrow: has \d+ bytes, expected \d+"):
        made.verify()
    with pytest.raises(FormatError, match=r"^x.vec/part-00002.arrow: is truncated, or not a shard"):
        list(made)


def test_a_missing_shard_is_noticed(folder):
    made = ten()
    (folder / "x.vec/part-00001.arrow").unlink()
    with pytest.raises(FormatError, match=r"^x.vec/part-00001.arrow: is missing; the folder is damaged$"):
        made.verify()
    with pytest.raises(FormatError, match=r"^x.vec/part-00001.arrow: is truncated, or not a shard"):
        list(made)


def test_a_shard_of_another_set_is_noticed(folder):
    made = ten()
    shutil.copy("x.vec/part-00002.arrow", "x.vec/part-00001.arrow")
    with pytest.raises(FormatError, match=r"^x.vec: part-00001.arrow has changed since it was written$"):
        list(made)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"version": 3}, "x.vec: is a vector set of version 3, this embedkit reads versions 1 and 2"),
        ({"dtype": "int4"}, "x.vec: stores int4, this embedkit reads float32, float16, binary, int8"),
        ({"format": "other"}, "x.vec: is not a vector set"),
        ({"shards": [{}]}, "x.vec: meta.json is damaged: "),
        ({"shards": None}, "x.vec: meta.json is damaged: "),
        ({"rows": 9}, "x.vec: meta.json is damaged: ValueError('10 rows in its shards, 9 in all')"),
        ({"rows": None}, "x.vec: meta.json is damaged: "),
        ({"dimension": 0}, "x.vec: meta.json is damaged: ValueError('0 dimensions')"),
        ({"dimension": "3"}, "x.vec: meta.json is damaged: "),
    ],
)
def test_another_meta_file_is_refused_in_one_line(folder, change, message):
    ten()
    meta = folder / "x.vec/meta.json"
    meta.write_bytes(orjson.dumps({**orjson.loads(meta.read_bytes()), **change}))
    with pytest.raises(FormatError) as caught:
        VectorSet.open(Path("x.vec"))
    assert str(caught.value).startswith(message)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("damage", [b"", b"{", b"[]", b"null", b"{}", b"\xff"])
def test_a_damaged_meta_file_is_refused(folder, damage):
    ten()
    (folder / "x.vec/meta.json").write_bytes(damage)
    with pytest.raises(FormatError, match=r"^x.vec: "):
        VectorSet.open(Path("x.vec"))


def test_a_damaged_map_is_refused_by_its_own_name(folder):
    map = AffineMap(np.eye(3), np.zeros(3), {})
    assert ten(map=map).meta.map == map
    file = folder / "x.vec/map.safetensors"
    file.write_bytes(file.read_bytes()[:-1])
    with pytest.raises(FormatError, match=r"^x.vec/map.safetensors: is truncated, or not a map file: "):
        VectorSet.open(Path("x.vec"))


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_a_vector_that_is_not_finite_is_never_written(folder, value):
    vectors = numbers(3)
    vectors[1, 2] = value
    with pytest.raises(DataError, match=r"^the vector of id 'b' is not finite$"):
        written([batch_of([Record(id, "", {}) for id in "abc"], vectors)])


def test_vectors_of_another_width_are_never_written(folder):
    with pytest.raises(MismatchError, match=r"^vectors have 2 dimensions, expected 3$"):
        written([batch_of([Record("a", "", {})], numbers(1, 2))])


def test_a_vector_that_is_not_finite_is_named_by_its_row_in_the_set(folder):
    vectors = numbers(3)
    vectors[1, 0] = np.nan
    with pytest.raises(DataError, match=r"^x.vec:12: the vector is not finite$"):
        vectors_of(with_vectors(pa.table({"id": ["a", "b", "c"]}), vectors), 3, where="x.vec", before=10)


@pytest.mark.parametrize("force", [True, False])
def test_an_unfinished_run_of_something_else_is_left_alone(folder, force):
    (folder / "x.vec.partial").mkdir()
    (folder / "x.vec.partial/mine.arrow").touch()
    with pytest.raises(ExistsError, match=r"^x.vec.partial: is a folder that contains other files"):
        VectorSetWriter(Path("x.vec"), VectorMeta(3), force=force)
    assert (folder / "x.vec.partial/mine.arrow").exists()


def test_a_run_that_sealed_nothing_leaves_nothing(folder):
    with VectorSetWriter(Path("x.vec"), VectorMeta(3)) as writer:
        writer.append(batch_of([Record("a", "", {})]))
    assert list(folder.iterdir()) == []


@pytest.mark.parametrize("resumable", [True, False])
def test_sealed_shards_are_kept_where_a_run_can_go_on(folder, resumable):
    def half():
        with VectorSetWriter(Path("x.vec"), VectorMeta(3), resumable=resumable, shard_rows=1) as writer:
            writer.append(batch_of([Record("a", "", {})]))
            raise KeyboardInterrupt

    for _ in range(1 if resumable else 2):
        with pytest.raises(KeyboardInterrupt):
            half()
    assert sorted(path.name for path in folder.rglob("*.arrow")) == ["part-00000.arrow"] * resumable
    if resumable:
        with pytest.raises(ExistsError, match=r"^x.vec.partial: is an unfinished run"):
            half()
        with VectorSetWriter(Path("x.vec"), VectorMeta(3), resume=True, shard_rows=1) as writer:
            assert writer.finish().rows == 1
    assert [path.name for path in folder.iterdir()] == ["x.vec"] * resumable


def test_a_folder_that_is_no_set_is_refused(folder):
    with pytest.raises(EmbedkitError, match=r"^.: is not a vector set: it has no meta.json$"):
        VectorSet.open(Path())
