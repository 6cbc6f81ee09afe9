"""Queries against candidates: the cross-entropy that contrastive losses share, worked in blocks of rows.

The logits of a large batch are the largest matrix of a training step: 65 536 sentences make 17 GB of them.
Here a block of rows is computed, summed and forgotten; backward computes it again, so memory is that of one
block.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from torch import Tensor

BLOCK_LOGITS = 2**22  # kept at a time, 16 MB in float32


class Texts(NamedTuple):
    """Numbers of texts, equal where texts are."""

    queries: Tensor  # (rows,)
    positives: Tensor  # (rows,)
    candidates: Tensor  # (columns,)


class Contrast(NamedTuple):
    """What is compared: every query with every candidate; one candidate of each query is the right one."""

    queries: Tensor  # (rows, dim), unit length
    candidates: Tensor  # (columns, dim), unit length
    targets: Tensor  # (rows,): the column of each query's positive
    hidden: Tensor  # (rows,): a column that is left out for each query; -1: none
    negatives: Tensor  # (rows, n): the columns of each query's own hard negatives
    texts: Texts | None  # None: equal texts are not looked for

    def block(self, start: int, stop: int) -> Contrast:
        """Return the same for some rows."""
        texts = self.texts
        if texts is not None:
            texts = Texts(texts.queries[start:stop], texts.positives[start:stop], texts.candidates)
        return Contrast(
            self.queries[start:stop],
            self.candidates,
            self.targets[start:stop],
            self.hidden[start:stop],
            self.negatives[start:stop],
            texts,
        )


def cross_entropy(
    contrast: Contrast,
    *,
    temperature: float,
    hard_negative_weight: float = 1.0,
    scale_with_candidates: int | None = None,
) -> Tensor:
    """Return the mean over rows of `-log softmax(cosine / temperature)` at the target, in float32 or better.

    Candidates with the text of the query or of its positive are left out. `hard_negative_weight` multiplies
    the exponential of each query's own hard negatives. `scale_with_candidates` n0 multiplies the logits of a
    query with n candidates by log n / log n0 (kexue.fm 8823).
    """
    import torch
    from torch.utils.checkpoint import checkpoint

    def of_block(queries: Tensor, candidates: Tensor, start: int, stop: int) -> Tensor:
        part = contrast.block(start, stop)._replace(queries=queries, candidates=candidates)
        return _sum_of_rows(part, temperature, math.log(hard_negative_weight), scale_with_candidates)

    queries, candidates = contrast.queries, contrast.candidates
    rows, step = len(queries), max(1, BLOCK_LOGITS // len(candidates))
    with torch.autocast(queries.device.type, enabled=False):
        if rows <= step:
            return of_block(queries, candidates, 0, rows) / rows
        total = queries.new_zeros(())
        for start in range(0, rows, step):
            stop = min(start + step, rows)
            of_rows = queries[start:stop], candidates, start, stop
            total = total + checkpoint(of_block, *of_rows, use_reentrant=False, preserve_rng_state=False)
        return total / rows


def require_settings(temperature: float, hard_negative_weight: float, reference: int | None) -> None:
    """Raise ValueError for settings that no contrastive loss can have."""
    if not (math.isfinite(temperature) and temperature > 0):
        raise ValueError(f"temperature={temperature} is not a positive number")
    if not (math.isfinite(hard_negative_weight) and hard_negative_weight > 0):
        raise ValueError(f"hard_negative_weight={hard_negative_weight} is not a positive number")
    if reference is not None and reference < 2:
        raise ValueError(f"scale_with_candidates={reference} is not 2 or more")


def unit_rows(vectors: Tensor) -> Tensor:
    """Return rows of unit length, in float32 where they came in halves."""
    import torch

    wide = vectors if vectors.dtype == torch.float64 else vectors.float()
    return torch.nn.functional.normalize(wide, dim=1)


def _sum_of_rows(contrast: Contrast, temperature: float, bias: float, reference: int | None) -> Tensor:
    import torch

    logits = contrast.queries @ contrast.candidates.T / temperature
    left_out = _left_out(contrast)
    if reference is not None:
        candidates = (~left_out).sum(dim=1, keepdim=True).to(logits.dtype)
        logits = logits * (candidates.log() / math.log(reference))
    if bias:
        biases = torch.full_like(contrast.negatives, bias, dtype=logits.dtype)
        logits = logits.scatter_add(1, contrast.negatives, biases)
    logits = logits.masked_fill(left_out, -torch.inf)
    return torch.nn.functional.cross_entropy(logits, contrast.targets, reduction="sum")


def _left_out(contrast: Contrast) -> Tensor:
    """Return which candidates do not count for which query, `(rows, columns)`; a target always counts."""
    import torch

    columns = torch.arange(len(contrast.candidates), device=contrast.targets.device)
    left_out = columns == contrast.hidden[:, None]
    if contrast.texts is not None:
        mine, positives, theirs = contrast.texts
        left_out = left_out | (theirs == mine[:, None]) | (theirs == positives[:, None])
    return left_out & (columns != contrast.targets[:, None])
