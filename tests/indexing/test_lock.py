"""One writer at a time, whoever it is; readers keep what they read."""

import errno
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import orjson
import pytest

from embedkit.errors import ExistsError, FormatError
from embedkit.indexing.building import build_index
from embedkit.indexing.edit import add, compact, delete
from embedkit.indexing.lock import LOCK, Lease, Owner, discard_unread, writer_lock
from embedkit.indexing.merging import merge
from embedkit.indexing.store import Index

HOLD = """
import sys
from pathlib import Path
from embedkit.indexing.lock import writer_lock
with writer_lock(Path("x.idx")):
    print("held", flush=True)
    sys.stdin.readline()
"""
READ = """
import sys
from embedkit.embedding.loading import load
from embedkit.indexing.store import Index
index = Index.open("x.idx")
print("opened", flush=True)
sys.stdin.readline()
query = load("hash:dim=16").encode(["the text 0 of document b"])
print(index.hits(query, 1)[0][0].document["text"])
"""


def started(code):
    """Start a process and wait until it has said its first word."""
    pipe = subprocess.PIPE
    process = subprocess.Popen([sys.executable, "-c", code], stdin=pipe, stdout=pipe, text=True)
    process.stdout.readline()
    return process


@pytest.fixture
def idx(folder, docs):
    """The index `x.idx` of a, b and c."""
    return build_index("x.idx", *docs("abc")).path


def test_a_second_writer_is_refused_and_told_who_writes(idx):
    process = started(HOLD)
    with pytest.raises(ExistsError) as caught:
        delete(idx, ["a"])
    assert str(caught.value).startswith(f"x.idx: is being written by process {process.pid} on ")
    assert str(caught.value).endswith("; one writer at a time")
    process.communicate("\n")
    assert delete(idx, ["a"]).deleted == 1


@pytest.mark.parametrize("change", ["build", "merge"])
def test_an_index_that_is_written_is_replaced_by_no_one(idx, docs, change):
    build_index("y.idx", *docs("x"))
    before = (idx / "manifest.json").read_bytes()
    process = started(HOLD)
    with pytest.raises(ExistsError, match=rf"^x.idx: is being written by process {process.pid} on "):
        build_index(idx, *docs("z")) if change == "build" else merge(["y.idx"], idx)
    assert (idx / "manifest.json").read_bytes() == before
    process.communicate("\n")
    index = build_index(idx, *docs("z")) if change == "build" else merge(["y.idx"], idx)
    assert index.rows == 1
    assert {path.name for path in idx.iterdir()} == {"manifest.json", "segments"}
    assert {path.name for path in idx.parent.iterdir()} == {"x.idx", "y.idx"}


def test_no_one_writes_an_index_while_it_is_being_replaced(idx, docs):
    meta, batches = docs("z")

    def meanwhile():
        with pytest.raises(ExistsError, match=rf"is being written by process {os.getpid()} on "):
            delete(idx, ["a"])
        yield from batches

    assert build_index(idx, meta, meanwhile()).rows == 1


@pytest.mark.parametrize("change", ["build", "merge"])
def test_a_reader_meets_no_file_of_the_index_that_replaced_its_own(idx, docs, change):
    build_index("y.idx", *docs("xyz"))
    reader = Index.open(idx)
    build_index(idx, *docs("xyz")) if change == "build" else merge(["y.idx"], idx)
    with pytest.raises(FormatError, match="is missing"):
        reader.search(np.ones((1, 16), np.float32), 1)
    assert add(idx, *docs("a")).after.rows == 4


def test_the_lock_of_a_killed_writer_is_taken_over_with_a_warning(idx, caplog, monkeypatch):
    process = started(HOLD)
    process.kill()
    process.communicate()
    assert (idx / LOCK).exists()
    delete(idx, ["a"])
    assert f"process {process.pid} on " in caplog.text
    assert "was killed while it wrote" in caplog.text
    assert not (idx / LOCK).exists()


def test_the_lock_says_who_holds_it_and_is_gone_afterwards(folder):
    with writer_lock(folder):
        owner = Owner(**orjson.loads((folder / LOCK).read_bytes()))
        assert (owner.pid, owner.host) == (os.getpid(), os.uname().nodename)
    assert list(folder.iterdir()) == []


def test_a_lock_that_was_removed_while_another_waited_for_it_is_none(folder, monkeypatch):
    """Between opening the file and locking it, its owner may have removed it."""
    opened, real = [], os.open

    def once_removed(path, *args):
        descriptor = real(path, *args)
        if not opened:
            Path(path).unlink()
        opened.append(path)
        return descriptor

    monkeypatch.setattr(os, "open", once_removed)
    with writer_lock(folder):
        assert (folder / LOCK).exists()
    assert len(opened) == 2


def test_what_is_no_index_gets_no_lock(folder):
    Path("x").mkdir()
    with pytest.raises(Exception, match="is not an index"):
        delete("x", ["a"])
    assert list(Path("x").iterdir()) == []


def test_a_reader_that_opened_before_two_compactions_still_answers(idx, docs):
    process = started(READ)
    for version in (1, 2):
        add(idx, *docs("bd", version=version))
        compact(idx)
    assert (idx / "segments/00000").exists()
    out, _ = process.communicate("\n")
    assert out == "the text 0 of document b\n"
    add(idx, *docs("e"))
    assert not (idx / "segments/00000").exists()  # nobody reads it any more


def test_a_folder_is_kept_while_it_is_read(folder):
    Path("s").mkdir()
    lease = Lease(Path("s"))
    assert not discard_unread(Path("s"))
    del lease
    assert discard_unread(Path("s"))
    assert not Path("s").exists()


def test_a_reader_that_meets_a_writer_opens_the_next_generation(idx, docs, monkeypatch):
    """The manifest is read, and before its segments are, they are replaced and cleared away."""
    from embedkit.indexing import store

    real, done = store.read_manifest, []

    def overtaken(path):
        manifest = real(path)
        if not done:
            done.append(True)
            add(idx, *docs("d"))
            compact(idx)
        return manifest

    monkeypatch.setattr(store, "read_manifest", overtaken)
    index = Index.open(idx)
    assert (index.rows, index.manifest.generation) == (4, 2)
    assert not (idx / "segments/00000").exists()


@pytest.mark.parametrize("use", ["search", "merge"])
def test_a_reader_needs_no_tombstones_that_a_writer_has_replaced(idx, use):
    delete(idx, ["a"])
    reader, opened = Index.open(idx), (idx / "segments/00000/deleted-00001.bits")
    assert opened.exists()
    delete(idx, ["b"])
    assert not opened.exists()
    if use == "search":
        assert len(reader.hits(np.ones((1, 16), np.float32), 9)[0]) == 2
    else:
        assert merge([idx], "y.idx").rows == 1
    reader.verify()


def test_a_full_disk_is_said_with_the_name_of_the_lock_which_is_left_to_nobody(folder, monkeypatch):
    Path("x.idx").mkdir()

    def full(*_):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "pwrite", full)
    with (
        pytest.raises(OSError, match=r"No space left on device: 'x\.idx/writer\.lock'"),
        writer_lock(Path("x.idx")),
    ):
        pass
    assert list(Path("x.idx").iterdir()) == []


def test_an_index_built_over_a_link_leaves_no_lock_where_that_led(folder, docs):
    """Later writers of what the link had led to were told of one that was killed."""
    build_index("real.idx", *docs("ab"))
    Path("link.idx").symlink_to("real.idx")
    build_index("link.idx", *docs("cd"))
    assert not Path("link.idx").is_symlink()
    assert not Path("real.idx/writer.lock").exists()
    assert sorted(path.name for path in folder.iterdir()) == ["link.idx", "real.idx"]
