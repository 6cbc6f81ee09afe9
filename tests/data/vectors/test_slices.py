"""Parts of one corpus, encoded apart and merged, are the set of an unsplit run."""

from pathlib import Path

import numpy as np
import pytest

from embedkit.data.identity import Identity
from embedkit.data.text.record import Record
from embedkit.data.vectors.shards import SHARD_ROWS
from embedkit.data.vectors.slices import merge, parse_part, part_of, rows_of_part
from embedkit.data.vectors.tables import to_table
from embedkit.data.vectors.vector_set import Batch, VectorMeta, VectorSet
from embedkit.data.vectors.vector_set_writing import VectorSetWriter
from embedkit.errors import MismatchError, UsageError

HASHED = Identity("hash:dim=2", "0123456789abcdef", 2, normalized=True)


def write(path, ids, *, identity=HASHED, part=None, dtype="float32"):
    writer = VectorSetWriter(Path(path), VectorMeta(2, identity, dtype, part=part), shard_rows=2)
    for id in ids:
        vector = np.array([[1, 0]], dtype=np.float32)
        writer.append(Batch(to_table([Record(id, f"text {id}", {"field": id})]), vector))
    return writer.finish()


def content(path):
    return {file.name: file.read_bytes() for file in Path(path).iterdir()}


def ids(vectors: VectorSet):
    return [id for batch in vectors for id in batch.table.column("id").to_pylist()]


def test_every_record_is_in_exactly_one_part():
    records = [Record(str(number), "", {}) for number in range(3 * SHARD_ROWS + 5)]
    parts = [list(part_of(records, number, 2)) for number in (1, 2)]
    assert sorted(int(record.id) for part in parts for record in part) == list(range(len(records)))
    assert [int(record.id) for record in parts[1][:2]] == [SHARD_ROWS, SHARD_ROWS + 1]


@pytest.mark.parametrize("parts", [1, 2, 3])
@pytest.mark.parametrize("rows", [1, SHARD_ROWS, SHARD_ROWS + 1, 2 * SHARD_ROWS - 1, 3 * SHARD_ROWS + 5])
def test_the_rows_of_a_part_are_those_that_it_yields(rows, parts):
    counted = [sum(1 for _ in part_of(range(rows), number, parts)) for number in range(1, parts + 1)]
    assert [rows_of_part(rows, number, parts) for number in range(1, parts + 1)] == counted


def test_parts_without_records_merge_like_others(folder):
    sets = [write("1", "ab", part="1/3"), write("2", "", part="2/3"), write("3", "", part="3/3")]
    assert [one.rows for one in sets] == [2, 0, 0]
    merge(sets, Path("merged"))
    write("whole", "ab")
    assert content("merged") == content("whole")


@pytest.mark.parametrize("order", [(0, 1, 2), (2, 0, 1)])
def test_merged_parts_are_the_bytes_of_an_unsplit_run(folder, order):
    write("whole", "abcdefghi")
    parts = [write("1", "abgh", part="1/3"), write("2", "cdi", part="2/3"), write("3", "ef", part="3/3")]
    merged = merge([parts[place] for place in order], Path("merged"))
    assert ids(merged) == list("abcdefghi")
    assert content("merged") == content("whole")


def test_whole_sets_follow_one_another(folder):
    copied = []
    merged = merge([write("one", "abc"), write("two", "de")], Path("merged"), copied.append)
    assert ids(merged) == list("abcde")
    assert copied == [2, 1, 2]
    merged.verify()


@pytest.mark.parametrize(
    ("other", "message"),
    [
        ({"part": "1/2"}, "these are not the slices of one corpus: 1/2, 1/2; name each of the 2 once"),
        ({}, "these are not the slices of one corpus: 1/2, a whole set; name each of the 2 once"),
        ({"part": "2/2", "dtype": "float16"}, "two: has dtype float16, one has float32"),
        (
            {"part": "2/2", "identity": None},
            "two: one of the sets states its encoder, the other does not",
        ),
        (
            {"part": "2/2", "identity": Identity("m", "f" * 16, 2, normalized=True)},
            "two: this set comes from m ffffffffffffffff, one from hash:dim=2 0123456789abcdef; "
            "their vectors cannot be compared",
        ),
    ],
)
def test_what_does_not_belong_together_is_refused(folder, other, message):
    sets = [write("one", "ab", part="1/2"), write("two", "cd", **other)]
    with pytest.raises(MismatchError) as caught:
        merge(sets, Path("merged"))
    assert str(caught.value) == message
    assert sorted(path.name for path in folder.iterdir()) == ["one", "two"]


@pytest.mark.parametrize("text", ["0/2", "3/2", "1", "a/b", "1/2/3", "-1/2", ""])
def test_a_part_is_a_number_of_a_number(text):
    with pytest.raises(UsageError, match=r"^`shard`: must be a slice like 2/4"):
        parse_part(text)
