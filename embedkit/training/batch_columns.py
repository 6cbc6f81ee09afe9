"""Columns of a batch, one per view of its texts: stacked, cut into chunks, and told apart by their tokens."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from embedkit.training.gradcache import Chunk, Features, cut, padded_left


def cut_columns(columns: Sequence[Features], budget: int) -> list[Chunk]:
    """Cut all columns into chunks: together if they differ only in tokens, otherwise one column at a time.

    The rows of the second column follow those of the first, and so on.
    """
    if all(_same_but_tokens(columns[0], column) for column in columns[1:]):
        return cut(stacked(columns), budget)
    rows = len(columns[0]["input_ids"])
    return [
        chunk._replace(rows=chunk.rows + rows * place)
        for place, column in enumerate(columns)
        for chunk in cut(column, budget)
    ]


def stacked(columns: Sequence[Features]) -> Features:
    """Return the rows of all columns as one batch, padded to equal length; padding has mask 0."""
    widest = max(column["input_ids"].shape[1] for column in columns)
    left = any(padded_left(column["attention_mask"]) for column in columns)
    together = dict(columns[0])
    for name in _token_wise(columns[0]):
        together[name] = torch.cat([_padded(column[name], widest, left) for column in columns])
    return together


def _token_wise(column: Features) -> set[str]:
    """Return the names of the features of shape `(rows, tokens)`."""
    shape = column["input_ids"].shape
    return {name for name, value in column.items() if isinstance(value, Tensor) and value.shape == shape}


def _same_but_tokens(one: Features, other: Features) -> bool:
    names = _token_wise(one)
    if names != _token_wise(other) or one.keys() != other.keys():
        return False
    return all(_equal(one[name], other[name]) for name in one.keys() - names)


def _equal(one: object, other: object) -> bool:
    if isinstance(one, Tensor) and isinstance(other, Tensor):
        return bool(torch.equal(one, other))
    same: bool = type(one) is type(other) and bool(one == other)
    return same


def _padded(values: Tensor, width: int, left: bool) -> Tensor:
    missing = width - values.shape[1]
    return nn.functional.pad(values, (missing, 0) if left else (0, missing))


def numbers_of(features: Features) -> Tensor:
    """Return one number per text, `(rows,)`, equal for equal tokens (64 bits of a seeded hash)."""
    ids, mask = features["input_ids"], features["attention_mask"].bool()
    place = (mask.cumsum(dim=1) - 1).clamp(min=0)  # token's position in its text, wherever padding is
    factors = torch.randint(
        -(2**62), 2**62, (ids.shape[1],), generator=torch.Generator().manual_seed(0), dtype=torch.int64
    ).to(ids.device)
    return ((ids + 1) * factors[place] * mask).sum(dim=1)  # modulo 2^64: integers wrap around
