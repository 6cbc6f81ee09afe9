"""A folder that changes at random, an index of it, and everything that the index holds."""

import os
import shutil
from pathlib import Path

import numpy as np

from embedkit.data.folders.folder_settings import FolderSettings
from embedkit.embedding.loading import load
from embedkit.indexing.folder_building import index_folders
from embedkit.indexing.store import Index
from embedkit.indexing.syncing import sync

ENCODER = load("hash:dim=16")
SETTINGS = FolderSettings(chunk=8)
KEPT = "kept.md"  # is never changed, so that the folder never becomes empty
WORDS = ["index", "vector", "query", "token", "folder", "passage", "sync", "file", "merge", "commit"]


class Counting:
    """The encoder, which counts the texts that it encodes."""

    def __init__(self):
        self.texts = []
        self.identity = ENCODER.identity

    def encode(self, texts, role="document"):
        self.texts += texts
        return ENCODER.encode(texts, role)


def build(path, *names, kind=None, settings=SETTINGS):
    """Build an index of folders."""
    return index_folders(path, names or ["in"], ENCODER, settings, kind=kind)


def synced(path="x.idx", **options):
    """Sync an index, and return the result and the texts that were encoded."""
    encoder = Counting()
    return sync(path, lambda: encoder, **options), encoder.texts


def held(index):
    """Everything that an index holds: documents with their vectors, and the passages of each file."""
    rows = [row for segment in index.segments for row in segment.take(segment.find(segment.ids()))]
    found = index.find(row["id"] for row in rows)
    vectors = [index.vectors(np.array([found[row["id"]]]))[0].tobytes() for row in rows]
    documents = {
        row["id"]: (sorted(row.items(), key=str), vector) for row, vector in zip(rows, vectors, strict=True)
    }
    assert len(documents) == len(rows) == index.rows
    states = {
        state.path: (state.size, state.sha256, state.passages, state.passed_over) for state in index.states
    }
    return documents, states


def same_as_fresh(path="x.idx"):
    """Assert that an index equals a fresh build of its folder, and finds the same."""
    index, fresh = Index.open(path), build("fresh.idx")
    index.verify()
    assert held(index) == held(fresh)
    queries = ENCODER.encode(WORDS)
    hits = [
        [{(hit.document["id"], round(hit.score, 5)) for hit in found} for found in each.hits(queries, 1000)]
        for each in (index, fresh)
    ]
    assert hits[0] == hits[1]
    shutil.rmtree("fresh.idx")


def some_text(chance):
    lines = [
        " ".join(chance.choices(WORDS, k=chance.randint(1, 9))) + "." for _ in range(chance.randint(0, 8))
    ]
    heads = [f"# {chance.choice(WORDS)}" if chance.random() < 0.2 else line for line in lines]
    return "\n\n".join(heads) + "\n"


def change(chance, root=Path("in")):
    """Change the folder: write, edit, rename, copy, delete or touch a file."""
    names = [
        f"{folder}{number}{suffix}"
        for folder in ("", "a/", "b/")
        for number in range(4)
        for suffix in (".md", ".txt")
    ]
    there = sorted(path for path in root.rglob("*") if path.is_file() and path.name != KEPT)
    target = root / chance.choice(names)
    target.parent.mkdir(parents=True, exist_ok=True)
    what = chance.choice(["write", "write", "edit", "rename", "copy", "delete", "touch", "binary"])
    if what == "write" or not there:
        target.write_text(some_text(chance))
        return
    one = chance.choice(there)
    if what == "edit":
        text = one.read_text("latin-1")
        place = chance.randint(0, len(text))
        one.write_text(text[:place] + some_text(chance) + text[place:], "latin-1")
    elif what == "rename":
        one.rename(target)
    elif what == "copy" and one != target:
        shutil.copy2(one, target)
    elif what == "delete":
        one.unlink()
    elif what == "touch":
        os.utime(one)
    elif what == "binary":
        one.write_bytes(b"\0\1")


def age(root=Path("in"), seconds=100):
    """Let all files be older, as if nothing had changed for a while."""
    for path in root.rglob("*"):
        if path.is_file():
            status = path.stat()
            os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns - seconds * 10**9))
