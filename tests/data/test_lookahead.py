"""What is decided from the beginning of an input is decided by all of it that matters, however it arrives."""

import gzip
import io
import json
import os
import sys
import threading
import time
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import orjson
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from embedkit.data.atomic import refuse_existing
from embedkit.data.inputs import open_input, open_text, open_vectors
from embedkit.data.lookahead import Ahead
from embedkit.data.text.examples import read_examples
from embedkit.data.text.labelled import read_labelled
from embedkit.data.text.qrels import read_qrels
from embedkit.data.text.records import RecordReader, TextFormat
from embedkit.data.text.scored_pairs import Pair, read_pairs
from embedkit.data.text.streams import open_stream
from embedkit.errors import ExistsError

BOM = b"\xef\xbb\xbf"
PIPE = 1 << 16  # bytes that a pipe holds


def one_by_one(data):
    return [bytes([byte]) for byte in data]


@contextmanager
def piped(monkeypatch, parts, pause=0.0):
    """Make standard input a pipe into which the parts are written, with a pause behind each."""
    reading, writing = os.pipe()

    def write():
        with open(writing, "wb", buffering=0) as file:
            for part in parts:
                file.write(part)
                time.sleep(pause)

    writer = threading.Thread(target=write)
    with io.TextIOWrapper(open(reading, "rb")) as stand_in:
        monkeypatch.setattr(sys, "stdin", stand_in)
        writer.start()
        yield
        writer.join()


def arrow_stream(vectors):
    file = io.BytesIO()
    table = pa.table({"vector": pa.array(vectors, pa.list_(pa.float32(), len(vectors[0])))})
    with pa.ipc.new_stream(file, table.schema) as writer:
        writer.write_table(table)
    return file.getvalue()


def npy(vectors):
    file = io.BytesIO()
    np.save(file, np.array(vectors, np.float32))
    return file.getvalue()


VECTORS = [[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]]
AS_JSONL = b"".join(orjson.dumps({"id": str(n), "vector": row}) + b"\n" for n, row in enumerate(VECTORS))
TEXT = b'{"id": "x", "text": "one"}\n'


@pytest.mark.parametrize(
    ("data", "kind"),
    [
        (TEXT, "jsonl"),
        (BOM + TEXT, "jsonl"),
        (b" \n\n" + TEXT, "jsonl"),
        (b"{" * 3, "jsonl"),
        (b"B", "text"),  # so bzip2 begins
        (b"PAR", "text"),  # so Parquet begins
        (b"", "text"),
        (gzip.compress(TEXT, mtime=0), "jsonl"),
        (gzip.compress(BOM + TEXT, mtime=0), "jsonl"),
        (npy(VECTORS), "npy"),
        (arrow_stream(VECTORS), "arrow"),
    ],
)
def test_the_kind_of_a_pipe_does_not_depend_on_when_bytes_arrive(monkeypatch, data, kind):
    whole = gzip.decompress(data) if data[:2] == b"\x1f\x8b" else data
    with piped(monkeypatch, one_by_one(data), 1e-4), open_stream("-") as stream:
        assert stream.kind == kind
        assert stream.file.read() == whole


@pytest.mark.parametrize("data", [AS_JSONL, BOM + AS_JSONL, gzip.compress(AS_JSONL, mtime=0), npy(VECTORS)])
def test_vectors_that_arrive_byte_by_byte_are_vectors(monkeypatch, data):
    with piped(monkeypatch, one_by_one(data), 1e-4), open_vectors("-") as vectors:
        assert np.concatenate([batch.vectors for batch in vectors]).tolist() == VECTORS


@pytest.mark.parametrize("length", [PIPE - 30, PIPE, 1 << 20, 3 << 20])
@pytest.mark.parametrize("in_pipe", [True, False])
def test_vectors_behind_a_long_text_are_vectors(folder, monkeypatch, length, in_pipe):
    rows = [{"id": n, "text": "x" * length, "vector": row} for n, row in enumerate(VECTORS)]
    data = b"".join(orjson.dumps(row) + b"\n" for row in rows)
    (folder / "a.jsonl").write_bytes(data)
    with piped(monkeypatch, [data] if in_pipe else []), open_vectors("-" if in_pipe else "a.jsonl") as found:
        (batch,) = found
    assert batch.vectors.tolist() == VECTORS
    assert batch.table["text"].to_pylist() == ["x" * length] * 2


def test_a_header_that_arrives_in_two_parts_is_one_header(monkeypatch):
    parts = [b"sent0\tsent1", b"\thard_neg\na dog\ta hound\ta cat\n"]
    with piped(monkeypatch, parts, 0.02):
        found = read_examples(["-"], TextFormat("tsv"))
    assert found.columns == ("sent0", "sent1", "hard_neg")
    assert found.rows == [("a dog", "a hound", "a cat")]


@pytest.mark.parametrize("newline", ["\n", "\r\n"])
def test_a_header_of_csv_may_hold_a_line_break(monkeypatch, newline):
    data = f'{newline}"an{newline}chor",positive{newline}a dog,a hound{newline}'.encode()
    with piped(monkeypatch, one_by_one(data), 1e-4):
        found = read_examples(["-"], TextFormat("csv"))
    assert found.columns == (f"an{newline}chor", "positive")
    assert found.rows == [("a dog", "a hound")]


def test_a_first_object_of_a_megabyte_names_the_columns_to_train_on(folder):
    row = {"anchor": "a" * (2 << 20), "positive": "b"}
    (folder / "a.jsonl").write_text(json.dumps(row) + "\n")
    assert read_examples(["a.jsonl"]).columns == ("anchor", "positive")


@pytest.mark.parametrize("mark", [b"", BOM])
def test_tabs_are_found_wherever_the_first_line_pauses(monkeypatch, mark):
    data = mark + b"main\tfile\t2012\t1\t5.0\tA man, dancing.\tA man dances.\n"
    with piped(monkeypatch, one_by_one(data), 1e-4):
        assert read_pairs("-") == [Pair("A man, dancing.", "A man dances.", 5.0)]


def test_labels_are_found_wherever_the_first_line_pauses(monkeypatch):
    with piped(monkeypatch, one_by_one(b" \ntext\tlabel\nwhere is it?\tarrival\n"), 1e-4):
        assert read_labelled(["-"]).rows == [("where is it?", ("arrival",), (1.0,))]


def test_judgements_behind_a_byte_order_mark_are_read(monkeypatch):
    data = BOM + b'{"query-id": "q", "corpus-id": "d", "score": 1}\n'
    with piped(monkeypatch, one_by_one(data), 1e-4):
        assert read_qrels("-") == {"q": {"d": 1}}


@pytest.mark.parametrize("marker", ["meta.json", "manifest.json", "a.txt"])
def test_a_folder_of_its_name_does_not_stand_for_standard_input(folder, monkeypatch, marker):
    """Such a vector set was read in its place."""
    Path("-").mkdir()
    Path("-", marker).write_text("{}")
    for opened in (open_input, open_text):
        with io.TextIOWrapper(io.BytesIO(b"one\ntwo\n")) as stand_in:
            monkeypatch.setattr(sys, "stdin", stand_in)
            with opened(["-"], TextFormat()) as source:
                assert [record.text for record in source] == ["one", "two"]
    with pytest.raises(ExistsError, match=r"^-: would be taken for standard input; choose another name$"):
        refuse_existing(Path("-"), force=True)


def test_a_record_is_given_as_soon_as_its_line_is_there(monkeypatch):
    reading, writing = os.pipe()
    with io.TextIOWrapper(open(reading, "rb")) as stand_in, open(writing, "wb", buffering=0) as keyboard:
        monkeypatch.setattr(sys, "stdin", stand_in)
        keyboard.write(b"hi\n")
        with open_input(["-"], TextFormat()) as source:
            assert isinstance(source, RecordReader)
            records = iter(source)
            assert next(records).text == "hi"
            keyboard.write(b"ho\n")
            assert next(records).text == "ho"


class Counted(io.BytesIO):
    """Counts what is read of it."""

    given = 0

    def read1(self, size=-1):
        piece = super().read1(size)
        self.given += len(piece)
        return piece


def test_no_more_is_kept_than_the_first_line_and_what_came_with_it():
    file = Counted(b"x" * 1000 + b"\n" + bytes(50 << 20))
    assert len(next(Ahead(file).lines())) == 1001
    assert file.given <= 1 << 20


def test_a_look_after_reading_is_an_error():
    ahead = Ahead(io.BytesIO(b"one\ntwo\n"))
    ahead.read(2)
    with pytest.raises(ValueError, match="before it is read"):
        ahead.beginning(1)


@given(st.binary(max_size=200).map(lambda data: data.replace(b"\1", b"\n")), st.integers(0, 250))
def test_what_was_looked_at_is_read_again(data, size):
    ahead = Ahead(io.BytesIO(data))
    assert ahead.beginning(size) == data[:size]
    assert list(ahead.lines()) == list(io.BytesIO(data))
    file = io.BufferedReader(ahead, 16)
    half = len(data) // 2
    assert file.read(half) + file.read() == data
    assert file.seek(half) == half
    assert file.read(3) == data[half : half + 3]
    assert file.seek(-min(2, half), io.SEEK_CUR) == file.tell()
    assert file.read() == data[min(half + 3, len(data)) - min(2, half) :]
