"""Syncs an index again and again until a number of syncs were killed at random moments while files changed.

After every kill the index is whole, and in the end it equals a fresh build. Prints how many syncs were
killed, and how many ended before their kill.
"""

import logging
import os
import random
import signal
import sys
import time
import warnings
from pathlib import Path

import faiss

sys.path.insert(0, str(Path(__file__).parents[2]))
from embedkit.indexing.store import Index
from tests.indexing.syncing import KEPT, build, change, same_as_fresh, some_text, synced

warnings.filterwarnings("ignore", ".*use of fork", DeprecationWarning)  # faiss has threads


def main(kills):
    """Kill so many syncs."""
    faiss.omp_set_num_threads(1)  # threads do not survive a fork
    logging.getLogger("embedkit").setLevel(logging.ERROR)  # of killed writers
    os.fsync = lambda _: None  # a kill is no power cut
    chance = random.Random(kills)
    Path("in").mkdir()
    Path("in", KEPT).write_text("kept")
    for number in range(60):
        Path(f"in/{number}.txt").write_text(some_text(chance) + f"number {number}")
    build("x.idx")
    synced()
    started = time.monotonic()
    for number in range(60):
        os.utime(f"in/{number}.txt")
        Path(f"in/{number}.txt").write_text(some_text(chance) + "more")
    synced()
    usual = time.monotonic() - started
    killed = ended = 0
    while killed < kills and ended < 20 * kills:
        for _ in range(15):
            change(chance)
        child = os.fork()
        if not child:
            synced()
            os._exit(0)
        end = time.monotonic() + chance.uniform(0, usual)
        while time.monotonic() < end:
            change(chance)
            time.sleep(usual / 20)
        os.kill(child, signal.SIGKILL)
        if os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]):
            killed += 1
            usual *= 1.05
        else:  # it was faster than the one that was timed
            ended += 1
            usual *= 0.8
        index = Index.open("x.idx")
        index.verify()
        ids = {id for segment in index.segments for id in segment.ids().to_pylist()}
        assert ids == {id for state in index.states for id in state.passages}
    synced()
    same_as_fresh()
    print(killed, ended)


main(int(sys.argv[1]))
