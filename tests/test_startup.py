"""The command line starts fast because it imports nothing heavy."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

HEAVY = (
    "torch", "transformers", "sentence_transformers", "faiss", "sklearn", "scipy", "openvino",
    "pyarrow", "pandas", "numpy", "safetensors", "tokenizers", "huggingface_hub", "fsspec",
)  # fmt: skip

LIMIT = 0.15  # seconds, of processor time: what other programs do on the machine must not decide a test


def test_the_commands_import_nothing_heavy():
    code = f"import sys, embedkit.cli.app; print(sorted(set({HEAVY!r}) & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.stderr == ""
    assert done.stdout == "[]\n"


@pytest.mark.parametrize("option", ["--help", "--version"])
def test_the_answer_comes_at_once(option):
    command = [str(Path(sys.executable).with_name("embedkit")), option]
    seconds = []
    for _ in range(5):
        with subprocess.Popen(command, stdout=subprocess.DEVNULL) as process:
            _, status, used = os.wait4(process.pid, 0)
            process.returncode = status
        assert status == 0
        seconds.append(used.ru_utime + used.ru_stime)
    assert min(seconds) <= LIMIT
