"""Units are the records of one process's shards, whatever files they lie in and wherever reading begins."""

import gzip
import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pyarrow import parquet

from embedkit.cluster import corpus_reading
from embedkit.cluster.corpus import Corpus, CorpusSurvey
from embedkit.cluster.corpus_reading import records_of, survey
from embedkit.data.inputs import open_records
from embedkit.data.text.records import TextFormat
from embedkit.errors import DataError

COUNTS = st.lists(st.integers(0, 40), min_size=1, max_size=6)


def surveyed(counts, step):
    """Surveys of files of so many records, with a mark every `step` records; a row each, ten bytes long."""
    starts = [np.arange(0, max(count, 1), step) for count in counts]
    return [
        CorpusSurvey(f"{n}.txt", count, 0, 0, np.stack([start, start, 10 * start], axis=1))
        for n, (count, start) in enumerate(zip(counts, starts, strict=True))
    ]


@given(COUNTS, st.integers(1, 17), st.integers(1, 9))
def test_units_are_all_records_in_order_cut_at_multiples(counts, rows, step):
    units = list(Corpus(surveyed(counts, step)).units(rows))
    expected = [(f"{n}.txt", record) for n, count in enumerate(counts) for record in range(count)]
    found = [
        (span.name, span.rows_before + span.skip + record)
        for unit in units
        for span in unit.spans
        for record in range(span.records)
    ]
    assert found == expected
    assert [unit.place for unit in units] == list(range(len(units)))
    assert all(unit.rows == rows for unit in units[:-1])
    assert all(1 <= unit.rows <= rows for unit in units[-1:])


@given(COUNTS, st.integers(1, 17), st.integers(1, 9))
def test_reading_begins_less_than_a_mark_before_the_first_record(counts, rows, step):
    for unit in Corpus(surveyed(counts, step)).units(rows):
        for span in unit.spans:
            assert span.skip < step
            assert span.offset == 10 * span.rows_before


def lines(kind):
    texts = [f"line {n} é" for n in range(50)]
    if kind == "jsonl":
        texts = [json.dumps({"_id": f"i{n}", "text": text, "n": n}) for n, text in enumerate(texts)]
    for place in (0, 7, 20, 21):
        texts.insert(place, "")
    return ("\ufeff" + "\n".join(texts)).encode()


def write(name):
    """Write a file of 50 records, blank lines among them where the kind has such."""
    kind = name.split(".")[1]
    if kind == "parquet":
        table = pa.table({"text": [f"row {n}" for n in range(50)], "n": list(range(50))})
        parquet.write_table(table, name, row_group_size=8)
    elif kind == "csv":
        rows = "".join(f'{n},"a text\nof two lines {n}"\n' for n in range(50))
        Path(name).write_text(f"id,text\n{rows}")
    else:
        with gzip.open(name, "wb") if name.endswith(".gz") else open(name, "wb") as file:
            file.write(lines(kind))


@pytest.mark.parametrize("name", ["a.txt", "a.jsonl", "a.txt.gz", "a.parquet", "a.csv"])
@pytest.mark.parametrize("rows", [1, 7, 16, 100])
@pytest.mark.parametrize("several", [False, True])
def test_a_unit_holds_the_records_that_one_process_reads(folder, monkeypatch, name, rows, several):
    monkeypatch.setattr(corpus_reading, "MARK_RECORDS", 5)
    write(name)
    names = [name, "b.txt"] if several else [name]
    (folder / "b.txt").write_text("one more\n")
    corpus = Corpus([survey(each, TextFormat()) for each in names])
    found = [list(records_of(unit, TextFormat(), several=several)) for unit in corpus.units(rows)]
    expected = list(open_records(names))
    assert corpus.records == len(expected)
    assert found == [expected[start : start + rows] for start in range(0, len(expected), rows)]


@pytest.mark.parametrize("name", ["a.txt", "a.jsonl", "a.parquet", "a.txt.gz"])
def test_reading_begins_at_marks_behind_the_first(folder, monkeypatch, name):
    monkeypatch.setattr(corpus_reading, "MARK_RECORDS", 5)
    write(name)
    marks = survey(name, TextFormat()).marks
    step = 8 if name == "a.parquet" else 5
    assert marks[:, 0].tolist() == list(range(0, 49 if step == 8 else 51, step))


def test_what_cannot_be_read_is_passed_over_as_one_process_does(folder, monkeypatch):
    monkeypatch.setattr(corpus_reading, "MARK_RECORDS", 2)
    skipping = TextFormat(on_error="skip")
    texts = [None if n in (3, 8, 9, 17) else f"row {n}" for n in range(20)]
    parquet.write_table(pa.table({"text": texts}), "a.parquet", row_group_size=3)
    corpus = Corpus([survey("a.parquet", skipping)])
    found = [record for unit in corpus.units(4) for record in records_of(unit, skipping, several=False)]
    assert found == list(open_records(["a.parquet"], skipping))
    assert (corpus.records, corpus.skipped) == (16, 4)


@pytest.mark.parametrize("several", [False, True])
def test_places_are_those_of_the_whole_file(folder, monkeypatch, several):
    monkeypatch.setattr(corpus_reading, "MARK_RECORDS", 2)
    (folder / "a.jsonl").write_text('"one"\n\n"two"\n"three"\n"four"\n"five"\n')
    unit = list(Corpus([survey("a.jsonl", TextFormat())]).units(4))[1]
    (folder / "a.jsonl").write_text('"one"\n\n"two"\n"three"\n"four"\n{"five\n')
    with pytest.raises(DataError, match=r"^a.jsonl:6: is not JSON"):
        list(records_of(unit, TextFormat(), several=several))


def test_a_survey_names_the_record_that_cannot_be_read(folder):
    (folder / "a.jsonl").write_text('"one"\n{"two\n')
    with pytest.raises(DataError, match=r"^a.jsonl:2: is not JSON"):
        survey("a.jsonl", TextFormat())
