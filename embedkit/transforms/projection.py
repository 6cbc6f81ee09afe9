"""Random projections: what those kinds have in common, which look at no vector but its width."""

from __future__ import annotations

from embedkit.errors import MismatchError
from embedkit.transforms.streaming import Rows, width_of


def require_settings(dim: int, seed: int) -> None:
    """Raise ValueError for settings that no random projection can have."""
    if dim < 1:
        raise ValueError(f"dim={dim} is not positive")
    if seed < 0:
        raise ValueError(f"seed={seed} is negative")


def reduced_width(rows: Rows, dim: int, *, what: str) -> int:
    """Return the columns of rows `(rows, dim)`; raises MismatchError where the kind `what` would widen."""
    columns = width_of(rows)
    if dim > columns:
        raise MismatchError(f"{what} wants {dim} dimensions, vectors have {columns}")
    return columns
