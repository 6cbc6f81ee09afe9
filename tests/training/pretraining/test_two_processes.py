"""Two processes pretrain as one does: the same masks, and the mean over all hidden tokens of the batch."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from tests.training.pretraining.conftest import sentence
from tests.training.running import log, weights

LAUNCH = [str(Path(sys.executable).with_name("torchrun")), "--standalone", "--nproc-per-node", "2"]
GIVEN = [
    "-m", "embedkit", "pretrain", "a.txt", "--arch", "bert:layers=1,width=16,heads=2", "--batch-size", "8",
    "--vocabulary-size", "60", "--max-length", "24", "--dropout", "0", "--attention-dropout", "0",
    "--max-steps", "4", "--eval-steps", "2", "--log-steps", "1", "--precision", "fp32", "--device", "cpu",
]  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize(
    "more", [[], ["--gradient-penalty", "0.1"], ["--gradient-penalty", "0.1", "--chunk-size", "1"]]
)
def test_two_processes_learn_what_one_does(folder, more):
    Path("a.txt").write_text("".join(f"{sentence(seed)}\n" for seed in range(60)))
    for name, start in (("one", [sys.executable]), ("two", LAUNCH)):
        environment = {**os.environ, "OMP_NUM_THREADS": "1", "GLOO_SOCKET_IFNAME": "lo"}
        done = subprocess.run(
            [*start, *GIVEN, *more, "-o", name], capture_output=True, text=True, env=environment, check=False
        )
        assert done.returncode == 0, done.stderr
    one, two = weights("one"), weights("two")
    assert one.keys() == two.keys()
    for name, value in one.items():
        torch.testing.assert_close(two[name], value, atol=1e-5, rtol=1e-4)
    found = [
        [line["eval_perplexity"] for line in log(name) if "eval_perplexity" in line]
        for name in ("one", "two")
    ]
    assert len(found[0]) == 3
    assert found[0] == pytest.approx(found[1], rel=1e-4)
