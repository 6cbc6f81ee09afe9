"""Kills one change of an index before each of its file operations in turn, and looks at what is left.

Prints the moments, and how often the old index and the new one were found; fails when it was neither.
"""

import logging
import os
import shutil
import signal
import sys
import warnings
from pathlib import Path

import numpy as np
import pyarrow as pa

from embedkit.data.vectors.vector_set import Batch, VectorMeta
from embedkit.embedding.loading import load
from embedkit.indexing.building import build_index
from embedkit.indexing.edit import add, compact, delete
from embedkit.indexing.lexical import postings_writing
from embedkit.indexing.manifest import MANIFEST, SEGMENTS
from embedkit.indexing.merging import merge
from embedkit.indexing.store import Index

warnings.filterwarnings("ignore", ".*use of fork", DeprecationWarning)  # faiss has threads

WATCHED = {"open", "os.rename", "os.remove", "os.mkdir", "os.rmdir", "os.truncate", "shutil.rmtree"}
ENCODER = load("hash:dim=16")
META = VectorMeta(16, ENCODER.identity)
postings_writing.RUN_TERMS = 3  # so that postings are written in several runs, which are merged


def batch(ids, version):
    """One batch per document."""
    for id in ids:
        text = f"{id} {version}"
        yield Batch(pa.table({"id": [id], "text": [text]}), ENCODER.encode([text]))


def fresh(path):
    """An index of two segments with tombstones: a and b of version 0, e."""
    build_index(path, META, batch("abc", 0))
    add(path, META, batch("e", 0))
    delete(path, ["c"])


CHANGES = {
    "add": lambda: add("x.idx", META, batch("bd", 1)),
    "delete": lambda: delete("x.idx", ["a", "e"]),
    "compact": lambda: compact("x.idx"),
    "merge": lambda: merge(["old.idx"], "x.idx"),
    "merge-onto": lambda: merge(["old.idx", "more.idx"], "x.idx"),
    "rebuild": lambda: build_index("x.idx", META, batch("z", 0)),
}


def content(path):
    """The texts of an index that verifies, and how many segments they are in; None when there is none."""
    if not Path(path).exists():
        return None
    index = Index.open(path)
    index.verify()
    scores = index.lexical.scores(["0", "1", "2"])  # the versions, of which each text has one
    assert np.count_nonzero(scores) == index.rows
    texts = [row["text"] for segment in index.segments for row in segment.take(segment_rows(segment))]
    return sorted(texts), len(index.segments)


def segment_rows(segment):
    return segment.find(segment.ids())


def apart(work):
    """Run something in a process of its own; True when it was not killed."""
    child = os.fork()
    if not child:
        work()
        os._exit(0)
    status = os.waitpid(child, 0)[1]
    assert status in (0, signal.SIGKILL), status
    return status == 0


def dying(change, moment):
    """Do a change, and die before a file operation."""
    left = moment

    def hook(event, arguments):
        nonlocal left
        if event in WATCHED and isinstance(arguments[0], str | bytes | os.PathLike):
            left -= "x.idx" in os.fsdecode(arguments[0])
            if left < 0:
                os.kill(os.getpid(), signal.SIGKILL)

    sys.addaudithook(hook)
    change()


def check_clear(path):
    """Change the index once more; afterwards nothing lies in its folder that the manifest does not name."""
    add(path, META, batch("y", 2))
    index = Index.open(path)
    named = {path / MANIFEST}
    for segment in index.segments:
        named |= {segment.folder / file.name for file in segment.stored_files}
        named |= {segment.folder / "documents" / shard.file for shard in segment.shards}
    assert {file for file in path.rglob("*") if file.is_file()} == named
    assert {folder.name for folder in (path / SEGMENTS).iterdir()} == {s.folder.name for s in index.segments}


def main(what):
    """Kill `what` at every moment."""
    logging.getLogger("embedkit").setLevel(logging.ERROR)  # of killed writers
    os.fsync = lambda _: None  # a kill is no power cut
    apart(lambda: fresh(Path("old.idx")))
    build_index("more.idx", META, batch("f", 0))
    seen, states = {"old": 0, "new": 0}, {}
    for moment in range(1000):
        for left in [*Path().glob("x.idx"), *Path().glob(".x.idx.*")]:
            shutil.rmtree(left)
        if what != "merge":
            shutil.copytree("old.idx", "x.idx")
        states.setdefault("old", content("x.idx"))
        whole = apart(lambda moment=moment: dying(CHANGES[what], moment))
        found = content("x.idx")
        if found != states["old"]:
            assert states.setdefault("new", found) == found
        assert not whole or found == states["new"]
        if whole:
            break
        seen["old" if found == states["old"] else "new"] += 1
        if found is not None:
            apart(lambda: check_clear(Path("x.idx")))
    print(moment, seen["old"], seen["new"])


main(sys.argv[1])
