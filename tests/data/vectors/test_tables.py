"""Records become Arrow columns and come back as the values that went in, whatever the types, in any split."""

import datetime as dt
import logging
import math
from decimal import Decimal
from itertools import pairwise

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from embedkit.data.text.record import Record
from embedkit.data.vectors.schemas import conform, join, unify
from embedkit.data.vectors.tables import to_rows, to_table

texts = st.text(st.characters(codec="utf-8"), max_size=6)
exact = st.integers(-(2**53), 2**53)  # these survive a column of fractions
scalars = st.none() | st.booleans() | exact | st.floats(allow_nan=False) | texts
values = st.recursive(
    scalars | st.integers(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
)
names = st.sampled_from(["id", "id_", "text", "vector", "year", "tags", "", "日本"])


def records_of(value_strategy):
    return st.lists(
        st.builds(Record, texts, texts, st.dictionaries(names, value_strategy, max_size=4)),
        min_size=1,
        max_size=8,
    )


def same(one, other):
    """Equal, and of the same types but for a whole number that became a float of the same value."""
    if isinstance(one, bool) or isinstance(other, bool):
        return one is other
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(same(one[key], other[key]) for key in one)
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(map(same, one, other))
    return one == other


def assert_reads_back(table, records):
    rows = to_rows(table)
    assert [(row["id"], row["text"]) for row in rows] == [(record.id, record.text) for record in records]
    for row, record in zip(rows, records, strict=True):
        for name, value in record.fields.items():
            ours = name.rstrip("_") in ("id", "text", "vector")
            assert same(row[f"{name}_" if ours else name], value)
        absent = sum(value is None for value in row.values())
        assert absent >= len(row) - 2 - len(record.fields)


@given(records_of(values))
def test_any_json_values_come_back(records):
    assert_reads_back(to_table(records), records)


@given(records_of(scalars), st.lists(st.integers(0, 8), max_size=3))
def test_any_split_into_parts_joins_to_the_same_rows(records, cuts):
    edges = [0, *sorted(min(cut, len(records)) for cut in cuts), len(records)]
    parts = [to_table(records[start:end]) for start, end in pairwise(edges)]
    assert_reads_back(join(parts), records)


@given(
    records_of(scalars | st.lists(exact, max_size=2)), records_of(scalars | st.dictionaries(texts, scalars))
)
def test_unify_settles_one_schema_that_every_part_conforms_to(one, other):
    parts = [to_table(one), to_table(other)]
    schema = unify(part.schema for part in parts)
    for part in parts:
        conformed = conform(part, schema)
        assert conformed.schema.equals(schema, check_metadata=True)
        assert conform(conformed, schema).equals(conformed)
    assert unify([schema, *(part.schema for part in parts)]).equals(schema, check_metadata=True)


def column(*field_values):
    records = [Record(str(number), "", {"x": value}) for number, value in enumerate(field_values)]
    return to_table(records)


def back(table):
    return [row["x"] for row in to_rows(table)]


@pytest.mark.parametrize(
    ("field_values", "type"),
    [
        ([1, None, 2], pa.int64()),
        ([1, 2.5], pa.float64()),
        (["a", None], pa.string()),
        ([True, False], pa.bool_()),
        ([None, None], pa.null()),
        ([["a"], []], pa.list_(pa.string())),
        ([{"a": 1}], pa.string()),
    ],
)
def test_one_simple_type_becomes_a_column_of_that_type(field_values, type):
    table = column(*field_values)
    assert table.schema.field("x").type == type
    assert back(table) == field_values


@pytest.mark.parametrize(
    "field_values",
    [
        [1, "a"],
        [2.5, True],  # Arrow alone would make 1.0 of it
        [[1.5], [True]],
        ["a", b"a".decode(), ["a"]],
        [[{"a": 1}], [{"b": 2}]],  # Arrow alone would give each the other's key
        [{}, {"a": None}],
        [2**70, -(2**70)],
        [{"n": 2**70}],
        [2**63, 1],
        [2**53 + 1, 0.5],
        ["null", {"a": 1}, '"quoted"'],
    ],
)
def test_mixtures_come_back_with_their_types(field_values):
    found = back(column(*field_values))
    assert found == field_values
    assert list(map(repr, found)) == list(map(repr, field_values))


def test_nan_beside_other_types_stays_nan():
    found = back(join([column(math.nan), column("a")]))
    assert math.isnan(found[0])
    assert found[1] == "a"


@pytest.mark.parametrize(
    ("one", "other", "type"),
    [
        (1, 2.5, pa.float64()),
        (2.5, 1, pa.float64()),
        (None, 1, pa.int64()),
        ({"a": 1}, None, pa.string()),
        (1, "a", pa.string()),
        (True, 1, pa.string()),
        ([1], ["a"], pa.string()),
        ("a", {"a": 1}, pa.string()),
        (2**70, 1, pa.string()),
    ],
)
def test_parts_that_differ_join_to_one_type_that_holds_both(one, other, type):
    table = join([column(one), column(other)])
    assert table.schema.field("x").type == type
    assert same(back(table), [one, other])


def test_whole_numbers_beyond_2_to_53_are_rounded_where_another_part_has_fractions():
    assert back(join([column(2**53 + 1), column(0.5)])) == [2.0**53, 0.5]


def test_unsigned_numbers_are_not_rounded():
    unsigned = pa.table({"id": ["a"], "text": [""], "x": pa.array([2**64 - 1], pa.uint64())})
    assert back(join([unsigned, column(-1)])) == [2**64 - 1, -1]


def test_fields_named_like_our_columns_make_way_and_never_meet():
    fields = {"id": 1, "id_": 2, "id__": 3, "vector": 4, "text": 5, "idx": 6}
    (row,) = to_rows(to_table([Record("r", "t", fields)]))
    assert row == {
        "id": "r",
        "text": "t",
        "id_": 1,
        "id__": 2,
        "id___": 3,
        "vector_": 4,
        "text_": 5,
        "idx": 6,
    }


def test_text_is_left_out_on_request():
    assert to_table([Record("r", "t", {})], with_text=False).column_names == ["id"]


def test_no_records_make_an_empty_table():
    assert to_table([]).column_names == ["id", "text"]
    assert to_rows(to_table([])) == []


def test_a_field_that_a_part_lacks_is_null_there():
    table = join([to_table([Record("1", "", {"a": 1})]), to_table([Record("2", "", {"b": {"c": 2}})])])
    assert [(row["a"], row["b"]) for row in to_rows(table)] == [(1, None), (None, {"c": 2})]


@pytest.mark.parametrize(
    ("numbers", "type"),
    [
        ([Decimal("1.5"), 2.5, None], pa.float64()),
        ([2, Decimal("1.25"), 0.5], pa.float64()),
        ([10**12, Decimal("1.55")], pa.decimal128(15, 2)),
        ([[Decimal("1.5")], [], [2]], pa.list_(pa.decimal128(2, 1))),
    ],
)
def test_decimals_among_other_numbers_stay_numbers(numbers, type, caplog):
    """The files of one build may hold a field as decimals and as floats, which became JSON text."""
    found = column(*numbers)
    assert found.schema.field("x").type == type
    assert back(found) == numbers
    assert not caplog.messages


def test_dates_among_times_are_their_midnights(caplog):
    exact = pa.scalar(1_600_000_000_123_456_000, pa.timestamp("ns")).as_py()
    table = column(dt.date(2020, 1, 2), None, dt.datetime(2021, 3, 4, 5), exact)
    assert table.schema.field("x").type == pa.timestamp("us")
    assert back(table) == [dt.datetime(2020, 1, 2), None, dt.datetime(2021, 3, 4, 5), exact]
    assert not caplog.messages


def test_a_field_of_types_without_a_common_one_is_said(caplog):
    with caplog.at_level(logging.WARNING, "embedkit"):
        for _ in range(2):
            assert back(column(1, "one", None)) == [1, "one", None]
        column({"a": 1}, {"a": "one"})  # objects are JSON text anyway
        column(1, 2.5, None)
    said = "field 'x' has values of several types, which have no common type; `where` compares texts"
    assert caplog.messages == [said] * 2  # the command line prints it once


@pytest.mark.parametrize("order", [1, -1])
def test_times_with_and_without_a_zone_are_not_taken_for_each_other(order, caplog):
    """Arrow took the zone of the first time for all of them."""
    moments = [dt.datetime(2020, 1, 2), dt.datetime(2020, 1, 2, tzinfo=dt.timezone(dt.timedelta(hours=5)))]
    assert back(column(*moments[::order])) == list(map(str, moments[::order]))
    assert "no common type" in caplog.text


@pytest.mark.parametrize("type", [pa.timestamp("ns"), pa.duration("ns")], ids=str)
def test_values_of_nanoseconds_and_others_are_of_one_type(type, caplog):
    """pandas, where it is installed, gives those of nanoseconds types of its own."""
    coarse = pa.timestamp("us") if pa.types.is_timestamp(type) else pa.duration("us")
    moments = [pa.scalar(1_000_000, kind).as_py() for kind in (type, coarse)]
    assert column(*moments).schema.field("x").type == coarse
    assert not caplog.messages
