"""Documents chosen by SQL: against loops over the same rows, whatever DuckDB makes of the fields' names."""

import duckdb
import numpy as np
import pyarrow as pa
import pytest

from embedkit.data.vectors.vector_set import Batch, VectorMeta
from embedkit.errors import UsageError
from embedkit.indexing import where
from embedkit.indexing.building import build_index
from embedkit.indexing.where import rows_where

ROWS = [
    {
        "id": str(number),
        "lang": ["en", "fr", "zh"][number % 3],
        "Lang": ["fr", "zh", "en", "en"][number % 4],
        "Title": f"t{number}",
        "year": 2000 + number,
        "__row__": 11 - number,
        "row_number": number % 5,
        "documents": number % 2,
        "field_1": 12 - number,
        'a "b" c': number,
        "tags": [f"k{number % 3}", "all"],
        "current_date": number,
        "meta": {"lang": ["x", "y"][number % 2]},
    }
    for number in range(12)
]


@pytest.fixture(scope="module")
def index(tmp_path_factory):
    path = tmp_path_factory.mktemp("where") / "x.idx"
    rows = np.random.default_rng(0).normal(size=(12, 4)).astype(np.float32)
    return build_index(path, VectorMeta(4), [Batch(pa.Table.from_pylist(ROWS), rows)])


@pytest.mark.parametrize(
    ("condition", "chooses"),
    [
        ("lang = 'en'", lambda row: row["lang"] == "en"),
        ("Lang = 'en'", lambda row: row["Lang"] == "en"),
        ("lang = 'en' and \"Lang\" = 'fr'", lambda row: (row["lang"], row["Lang"]) == ("en", "fr")),
        ("__row__ = 2", lambda row: row["__row__"] == 2),
        ("row_number = 3", lambda row: row["row_number"] == 3),
        ("documents = 1", lambda row: row["documents"] == 1),
        ("field_1 = 3", lambda row: row["field_1"] == 3),
        ("current_date = 4", lambda row: row["current_date"] == 4),
        ('"a ""b"" c" > 7', lambda row: row['a "b" c'] > 7),
        ("TITLE = 't5'", lambda row: row["Title"] == "t5"),
        ("meta.lang = 'x'", lambda row: row["meta"]["lang"] == "x"),
        ("'k1' = ANY(tags)", lambda row: "k1" in row["tags"]),
        ("len([lang for lang in tags if lang = 'k2']) = 1", lambda row: "k2" in row["tags"]),
        ("len(list_filter(tags, lambda tag: tag = lang)) = 0", lambda row: True),
        ("current_timestamp > '2020-01-01' and year = 2003", lambda row: row["year"] == 2003),
        ("year > 2008 -- of late) or (true", lambda row: row["year"] > 2008),
    ],
)
def test_a_name_is_the_field_that_is_spelled_so(index, condition, chooses):
    assert rows_where(index, condition).tolist() == [chooses(row) for row in ROWS]


def test_a_name_that_may_be_two_fields_is_refused(index):
    with pytest.raises(
        UsageError, match=r"^`where`: 'LANG' may be the field 'lang' or 'Lang'; spell its name"
    ):
        rows_where(index, "LANG = 'en'")


@pytest.mark.parametrize(
    "condition",
    [
        "lang = 'en') or (year > 2000",
        "true) union select 1 where (true",
        "(lang = 'en'",
        "lang = 'en')",
        "lang = 'en",
        "lang = 'en' /*",
        "lang = 'en';",
        "true; drop table documents",
        "true order by 1",
        "true limit 1",
        "true group by lang",
        "-- nothing",
        " ",
        "row_number() over () = 1",
        "count(*) > 1",
        "year = (select max(year) from documents)",
        "exists (from read_text('/etc/passwd'))",
        "exists (select 1 from '/etc/passwd')",
        "exists (with x as (select 1) select * from x)",
        "COLUMNS('l.*') = 'en'",
        "#1 = 1",
        "year = ?",
        "year = $1",
        "rowid = 1",
        "documents.lang = 'en'",
        "field_0 = 'en'",
        "not " * 3000 + "true",
    ],
)
def test_anything_but_an_expression_over_fields_is_one_line(index, condition):
    with pytest.raises(UsageError, match=r"^`where`: .*; fields: id, lang, Lang, Title, year, ") as caught:
        rows_where(index, condition)
    assert "\n" not in str(caught.value)


EXPORT = "exporting a stream from the object registered as 'documents' failed: MemoryError:"
CONVERSION = "Conversion Error: Could not convert string 'std::bad_alloc' to INT32"
TOO_MUCH = "needs more memory than 1GB"


@pytest.mark.parametrize(
    ("raised", "says"),
    [
        (MemoryError(), TOO_MUCH),
        (duckdb.OutOfMemoryException("Out of Memory Error: failed to pin block"), TOO_MUCH),
        (duckdb.InvalidInputException(f"Invalid Input Error: {EXPORT}"), TOO_MUCH),
        (duckdb.IOException("std::bad_alloc"), TOO_MUCH),
        (duckdb.ConversionException(CONVERSION), CONVERSION),
    ],
)
def test_memory_that_ran_out_anywhere_is_the_limit_in_words(index, monkeypatch, raised, says):
    def fails(*_):
        raise raised

    monkeypatch.setattr(where, "_answer", fails)
    with pytest.raises(UsageError) as found:
        rows_where(index, "year > 2000")
    assert found.value.what == says
