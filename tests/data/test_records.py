"""Every kind of input becomes the records that were written, and a faulty one is named by file and line."""

import bz2
import csv
import gzip
import io
import json
import lzma
import re
import sys
from datetime import datetime

import fsspec
import orjson
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pyarrow import parquet

from embedkit.data.records import Record, TextFormat, open_records
from embedkit.errors import DataError


def put(name, content):
    """Write a file into the current folder and return its name."""
    with open(name, "wb") as file:
        file.write(content if isinstance(content, bytes) else content.encode())
    return name


def read(*names, **format):
    return list(open_records(names, TextFormat(**format)))


def pairs(*names, **format):
    return [(record.id, record.text) for record in read(*names, **format)]


def refusal(*names, **format):
    with pytest.raises(DataError) as caught:
        read(*names, **format)
    return str(caught.value)


def counts(name, **format):
    reader = open_records([name], TextFormat(**format))
    list(reader)
    return reader.read, reader.blank, reader.skipped


def arrow(table, new=pa.ipc.new_file):
    file = io.BytesIO()
    with new(file, table.schema) as writer:
        writer.write_table(table)
    return file.getvalue()


def parquet_file(table):
    file = io.BytesIO()
    parquet.write_table(table, file)
    return file.getvalue()


TABLE = pa.table({"id": ["a", "b"], "text": ["one", "two\nlines"], "year": [1, None]})
AS_TABLE = [Record("a", "one", {"year": 1}), Record("b", "two\nlines", {"year": None})]
WRITERS = {
    "a.parquet": parquet_file,
    "a.arrow": arrow,
    "a.arrows": lambda table: arrow(table, pa.ipc.new_stream),
    "nameless": lambda table: arrow(table, pa.ipc.new_stream),
    "a.parquet.gz": lambda table: gzip.compress(parquet_file(table)),
}


# Kinds


@pytest.mark.parametrize("name", WRITERS)
def test_tables_give_their_rows(folder, name):
    assert read(put(name, WRITERS[name](TABLE))) == AS_TABLE


def test_tables_without_ids_are_numbered_by_row_across_batches(folder):
    table = pa.table({"text": [str(number) for number in range(3000)]})
    expected = [(str(number + 1), str(number)) for number in range(3000)]
    assert pairs(put("a.parquet", parquet_file(table))) == expected


def test_what_polars_writes_is_read(folder):
    polars = pytest.importorskip("polars")
    frame = polars.DataFrame({"id": [1, 2], "text": ["a", None], "tag": ["x", "y"]})
    frame = frame.with_columns(polars.col("tag").cast(polars.Categorical)).head(1)
    frame.write_parquet("a.parquet")
    frame.write_ipc("a.arrow")
    assert read("a.parquet") == read("a.arrow") == [Record("1", "a", {"tag": "x"})]


def test_the_vectors_of_a_table_are_passed_over(folder):
    table = pa.table({"text": ["a"], "vector": [[1.0, 2.0]]})
    assert read(put("a.parquet", parquet_file(table))) == [Record("1", "a", {})]


def test_csv_follows_rfc_4180(folder):
    put("a.csv", 'id,text,note\r\n1,"a, ""b""\r\nc",\r\n2,plain,"x"\r\n')
    assert read("a.csv") == [Record("1", 'a, "b"\r\nc', {"note": ""}), Record("2", "plain", {"note": "x"})]


def test_tsv_knows_no_quotes(folder):
    put("a.tsv", 'id\ttext\n1\tsay "hi\n2\t"open\n3\ta,b\\t\n')
    assert pairs("a.tsv") == [("1", 'say "hi'), ("2", '"open'), ("3", "a,b\\t")]


def test_a_lone_carriage_return_in_tsv_is_part_of_the_cell(folder):
    assert pairs(put("a.tsv", "id\ttext\r\n1\ta\rb\r\n")) == [("1", "a\rb")]


def test_npy_holds_no_text(folder):
    assert refusal(put("a.npy", b"\x93NUMPY")) == "a.npy: holds npy data, not text"


@pytest.mark.parametrize("name", ["a.txt", "a.jsonl", "a.csv", "a.tsv", "a.txt.gz"])
def test_an_empty_file_has_no_records(folder, name):
    assert read(put(name, b"")) == []


@pytest.mark.parametrize("name", ["a.csv", "a.tsv"])
def test_a_header_alone_has_no_records(folder, name):
    assert read(put(name, "text")) == []


@pytest.mark.parametrize("compress", [gzip.compress, bz2.compress, lzma.compress])
@pytest.mark.parametrize("name", ["a.jsonl.gz", "nameless"])
def test_compressed_lines_are_lines(folder, name, compress):
    if name == "nameless" or compress is gzip.compress:
        assert pairs(put(name, compress(b'{"text": "a"}\n'))) == [("1", "a")]


def test_a_url_is_read_like_a_file():
    store = fsspec.filesystem("memory")
    store.pipe("/records/a.csv", b"text\none\n")
    try:
        assert pairs("memory://records/a.csv") == [("1", "one")]
    finally:
        store.rm("/records", recursive=True)


# Lines


@pytest.mark.parametrize(
    ("name", "content"),
    [("a.txt", "é\n"), ("a.jsonl", '{"text": "é"}\n'), ("a.csv", "text\né\n"), ("a.tsv", "text\né\n")],
)
@pytest.mark.parametrize("newline", ["\n", "\r\n"])
def test_byte_order_marks_and_windows_lines_leave_no_trace(folder, name, content, newline):
    put(name, "\ufeff" + content.replace("\n", newline))
    assert read(name) == [Record("1", "é", {})]


def test_a_last_line_needs_no_newline(folder):
    assert pairs(put("a.txt", "a\nb")) == [("1", "a"), ("2", "b")]


@pytest.mark.parametrize("character", ["\u2028", "\u2029", "\x85", "\x0b", "\x0c", "\x1c", "\r", "\0"])
def test_only_a_newline_ends_a_line(folder, character):
    text = f"a{character}b"
    assert pairs(put("a.txt", f"{text}\n")) == [("1", text)]
    assert pairs(put("a.tsv", f"text\n{text}\n")) == [("1", text)]
    assert pairs(put("a.jsonl", json.dumps({"text": text}, ensure_ascii=False).replace("\0", "\\u0000"))) == [
        ("1", orjson.loads(orjson.dumps(text)))
    ]


@pytest.mark.parametrize("name", ["a.txt", "a.jsonl", "a.csv", "a.tsv"])
def test_a_line_may_be_long(folder, name):
    text = "x" * 1_000_000
    put(name, {"a.txt": text, "a.jsonl": json.dumps(text)}.get(name, f"text\n{text}\n"))
    assert pairs(name) == [("1", text)]


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("a.txt", "a\n\n \t\n\u3000\nb\n"),
        ("a.jsonl", '"a"\n\n \r\n\t\n"b"\n'),
        ("a.csv", "text\na\n\n\r\n\nb\n"),
        ("a.tsv", "text\na\n\n\r\n\nb\n"),
    ],
)
def test_blank_lines_are_counted_and_keep_their_numbers(folder, name, content):
    assert pairs(put(name, content)) == [("1", "a"), ("5", "b")]
    assert counts(name) == (2, 3, 0)


def test_blank_lines_may_come_before_a_header(folder):
    assert pairs(put("a.csv", "\n\ntext\na\n")) == [("1", "a")]


# Ids, texts and fields


@pytest.mark.parametrize(
    ("line", "format", "id"),
    [
        ('{"text": "t"}', {}, "1"),
        ('{"id": "x", "text": "t"}', {}, "x"),
        ('{"_id": "x", "text": "t"}', {}, "x"),
        ('{"id": "y", "_id": "x", "text": "t"}', {}, "x"),
        ('{"id": 7, "text": "t"}', {}, "7"),
        ('{"id": 18446744073709551615, "text": "t"}', {}, "18446744073709551615"),
        ('{"id": "x", "key": "y", "text": "t"}', {"id_field": "key"}, "y"),
        ('{"id": "t", "x": 1}', {"text_field": "id"}, "1"),
    ],
)
def test_where_an_id_comes_from(folder, line, format, id):
    (record,) = read(put("a.jsonl", line), **format)
    assert (record.id, record.text) == (id, "t")


@pytest.mark.parametrize(
    ("line", "format", "text", "fields"),
    [
        ('"bare"', {}, "bare", {}),
        ('{"anything": "only"}', {}, "only", {}),
        ('{"text": "t", "n": 1}', {}, "t", {"n": 1}),
        ('{"title": "T", "text": "t"}', {}, "T t", {"title": "T"}),
        ('{"title": "", "text": " t "}', {}, " t ", {"title": ""}),
        ('{"title": "T", "text": ""}', {}, "T", {"title": "T"}),
        ('{"title": null, "text": "t"}', {}, "t", {"title": None}),
        (
            '{"title": "T", "body": "b", "text": "t"}',
            {"text_field": "body"},
            "b",
            {"title": "T", "text": "t"},
        ),
        ('{"text": ""}', {}, "", {}),
    ],
)
def test_where_a_text_comes_from(folder, line, format, text, fields):
    assert read(put("a.jsonl", line), **format) == [Record("1", text, fields)]


def test_a_beir_corpus_is_read_as_it_is(folder):
    put("corpus.jsonl", '{"_id": "d1", "title": "Cats", "text": "They purr.", "metadata": {"url": "x"}}\n')
    fields = {"title": "Cats", "metadata": {"url": "x"}}
    assert read("corpus.jsonl") == [Record("d1", "Cats They purr.", fields)]


@pytest.mark.parametrize("name", ["a.csv", "a.tsv", "a.parquet"])
def test_the_text_of_a_single_column_is_that_column(folder, name):
    put(name, parquet_file(pa.table({"sentence": ["a"]})) if name == "a.parquet" else "sentence\na\n")
    assert pairs(name) == [("1", "a")]


def test_several_inputs_put_their_name_before_line_numbers_but_not_before_ids(folder):
    put("a.txt", "one\n")
    put("b.jsonl", '{"text": "two"}\n{"id": "x", "text": "three"}\n')
    assert pairs("a.txt", "b.jsonl") == [("a.txt:1", "one"), ("b.jsonl:1", "two"), ("x", "three")]


def test_all_bytes_are_read_at_the_end(folder):
    put("a.txt", "one\n" * 1000)
    put("b.txt.gz", gzip.compress(b"two\n" * 1000))
    reader = open_records(["a.txt", "b.txt.gz"])
    seen = [reader.bytes_read for _ in reader]
    assert seen == sorted(seen)
    assert reader.bytes_read == sum((folder / name).stat().st_size for name in ("a.txt", "b.txt.gz"))


def test_reading_may_stop_early(folder):
    records = iter(open_records([put("a.txt", "one\ntwo\n"), "nowhere.txt"]))
    assert next(records).text == "one"
    records.close()


# What cannot be read

SKIP = "; --on-error skip passes over such records"
IDS = "; an id is text or a whole number of 64 bits"
OTHER = "; --text-field names another"
FAULTS = [
    ("a.txt", b"ok\nbad \xff\n", "a.txt:2: is not UTF-8 (byte 5)" + SKIP),
    ("a.txt", "ok\n".encode("utf-16"), "a.txt:1: is not UTF-8 (byte 1)" + SKIP),
    ("a.jsonl", b'"ok"\n{"text": "\xff"}\n', "a.jsonl:2: is not UTF-8 (byte 11)" + SKIP),
    ("a.jsonl", "[1]\n", "a.jsonl:1: is a list, not a JSON object" + SKIP),
    ("a.jsonl", "null\n", "a.jsonl:1: is null, not a JSON object" + SKIP),
    ("a.jsonl", '{"text": 3}\n', "a.jsonl:1: field 'text' is not text but a number" + SKIP),
    ("a.jsonl", '{"text": null}\n', "a.jsonl:1: field 'text' is not text but null" + SKIP),
    ("a.jsonl", '{"a": "x", "b": 1}\n', "a.jsonl:1: has no text field 'text'; it has a, b" + OTHER),
    ("a.jsonl", "{}\n", "a.jsonl:1: has no text field 'text'; it has nothing" + OTHER),
    ("a.jsonl", '{"id": null, "text": "t"}\n', "a.jsonl:1: field 'id' is null" + IDS),
    ("a.jsonl", '{"id": true, "text": "t"}\n', "a.jsonl:1: field 'id' is true or false" + IDS),
    ("a.csv", b"id,text\n1,\xff\n", "a.csv:2: is not UTF-8 (byte 1)" + SKIP),
    ("a.csv", 'id,text\n1,"a\nb"\n2,a,b\n', "a.csv:4: has 3 cells, the header has 2" + SKIP),
    ("a.tsv", b"id\ttext\n1\ta\n2\t\xff\n", "a.tsv:3: is not UTF-8 (byte 1)" + SKIP),
    ("a.tsv", "id\ttext\n1\n", "a.tsv:2: has 1 cells, the header has 2" + SKIP),
]  # fmt: skip


@pytest.mark.parametrize(("name", "content", "message"), FAULTS)
def test_a_faulty_record_is_named_by_file_and_line(folder, name, content, message):
    assert refusal(put(name, content)) == message


WORDED_ELSEWHERE = [  # what follows the place is the parser's own wording, which differs between versions
    ("a.jsonl", '"ok"\n\n["a"\n', r"a\.jsonl:3: is not JSON: .+ \(column 5\)" + SKIP),
    ("a.jsonl", "plain\n", r"a\.jsonl:1: is not JSON: .+ \(column 1\)" + SKIP),
    ("a.csv", 'id,text\n1,"a"b\n', r"a\.csv:2: is not CSV: .+" + SKIP),
]


@pytest.mark.parametrize(("name", "content", "message"), WORDED_ELSEWHERE)
def test_a_record_that_a_parser_refuses_is_named_by_file_and_line(folder, name, content, message):
    assert re.fullmatch(message, refusal(put(name, content)))


@pytest.mark.parametrize(("name", "content", "message"), FAULTS + WORDED_ELSEWHERE)
def test_a_faulty_record_can_be_skipped_and_is_counted(folder, name, content, message):
    good = {"a.csv": b"\n9,last\n", "a.tsv": b"\n9\tlast\n"}.get(name, b'\n"last"\n')
    content = content if isinstance(content, bytes) else content.encode()
    put(name, content.rstrip(b"\n") + good)
    assert pairs(name, on_error="skip")[-1][1].strip('"') == "last"
    assert counts(name, on_error="skip")[2] == 1


@pytest.mark.parametrize("on_error", ["stop", "skip"])
@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.csv", 'id,text\n1,a\n2,"b\n3,c\n', "a.csv:3: a quote that opens here is never closed"),
        ("a.csv", "id,text,text,id\n", "a.csv:1: has more than one column 'id', 'text'"),
        ("a.csv", "text,,\n", "a.csv:1: has more than one column ''"),
        ("a.csv", b"t\xe9xt,id\n", "a.csv:1: the header is not UTF-8 (byte 2)"),
    ],
)
def test_what_spoils_a_whole_file_is_never_skipped(folder, on_error, name, content, message):
    assert refusal(put(name, content), on_error=on_error) == message


@pytest.mark.parametrize(("number", "kind"), [("1.5", "a decimal number"), (str(2**64), "a decimal number")])
def test_a_number_that_would_lose_digits_is_no_id(folder, number, kind):
    assert refusal(put("a.jsonl", f'{{"id": {number}, "text": "t"}}')).startswith(
        f"a.jsonl:1: field 'id' is {kind}; "
    )


def test_a_parquet_file_by_another_name_is_no_json(folder):
    assert refusal(put("a.jsonl", parquet_file(TABLE))).startswith("a.jsonl:1: is not JSON: ")


def test_a_missing_id_field_is_named_with_those_there_are(folder):
    put("a.jsonl", '{"text": "t", "n": 1}')
    assert refusal("a.jsonl", id_field="key") == "a.jsonl:1: has no id field 'key'; it has text, n"


def test_a_table_with_two_columns_of_one_name_is_refused(folder):
    table = pa.table([["a"], ["b"]], names=["text", "text"])
    assert refusal(put("a.parquet", parquet_file(table))) == "a.parquet: has more than one column 'text'"


NOT_UTF8 = pa.Array.from_buffers(pa.utf8(), 2, pa.array([b"ok", b"\xff"]).buffers())
TOO_FAR = pa.array([0, 2**60], pa.timestamp("us"))


@pytest.mark.parametrize(
    "table", [pa.table({"text": NOT_UTF8}), pa.table({"text": ["ok", "x"], "time": TOO_FAR})]
)
def test_a_value_that_python_cannot_hold_spoils_its_row_only(folder, table):
    put("a.parquet", parquet_file(table))
    assert refusal("a.parquet").startswith("a.parquet:2: ")
    assert counts("a.parquet", on_error="skip") == (1, 0, 1)


def test_dates_and_lists_in_tables_stay_what_they_are(folder):
    fields = {"when": datetime(2024, 5, 6), "tags": ["x"], "inside": {"n": 1}}
    table = pa.Table.from_pylist([{"text": "t", **fields}])
    assert read(put("a.parquet", parquet_file(table))) == [Record("1", "t", fields)]


# Round trips

texts = st.text(st.characters(codec="utf-8"), max_size=20)
ids = st.text(st.characters(codec="utf-8"), min_size=1, max_size=8)
written = st.lists(st.tuples(ids, texts), max_size=8)


@given(written)
def test_jsonl_reads_back_as_written(tmp_path_factory, rows):
    name = tmp_path_factory.getbasetemp() / "trip.jsonl"
    put(name, b"".join(orjson.dumps({"id": id, "text": text}) + b"\n" for id, text in rows))
    assert pairs(str(name)) == rows


NUL_IN_CSV = sys.version_info >= (3, 11)  # before, Python's csv neither writes nor reads it
in_csv = written if NUL_IN_CSV else written.filter(lambda rows: "\0" not in "".join(map("".join, rows)))


@given(in_csv, st.sampled_from(["\n", "\r\n"]))
def test_csv_reads_back_as_written(tmp_path_factory, rows, newline):
    name = tmp_path_factory.getbasetemp() / "trip.csv"
    with open(name, "w", newline="", encoding="utf-8") as file:
        csv.writer(file, lineterminator=newline, quoting=csv.QUOTE_ALL).writerows([("id", "text"), *rows])
    assert pairs(str(name)) == rows


@pytest.mark.parametrize("kind", ["parquet", "arrow", "arrows"])
@given(rows=written)
def test_tables_read_back_as_written(tmp_path_factory, kind, rows):
    name = tmp_path_factory.getbasetemp() / f"trip.{kind}"
    columns = {"id": [id for id, _ in rows], "text": [text for _, text in rows]}
    table = pa.table({column: pa.array(values, pa.string()) for column, values in columns.items()})
    put(name, WRITERS[f"a.{kind}"](table))
    assert pairs(str(name)) == rows


@given(
    st.lists(
        st.text(st.characters(codec="utf-8", exclude_characters="\r\n\ufeff"), min_size=1).filter(str.strip)
    )
)
def test_text_reads_back_as_written(tmp_path_factory, rows):
    name = put(tmp_path_factory.getbasetemp() / "trip.txt", "\n".join(rows))
    assert pairs(str(name), input_format="text") == [
        (str(number), text) for number, text in enumerate(rows, 1)
    ]
