"""Functions in a process that answers many calls: answers, errors, deaths, and calls that take too long."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from embedkit.data.isolated_call import DiedError
from embedkit.data.isolated_worker import Worker
from embedkit.errors import DataError
from tests.data.test_isolated_call import added, killed, refused


def slept(seconds):
    time.sleep(seconds)
    return os.getpid()


@pytest.fixture
def worker():
    with Worker() as started:
        yield started


def test_a_worker_answers_many_calls_in_one_process(worker, capfd):
    assert worker.call(added, "a\n中", "b", seconds=60) == "a\n中b"
    first = worker.call(slept, 0, seconds=60)
    with pytest.raises(DataError, match=r"^here: is not so; do it$"):
        worker.call(refused, seconds=60)
    assert worker.call(slept, 0, seconds=60) == first != os.getpid()
    assert capfd.readouterr() == ("", "")


def test_a_worker_that_takes_too_long_or_dies_is_replaced(worker):
    first = worker.call(slept, 0, seconds=60)
    start = time.monotonic()
    with pytest.raises(TimeoutError, match=r"^takes more than 1 seconds$"):
        worker.call(slept, 600, seconds=1)
    assert time.monotonic() - start < 60
    with pytest.raises(ProcessLookupError):
        os.kill(first, 0)
    with pytest.raises(DiedError, match=r"^the process ended by SIGSEGV$"):
        worker.call(killed, int(signal.SIGSEGV), seconds=60)
    assert worker.call(slept, 0, seconds=60) != first


def test_an_answer_of_any_length_and_any_text_comes_back(worker):
    text = "\ud800 中 \x00 \u2028\n" * 100_000
    assert worker.call(added, text, text, seconds=60) == text + text


def test_a_worker_ends_with_its_caller():
    program = (
        "from tests.data.test_isolated_worker import *; import os; worker = Worker();"
        "print(worker.call(slept, 0, seconds=60), flush=True); os._exit(0)"
    )
    root = Path(__file__).resolve().parents[2]
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=root, capture_output=True, text=True, check=True
    )
    pid = int(done.stdout)
    for _ in range(100):
        try:
            os.kill(pid, 0)
        except ProcessLookupError:
            return
        time.sleep(0.1)
    raise AssertionError("the worker still runs")
