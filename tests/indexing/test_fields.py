"""Fields whose types change between the segments of an index: filters find what they found before."""

import datetime as dt
import logging
from decimal import Decimal
from pathlib import Path

import duckdb
import numpy as np
import pyarrow as pa
import pytest
from pyarrow import parquet

from embedkit.data.inputs import open_records
from embedkit.data.text.streams import open_stream
from embedkit.data.vectors.vector_files import read_vectors
from embedkit.data.vectors.vector_set import Batch, VectorMeta
from embedkit.embedding.encoding import encode_batches
from embedkit.embedding.loading import load
from embedkit.indexing.building import build_index
from embedkit.indexing.edit import add, compact
from embedkit.indexing.merging import merge
from embedkit.indexing.where import rows_where

LANG, YEAR = ["en", "de", None], [2020, 2021, None]
TYPES = [  # of `lang` and `year`, one segment after the other
    (pa.string(), pa.int32()),
    (pa.large_string(), pa.int64()),
    (pa.dictionary(pa.int32(), pa.string()), pa.uint8()),
    (pa.dictionary(pa.int8(), pa.large_string()), pa.decimal128(21, 2)),
    (pa.string_view(), pa.float64()),
    (pa.null(), pa.null()),
]


def part(number, **fields):
    rows = len(next(iter(fields.values())))
    table = pa.table({"id": [f"{number}/{row}" for row in range(rows)], **fields})
    return Batch(table, np.random.default_rng(number).normal(size=(rows, 4)).astype(np.float32))


def parts():
    for number, (lang_type, year_type) in enumerate(TYPES):
        years = [year and year % 200 for year in YEAR] if year_type == pa.uint8() else YEAR
        yield part(number, lang=column(LANG, lang_type), year=column(years, year_type))


def column(values, type):
    return pa.nulls(len(values)) if type == pa.null() else pa.array(values).cast(type)


def found(index, condition):
    rows = np.flatnonzero(rows_where(index, condition))
    return [document["id"] for document in index.take(rows, ["id"])]


def one_by_one(folder):
    first, *others = parts()
    index = build_index("x.idx", VectorMeta(4), [first])
    for other in others:
        index = add("x.idx", VectorMeta(4), [other]).after
    return index


def merged(folder):
    for number, batch in enumerate(parts()):
        build_index(f"{number}.idx", VectorMeta(4), [batch])
    return merge([f"{number}.idx" for number in range(len(TYPES))], "x.idx")


def compacted(folder):
    one_by_one(folder)
    return compact("x.idx")


def at_once(folder):
    return build_index("x.idx", VectorMeta(4), parts())


@pytest.mark.parametrize("made", [one_by_one, merged, compacted, at_once])
def test_columns_of_equal_meaning_and_unequal_type_are_filtered_as_one(folder, caplog, made):
    index = made(folder)
    tables = [batch.table for batch in parts()]  # DuckDB reads each as it is: the oracle
    for condition in [
        "lang = 'en'",
        "lang <> 'en'",
        "lang IS NULL",
        "year = 2020",
        "year > 2020.5",
        "year < 50",
    ]:
        wanted = []
        for table in tables:
            with duckdb.connect() as connection:
                connection.register("documents", table)
                wanted += connection.execute(f"SELECT id FROM documents WHERE {condition}").fetchall()
        assert found(index, condition) == [id for (id,) in wanted], condition
    assert caplog.messages == []


def test_a_field_of_two_types_is_said_and_both_are_found(folder, caplog):
    build_index("x.idx", VectorMeta(4), [part(0, lang=["en", "de"], year=[2020, 2021])])
    with caplog.at_level(logging.WARNING, "embedkit"):
        index = add("x.idx", VectorMeta(4), [part(1, lang=[1, 2], year=["2020", "unknown"])]).after
    assert [message.partition(" in some")[0] for message in caplog.messages] == [
        "field 'lang' is string",
        "field 'year' is int64",
    ]
    for one in (index, compact("x.idx")):
        assert found(one, "lang = 'en'") == ["0/0"]
        assert found(one, "lang = '2'") == ["1/1"]
        assert found(one, "year = '2020'") == ["0/0", "1/0"]
        assert found(one, "TRY_CAST(year AS INT) > 2020") == ["0/1"]
        assert [document["year"] for document in one.take(np.arange(4))] == [2020, 2021, "2020", "unknown"]


NOW = dt.datetime(2024, 5, 6, 7, 8, 9)
FIELDS = pa.table(
    {
        "price": pa.array([Decimal("1.5"), Decimal("10.25"), None], pa.decimal128(20, 4)),
        "wide": pa.array([Decimal("1.5"), Decimal(10**40), None], pa.decimal256(60, 2)),
        "tags": pa.array([[], ["x"], None], pa.list_(pa.string())),
        "half": pa.array([1.5, 2.5, None], pa.float16()),
        "when": pa.array([NOW, NOW.replace(year=2030), None], pa.timestamp("ns")),
        "zoned": pa.array([NOW, NOW.replace(year=2030), None], pa.timestamp("ms", "UTC")),
        "day": pa.array([NOW.date(), None, None]),
        "time": pa.array([NOW.time(), None, None], pa.time64("us")),
        "span": pa.array([dt.timedelta(1), dt.timedelta(2), None], pa.duration("s")),
        "bytes": pa.array([b"en", b"\xff", None]),
        "big": pa.array([2**64 - 1, 1, None], pa.uint64()),
        "coded": pa.array(["en", "de", None]).dictionary_encode(),
        "map": pa.array([[("k", 1)], [], None], pa.map_(pa.string(), pa.int32())),
        "struct": pa.array([{"a": 1}, {"a": 2}, None]),
        "structs": pa.array([[{"a": 1}], [], None]),
    }
)
CONDITIONS = {
    "price > 1.9": [1],
    "price = 1.5": [0],
    "wide > 100": [1],
    "list_contains(tags, 'x')": [1],
    "len(tags) = 0": [0],
    "half > 2": [1],
    "\"when\" > TIMESTAMP '2025-01-01'": [1],
    "zoned > '2025-01-01'": [1],
    "day = DATE '2024-05-06'": [0],
    "time > TIME '01:00'": [0],
    "span > INTERVAL 1 DAY": [1],
    "bytes = 'en'": [0],
    "big > 100": [0],
    "coded = 'en'": [0],
    "map->>'k' = '1'": [0],
    "struct->>'a' = '2'": [1],
    "structs->>'$[0].a' = '1'": [0],
}


@pytest.mark.parametrize("with_vectors", [False, True], ids=["text", "vectors"])
def test_every_type_of_a_parquet_file_stays_what_duckdb_can_compare(folder, with_vectors):
    # windows and row groups of a row each: a type is settled anew in each of them
    table = FIELDS.append_column("id", pa.array(["0", "1", "2"])).append_column("text", pa.array(["a"] * 3))
    if with_vectors:
        table = table.append_column("vector", pa.array([[1.0, 2.0]] * 3))
    parquet.write_table(table, "x.parquet", row_group_size=1)
    if with_vectors:
        with open_stream("x.parquet") as stream:
            index = build_index("x.idx", VectorMeta(2), read_vectors(stream))
    else:
        encoder = load("hash:dim=4")
        batches = encode_batches(encoder, open_records(["x.parquet"]), first=1, block=1)
        index = build_index("x.idx", VectorMeta(4, encoder.identity), batches)
    for condition, rows in CONDITIONS.items():
        assert np.flatnonzero(rows_where(index, condition)).tolist() == rows, condition
    assert Path("x.idx").is_dir()
