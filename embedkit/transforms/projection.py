"""Random projections: functions shared by the kinds that need only the vectors' dimension."""

from __future__ import annotations

from embedkit.errors import MismatchError
from embedkit.transforms.streaming import Rows, width_of


def require_settings(dim: int, seed: int) -> None:
    """Raise ValueError for settings that are invalid in any random projection."""
    if dim < 1:
        raise ValueError(f"dim={dim} is not positive")
    if seed < 0:
        raise ValueError(f"seed={seed} is negative")


def reduced_width(rows: Rows, dim: int, *, what: str) -> int:
    """Return the dimension of the rows; raises MismatchError for the kind `what` when `dim` exceeds it."""
    columns = width_of(rows)
    if dim > columns:
        raise MismatchError(f"{what} needs {dim} dimensions, vectors have {columns}")
    return columns
