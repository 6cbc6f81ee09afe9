"""Inputs are opened as what they hold, and what goes wrong is one line that names the input."""

import bz2
import gzip
import io
import lzma
import sys
from contextlib import contextmanager

import fsspec
import numpy as np
import pyarrow as pa
import pytest

from embedkit.data.text.input_kinds import kind_of
from embedkit.data.text.read_errors import readable
from embedkit.data.text.streams import open_stream
from embedkit.errors import DataError

BODY = b"one\ntwo\nthree\n" * 1000


def zstd(data):
    return pa.compress(data, codec="zstd", asbytes=True)


COMPRESS = {".gz": gzip.compress, ".zst": zstd, ".bz2": bz2.compress, ".xz": lzma.compress}
each_compression = pytest.mark.parametrize("extension", COMPRESS)


def content(name):
    with open_stream(str(name)) as stream, readable(stream.name):
        return stream.file.read()


def refusal(name):
    with pytest.raises(DataError) as caught:
        content(name)
    return str(caught.value)


@each_compression
@pytest.mark.parametrize("named", [True, False])
def test_compression_is_seen_by_extension_and_by_first_bytes(folder, extension, named):
    name = f"text.txt{extension}" if named else "nameless"
    (folder / name).write_bytes(COMPRESS[extension](BODY))
    assert content(name) == BODY


@each_compression
def test_joined_members_are_read_to_the_end(folder, extension):
    (folder / "joined").write_bytes(COMPRESS[extension](b"one\n") + COMPRESS[extension](b"two\n"))
    assert content("joined") == b"one\ntwo\n"


@each_compression
@pytest.mark.parametrize("missing", [1, 9, 20])
def test_a_compressed_file_cut_short_is_an_error(folder, extension, missing):
    (folder / "cut").write_bytes(COMPRESS[extension](BODY)[:-missing])
    assert refusal("cut").startswith("cut: cannot be read: ")


@each_compression
def test_a_second_member_cut_short_is_an_error(folder, extension):
    compress = COMPRESS[extension]
    (folder / "cut").write_bytes(compress(BODY) + compress(BODY)[:-5])
    assert refusal("cut").startswith("cut: cannot be read: ")


@each_compression
def test_an_extension_that_lies_about_compression_is_an_error(folder, extension):
    (folder / f"plain{extension}").write_bytes(b"plain text\n")
    assert refusal(f"plain{extension}").startswith(f"plain{extension}: cannot be read: ")


def test_a_text_that_begins_like_the_mark_of_bzip2_is_text(folder):
    (folder / "names.txt").write_bytes(b"BZhang wrote\n")
    assert content("names.txt") == b"BZhang wrote\n"


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("a.jsonl", "jsonl"),
        ("A.NDJSON.GZ", "jsonl"),
        ("a.csv.zst", "csv"),
        ("a.tsv", "tsv"),
        ("a.feather", "arrow"),
        ("s3://bucket/a.parquet?version=3", "parquet"),
        ("what?.csv", "csv"),
        ("a.txt", None),
        ("csv", None),
        ("-", None),
    ],
)
def test_the_kind_that_a_name_says(name, kind):
    assert kind_of(name) == kind


def npy_bytes():
    file = io.BytesIO()
    np.save(file, np.zeros((1, 2)))
    return file.getvalue()


def arrow_bytes(new):
    file = io.BytesIO()
    table = pa.table({"text": ["a"]})
    with new(file, table.schema) as writer:
        writer.write_table(table)
    return file.getvalue()


@pytest.mark.parametrize(
    ("head", "kind"),
    [
        (b'{"text": "a"}\n', "jsonl"),
        (b'\xef\xbb\xbf \n{"text": "a"}\n', "jsonl"),
        (b"[1, 2]\n", "text"),
        (b"", "text"),
        (b"PAR1\x15", "parquet"),
        (arrow_bytes(pa.ipc.new_file), "arrow"),
        (arrow_bytes(pa.ipc.new_stream), "arrow"),
        (npy_bytes(), "npy"),
        (gzip.compress(b'{"text": "a"}\n', mtime=0), "jsonl"),
    ],
)
def test_the_kind_of_a_nameless_input_is_in_its_first_bytes(folder, head, kind):
    (folder / "nameless").write_bytes(head)
    with open_stream("nameless") as stream:
        assert stream.kind == kind


def test_a_kind_that_is_asked_for_wins(folder):
    (folder / "data.jsonl").write_bytes(b"plain")
    with open_stream("data.jsonl", "text") as stream:
        assert stream.kind == "text"


@contextmanager
def standard_input(monkeypatch, data):
    with io.TextIOWrapper(io.BufferedReader(io.BytesIO(data))) as stand_in:
        monkeypatch.setattr(sys, "stdin", stand_in)
        yield


def test_a_hyphen_is_standard_input(monkeypatch):
    with standard_input(monkeypatch, gzip.compress(BODY)):
        assert content("-") == BODY


def test_standard_input_stays_open(monkeypatch):
    with standard_input(monkeypatch, BODY):
        content("-")
        assert not sys.stdin.closed


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("nowhere.txt", "nowhere.txt: no such file"),
        (".", ".: is a folder, not a file"),
        ("memory://nowhere.txt", "memory://nowhere.txt: no such file"),
        ("what://x", "what://x: cannot be opened: Protocol not known: what"),
    ],
)
def test_what_cannot_be_opened_is_named(folder, name, message):
    assert refusal(name) == message


@pytest.mark.parametrize("name", ["store/a.txt", "store/a.txt.gz", "store/nameless"])
def test_a_url_is_opened_as_what_it_holds(name):
    data = BODY if name.endswith("txt") else gzip.compress(BODY)
    store = fsspec.filesystem("memory")
    store.pipe(f"/{name}", data)
    try:
        with open_stream(f"memory://{name}") as stream:
            assert stream.size == len(data)
            assert stream.file.read() == BODY
    finally:
        store.rm("/store", recursive=True)


class Refusing(fsspec.AbstractFileSystem):
    """A store whose failures are of a class of its own, as those of real stores are."""

    def _open(self, path, **_):
        raise ImportError("Install stub to access STUB") if "package" in path else Exception("access denied")


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("refusing://a", "refusing://a: cannot be opened: access denied"),
        (
            "refusing://package",
            "refusing://package: needs a package that is not installed: Install stub to access STUB",
        ),
    ],
)
def test_whatever_a_store_raises_is_one_line(name, message):
    fsspec.register_implementation("refusing", Refusing, clobber=True)
    assert refusal(name) == message


@pytest.mark.parametrize("error", [FileNotFoundError, EOFError, ValueError])
def test_what_goes_wrong_in_the_caller_is_not_blamed_on_the_input(folder, error):
    (folder / "a.txt").write_bytes(BODY)
    with pytest.raises(error), open_stream("a.txt"):
        raise error


def test_a_closed_pipe_is_not_blamed_on_the_input():
    with pytest.raises(BrokenPipeError), readable("a.txt"):
        raise BrokenPipeError


def test_the_position_is_that_in_the_compressed_file(folder):
    (folder / "a.gz").write_bytes(gzip.compress(BODY))
    with open_stream("a.gz") as stream:
        stream.file.read()
        assert stream.tell() == stream.size == (folder / "a.gz").stat().st_size


def rows_of(name):
    with open_stream(str(name)) as stream:
        return sum(batch.num_rows for batch in stream.table.batches)


def test_an_arrow_stream_cut_between_batches_is_an_error(folder):
    whole = arrow_bytes(pa.ipc.new_stream)
    (folder / "whole.arrows").write_bytes(whole)
    (folder / "cut.arrows").write_bytes(whole[:-8])  # without the end mark
    assert rows_of("whole.arrows") == 1
    with pytest.raises(DataError, match=r"^cut.arrows: is truncated: "):
        rows_of("cut.arrows")


@pytest.mark.parametrize("new", [pa.ipc.new_file, pa.ipc.new_stream])
@pytest.mark.parametrize("missing", [20, 100, 300])
def test_an_arrow_input_cut_short_is_an_error(folder, new, missing):
    (folder / "cut.arrow").write_bytes(arrow_bytes(new)[:-missing])
    with pytest.raises(DataError, match=r"^cut.arrow: (is truncated, or not valid arrow|cannot be read): "):
        rows_of("cut.arrow")


@pytest.mark.parametrize("kind", ["parquet", "arrow"])
@pytest.mark.parametrize("data", [b"", b'{"text": "a"}\n' * 9])
def test_another_kind_of_file_by_a_table_s_name_is_an_error(folder, kind, data):
    (folder / f"a.{kind}").write_bytes(data)
    with pytest.raises(DataError, match=rf"^a.{kind}: (is truncated, or not valid {kind}|cannot be read): "):
        rows_of(f"a.{kind}")


def test_a_table_that_needs_seeking_is_refused_inside_zstd(folder):
    (folder / "a.arrow.zst").write_bytes(zstd(arrow_bytes(pa.ipc.new_file)))
    with pytest.raises(DataError, match=r"read from their end.*; name an uncompressed file$"):
        rows_of("a.arrow.zst")
