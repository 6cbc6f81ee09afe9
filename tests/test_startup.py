"""The command line starts fast because it imports nothing heavy."""

import statistics
import subprocess
import sys
import time
from pathlib import Path

import pytest

HEAVY = (
    "torch", "transformers", "sentence_transformers", "faiss", "sklearn", "scipy", "openvino",
    "pyarrow", "pandas", "numpy", "safetensors", "tokenizers", "huggingface_hub", "fsspec",
)  # fmt: skip

# The promise is 0.15 s on an idle machine. Machines that run tests are noisy, and the worst heavy imports
# cost seconds, so this bound catches what it is there for without failing by chance.
LIMIT = 0.3  # seconds


def test_the_commands_import_nothing_heavy():
    code = f"import sys, embedkit.cli.app; print(sorted(set({HEAVY!r}) & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.stderr == ""
    assert done.stdout == "[]\n"


@pytest.mark.parametrize("option", ["--help", "--version"])
def test_the_answer_comes_at_once(option):
    command = [str(Path(sys.executable).with_name("embedkit")), option]
    seconds = []
    for _ in range(10):
        start = time.perf_counter()
        subprocess.run(command, check=True, capture_output=True)
        seconds.append(time.perf_counter() - start)
    assert statistics.median(seconds) <= LIMIT
