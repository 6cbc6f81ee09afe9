"""Hashes that come twice are found, in whichever run they lie."""

import numpy as np

from embedkit.cluster.repeated import RUNS, _twice, hash_of


def test_every_hash_that_comes_twice_is_found_in_one_run(folder):
    step = 2**64 // RUNS
    borders = [0, step - 1, step, 2 * step - 1, 2 * step, 2**63, 2**64 - 1]
    for name, more in (("1.npy", [5, step + 7]), ("2.npy", [6, step + 8])):
        np.save(name, np.array(sorted(borders + more), dtype=np.uint64))
    assert [each for run in range(RUNS) for each in _twice(run, folder)] == borders


def test_a_hash_is_the_same_in_every_process():
    assert hash_of("文") == 0x6E2487B73FA146B3
    assert len({hash_of(f"id{n}") for n in range(1000)}) == 1000
    assert all(0 <= hash_of(f"{n}") < 2**64 for n in range(100))
