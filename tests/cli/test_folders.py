"""Folders as a source of the commands, and `index sync`."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from embedkit.data.vectors.vector_set import VectorSet
from embedkit.indexing.store import Index


@pytest.fixture
def notes(folder):
    """The folder `notes` of two files, a hidden one, a binary one and an ignored one, all a while old."""
    texts = {
        "guide.md": "# Guide\n\nHow to copy a directory tree.\n\n## Threads\n\nWait for a thread to end.\n",
        "sub/mail.txt": "Send a letter by mail.\n",
        ".hidden": "no", "image.bin": "\0", "a.tmp": "no", ".gitignore": "*.tmp\n",
    }  # fmt: skip
    for name, text in texts.items():
        path = Path("notes", name)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        os.utime(path, (1e9, 1e9))
    return Path("notes")


COUNTS = "2 files, skipped 2 hidden, 1 ignored, 1 binary"


def test_a_folder_becomes_an_index_and_hits_are_places_that_editors_open(run, notes):
    done = run("index", notes, "-o", "x.idx", "--chunk", 12)
    assert done.code == 0
    assert done.said.endswith(f"-> x.idx; {COUNTS}\n")
    assert run("search", "x.idx", "thread to end", "-k", 1, "--format", "ids").out == "notes/guide.md:5\n"
    (line,) = run("search", "x.idx", "wait for a thread", "-k", 1, "--json").out.splitlines()
    hit = json.loads(line)
    assert {name: hit[name] for name in ("id", "path", "line", "line_to", "headings", "text")} == {
        "id": "notes/guide.md:5", "path": "notes/guide.md", "line": 5, "line_to": 7,
        "headings": "Guide > Threads", "text": "## Threads\n\nWait for a thread to end.",
    }  # fmt: skip


def test_a_planned_build_counts_the_files_too(run, notes):
    planned = ("index", notes, "-o", "x.idx", "--recall", ".9")
    assert run(*planned, "--dry-run").said.startswith(f"embedkit: {COUNTS}\n")
    done = run(*planned)
    assert done.code == 0
    assert done.said.endswith(f" of memory now; {COUNTS}\n")
    facts = json.loads(run(*planned, "--json", "--force").out)
    assert {name: facts["folders"][name] for name in ("files", "hidden", "ignored", "binary")} == {
        "files": 2, "hidden": 2, "ignored": 1, "binary": 1,
    }  # fmt: skip


@pytest.mark.parametrize("command", ["encode", "index", "fit centre"])
def test_a_folder_is_not_spread_over_a_cluster(run, notes, command):
    done = run(*command.split(), "notes", "-o", "out", "--cluster", "auto")
    hint = "omit --cluster, or encode notes first: embedkit encode notes -o docs.vec"
    assert (done.code, done.said) == (2, f"embedkit: notes: a folder is read by one process; {hint}\n")


def test_a_table_shows_the_first_line_with_a_word_of_the_query(run, tmp_path):
    (tmp_path / "notes").mkdir()
    (tmp_path / "notes/a.md").write_text("# Packing\n\nWrap the glasses.\nMark the glasses.\n")
    run("index", "notes", "-o", "x.idx", "-q")

    def line(*args):
        return run("search", "x.idx", *args, "--format", "table").out.splitlines()[-1].rpartition("  ")[2]

    assert line("glasses", "--lexical") == "Wrap the glasses."
    assert line("glass", "--hybrid") == "Wrap the glasses."
    assert line("other words", "--hybrid") == "# Packing"
    assert line("packing", "--lexical") == "# Packing"
    assert line("glasses") == "# Packing"


def test_a_place_is_printed_whole_in_a_table(run, notes):
    deep = notes / ("a" * 30) / ("b" * 30)
    deep.mkdir(parents=True)
    (deep / "c.txt").write_text("something deep\n")
    run("index", notes, "-o", "x.idx", "-q")
    table = run("search", "x.idx", "something deep", "-k", 1, "--format", "table").out
    assert f"notes/{'a' * 30}/{'b' * 30}/c.txt:1" in table


def test_folders_files_and_formats_can_be_mixed(run, notes, docs):
    assert run("index", docs, notes, "-o", "x.idx").code == 0
    index = Index.open("x.idx")
    assert index.find(["notes/guide.md:1", "tree"]).keys() == {"notes/guide.md:1", "tree"}
    assert run("index", "sync", "x.idx").code == 0
    assert Index.open("x.idx").rows == index.rows


def test_a_folder_is_encoded_like_a_file(run, notes):
    done = run("encode", notes, "-o", "x.vec", "--chunk", 12, "--json")
    facts = json.loads(done.out)
    assert (facts["rows"], facts["folders"]["files"], facts["folders"]["failed"]) == (3, 2, [])
    assert VectorSet.open(Path("x.vec")).column("id", 0).to_pylist() == [
        "notes/guide.md:1", "notes/guide.md:5", "notes/sub/mail.txt:1",
    ]  # fmt: skip
    assert run("encode", notes, "-o", "x.jsonl", "--include", "*.txt").code == 0
    assert [json.loads(line)["id"] for line in Path("x.jsonl").read_text().splitlines()] == [
        "notes/sub/mail.txt:1"
    ]


def test_headings_are_embedded_unless_they_are_not_wanted(run, notes):
    vectors = []
    for option in ("--headings", "--no-headings"):
        run("encode", notes, "-o", "x.vec", "--chunk", 12, option, "--force", "-q")
        vectors.append(VectorSet.open(Path("x.vec")).vectors(0))
    assert [(one == two).all() for one, two in zip(*vectors, strict=True)] == [False, False, True]


def test_a_sync_says_what_it_did(run, notes):
    run("index", notes, "-o", "x.idx", "--chunk", 12, "-q")
    done = run("index", "sync", "x.idx")
    assert done == (0, "", f"embedkit: nothing changed -> x.idx, 3 documents; {COUNTS}\n")
    (notes / "sub/mail.txt").rename(notes / "letter.txt")
    (notes / "new.md").write_text("something new")
    done = run("index", "sync", "x.idx", notes)
    assert done.said == (
        "embedkit: 2 new, 0 changed and 1 vanished files; 2 passages added (1 encoded), 1 deleted "
        f"-> x.idx, 4 documents; {COUNTS.replace('2 files', '3 files')}\n"
    )
    facts = json.loads(run("index", "sync", "x.idx", "--json").out)
    assert (facts["new"], facts["encoded"], facts["documents"]) == (0, 0, 4)


@pytest.mark.parametrize(
    ("args", "code", "message"),
    [
        (["index", "sync", "no.idx"], 1, "no.idx: no such index"),
        (
            ["index", "sync", "d.idx"],
            2,
            "d.idx: follows no folder, so it cannot be synced; build it of a folder: "
            "embedkit index FOLDER -o d.idx",
        ),
        (
            ["index", "sync", "x.idx", "--chunk", "9"],
            2,
            "x.idx: --chunk: the index was built with 200; omit it, or build the index anew with --force",
        ),
        (["index", "sync", "x.idx", "notes", "."], 2, None),
        (
            ["index", "notes", "notes/sub", "-o", "y.idx"],
            2,
            "notes/sub: has files in common with notes; name the outer one only",
        ),
        (["encode", "docs.jsonl", "-o", "y.vec", "--chunk", "9"], 2, "--chunk: applies only to folders"),
        (["index", "notes", "-o", "y.idx", "--chunk", "0"], 2, "--chunk: must be at least 1, got 0"),
        (
            ["index", "notes", "-o", "y.idx", "--overlap", "150"],
            2,
            "--overlap: must be between 0 and half of the chunk of 200 tokens, got 150",
        ),
        (
            ["encode", "x.idx", "-o", "y.vec"],
            1,
            "x.idx: is an index, expected text; name the text that it was built of",
        ),
        (["index", "empty", "-o", "y.idx"], 1, "empty: the input contains no text"),
        (
            ["encode", "notes", "-o", "y.vec", "--reuse", "z.vec"],
            2,
            "--reuse: cannot be used with a folder; index the folder; embedkit index sync keeps its vectors",
        ),
    ],
)
def test_a_mistake_is_one_line(run, notes, docs, args, code, message):
    run("index", notes, "-o", "x.idx", "-q")
    run("index", docs, "-o", "d.idx", "-q")
    Path("empty").mkdir()
    done = run(*args)
    assert done.code == code
    assert done.said.count("\n") == 1
    assert message is None or done.said == f"embedkit: {message}\n"


def test_files_that_cannot_be_read_are_listed_at_the_end(run, notes):
    (notes / "bad.docx").write_bytes(b"no zip")
    done = run("index", notes, "-o", "x.idx")
    assert done.code == 0
    assert "embedkit: notes/bad.docx: is damaged: File is not a zip file; skipped\n" in done.said
    assert done.said.endswith(f"{COUNTS}, 1 unreadable\n")


def test_passages_longer_than_the_encoder_reads_are_warned_of(run, notes, monkeypatch):
    from embedkit.embedding.hashed_encoder import HashedEncoder

    identity = HashedEncoder.identity.fget

    def short(self):
        return type(identity(self))(**{**identity(self).__dict__, "max_length": 100})

    monkeypatch.setattr(HashedEncoder, "identity", property(short))
    done = run("encode", notes, "-o", "x.npy")
    assert "passages have up to 200 tokens" in done.said
    assert "set --chunk 98 or less" in done.said


def test_what_an_index_follows_is_shown(run, notes):
    run("index", notes, "-o", "x.idx", "-q", "--chunk", 12)
    facts = json.loads(run("info", "x.idx", "--json").out)
    assert (facts["folders"], facts["chunk"]) == ([str(notes.resolve())], 12)
    assert (facts["files"], facts["files passed over"]) == (2, 1)


def test_watching_syncs_when_a_file_changes(run, notes):
    pytest.importorskip("watchfiles")
    run("index", notes, "-o", "notes/x.idx", "-q")
    program = (  # a suite that runs in the background ignores interrupts, and so would its children
        "import signal; signal.signal(signal.SIGINT, signal.default_int_handler);"
        "from embedkit.cli.app import main; main()"
    )
    command = [sys.executable, "-c", program, "index", "sync", "notes/x.idx", "--watch"]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
        try:
            assert "nothing changed" in process.stderr.readline()
            end = time.monotonic() + 60
            while Index.open("notes/x.idx").rows < 3 and time.monotonic() < end:
                Path("notes/new.md").write_text(f"written at {time.monotonic()}")
                time.sleep(2)
            assert "1 passage added" in process.stderr.readline()
            process.send_signal(signal.SIGINT)
            assert process.wait(60) == 0
            end_line = "stopped watching; notes/x.idx is as the last sync left it\n"
            assert process.stderr.read().endswith(end_line)
        finally:
            process.kill()
