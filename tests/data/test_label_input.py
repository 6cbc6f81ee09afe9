"""Label vectors where vectors are wanted: a row a vector, in order, with the label as its text."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from embedkit.data.affine import AffineMap
from embedkit.data.inputs import open_input, open_vectors
from embedkit.data.text.records import TextFormat
from embedkit.data.vectors import tables
from embedkit.data.vectors.label_vectors import LabelVectors
from embedkit.errors import FormatError, UsageError

MADE = LabelVectors(("a", "b"), np.eye(4, 3, dtype=np.float32)[[0, 1, 2, 0]], centres=2)


@pytest.mark.parametrize("centres", [1, 2])
def test_each_vector_is_a_row_with_its_label_as_text(folder, centres):
    names = MADE.names if centres == 2 else ("a", "b", "c", "d")
    replace(MADE, names=names, centres=centres).save("labels.safetensors")
    with open_vectors("labels.safetensors") as source:
        ((table, vectors),) = source
    np.testing.assert_array_equal(vectors, MADE.vectors)
    wanted = {
        1: [(name, name) for name in "abcd"],
        2: [("a#1", "a"), ("a#2", "a"), ("b#1", "b"), ("b#2", "b")],
    }
    assert [(row["id"], row["text"]) for row in tables.to_rows(table)] == wanted[centres]
    assert (source.meta.dimension, source.meta.identity, source.rows) == (3, None, 4)


def test_many_labels_come_in_several_batches(folder):
    names = tuple(map(str, range(5000)))
    vectors = np.eye(2, dtype=np.float32)[np.arange(5000) % 2]
    LabelVectors(names, vectors).save("labels.safetensors")
    with open_vectors("labels.safetensors") as source:
        batches = list(source)
    assert [len(batch.vectors) for batch in batches] == [4096, 904]
    assert [id for table, _ in batches for id in table.column("id").to_pylist()] == list(names)
    np.testing.assert_array_equal(np.concatenate([batch.vectors for batch in batches]), vectors)


def test_they_are_one_input_without_options_for_text(folder):
    MADE.save("labels.safetensors")
    Path("a.txt").write_text("one\n")
    with (
        pytest.raises(UsageError, match="only one input may hold vectors"),
        open_input(["labels.safetensors", "a.txt"], TextFormat()),
    ):
        pass
    with (
        pytest.raises(UsageError, match=r"^`id_field`: applies only to text"),
        open_input(["labels.safetensors"], TextFormat(id_field="a")),
    ):
        pass


def test_a_map_is_no_file_of_label_vectors(folder):
    AffineMap(np.eye(2), np.zeros(2), {}).save(Path("map.safetensors"))
    with (
        pytest.raises(FormatError, match=r"^map\.safetensors: is not a file of label vectors$"),
        open_input(["map.safetensors"], TextFormat()),
    ):
        pass
