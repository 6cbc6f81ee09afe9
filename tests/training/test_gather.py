"""Two real processes with half the batch each hold the gradient of one process with all of it."""

from __future__ import annotations

import itertools
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
import torch.distributed as dist

from embedkit.errors import DataError
from embedkit.training.distributed import one_fate
from embedkit.training.gather import gathered, own_rows, processes

ROOT = Path(__file__).parents[2]
WORKER = Path(__file__).with_name("two_processes.py")
CASES = list(itertools.product(("two-view", "nt-xent"), (2, 3), (1, 2)))  # loss, columns, passes

pytestmark = pytest.mark.skipif(not dist.is_available(), reason="this torch is built without processes")


@pytest.fixture(scope="module")
def results(tmp_path_factory):
    """What the single process and the two processes saved."""
    folder = tmp_path_factory.mktemp("processes")
    names = [(0, 1), (0, 2), (1, 2)]
    commands = [[sys.executable, str(WORKER), str(rank), str(count), str(folder)] for rank, count in names]
    environment = os.environ | {"GLOO_SOCKET_IFNAME": "lo", "PYTHONPATH": str(ROOT)}
    running = [subprocess.Popen(command, stderr=subprocess.PIPE, env=environment) for command in commands]
    try:
        said = [process.communicate(timeout=240)[1].decode() for process in running]
    finally:
        for process in running:
            process.kill()
    assert [process.returncode for process in running] == [0, 0, 0], said
    return [torch.load(folder / f"{rank}-of-{count}.pt") for rank, count in names]


@pytest.mark.parametrize("case", CASES, ids=str)
def test_the_gradient_is_that_of_one_process(toys, results, case):
    alone, first, second = (result[case] for result in results)
    assert torch.equal(first["gradient"], second["gradient"])
    assert toys.error(first["gradient"], alone["gradient"]) <= 1e-10


@pytest.mark.parametrize("case", CASES, ids=str)
def test_the_mean_of_the_values_is_that_of_one_process(results, case):
    alone, first, second = (torch.tensor(result[case]["values"], dtype=torch.float64) for result in results)
    torch.testing.assert_close((first + second) / 2, alone)
    assert not torch.allclose(first, second)


@pytest.mark.parametrize("case", CASES, ids=str)
def test_gradients_travel_once_for_all_chunks_and_steps(results, case):
    """Even where processes have different numbers of chunks."""
    _, first, second = (result[case] for result in results)
    assert min(first["chunks"] + second["chunks"]) > 1
    assert first["chunks"] != second["chunks"]
    assert first["travelled"] == second["travelled"] == [0]


def test_a_head_of_several_processes_is_refused(results):
    message = "gradients of head.weight would differ between processes; add the callback AverageOwn"
    assert all(result["refusal"].startswith(message) for result in results[1:])


def test_what_stops_one_process_stops_all_with_its_line(results):
    """A bug stays a bug where it happened, so that its traceback is seen."""
    stopped = ["StoppedError: process 1: b.txt: no such file", "StoppedError: process 1: out: no space left"]
    _, first, second = (result.get("fates") for result in results)
    assert first == [*stopped, "StoppedError: process 1: KeyError: 'x'", "[0, 2]"]
    assert second == [*stopped, "KeyError: 'x'", "[0, 2]"]


def test_alone_an_error_stays_what_it_is():
    with pytest.raises(DataError, match=r"^b\.txt: no such file$"), one_fate():
        raise DataError("no such file", where="b.txt")


def test_alone_rows_are_left_as_they_are():
    rows = torch.ones(3, 2, requires_grad=True)
    assert gathered(rows) is rows
    assert (processes(), own_rows(3)) == (1, slice(0, 3))
