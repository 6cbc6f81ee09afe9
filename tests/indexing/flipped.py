"""Flips bits of an index that counts as large, one at a time, and searches it in a process of its own.

Prints as JSON how many searches were refused in one line, how many answered, which ended in any other way
(file, byte, bit, how), and which flips `verify` did not notice.
"""

import os
import random
import resource
import signal
import sys
import warnings
from pathlib import Path

import duckdb  # noqa: F401 (once, before all forks)
import faiss
import numpy as np
import orjson
import pyarrow as pa

from embedkit.data.vectors.vector_set import Batch, VectorMeta
from embedkit.errors import EmbedkitError, FormatError
from embedkit.indexing import store
from embedkit.indexing.building import build_index
from embedkit.indexing.edit import delete
from embedkit.indexing.lexical.fusion import Fusion
from embedkit.indexing.lexical.operators import parse_query
from embedkit.indexing.query import Query, hits
from embedkit.indexing.store import Index
from embedkit.indexing.where import rows_where

warnings.filterwarnings("ignore", ".*use of fork", DeprecationWarning)  # faiss has threads

COUNT = 6000
NUMBERS = np.random.default_rng(0)
ROWS = NUMBERS.normal(size=(COUNT, 16)).astype(np.float32)
QUERIES = NUMBERS.normal(size=(5, 16)).astype(np.float32)
store.CHECKED_WHOLE = 0


def built(kind):
    table = pa.table(
        {
            "id": [str(row) for row in range(COUNT)],
            "text": [f"the text of {row} {'人工智能'[row % 4 :]}" for row in range(COUNT)],
            "tags": [["tag"] * (row % 3) for row in range(COUNT)],
        }
    )
    build_index("x.idx", VectorMeta(16), [Batch(table, ROWS)], kind=kind)
    delete("x.idx", ["5"])


def use():
    """All that reads an index."""
    index = Index.open("x.idx")
    index.hits(QUERIES, 10)
    hits(index, QUERIES, Query(10, rows_where(index, "len(tags) > 1 and text like '%7'"), dedupe=0.9))
    words = [
        parse_query(text, index.manifest.lexical) for text in ('"the text" of', "7 +70 -71", "工", "x", "71")
    ]
    hits(index, None, Query(10, explain=True), texts=words)
    hits(index, QUERIES, Query(10, fusion=Fusion()), texts=words)
    index.find(["7", "70"])
    index.vectors(np.arange(0, COUNT, 11))


def ending(signals=(60 << 30, 60)):
    """How a use of the index ends, in a process of its own that may take neither all memory nor for ever."""
    child = os.fork()
    if not child:
        resource.setrlimit(resource.RLIMIT_AS, (signals[0], signals[0]))
        signal.alarm(signals[1])
        try:
            use()
        except EmbedkitError as error:
            os._exit(1 if "\n" not in str(error) else 2)
        except BaseException as error:
            print(repr(error), file=sys.stderr)
            os._exit(3)
        os._exit(0)
    return os.waitpid(child, 0)[1]


def noticed():
    """Whether `verify` finds something wrong."""
    try:
        Index.open("x.idx").verify()
    except FormatError:
        return True
    return False


def main(kind, flips):
    """Flip bits: of any file, each as likely as another, and every other time each byte."""
    faiss.omp_set_num_threads(1)  # threads do not survive a fork
    built(kind)
    files = sorted(path for path in Path("x.idx").rglob("*") if path.is_file())
    sizes = [path.stat().st_size for path in files]
    chance = random.Random(7)
    found = {"refused": 0, "answered": 0, "crashed": [], "unnoticed": []}
    for flip in range(flips):
        file = chance.choice(files) if flip % 2 else chance.choices(files, sizes)[0]
        place, bit = chance.randrange(file.stat().st_size), chance.randrange(8)
        with open(file, "rb+") as out:
            byte = os.pread(out.fileno(), 1, place)[0]
            os.pwrite(out.fileno(), bytes([byte ^ 1 << bit]), place)
            how = ending()
            if how in (0, 1 << 8):
                found["refused" if how else "answered"] += 1
            else:
                found["crashed"].append((str(file), place, bit, how))
            if not noticed():
                found["unnoticed"].append((str(file), place, bit))
            os.pwrite(out.fileno(), bytes([byte]), place)
    assert not noticed()
    print(orjson.dumps(found).decode())


main(sys.argv[1], int(sys.argv[2]))
