"""Writes an index for some seconds while two read it (`write SECONDS`), or searches it until the writer has
ended (`read`).

The writer notes each id that is acknowledged in `there.txt`, or `gone.txt` before it deletes it; the reader
prints how often it searched, in how many generations, and fails when a document is missing.
"""

import os
import random
import sys
import time
from pathlib import Path

import pyarrow as pa

from embedkit.data.vectors.vector_set import Batch, VectorMeta
from embedkit.embedding.loading import load
from embedkit.indexing.edit import add, compact, delete
from embedkit.indexing.lexical.operators import literal_query
from embedkit.indexing.query import Query, hits
from embedkit.indexing.store import Index

ENCODER = load("hash:dim=16")
META = VectorMeta(16, ENCODER.identity)


def noted(name):
    """Ids that were noted, whole lines only."""
    content = Path(name).read_text() if Path(name).exists() else ""
    return content[: content.rfind("\n") + 1].split()


def note(name, ids):
    """Note ids in one step."""
    with open(name, "a") as file:
        file.write("".join(f"{id}\n" for id in ids))


def write(seconds):
    """Add, replace, delete and compact."""
    os.fsync = lambda _: None
    while len(noted("readers.txt")) < 2:
        time.sleep(0.01)
    chance, end, number, there = random.Random(0), time.monotonic() + seconds, 0, []
    while time.monotonic() < end or number < 200:
        ids = [f"d{number + place}" for place in range(5)] + chance.sample(there, min(2, len(there)))
        number += 5
        add("x.idx", META, [Batch(pa.table({"id": ids, "text": ids}), ENCODER.encode(ids))])
        note("there.txt", ids)
        there += ids[:5]
        if number % 15 == 0:
            gone = [there.pop(chance.randrange(len(there))) for _ in range(3)]
            note("gone.txt", gone)
            delete("x.idx", gone)
        if number % 40 == 0:
            compact("x.idx")
    note("end.txt", ["end"])


def read():
    """Search for what is there."""
    Index.open("x.idx").hits(ENCODER.encode(["a"]), 1)  # once everything is imported
    note("readers.txt", [os.getpid()])
    searches, generations = 0, set()
    chance = random.Random(1)
    while not Path("end.txt").exists():
        there = noted("there.txt")
        if not there:
            continue
        wanted = [*chance.sample(there, min(5, len(there))), there[-1]]
        index = Index.open("x.idx")
        generations.add(index.manifest.generation)
        time.sleep(chance.choice([0, 0, 0.05]))  # the writer goes on meanwhile
        found = [hit.document["id"] for (hit,) in index.hits(ENCODER.encode(wanted), 1)]
        gone = set(noted("gone.txt"))
        missing = [(id, hit) for id, hit in zip(wanted, found, strict=True) if id != hit and id not in gone]
        assert not missing, missing
        words = [literal_query(id, index.manifest.lexical) for id in wanted]
        named = [[hit.document["id"] for hit in line] for line in hits(index, None, Query(1), texts=words)]
        assert all(line == [id] or id in gone for id, line in zip(wanted, named, strict=True)), (
            wanted,
            named,
        )
        searches += 1
    print(searches, len(generations))


write(float(sys.argv[2])) if sys.argv[1] == "write" else read()
