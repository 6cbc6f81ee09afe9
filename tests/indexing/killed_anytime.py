"""Changes an index at random, is killed at a random moment, and looks at what is left; again and again.

Every change that was acknowledged must be there, the one under way may be, and nothing else. Prints how many
changes were acknowledged, and how often the one that the kill met was there or not.
"""

import logging
import os
import random
import signal
import sys
import time
import warnings

import faiss
import pyarrow as pa

from embedkit.data.vectors.vector_set import Batch, VectorMeta
from embedkit.embedding.loading import load
from embedkit.indexing.building import build_index
from embedkit.indexing.edit import add, compact, delete
from embedkit.indexing.lexical import postings_writing
from embedkit.indexing.lexical.operators import literal_query
from embedkit.indexing.merging import merge
from embedkit.indexing.query import Query, hits
from embedkit.indexing.store import Index

warnings.filterwarnings("ignore", ".*use of fork", DeprecationWarning)  # faiss has threads

ENCODER = load("hash:dim=16")
META = VectorMeta(16, ENCODER.identity)
postings_writing.RUN_TERMS = 4
NAMES = [f"d{number}" for number in range(30)]


def batch(ids, version):
    texts = [f"{id} of version {version}" for id in ids]
    return Batch(pa.table({"id": ids, "text": texts}), ENCODER.encode(texts))


def planned(chance, version):
    """A change: its name, ids and version, and what becomes of the documents (a version by id)."""
    some = chance.sample(NAMES, chance.randint(1, 5))
    fresh = dict.fromkeys(some, version)
    return chance.choice(
        [
            ("add", some, version, lambda there: there | fresh),
            ("delete", some, version, lambda there: {id: there[id] for id in there if id not in fresh}),
            ("compact", some, version, lambda there: there),
            ("merge", some, version, lambda there: there | fresh),
            ("build", some, version, lambda there: fresh),
        ]
    )


def do(name, some, version):
    """Make a change."""
    if name == "add":
        add("x.idx", META, [batch(some, version)])
    elif name == "delete":
        delete("x.idx", some)
    elif name == "compact":
        compact("x.idx")
    elif name == "merge":
        build_index("other.idx", META, [batch(some, version)])
        merge(["x.idx", "other.idx"], "x.idx", replaces=True)
    else:
        build_index("x.idx", META, [batch(some, version)])


def change_for_ever(changes, acknowledge):
    """Make one change after another, and write a byte behind each."""
    for name, some, version, _ in changes:
        do(name, some, version)
        os.write(acknowledge, b"!")


def found():
    """The version of each document of an index that verifies, read by id and searched by text."""
    index = Index.open("x.idx")
    index.verify()
    rows = [row for segment in index.segments for row in segment.take(segment.find(segment.ids()))]
    texts = [row["text"] for row in rows]
    assert len(rows) == index.rows
    if texts:
        assert [hit.document["text"] for (hit,) in index.hits(ENCODER.encode(texts), 1)] == texts
        words = [literal_query(row["id"], index.manifest.lexical) for row in rows]
        assert [hit.document for (hit,) in hits(index, None, Query(1), texts=words)] == rows
    return {row["id"]: int(row["text"].split()[-1]) for row in rows}


def main(kills):
    """Kill so many times."""
    faiss.omp_set_num_threads(1)  # threads do not survive a fork
    logging.getLogger("embedkit").setLevel(logging.ERROR)  # of killed writers
    os.fsync = lambda _: None  # a kill is no power cut
    chance = random.Random(kills)
    build_index("x.idx", META, [batch(NAMES[:3], 0)])
    there, version = dict.fromkeys(NAMES[:3], 0), 0
    acknowledged = seen = unseen = 0
    for _ in range(kills):
        versions = range(version + 1, version + 300)
        version = versions[-1]
        changes = [planned(chance, each) for each in versions]
        reading, writing = os.pipe()
        child = os.fork()
        if not child:
            change_for_ever(changes, writing)
            os._exit(0)
        os.close(writing)
        done = sum(len(os.read(reading, 1)) for _ in range(chance.randint(0, 3)))
        time.sleep(chance.uniform(0, 0.05))
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        done += len(os.read(reading, 1000))
        os.close(reading)
        for *_, becomes in changes[:done]:
            there = becomes(there)
        next_one, now = changes[done][-1](there), found()
        assert now in (there, next_one), (changes[done], there, now)
        seen, unseen = seen + (now != there), unseen + (now == there)
        there, acknowledged = now, acknowledged + done
    print(acknowledged, seen, unseen)


main(int(sys.argv[1]))
