"""Conditions that try to read files, wait, or use up the machine: refused, or harmless, in little time."""

import time
from contextlib import suppress

import numpy as np
import pyarrow as pa
import pytest

from embedkit.data.vectors.vector_set import Batch, VectorMeta
from embedkit.errors import UsageError
from embedkit.indexing.building import build_index
from embedkit.indexing.where import WhereLimits, rows_where

LIMITS = WhereLimits(characters=30_000, seconds=2, memory="200MB")
REFUSED = [
    "exists (select * from read_csv('/etc/passwd'))",
    "exists (from read_text('/etc/passwd'))",
    "exists (from read_blob('/etc/*'))",
    "exists (from '/etc/passwd')",
    "exists (from glob('/*'))",
    "(select count(*) from read_parquet('https://127.0.0.1/x')) > 0",
    "year in (select column0 from '/etc/passwd')",
    "true; COPY documents TO '/tmp/stolen.csv'",
    "true; ATTACH '/tmp/x.db'",
    "true; INSTALL httpfs; LOAD httpfs",
    "true; PRAGMA database_list",
    "true; SET memory_limit = '100GB'",
    "true; EXPORT DATABASE '/tmp/x'",
    "true; CREATE TABLE t AS SELECT 1",
    "true; DROP TABLE documents",
    "COPY documents TO '/tmp/stolen.csv'",
    "PRAGMA version",
    "SET threads = 1",
    "true) UNION ALL SELECT 1 FROM read_text('/etc/passwd') WHERE (true",
    "true UNION SELECT 1",
    "true LIMIT 1",
    "year = (select max(a.year * b.year) from documents a, documents b, documents c, documents d)",
    "exists (select 1 from documents a cross join documents b)",
    "exists (select 1 from range(1000000000000) a, range(1000000000000) b)",
    "exists (with recursive t as (select 1 as n union all select n + 1 from t) select 1 from t)",
    "exists (with t as (select 1) select 1)",
    "(select unnest(range(1000000000000))) > 1",
    "len(range(4000000000)) > 1",
    "len(generate_series(1, 4000000000)) > 1",
    "len(repeat('x', 2000000000)) > 1",
    "len(lpad('x', 2000000000, 'y')) > 1",
    "len(rpad('x', 2000000000, 'y')) > 1",
    "len(printf('%2000000000d', 1)) > 1",
    "len(format('{:2000000000d}', 1)) > 1",
    "len(list_resize([1], 4000000000, 1)) > 1",
    "list_reduce(['x', 'y'], lambda a, b: a || a || b || b) = 'x'",
    "factorial(100000) > 1",
    "sleep_ms(100000)",
    "pg_sleep(100)",
    "getenv('HOME') = 'x'",
    "current_setting('home_directory') = 'x'",
    "getvariable('x') = 1",
    "current_query() = 'x'",
    "nextval('x') = 1",
    "setseed(.5) is null",
    "write_log('x')",
    "version() = 'x'",
    "current_user = 'x'",
    "json_serialize_sql('select 1') = 'x'",
    "json_deserialize_sql('{}') = 'x'",
    "invoke(lambda x: x, 1) = 1",
    "read_text('/etc/passwd') = 'x'",
    "main.sleep_ms(100000)",
    "year.sleep_ms()",
    "count(*) > 1",
    "year = " + " + ".join(["1"] * 10_000),
    "(" * 5000 + "true" + ")" * 5000,
]
HARMLESS = [
    "len(list_transform(string_split(title, 't'), lambda x: list_transform(string_split(title, ''), "
    "lambda y: x))) >= 0",
    "title like '%_%_%_%_%_%_%_%_%_%_%_%_%z~'",
    "regexp_matches(title, '(((a*)*)*)*$')",
    "title = concat(" + ", ".join(["title"] * 1000) + ")",
    "2 ** 100000 > year",
    "year in (" + ", ".join(map(str, range(4000))) + ")",
]


@pytest.fixture(scope="module")
def index(tmp_path_factory):
    path = tmp_path_factory.mktemp("hostile") / "x.idx"
    rows = [{"id": str(row), "title": f"t{row}" * 20, "year": 2000 + row} for row in range(5000)]
    vectors = np.random.default_rng(0).normal(size=(5000, 4)).astype(np.float32)
    return build_index(path, VectorMeta(4), [Batch(pa.Table.from_pylist(rows), vectors)])


@pytest.mark.parametrize("condition", REFUSED, ids=range(len(REFUSED)))
def test_a_hostile_condition_is_refused_in_one_line(index, condition):
    started = time.process_time()
    with pytest.raises(UsageError, match=r"^`where`: .*; fields: id, title, year$") as caught:
        rows_where(index, condition, LIMITS)
    assert "\n" not in str(caught.value)
    assert time.process_time() - started < LIMITS.seconds + 1


@pytest.mark.parametrize("condition", HARMLESS, ids=range(len(HARMLESS)))
def test_an_expensive_condition_ends(index, condition):
    started = time.process_time()
    with suppress(UsageError):  # for time or memory, on a slow machine
        assert len(rows_where(index, condition, LIMITS)) == 5000
    assert time.process_time() - started < 2 * (LIMITS.seconds + 3)


def test_a_condition_that_takes_too_long_is_stopped(index):
    words = "string_split(repeated, '')"
    slow = f"len(list_filter({words}, lambda x: len(list_filter({words}, lambda y: x = y)) = 0)) = 1".replace(
        "repeated", "concat(" + ", ".join(["title"] * 30) + ")"
    )
    started = time.monotonic()
    with pytest.raises(UsageError, match=r"takes longer than 0\.2 seconds"):
        rows_where(index, slow, WhereLimits(seconds=0.2))
    assert time.monotonic() - started < 60


def test_every_function_that_is_allowed_is_one_of_duckdb():
    import duckdb

    from embedkit.indexing.where_functions import FUNCTIONS, TAKE_FUNCTIONS

    known = {name for (name,) in duckdb.sql("select function_name from duckdb_functions()").fetchall()}
    assert TAKE_FUNCTIONS <= FUNCTIONS
    assert (
        sorted(
            FUNCTIONS - known - {"!=", "<>", "->", "between", "coalesce", "ifnull", "row", "try", "unnest"}
        )
        == []
    )
