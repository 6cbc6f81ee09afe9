"""A synced index equals a fresh build of its folders, and only what changed was read and encoded."""

import logging
import os
import random
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from embedkit.data.folders import changes
from embedkit.data.folders.folder_settings import FolderSettings
from embedkit.data.text.record import Record
from embedkit.data.vectors import tables
from embedkit.data.vectors.vector_set import Batch
from embedkit.embedding.encoding import describe
from embedkit.errors import DataError, FormatError, MismatchError, UsageError
from embedkit.indexing.edit import add, compact, delete
from embedkit.indexing.merging import merge
from embedkit.indexing.store import Index
from tests.indexing.syncing import (
    ENCODER,
    KEPT,
    SETTINGS,
    age,
    build,
    change,
    held,
    same_as_fresh,
    some_text,
    synced,
)

HERE = Path(__file__).parent


@pytest.fixture
def put(folder):
    """Write a file of the folder `in`, an hour old."""

    def write(name, text):
        path = Path("in", name)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        age(path.parent, 3600)
        return path

    write("a.md", "# One\n\nthe first words\n\n# Two\n\nthe second words of it\n")
    write("sub/b.txt", "something else entirely")
    return write


def numbers(done):
    return done.new, done.changed, done.vanished, done.added, done.deleted, done.encoded


def test_a_file_that_cannot_be_read_is_named_once_and_counted_always(put, caplog):
    put("bad.docx", "no archive")
    build("x.idx")
    caplog.clear()
    for _ in range(2):
        assert str(synced()[0].counts) == "2 files, skipped 1 unreadable"
    os.utime("in/bad.docx", (9, 9))
    assert str(synced()[0].counts) == "2 files, skipped 1 unreadable"
    assert caplog.messages == []
    put("bad.docx", "no archive either")
    assert synced()[0].counts.to_json()["failed"] == [
        {"path": "in/bad.docx", "error": "is damaged: File is not a zip file"}
    ]
    assert caplog.messages == ["in/bad.docx: is damaged: File is not a zip file; skipped"]


@pytest.mark.parametrize(
    ("kind", "seed"),
    [*(("flat", seed) for seed in range(8)), *(("int8:rescore=none", seed) for seed in range(3))],
)
def test_a_synced_index_equals_a_fresh_build_after_any_changes(folder, seed, kind):
    chance = random.Random(seed)
    Path("in").mkdir()
    Path("in", KEPT).write_text(some_text(chance) + "start")
    build("x.idx", kind=kind)
    for _ in range(6):
        for _ in range(chance.randint(0, 6)):
            change(chance)
        if chance.random() < 0.5:
            age(seconds=chance.randint(1, 100))
        synced()
        if kind == "flat":
            same_as_fresh()
        else:  # vectors are rounded by the ranges of their segment
            index, fresh = Index.open("x.idx"), build("fresh.idx", kind=kind)
            assert held(index)[0].keys() == held(fresh)[0].keys()
            shutil.rmtree("fresh.idx")


def test_without_changes_nothing_is_read_or_written(put, monkeypatch):
    build("x.idx")
    before = Path("x.idx/manifest.json").read_bytes()
    monkeypatch.setattr(changes, "content_of", None)
    done, texts = synced()
    assert (numbers(done), texts) == ((0, 0, 0, 0, 0, 0), [])
    assert Path("x.idx/manifest.json").read_bytes() == before


def test_only_passages_that_changed_are_encoded(put):
    build("x.idx")
    put("a.md", "# Zero\n\nnew words before\n\n# One\n\nthe first words\n\n# Two\n\nthe second words of it\n")
    done, texts = synced()
    assert texts == ["Zero\n\n# Zero\n\nnew words before"]
    assert numbers(done) == (0, 1, 0, 3, 2, 1)
    same_as_fresh()


def test_a_renamed_file_keeps_its_vectors(put):
    build("x.idx")
    Path("in/a.md").rename("in/sub/renamed.md")
    done, texts = synced()
    assert (numbers(done), texts) == ((1, 0, 1, 2, 2, 0), [])
    same_as_fresh()


def test_a_file_that_was_touched_is_read_once_and_not_encoded(put, monkeypatch):
    build("x.idx")
    age(seconds=50)
    done, texts = synced()
    assert (numbers(done), texts) == ((0, 0, 0, 0, 0, 0), [])
    monkeypatch.setattr(changes, "content_of", None)
    synced()


def test_a_change_within_the_resolution_of_file_times_is_seen(put):
    path = Path("in/a.md")
    path.write_text("one word")
    build("x.idx")
    status = path.stat()
    path.write_text("two word")
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))
    assert synced()[1] == ["two word"]


def test_documents_from_elsewhere_stay(put):
    build("x.idx")
    vectors = ENCODER.encode(["mine"])
    add("x.idx", describe(ENCODER), [Batch(tables.to_table([Record("mine", "mine", {})]), vectors)])
    Path("in/a.md").unlink()
    synced()
    assert Index.open("x.idx").find(["mine", "in/sub/b.txt:1", "in/a.md:1"]).keys() == {
        "mine",
        "in/sub/b.txt:1",
    }


def test_a_passage_that_was_deleted_comes_back_when_its_file_changes(put):
    build("x.idx")
    delete("x.idx", ["in/a.md:1"])
    assert synced()[0].after.rows == 2
    put("a.md", "# One\n\nthe first words\n\n# Two\n\nsomething of it\n")
    synced()
    same_as_fresh()


def test_compaction_keeps_the_states_of_files(put):
    build("x.idx")
    put("c.md", "more")
    synced()
    compact("x.idx")
    same_as_fresh()
    assert numbers(synced()[0]) == (0, 0, 0, 0, 0, 0)


def test_merged_indexes_follow_the_folders_of_both(put):
    Path("other").mkdir()
    Path("other/c.md").write_text("in another folder")
    build("x.idx")
    build("y.idx", "other")
    merge(["x.idx", "y.idx"], "z.idx")
    Path("other/d.md").write_text("more")
    Path("in/a.md").unlink()
    done, texts = synced("z.idx")
    assert texts == ["more"]
    assert held(done.after) == held(build("fresh.idx", "in", "other"))


def test_a_file_of_two_merged_indexes_is_read_anew(put):
    build("x.idx")
    put("a.md", "all of it is new and longer than before")
    build("y.idx")
    merge(["x.idx", "y.idx"], "z.idx", replaces=True)
    synced("z.idx")
    same_as_fresh("z.idx")


def test_merged_indexes_of_other_settings_cannot_be_synced(put, caplog):
    build("x.idx")
    Path("other").mkdir()
    Path("other/c.md").write_text("in another folder")
    build("y.idx", "other", settings=FolderSettings(chunk=50))
    merge(["x.idx", "y.idx"], "z.idx")
    assert "index sync cannot follow" in caplog.text
    with pytest.raises(UsageError, match=r"z.idx: follows no folder"):
        synced("z.idx")


def test_small_segments_are_merged_so_that_their_number_stays_small(put):
    for number in range(200):
        put(f"many/{number}.txt", f"text {number}")
    build("x.idx")
    for number in range(25):
        put(f"new/{number}.txt", f"another {number}")
        synced()
    assert len(Index.open("x.idx").segments) <= 4
    same_as_fresh()


def test_everything_may_vanish_and_come_back(put):
    build("x.idx")
    shutil.rmtree("in")
    Path("in").mkdir()
    assert synced()[0].after.rows == 0
    put("a.md", "back")
    assert synced()[0].after.rows == 1
    same_as_fresh()


def test_a_folder_that_is_away_deletes_nothing(put):
    build("x.idx")
    Path("in").rename("away")
    with pytest.raises(DataError, match=r"in: no such folder$"):
        synced()
    assert Index.open("x.idx").rows == 3
    done, texts = synced(folders=["away"], moved=True)
    assert (done.after.rows, texts) == (3, [])
    assert numbers(synced(folders=["away"])[0]) == (0, 0, 0, 0, 0, 0)


def test_settings_and_folders_that_contradict_the_index_are_refused(put):
    build("x.idx")
    synced(folders=["in/../in"], settings={"chunk": SETTINGS.chunk})
    with pytest.raises(UsageError, match=r"x.idx: `chunk`: the index was built with 8"):
        synced(settings={"chunk": 13})
    with pytest.raises(UsageError, match=r"sub: is not a folder that x.idx follows; it follows .*in;"):
        synced(folders=["in/sub"])


def test_another_encoder_is_refused_and_changes_nothing(put):
    from embedkit.embedding.loading import load
    from embedkit.indexing.syncing import sync

    build("x.idx")
    put("c.md", "new")
    with pytest.raises(MismatchError):
        sync("x.idx", lambda: load("hash:dim=16,seed=1"))
    synced()
    same_as_fresh()


def test_damaged_states_are_refused(put):
    build("x.idx")
    (file,) = Path("x.idx").glob("files-*.arrow")
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 1
    file.write_bytes(content)
    with pytest.raises(FormatError, match="checksum"):
        synced()
    with pytest.raises(FormatError, match="checksum"):
        Index.open("x.idx").verify()


@pytest.mark.parametrize("kills", [8, pytest.param(50, marks=pytest.mark.slow)])
def test_a_killed_sync_leaves_the_old_index_or_the_new_one(folder, kills):
    logging.disable(logging.NOTSET)
    command = [sys.executable, HERE / "killed_syncs.py", str(kills)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    killed, _ = map(int, done.stdout.split())
    assert killed == kills
