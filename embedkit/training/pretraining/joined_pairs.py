"""Pairs of short texts as one sequence, in either order (kexue.fm 8213)."""

from __future__ import annotations

import torch
from torch import Tensor

from embedkit.training.gradcache import Features


def joined(first: Features, second: Features, swapped: Tensor, *, padding: int, limit: int) -> Features:
    """Return [start] first [end] second [end] per row, or second before first where `swapped`, `(rows,)`.

    Of a row that is longer than `limit` tokens, each text keeps at most half, with its end. Rows are padded
    on the right with the id `padding`.
    """
    rows = []
    for one, other, swap in zip(_texts(first), _texts(second), swapped.tolist(), strict=True):
        rows.append(_row(other, one, limit) if swap else _row(one, other, limit))
    width = max(map(len, rows))
    ids = torch.tensor([row + [padding] * (width - len(row)) for row in rows])
    mask = torch.tensor([[1] * len(row) + [0] * (width - len(row)) for row in rows])
    together = {**first, "input_ids": ids, "attention_mask": mask}
    if "token_type_ids" in first:
        together["token_type_ids"] = torch.zeros_like(ids)
    device = first["input_ids"].device
    return {
        name: value.to(device) if isinstance(value, Tensor) else value for name, value in together.items()
    }


def _texts(features: Features) -> list[list[int]]:
    """Return the tokens of each row, without padding."""
    ids, mask = features["input_ids"].cpu(), features["attention_mask"].cpu().bool()
    return [row[real].tolist() for row, real in zip(ids, mask, strict=True)]


def _row(one: list[int], other: list[int], limit: int) -> list[int]:
    starts = 1 if one[:1] == other[:1] and one[:1] != one[-1:] else 0  # a token that starts every text
    if len(one) + len(other) - starts > limit:
        half = (limit + starts) // 2
        one, other = _shortened(one, half), _shortened(other, half)
    return one + other[starts:]


def _shortened(tokens: list[int], length: int) -> list[int]:
    """Return at most `length` tokens, with the last one."""
    return tokens if len(tokens) <= length else tokens[: length - 1] + tokens[-1:]
