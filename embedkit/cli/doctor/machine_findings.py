"""Check the machine: processor, memory, graphics cards, and the cache folder."""

from __future__ import annotations

import os
import platform
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from embedkit.cli.doctor.finding import Finding
from embedkit.data.cache_folder import cache_folder

_INSTRUCTIONS = {"avx2", "avx512f", "avx512_vnni", "avx512_bf16", "amx_bf16", "amx_int8"}
_THREADS = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")
_UNITS = ("B", "KiB", "MiB", "GiB", "TiB")
_LITTLE = 1 << 30  # bytes of disk: a compiled model takes a tenth of it, an index of a million documents more


def machine() -> Iterator[Finding]:
    """Yield processor, threads, memory and graphics cards."""
    yield _processor()
    yield _instructions(_flags(Path("/proc/cpuinfo")))
    limits = [f"{name}={os.environ[name]}" for name in _THREADS if name in os.environ]
    yield Finding("machine", "threads", ", ".join(limits) or "as many as there are processors")
    yield _memory()
    cards = _cards()
    yield Finding("machine", "graphics card", cards or "none", "" if cards else "the processor computes")


def _processor() -> Finding:
    name = _fact(Path("/proc/cpuinfo"), "model name") or platform.processor() or platform.machine()
    usable = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return Finding("machine", "processor", f"{name}, {usable} of {os.cpu_count()} processors usable")


def _instructions(flags: set[str]) -> Finding:
    """Return the available instructions, and the precision of models that follows from them."""
    found = sorted(_INSTRUCTIONS & flags)
    used = "bf16" if {"avx512_bf16", "amx_bf16"} & flags else "fp32: no bf16 instructions"
    return Finding("machine", "instructions", ", ".join(found) or "unknown", f"models are computed in {used}")


def _flags(file: Path) -> set[str]:
    return set((_fact(file, "flags") or "").split())


def _fact(file: Path, name: str) -> str | None:
    """Return the first value of a name in a file of `name : value` lines, or None."""
    with suppress(OSError):
        for line in file.read_text().splitlines():
            key, _, value = line.partition(":")
            if key.strip() == name:
                return value.strip()
    return None


def _memory() -> Finding:
    total, free = (_fact(Path("/proc/meminfo"), name) for name in ("MemTotal", "MemAvailable"))
    if total is None or free is None:
        return Finding("machine", "memory", "unknown")
    whole, available = (size(int(text.split()[0]) * 1024) for text in (total, free))
    return Finding("machine", "memory", f"{available} of {whole} available")


def _cards() -> str:
    """Return the names and memory of NVIDIA's cards from `nvidia-smi`; empty if there are none."""
    program = shutil.which("nvidia-smi")
    if program is None:
        return ""
    with suppress(OSError, subprocess.SubprocessError):
        query = [program, "--query-gpu=name,memory.total", "--format=csv,noheader"]
        done = subprocess.run(query, capture_output=True, text=True, timeout=10, check=True)
        return "; ".join(done.stdout.split("\n")).strip("; ")
    return ""


def cache() -> Iterator[Finding]:
    """Yield the cache folder, its contents, whether it is writable, and the free space."""
    folder = cache_folder("")
    files = [file for file in folder.rglob("*") if file.is_file()]
    compiled = len(list(folder.glob("compiled/*/entry.json")))
    held = f"{size(sum(file.stat().st_size for file in files))} in {len(files):,} files"
    yield Finding("cache", "folder", str(folder), "everything in it can be recomputed: rm -r is safe")
    yield Finding("cache", "holds", f"{held}, {compiled} of them compiled models" if files else "nothing")
    there = next(place for place in (folder, *folder.absolute().parents) if place.exists())
    writable = there.is_dir() and os.access(there, os.W_OK | os.X_OK)
    how = "set EMBEDKIT_CACHE to a folder that can be written"
    yield Finding("cache", "writable", "yes" if writable else "no", "" if writable else how, not writable)
    free = shutil.disk_usage(there).free
    little = "when it is full, models are compiled again each time" if free < _LITTLE else ""
    yield Finding("cache", "free", size(free), little)


def size(count: int) -> str:
    """Return a number of bytes as text, in a suitable unit.

    >>> size(1536), size(3 * 2**30)
    ('1.5 KiB', '3.0 GiB')
    """
    steps = min(max(count.bit_length() - 1, 0) // 10, len(_UNITS) - 1)
    return f"{count} B" if steps == 0 else f"{count / 1024**steps:.1f} {_UNITS[steps]}"
