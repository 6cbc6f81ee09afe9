"""Whatever is named is opened as what it holds: text or vectors."""

from pathlib import Path

import numpy as np
import pytest

from embedkit.data.inputs import open_input, open_text, open_vectors
from embedkit.data.text.record import Record
from embedkit.data.text.records import RecordReader, TextFormat
from embedkit.data.vectors import tables
from embedkit.data.vectors.vector_set import Batch, VectorMeta, VectorSet
from embedkit.data.vectors.vector_set_writing import VectorSetWriter
from embedkit.errors import DataError, EmbedkitError, UsageError

ANY = TextFormat()


@pytest.fixture
def vec(folder):
    """A vector set `x.vec` of three rows in two shards."""
    rows = [Record(f"id{n}", f"title{n} text{n}", {"title": f"title{n}", "meta": {"n": n}}) for n in range(3)]
    writer = VectorSetWriter(Path("x.vec"), VectorMeta(2), shard_rows=2)
    writer.append(Batch(tables.to_table(rows), np.ones((3, 2), np.float32)))
    return writer.finish()


def test_text_gives_records(folder):
    (folder / "a.txt").write_text("one\ntwo\n")
    with open_input(["a.txt"], ANY) as source:
        assert isinstance(source, RecordReader)
        assert [record.text for record in source] == ["one", "two"]


def test_a_vector_set_gives_vectors(vec):
    with open_input(["x.vec"], ANY) as source:
        assert isinstance(source, VectorSet)


def test_several_texts_are_one_input(folder):
    (folder / "a.txt").write_text("one\n")
    (folder / "b.txt").write_text("two\n")
    with open_input(["a.txt", "b.txt"], ANY) as source:
        assert [record.id for record in source] == ["a.txt:1", "b.txt:1"]
        assert source.size == source.bytes_read == 8


def test_only_one_input_may_hold_vectors(vec):
    message = r"^x.vec: only one input may hold vectors, 2 were named$"
    with pytest.raises(UsageError, match=message), open_input(["x.vec", "x.vec"], ANY):
        pass


def test_vectors_behind_a_text_are_refused(folder):
    (folder / "a.txt").write_text("one\n")
    (folder / "b.jsonl").write_text('{"text": "two", "vector": [1, 2]}\n')
    message = r"^b.jsonl: holds vectors, expected text; a.txt holds text; give them to two commands$"
    with open_input(["a.txt", "b.jsonl"], ANY) as source, pytest.raises(UsageError, match=message):
        list(source)


@pytest.mark.parametrize("value", ['"v"', "true", "[true]", '["1"]', "[[1]]", "3", "[]"])
def test_what_is_named_vector_and_is_none_is_not_replaced_by_encoding_the_text(folder, value):
    (folder / "a.jsonl").write_text(f'{{"text": "one", "vector": {value}}}\n')
    with pytest.raises(DataError, match=r"^a.jsonl:1: .*"), open_input(["a.jsonl"], ANY) as source:
        list(source)


@pytest.mark.parametrize("field", ["id_field", "text_field"])
def test_settings_for_text_are_refused_with_vectors(vec, field):
    with (
        pytest.raises(UsageError, match=rf"^`{field}`: applies only to text"),
        open_input(["x.vec"], TextFormat(**{field: "a"})),
    ):
        pass


def test_text_where_vectors_are_wanted_is_refused(folder):
    (folder / "a.txt").write_text("one\n")
    with pytest.raises(DataError, match=r"^a.txt: holds text, not vectors; "), open_vectors("a.txt"):
        pass


def test_a_vector_set_gives_its_texts_ids_and_fields_as_they_were(vec):
    with open_text(["x.vec"], ANY) as reader:
        records = list(reader)
    assert [record.id for record in records] == ["id0", "id1", "id2"]
    assert records[2] == Record("id2", "title2 text2", {"title": "title2", "meta": {"n": 2}})


def test_a_vector_set_without_texts_is_refused_as_text(folder):
    writer = VectorSetWriter(Path("x.vec"), VectorMeta(2, has_text=False))
    writer.append(Batch(tables.to_table([Record("a", "b", {})]), np.ones((1, 2), np.float32)))
    writer.finish()
    with pytest.raises(DataError, match=r"^x.vec: stores no texts$"), open_text(["x.vec"], ANY):
        pass


@pytest.mark.parametrize("opening", [open_input, open_text])
def test_what_is_not_there_is_named(folder, opening):
    with pytest.raises(EmbedkitError) as caught, opening(["no"], ANY) as source:
        list(source)
    assert str(caught.value) == "no: no such file"
