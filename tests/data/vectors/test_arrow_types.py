"""Two types have the common one that Arrow promotes both to, or one that loses less; DuckDB is the judge."""

import datetime as dt
import itertools
import logging
from decimal import Decimal

import duckdb
import pyarrow as pa
import pytest

from embedkit.data.vectors.schemas import conform, join, plain, unify
from embedkit.data.vectors.sql_columns import comparable
from embedkit.data.vectors.tables import to_rows

DAY = dt.datetime(2020, 1, 2, 3, 4, 5)
UTC = DAY.replace(tzinfo=dt.UTC)
VALUES = {  # a type and its extreme or telling values
    "null": (pa.null(), [None]),
    "bool": (pa.bool_(), [True]),
    "int8": (pa.int8(), [-128]),
    "int32": (pa.int32(), [2**31 - 1]),
    "int64": (pa.int64(), [-(2**62)]),
    "uint8": (pa.uint8(), [255]),
    "uint64": (pa.uint64(), [2**64 - 1]),
    "half": (pa.float16(), [1.5]),
    "float": (pa.float32(), [0.25]),
    "double": (pa.float64(), [1e300]),
    "decimal32": (pa.decimal32(5, 1), [Decimal("1234.5")]),
    "decimal": (pa.decimal128(10, 2), [Decimal("123.25")]),
    "decimal256": (pa.decimal256(50, 3), [Decimal("1" * 47 + ".125")]),
    "string": (pa.string(), ["é"]),
    "large_string": (pa.large_string(), ["en"]),
    "string_view": (pa.string_view(), ["en"]),
    "dictionary": (pa.dictionary(pa.int8(), pa.string()), ["en"]),
    "large_dictionary": (pa.dictionary(pa.int32(), pa.large_string()), ["de"]),
    "binary": (pa.binary(), [b"en"]),
    "date32": (pa.date32(), [DAY.date()]),
    "date64": (pa.date64(), [DAY.date()]),
    "seconds": (pa.timestamp("s"), [DAY.replace(year=3000)]),
    "micros": (pa.timestamp("us"), [DAY.replace(microsecond=5)]),
    "nanos": (pa.timestamp("ns"), [DAY]),
    "utc": (pa.timestamp("us", "UTC"), [UTC]),
    "paris": (pa.timestamp("us", "Europe/Paris"), [UTC]),
    "time32": (pa.time32("ms"), [DAY.time()]),
    "time64": (pa.time64("us"), [DAY.time().replace(microsecond=7)]),
    "duration": (pa.duration("s"), [dt.timedelta(5)]),
    "nothings": (pa.list_(pa.null()), [[]]),
    "words": (pa.list_(pa.string()), [["a", None]]),
    "large_words": (pa.large_list(pa.large_string()), [["b"]]),
    "word_views": (pa.list_view(pa.string()), [["a"], ["b"], []]),
    "coded_words": (pa.list_(pa.dictionary(pa.int32(), pa.string())), [["c"]]),
    "pair": (pa.list_(pa.int32(), 2), [[1, 2]]),
    "numbers": (pa.list_(pa.uint64()), [[2**64 - 1]]),
    "struct": (pa.struct([("a", pa.int64()), ("b", pa.string())]), [{"a": -1, "b": "x"}]),
    "other_struct": (pa.struct([("a", pa.uint64()), ("b", pa.string())]), [{"a": 2**64 - 1, "b": None}]),
    "map": (pa.map_(pa.string(), pa.int32()), [[("a", 1)]]),
    "wide_map": (pa.map_(pa.string(), pa.int64()), [[("b", 2**40)]]),
}


def table_of(name):
    type, values = VALUES[name]
    return pa.table({"x": pa.array([*values, None], type)})


def is_mixed(schema):
    return schema.field("x").metadata is not None


@pytest.mark.parametrize("one", VALUES)
def test_values_of_two_types_are_all_there_in_their_common_type(one):
    for other in VALUES:
        parts = [table_of(one), table_of(other)]
        schema = unify(part.schema for part in parts)
        assert unify([schema, *(part.schema for part in parts)]).equals(schema, check_metadata=True)
        if not is_mixed(schema):
            found = [row["x"] for row in to_rows(join(parts))]
            wanted = [*VALUES[one][1], None, *VALUES[other][1], None]
            if pa.types.is_floating(schema.field("x").type):  # of decimal and whole numbers, rounded
                wanted = [value if value is None else float(value) for value in wanted]
            if pa.types.is_timestamp(schema.field("x").type):  # a date is its midnight
                wanted = [
                    dt.datetime.combine(value, dt.time()) if type(value) is dt.date else value
                    for value in wanted
                ]
            assert found == wanted, (other, schema.field("x").type)


SAME = [
    ("string", "large_string", "dictionary", "large_dictionary", "string_view", "null"),
    ("int8", "int32", "int64", "uint8", "null"),
    ("int32", "double", "float", "half"),
    ("decimal", "decimal32", "decimal256", "int64"),
    ("words", "large_words", "nothings", "coded_words", "word_views"),
    ("seconds", "micros", "nanos"),
    ("time32", "time64"),
    ("utc", "paris"),
    ("date32", "date64", "seconds", "nanos"),
    ("struct", "other_struct"),
    ("map", "wide_map"),
    ("uint64", "int64"),
]


@pytest.mark.parametrize("names", SAME, ids="-".join)
def test_columns_of_equal_meaning_never_become_json_text(names, caplog):
    for one, other in itertools.permutations(names, 2):
        assert not is_mixed(unify([table_of(one).schema, table_of(other).schema])), (one, other)
    assert not is_mixed(unify(table_of(name).schema for name in names))
    assert caplog.messages == []


@pytest.mark.parametrize(
    ("one", "other"),
    [("int8", "int64"), ("string", "large_string"), ("decimal", "decimal256"), ("words", "large_words"),
     ("map", "wide_map"), ("time32", "time64"), ("int32", "half"), ("seconds", "micros")],
)  # fmt: skip
def test_the_common_type_is_that_of_arrow_where_it_loses_nothing(one, other):
    schemas = [table_of(one).schema, table_of(other).schema]
    arrow = pa.unify_schemas(schemas, promote_options="permissive")
    assert unify(schemas).field("x").type == arrow.field("x").type


@pytest.mark.parametrize("name", VALUES)
def test_duckdb_reads_and_compares_every_type(name):
    found = comparable(plain(table_of(name)))
    with duckdb.connect() as connection:
        connection.register("found", found)
        connection.execute("SELECT count(*) FROM found WHERE x = x").fetchall()
        assert connection.execute("SELECT count(*) FROM found").fetchall() == [(found.num_rows,)]


def test_types_without_a_common_one_are_said_and_each_value_stays_comparable(caplog):
    parts = [
        pa.table({"x": ["en", 'a "quoted"', None]}),
        pa.table({"x": [7]}),
        pa.table({"x": [b"bytes"]}),
        pa.table({"x": [[1, 2]]}),
        pa.table({"x": [DAY.date()]}),
        pa.table({"x": [True]}),
    ]
    with caplog.at_level(logging.WARNING, "embedkit"):
        schema = unify(part.schema for part in parts)
    what = "field 'x' is string in some rows and int64 in others, which have no common type"
    assert caplog.messages == [f"{what}; `where` compares texts"]
    found = comparable(pa.concat_tables([conform(part, schema) for part in parts]))
    with duckdb.connect() as connection:
        connection.register("found", found)
        for text in ["en", 'a "quoted"', "7", "bytes", "[1, 2]", "2020-01-02", "true"]:
            sql = "SELECT x FROM found WHERE x = ?"
            assert connection.execute(sql, [text]).fetchall() == [(text,)]


def test_a_map_of_an_arrow_table_is_an_object_as_json_text():
    parts = [pa.table({"x": pa.array([[("a", 1)]], VALUES["map"][0])}), pa.table({"x": ["text"]})]
    assert [row["x"] for row in to_rows(join(parts))] == [{"a": 1}, "text"]


@pytest.mark.parametrize(
    "moment", [pa.scalar(253_402_300_800, pa.timestamp("s")), pa.scalar(1, pa.time64("ns"))]
)
def test_a_moment_that_python_lacks_is_read_as_text(moment):
    (row,) = to_rows(pa.table({"x": pa.array([moment])}))
    assert str(row["x"]) in ("10000-01-01 00:00:00", "00:00:00")
