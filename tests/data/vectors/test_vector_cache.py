"""The cache of vectors: what was put comes back, oldest goes first, damage and other writers do no harm."""

import logging
import os
import sqlite3
import subprocess
import sys
import time
from contextlib import closing

import numpy as np
import pytest

from embedkit.data.vectors.vector_cache import VectorCache

WIDTH = 4


def vector(number):
    return np.full(WIDTH, number, dtype=np.float32)


def vectors(*numbers, width=WIDTH):
    return {key(number): np.full(width, number, dtype=np.float32) for number in numbers}


def key(number):
    return f"key {number}".encode()


def found(cache, *numbers, width=WIDTH):
    """Return the numbers whose vectors come back, after a look at the vectors."""
    got = cache.get([key(number) for number in numbers], width)
    for number in numbers:
        if key(number) in got:
            np.testing.assert_array_equal(got[key(number)], np.full(width, number, dtype=np.float32))
    return [number for number in numbers if key(number) in got]


@pytest.fixture
def path(tmp_path):
    return tmp_path / "room" / "vectors.sqlite"


def test_what_was_put_comes_back_in_this_process_and_another(path):
    cache = VectorCache(path)
    assert found(cache, *range(3)) == []
    cache.put(vectors(*range(1200)))  # more than one query asks for
    assert found(cache, *range(1300)) == list(range(1200))
    cache.close()
    assert found(VectorCache(path), *range(1300)) == list(range(1200))


def test_every_bit_is_kept(path):
    numbers = np.random.default_rng(0).standard_normal((5, 384)).astype(np.float32)
    numbers[0, :4] = [np.float32(1e-42), -0.0, 3.4e38, np.inf]
    VectorCache(path).put({bytes([row]): numbers[row] for row in range(5)})
    got = VectorCache(path).get([bytes([row]) for row in range(5)], 384)
    assert b"".join(got[bytes([row])].tobytes() for row in range(5)) == numbers.tobytes()


def test_a_vector_of_another_width_is_missing(path):
    cache = VectorCache(path)
    cache.put(vectors(1))
    assert found(cache, 1, width=WIDTH - 1) == []
    assert found(cache, 1) == [1]


def test_putting_again_replaces(path):
    cache = VectorCache(path)
    cache.put(vectors(1, 2))
    cache.put({key(1): vector(7)})
    np.testing.assert_array_equal(cache.get([key(1)], WIDTH)[key(1)], vector(7))
    counts = "SELECT (SELECT COUNT(*) FROM entries), (SELECT COUNT(*) FROM vectors)"
    with closing(sqlite3.connect(path)) as file:
        assert file.execute(counts).fetchone() == (2, 2)


# The limit


@pytest.mark.parametrize(("added", "touched"), [(5, 1), (30, 2), (55, 3)])
def test_what_was_used_longest_ago_goes_first(path, added, touched):
    oldest, older, used_again = set(range(15, 30)), set(range(30, 60)), set(range(15))
    limit = 130_000  # bytes: about 75 vectors of 384 columns
    for session in (range(30), range(30, 60)):
        VectorCache(path).put(vectors(*session, width=384))
    assert found(VectorCache(path), *used_again, width=384) == sorted(used_again)
    VectorCache(path, limit).put(vectors(*range(100, 100 + added), width=384))
    left = set(found(VectorCache(path), *range(200), width=384))
    gone = [group - left for group in (oldest, older, used_again)]
    assert [len(group) > 0 for group in gone] == [place < touched for place in range(3)]
    assert [gone[place] == (oldest, older)[place] for place in range(touched - 1)] == [True] * (touched - 1)
    assert left >= set(range(100, 100 + added))


def test_what_does_not_fit_at_all_drives_nothing_out(path):
    VectorCache(path).put(vectors(*range(10), width=384))
    cache = VectorCache(path, 100_000)
    cache.put(vectors(*range(100, 200), width=384))
    assert found(cache, *range(200), width=384) == list(range(10))


def test_the_file_stays_under_the_limit(path):
    limit = 300_000
    for session in range(8):
        cache = VectorCache(path, limit)
        cache.put(vectors(*range(session * 100, session * 100 + 20), width=1024))
        cache.close()
        assert path.stat().st_size <= limit
    assert found(VectorCache(path, limit), *range(700, 720), width=1024) == list(range(700, 720))


def test_a_corpus_beyond_the_limit_finds_the_same_part_of_itself_each_time(path):
    limit, corpus = 300_000, range(200)
    for session in range(3):
        cache = VectorCache(path, limit)
        known = found(cache, *corpus, width=1024)
        assert known == list(range(len(known)))
        assert (len(known) > 40) == (session > 0)
        for number in corpus[len(known) :]:
            cache.put(vectors(number, width=1024))
        cache.close()
        assert path.stat().st_size <= limit


# Damage


def test_a_damaged_entry_is_missing_and_made_again(path):
    cache = VectorCache(path)
    cache.put(vectors(1, 2, 3, 4))
    cache.close()
    with sqlite3.connect(path) as file:
        whole = file.execute("SELECT content FROM vectors WHERE place = 2").fetchone()[0]
        file.execute("UPDATE vectors SET content = ? WHERE place = 2", (whole[:-1] + b"\x01",))
        file.execute(
            "UPDATE vectors SET content = (SELECT content FROM vectors WHERE place = 4) WHERE place = 1"
        )
        file.execute("UPDATE vectors SET content = 'text' WHERE place = 3")
    file.close()
    cache = VectorCache(path)
    assert found(cache, 1, 2, 3, 4) == [4]
    cache.put(vectors(1, 2, 3))
    assert found(VectorCache(path), 1, 2, 3, 4) == [1, 2, 3, 4]


@pytest.mark.parametrize("damage", ["garbage", "cut short", "another's", "of another version", "overwritten"])
def test_a_damaged_file_is_begun_anew(path, damage, caplog):
    cache = VectorCache(path)
    cache.put(vectors(*range(2000)))
    cache.close()
    content = path.read_bytes()
    if damage == "another's":
        path.unlink()
        with sqlite3.connect(path) as file:
            file.execute("CREATE TABLE entries (mine)")
        file.close()
    elif damage == "of another version":
        with sqlite3.connect(path) as file:
            file.execute("PRAGMA user_version = 99")
        file.close()
    else:
        some = {"garbage": b"no database" * 1000, "cut short": content[: len(content) // 2]}
        broken = content[:4096] + b"\xff" * (len(content) - 4096)
        path.write_bytes(some.get(damage, broken))
    cache = VectorCache(path)
    cache.get([key(number) for number in range(2000)], WIDTH)
    cache.put(vectors(5000))
    assert found(VectorCache(path), 5000) == [5000]
    assert caplog.records == []


def test_a_place_that_cannot_be_written_costs_one_warning(tmp_path, caplog):
    (tmp_path / "file").touch()
    caplog.set_level(logging.WARNING, logger="embedkit")
    cache = VectorCache(tmp_path / "file" / "vectors.sqlite")
    for _ in range(2):
        assert found(cache, 1) == []
        cache.put(vectors(1))
    (record,) = caplog.records
    assert record.getMessage().startswith(f"{tmp_path / 'file' / 'vectors.sqlite'}: cannot be used (")
    assert record.getMessage().endswith("); texts are encoded again")


# Several writers

WRITER = """
import sys, numpy as np
from contextlib import closing
from pathlib import Path
from embedkit.data.vectors.vector_cache import VectorCache
first, path = int(sys.argv[1]), sys.argv[2]
cache = VectorCache(path)
for start in range(first, first + 1000, 20):
    cache.put({f"key {n}".encode(): np.full(4, n, dtype=np.float32) for n in range(start, start + 20)})
"""


def test_two_processes_write_at_once(path, caplog):
    command = [sys.executable, "-W", "error", "-c", WRITER]
    started = [
        subprocess.Popen([*command, str(first), str(path)], stderr=subprocess.PIPE) for first in (0, 500)
    ]
    for process in started:
        assert process.communicate(timeout=120)[1] == b""
        assert process.returncode == 0
    assert found(VectorCache(path), *range(1500)) == list(range(1500))


def test_a_killed_writer_leaves_what_it_had_finished(path):
    endless = WRITER.replace("first + 1000", "10**9")
    process = subprocess.Popen([sys.executable, "-c", endless, "0", str(path)])
    deadline = time.monotonic() + 60
    while not found(VectorCache(path), 100) and time.monotonic() < deadline:
        time.sleep(0.05)
    os.kill(process.pid, 9)
    process.wait()
    cache = VectorCache(path)
    assert found(cache, *range(100)) == list(range(100))
    cache.put(vectors(-1))
    assert found(cache, -1) == [-1]
