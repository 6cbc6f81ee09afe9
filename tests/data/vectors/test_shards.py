"""Sealed shards survive; work goes on behind them, or is refused when it is not the same work."""

import pyarrow as pa
import pytest

from embedkit.data.vectors.shard_writing import JOURNAL, ShardWriter
from embedkit.data.vectors.shards import read_table
from embedkit.errors import DataError, FormatError

HEADER = {"a": 1}


def rows(first, last):
    return pa.table({"id": [str(n) for n in range(first, last)]})


def begun(folder, until=6):
    """A run in shards of two that stopped before it was closed."""
    writer = ShardWriter(folder / "s", HEADER, shard_rows=2)
    for first in range(0, until, 2):
        writer.append_table(rows(first, first + 2))
    return writer


def resumed(folder, header=HEADER):
    return ShardWriter(folder / "s", header, shard_rows=2, resume=True)


def test_a_full_shard_is_sealed_at_once_and_the_rest_when_closed(folder):
    writer = ShardWriter(folder / "s", HEADER, shard_rows=2)
    writer.append_table(rows(0, 5))
    assert writer.sealed_rows == 4
    assert [shard.rows for shard in writer.close()] == [2, 2, 1]
    assert read_table(folder / "s/part-00002.arrow").column("id").to_pylist() == ["4"]


def test_what_is_sealed_is_taken_over(folder):
    sealed = begun(folder).sealed
    assert resumed(folder).sealed == sealed


def test_without_resume_everything_begins_again(folder):
    begun(folder)
    assert ShardWriter(folder / "s", HEADER, shard_rows=2).sealed == []
    assert [path.name for path in (folder / "s").iterdir()] == [JOURNAL]


def test_a_last_line_torn_by_a_kill_is_passed_over(folder):
    begun(folder)
    journal = folder / "s" / JOURNAL
    for missing in (1, 30, 100):
        journal.write_bytes(journal.read_bytes()[:-missing])
    assert resumed(folder).sealed_rows == 4
    assert not (folder / "s/part-00002.arrow").exists()


@pytest.mark.parametrize("place", [0, 1, 2])
def test_a_damaged_shard_is_made_again_and_those_behind_it(folder, place):
    begun(folder)
    file = folder / f"s/part-0000{place}.arrow"
    file.write_bytes(file.read_bytes()[:-1] + b"x")
    assert resumed(folder).sealed_rows == 2 * place


def test_what_a_kill_left_half_written_is_swept_away(folder):
    begun(folder)
    (folder / "s/.part-00003.arrow.123.tmp").write_bytes(b"half")
    (folder / "s/part-00003.arrow").write_bytes(b"never acknowledged")
    resumed(folder)
    assert sorted(path.name for path in (folder / "s").iterdir()) == [
        JOURNAL, "part-00000.arrow", "part-00001.arrow", "part-00002.arrow"
    ]  # fmt: skip


def test_other_settings_are_refused_by_name(folder):
    begun(folder)
    with pytest.raises(
        FormatError, match=r"the unfinished run had other settings: a, b; start again with `force=True`$"
    ):
        resumed(folder, {"a": 2, "b": 3})


@pytest.mark.parametrize(
    ("parts", "message"),
    [
        ([rows(0, 2), rows(9, 11), rows(4, 6)], "in records 3 to 4"),
        ([rows(0, 2), rows(2, 3)], "in records 3 to 4"),
        ([rows(0, 2), rows(2, 4)], "in records 5 to 6"),
        ([], "in records 1 to 2"),
        ([rows(0, 2), rows(2, 4), rows(4, 6).append_column("x", pa.array([1, 2]))], "in records 5 to 6"),
    ],
)
def test_an_input_that_has_changed_is_refused(folder, parts, message):
    begun(folder)
    with pytest.raises(
        DataError, match=rf"the input has changed since the unfinished run, {message}; start again with"
    ):
        resumed(folder).replay(iter(parts))


def test_an_input_that_has_grown_behind_its_short_last_shard_is_refused(folder):
    writer = begun(folder)
    writer.append_table(rows(6, 7))
    writer.close()
    again = resumed(folder)
    again.replay(rows(first, min(first + 2, 7)) for first in range(0, 7, 2))
    with pytest.raises(
        DataError, match=r"has changed since the unfinished run, and it continues after record 7"
    ):
        again.append_table(rows(7, 8))


@pytest.mark.parametrize("damage", [b"", b"ARROW1", b"text"])
def test_a_file_that_is_no_shard_is_refused(folder, damage):
    (folder / "x.arrow").write_bytes(damage)
    with pytest.raises(FormatError, match=r"x.arrow: is truncated, or not a shard: "):
        read_table(folder / "x.arrow")
