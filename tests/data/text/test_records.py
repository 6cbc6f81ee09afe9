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

from embedkit.data.inputs import open_records, open_vectors
from embedkit.data.text.json_lines import MAX_DEPTH
from embedkit.data.text.record import Record
from embedkit.data.text.records import TextFormat
from embedkit.data.vectors.tables import to_rows, to_table
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

SKIP = "; pass over such records with `on_error=skip`"
IDS = "; write an id as text or a whole number of 64 bits"
LATIN1 = "; convert the file from its own encoding, as iconv -f LATIN1 -t UTF-8 does"
NUL = "contains only NUL characters, expected text; the end of the file may be damaged"
ARRAY = "; write its elements as JSON lines, as jq -c '.[]' does"
NAN = "; JSON has neither NaN nor Infinity; write null"
OTHER = "; name one as `text_field`"
FAULTS = [
    ("a.txt", b"ok\nbad \xff\n", "a.txt:2: is not UTF-8 (byte 5)" + LATIN1),
    ("a.txt", b"ok\n\0\0\0\n", "a.txt:2: " + NUL),
    ("a.csv", b"id,text\n1,a\n\0\0\n", "a.csv:3: " + NUL),
    ("a.jsonl", b'"ok"\n{"text": "\xff"}\n', "a.jsonl:2: is not UTF-8 (byte 11)" + LATIN1),
    ("a.jsonl", "[1]\n", "a.jsonl:1: is a list, not a JSON object" + ARRAY),
    (
        "a.jsonl",
        '{"text": "t", "n": 1180591620717411303424}\n',
        "a.jsonl:1: has the number 1180591620717411303424, which exceeds 64 bits; write it as text",
    ),
    (
        "a.jsonl",
        '{"text": "t", "a": {"b": [{"c": -9223372036854775809}]}}\n',
        "a.jsonl:1: has the number -9223372036854775809, which exceeds 64 bits; write it as text",
    ),
    (
        "a.jsonl",
        '{"text": "t", "text": "u"}\n',
        "a.jsonl:1: has the field 'text' more than once; keep one of them",
    ),
    (
        "a.jsonl",
        '{"text": "t", "a": {"b": 1, "c": 2, "b" : 3}}\n',
        "a.jsonl:1: has the field 'b' more than once; keep one of them",
    ),
    ("a.jsonl", "null\n", "a.jsonl:1: is null, not a JSON object" + SKIP),
    ("a.jsonl", '{"text": 3}\n', "a.jsonl:1: field 'text' is not text but a number" + SKIP),
    ("a.jsonl", '{"text": null}\n', "a.jsonl:1: field 'text' is not text but null" + SKIP),
    ("a.jsonl", '{"a": "x", "b": 1}\n', "a.jsonl:1: has no text field 'text'; it has a, b" + OTHER),
    ("a.jsonl", "{}\n", "a.jsonl:1: has no text field 'text'; it has nothing" + OTHER),
    ("a.jsonl", '{"id": null, "text": "t"}\n', "a.jsonl:1: field 'id' is null" + IDS),
    ("a.jsonl", '{"id": true, "text": "t"}\n', "a.jsonl:1: field 'id' is true or false" + IDS),
    ("a.csv", b"id,text\n1,\xff\n", "a.csv:2: is not UTF-8 (byte 1)" + LATIN1),
    ("a.csv", 'id,text\n1,"a\nb"\n2,a,b\n', "a.csv:4: has 3 cells, the header has 2" + SKIP),
    ("a.tsv", b"id\ttext\n1\ta\n2\t\xff\n", "a.tsv:3: is not UTF-8 (byte 1)" + LATIN1),
    ("a.tsv", b"id\ttext\n1\ta\n\0\0\n", "a.tsv:3: " + NUL),
    ("a.tsv", "id\ttext\n1\n", "a.tsv:2: has 1 cells, the header has 2" + SKIP),
]  # fmt: skip


@pytest.mark.parametrize(("name", "content", "message"), FAULTS)
def test_a_faulty_record_is_named_by_file_and_line(folder, name, content, message):
    assert refusal(put(name, content)) == message


WORDED_ELSEWHERE = [  # what follows the place is the parser's own wording, which differs between versions
    ("a.jsonl", '"ok"\n\n["a"\n', r"a\.jsonl:3: is not JSON: .+ \(column 5\)" + re.escape(ARRAY)),
    ("a.jsonl", '{"text": "t", "n": NaN}\n', r"a\.jsonl:1: is not JSON: .+" + NAN),
    ("a.jsonl", '{"text": "t", "n": -Infinity}\n', r"a\.jsonl:1: is not JSON: .+" + NAN),
    ("a.jsonl", '{"text": "\\ud800"}\n', r"a\.jsonl:1: is not JSON: .+" + SKIP),
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


UTF16 = "a.txt: is UTF-16 text, expected UTF-8; convert it with iconv -f UTF-16 -t UTF-8"
AN_ARRAY = "is a JSON array, expected an object per line" + ARRAY


@pytest.mark.parametrize("on_error", ["stop", "skip"])
@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.csv", 'id,text\n1,a\n2,"b\n3,c\n', "a.csv:3: a quote that opens here is never closed"),
        ("a.csv", "id,text,text,id\n", "a.csv:1: has more than one column 'id', 'text'"),
        ("a.csv", "text,,\n", "a.csv:1: has more than one column ''"),
        ("a.csv", b"t\xe9xt,id\n", "a.csv:1: the header is not UTF-8 (byte 2)"),
        ("a.txt", "ok\n".encode("utf-16"), UTF16),
        ("a.txt", "ok\n".encode("utf-32"), UTF16.replace("UTF-16", "UTF-32")),
        ("a.txt", "ok\n".encode("utf-16-be"), UTF16.replace("UTF-16", "UTF-16BE")),
        ("a.txt", "ok\n".encode("utf-16-le"), UTF16.replace("UTF-16", "UTF-16LE")),
        (
            "a.txt",
            b"PK\3\4...",
            "a.txt: is a zip archive, as .xlsx and .docx files are, expected text; "
            "unpack it, or export the text that is in it",
        ),
        ("a.jsonl", '[\n{"text": "a"},\n{"text": "b"}\n]', "a.jsonl: " + AN_ARRAY),
        ("a.jsonl", '\n [{"text": "a"}]', "a.jsonl: " + AN_ARRAY),
        ("a.jsonl", '[\n"a",\n"b"\n]', "a.jsonl: " + AN_ARRAY),
        ("nameless", '[{"text": "a"},\n{"text": "b"}]', "nameless: " + AN_ARRAY),
        ("nameless", '[\n  {\n    "text": "a"\n  }\n]', "nameless: " + AN_ARRAY),
    ],
)
def test_what_spoils_a_whole_file_is_never_skipped(folder, on_error, name, content, message):
    assert refusal(put(name, content), on_error=on_error) == message


@pytest.mark.parametrize(
    ("number", "message"),
    [("1.5", "field 'id' is a decimal number; "), (str(2**64), f"has the number {2**64}, which exceeds ")],
)
def test_a_number_that_would_lose_digits_is_no_id(folder, number, message):
    assert refusal(put("a.jsonl", f'{{"id": {number}, "text": "t"}}')).startswith(f"a.jsonl:1: {message}")


def test_a_parquet_file_by_another_name_is_no_json(folder):
    message = "a.jsonl: holds parquet data, expected text; give it a name that ends in .parquet"
    assert refusal(put("a.jsonl", parquet_file(TABLE))) == message


def test_a_missing_id_field_is_named_with_those_there_are(folder):
    put("a.jsonl", '{"text": "t", "n": 1}')
    assert refusal("a.jsonl", id_field="key") == "a.jsonl:1: has no id field 'key'; it has text, n"


def test_a_table_with_two_columns_of_one_name_is_refused(folder):
    table = pa.table([["a"], ["b"]], names=["text", "text"])
    assert refusal(put("a.parquet", parquet_file(table))) == "a.parquet: has more than one column 'text'"


@pytest.mark.parametrize("twice", ["text", "id", "vector"])
def test_vectors_with_two_columns_of_one_name_are_refused(folder, twice):
    columns = {"id": ["x"], "text": ["a"], "vector": [[1.0, 2.0]]}
    table = pa.table([*columns.values(), columns[twice]], names=[*columns, twice])
    put("a.parquet", parquet_file(table))
    put("a.arrows", arrow(table, pa.ipc.new_stream))
    for name in ("a.parquet", "a.arrows"):
        with (
            pytest.raises(DataError, match=rf"^{name}: has more than one column '{twice}'$"),
            open_vectors(name),
        ):
            pass


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


# What is odd about whole files


@pytest.mark.parametrize("name", ["a.txt", "a.jsonl", "a.csv", "a.tsv", "a.txt.gz", "nameless"])
def test_lines_that_end_in_carriage_returns_alone_are_lines(folder, name):
    content = {
        "a.jsonl": '"one"\r\r{"text": "two"}\r',
        "a.csv": 'text\rone\r\r"t\rwo"\r',
        "a.tsv": "text\rone\r\rtwo",
    }.get(name, "one\r\rtwo\r")
    put(name, gzip.compress(content.encode()) if name.endswith("gz") else content)
    first, last = read(name)
    assert (first.text, last.text.replace("t\nwo", "two")) == ("one", "two")
    assert counts(name) == (2, 1, 0)


@pytest.mark.parametrize(
    ("content", "texts"),
    [
        ("a\rb\nc\n", ["a\rb", "c"]),
        ("a\r\nb\rc\r\n", ["a", "b\rc"]),
        ("a\nb\rc", ["a", "b\rc"]),
        ("a\r", ["a"]),
        ("\r\r", []),
    ],
)
def test_a_carriage_return_ends_a_line_only_where_there_is_no_line_feed(folder, content, texts):
    assert [text for _, text in pairs(put("a.txt", content))] == texts


def test_the_place_of_a_fault_is_known_among_carriage_returns(folder):
    assert refusal(put("a.jsonl", '"one"\r\r{oops}\r')).startswith("a.jsonl:3: is not JSON: ")


def nested(depth, brackets):
    opening, closing = brackets
    return opening * (depth - 1) + "1" + closing * (depth - 1)


@pytest.mark.parametrize("brackets", [("[", "]"), ('{"a":', "}"), ('[{"a":', "}]")])
def test_what_is_nested_too_deep_for_a_later_step_is_refused_when_it_is_read(folder, brackets):
    levels = 2 if brackets[0].startswith("[{") else 1
    for depth in (MAX_DEPTH, MAX_DEPTH + 1, 64, 300, 1000):
        value = nested((depth - 1) // levels + 1, brackets)
        name = put("a.jsonl", f'{{"text": "t", "deep": {value}}}')
        if (depth - 1) // levels * levels < MAX_DEPTH:
            (record,) = read(name)
            assert record.fields["deep"] == json.loads(value)
        else:
            assert re.match(r"a\.jsonl:1: is nested \d+ levels deep, expected at most 48; ", refusal(name))


def test_values_of_the_greatest_depth_survive_every_later_step(folder):
    fields = {"lists": nested(MAX_DEPTH, "[]"), "objects": nested(MAX_DEPTH, ('{"a":', "}"))}
    name = put("a.jsonl", f'{{"text": "t", "lists": {fields["lists"]}, "objects": {fields["objects"]}}}')
    table = to_table(read(name))
    for again in (
        parquet.read_table(io.BytesIO(parquet_file(table))),
        pa.ipc.open_file(arrow(table)).read_all(),
    ):
        (row,) = to_rows(again)
        assert {field: row[field] for field in fields} == {
            key: json.loads(text) for key, text in fields.items()
        }
        assert orjson.loads(orjson.dumps([{"fields": row}]))[0]["fields"] == row


@pytest.mark.parametrize(
    "line",
    [
        '{"text": "a \\"quoted\\": b", "n": 1}',
        '{"text": "t", "a": {"text": 1, "n": {"n": 2}}}',
        '{"text": "{\\"a\\": 1, \\"a\\": 2}"}',
        '{"text": "t", "n": 1e30, "m": [1e300, -1e19], "k": 9223372036854775808}',
    ],
)
def test_numbers_and_names_that_only_look_odd_are_kept(folder, line):
    expected = json.loads(line)
    (record,) = read(put("a.jsonl", line))
    assert {"text": record.text, **record.fields} == expected


SEEMS = "a.csv:1: the first line must name the columns, and {!r} seems to be data; "


@pytest.mark.parametrize(
    ("content", "cell"),
    [
        ("A man is playing a flute.\nA dog runs.\nA girl sings a song.\n", "A man is playing a flute."),
        ("how do I top up my card\nwhere is my card\nwhy was I charged\n", "how do I top up my card"),
        ("如何更换花呗绑定银行卡\n花呗更改绑定银行卡\n", "如何更换花呗绑定银行卡"),
        ("q1,A man eats.,0.5\nq2,A dog runs.,0.7\n", "A man eats."),
        ("1,first\n2,second\n", "1"),
    ],
)
def test_a_first_row_that_would_vanish_as_a_header_is_noticed(folder, content, cell):
    assert refusal(put("a.csv", content)).startswith(SEEMS.format(cell))
    assert refusal(put("a.csv", content), on_error="skip").startswith(SEEMS.format(cell))


@pytest.mark.parametrize("separator", ["\t", ";", "|"])
def test_csv_with_another_separator_is_no_single_column(folder, separator):
    content = "number,note,body\n1,x,one\n2,y,two\n".replace(",", separator)
    assert refusal(put("a.csv", content)).startswith(
        f"a.csv:1: seems to be separated by {separator!r}, expected commas; "
    )
    assert [text for _, text in pairs(put("a.csv", f"a{separator}b\nno more\n"))] == ["no more"]


@pytest.mark.parametrize(
    ("content", "format"),
    [
        ("sentence\nA man is playing a flute.\n", {}),
        ("0\nA man is playing a flute.\n", {}),  # so pandas names a column that has no name
        ("Text of the review\nIt broke after a week and the shop would not take it back.\n", {}),
        ("What do you think?\nNo.\n", {"text_field": "What do you think?"}),
        ("text,2019\nA man eats.,3\n", {}),
        ("id,A long name of a column.\n1,short\n", {"text_field": "A long name of a column."}),
        ("A man is playing a flute.\n", {}),  # nothing to compare it with
    ],
)
def test_a_header_is_a_header(folder, content, format):
    assert len(read(put("a.csv", content), **format)) == content.count("\n") - 1


# Vectors beside the text

RENAME = "; convert it, or rename it to have the text encoded"
NUMBERS = "expected a list of numbers" + RENAME


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        (['{"text": "t", "vector": "v"}'], "1: field 'vector' is text, " + NUMBERS),
        (['{"text": "t", "vector": ["1"]}'], "1: field 'vector' is a list of other values, " + NUMBERS),
        (['{"text": "t", "vector": [true]}'], "1: field 'vector' is a list of other values, " + NUMBERS),
        (['{"text": "t", "vector": true}'], "1: field 'vector' is true or false, " + NUMBERS),
        (
            ['{"text": "t"}', '{"text": "t", "vector": [1, 2]}'],
            "2: has a vector, and the first record has none; "
            "remove the field 'vector' to have the text encoded",
        ),
    ],
)  # fmt: skip
def test_vectors_are_not_lost_beside_a_text(folder, lines, message):
    assert refusal(put("a.jsonl", "\n".join(lines))) == f"a.jsonl:{message}"


@pytest.mark.parametrize(
    ("column", "kind"),
    [
        (pa.array(["[1, 2]"]), "string"),
        (pa.array([True]), "bool"),
        (pa.array([["1", "2"]]), "list<item: string>"),
        (pa.array([[True]]), "list<item: bool>"),
        (pa.array([1.0]), "double"),
        (pa.array(["[1, 2]"]).dictionary_encode(), "dictionary<values=string, indices=int32, ordered=0>"),
    ],
)
def test_a_column_of_a_table_that_is_named_vector_and_holds_none_is_refused(folder, column, kind):
    name = put("a.parquet", parquet_file(pa.table({"text": ["t"], "vector": column})))
    assert re.fullmatch(
        rf"a\.parquet: column 'vector' is .*, expected lists of numbers{RENAME}", refusal(name)
    )
    assert kind.partition("<")[0] in refusal(name)


def test_vectors_are_not_read_from_csv(folder):
    message = "a.csv:1: has a column 'vector', and vectors are not read from CSV; "
    assert refusal(put("a.csv", 'text,vector\nt,"[1, 2]"\n')).startswith(message)


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
        st.text(st.characters(codec="utf-8", exclude_characters="\0\r\n\ufeff"), min_size=1).filter(str.strip)
    )
)
def test_text_reads_back_as_written(tmp_path_factory, rows):
    name = put(tmp_path_factory.getbasetemp() / "trip.txt", "\n".join(rows))
    assert pairs(str(name), input_format="text") == [
        (str(number), text) for number, text in enumerate(rows, 1)
    ]
