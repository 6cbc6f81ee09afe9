"""The self-test of `embedkit doctor`: run the basic operations once, on a few texts."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator

from embedkit.cli.doctor.finding import Finding

_LEAST_COSINE = 0.9995  # lowest cosine of the compiled model's vectors to torch's, in any precision


def telemetry() -> Iterator[Finding]:
    """Yield whether the telemetry of dependencies is off."""
    import os
    import sys

    from embedkit.embedding.telemetry import silence

    silence()
    hub, vino = os.environ["HF_HUB_DISABLE_TELEMETRY"] == "1", sys.modules["openvino_telemetry"] is None
    yield Finding("program", "telemetry", "off" if hub and vino else "on", wrong=not (hub and vino))


def quick() -> Iterator[Finding]:
    """Yield whether texts can be encoded, and found by FAISS."""
    yield timed("encode and search", _search)


def full() -> Iterator[Finding]:
    """Yield whether minilm compiles, and gives the same vectors as torch."""
    yield timed("minilm, compiled against torch", _compare)


def timed(name: str, check: Callable[[], str]) -> Finding:
    """Run a check, and return its text and time as a finding; any exception gives a wrong finding."""
    started = time.monotonic()
    try:
        found = check()
    except Exception as error:
        what = f"failed: {type(error).__name__}: {error}"
        return Finding("self-test", name, " ".join(what.split()), "reinstall embedkit", wrong=True)
    return Finding("self-test", name, f"{found}, in {time.monotonic() - started:.1f} s")


def _search() -> str:
    import faiss

    from embedkit.embedding.loading import load

    texts = ["copy a directory tree", "the weather in October"]
    vectors = load("hash:dim=64").encode(texts)
    index = faiss.IndexFlatIP(vectors.shape[1])
    index.add(vectors)
    scores, rows = index.search(vectors, 1)
    if rows.ravel().tolist() != [0, 1] or not (abs(scores - 1) < 1e-5).all():
        raise ArithmeticError(f"texts do not find themselves: rows {rows.ravel()}, scores {scores.ravel()}")
    return "every text finds itself"


def _compare() -> str:
    import numpy as np

    from embedkit.embedding.loading import load

    texts = ["copy a directory tree", "今天天气很好", "The committee met on Tuesday. " * 20]
    compiled = load("minilm", device="cpu", runtime="openvino").encode(texts)
    plain = load("minilm", device="cpu", runtime="torch", precision="fp32").encode(texts)
    lowest = float(np.min(np.sum(compiled * plain, axis=1)))
    if not lowest >= _LEAST_COSINE:
        raise ArithmeticError(f"the lowest cosine is {lowest:.6f}, expected at least {_LEAST_COSINE}")
    return f"lowest cosine {lowest:.6f}"
