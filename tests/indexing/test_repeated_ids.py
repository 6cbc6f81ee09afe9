"""Hashes that come twice are found, in whichever run they lie."""

import numpy as np

from embedkit.indexing.repeated_ids import RUNS, repeated_in_run, stable_hash


def test_every_hash_that_comes_twice_is_found_in_one_run(folder):
    step = 2**64 // RUNS
    borders = [0, step - 1, step, 2 * step - 1, 2 * step, 2**63, 2**64 - 1]
    for name, more in (("1.npy", [5, step + 7]), ("2.npy", [6, step + 8])):
        np.save(name, np.array(sorted(borders + more), dtype=np.uint64))
    assert [each for run in range(RUNS) for each in sorted(repeated_in_run(run, folder))] == borders


def test_a_hash_is_the_same_in_every_process():
    assert stable_hash("文") == 0x6E2487B73FA146B3
    assert len({stable_hash(f"id{n}") for n in range(1000)}) == 1000
    assert all(0 <= stable_hash(f"{n}") < 2**64 for n in range(100))
