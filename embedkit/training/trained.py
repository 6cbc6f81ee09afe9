"""A finished run, and the values that are recorded of it."""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

from embedkit.training.chunking import ChunkPlan


class Trained(NamedTuple):
    """A finished run: its model, and the values that it was judged by, if any."""

    path: Path
    steps: int
    seconds: float
    measure: str  # the measure of `before` and `best`
    factor: float  # of both where they are printed
    before: float | None  # value of the model it started from
    best: float | None  # value of the kept checkpoint
    best_step: int | None
    found: dict[str, Any]  # values that the run computed from its data
    plan: ChunkPlan

    def figures(self) -> dict[str, Any]:
        """Return plain values without the path."""
        values = {**self._asdict(), **self.plan._asdict(), **self.found, "seconds": round(self.seconds, 2)}
        return {name: value for name, value in values.items() if name not in ("path", "plan", "found")}

    @classmethod
    def from_figures(cls, path: Path, figures: dict[str, Any]) -> Trained:
        """Return the run with the values that `figures` returned."""
        figures = {"factor": 100.0, **figures}  # that earlier versions did not record
        own = {name: figures[name] for name in cls._fields if name not in ("path", "plan", "found")}
        known = {*own, *ChunkPlan._fields}
        found = {name: value for name, value in figures.items() if name not in known}
        return cls(path=path, found=found, plan=ChunkPlan(figures["chunk_tokens"], figures["passes"]), **own)
