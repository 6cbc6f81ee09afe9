r"""Gradient steps on token vectors, towards the similarities that the teacher finds within a batch.

For a batch of texts with the teacher's unit vectors y_i and the student's f_i, the loss is

    mean_i KL( softmax_j(y_i y_j / tau) || softmax_j(f_i f_j / tau) )  +  5 mean_i (1 - f_i y_i P),    j != i,

where tau = 0.05 and P is the projection to the student's dimensions. The first term is the contrastive
objective with the teacher's similarities as soft targets; it ranks neighbours, which the regression does not.
The second keeps the student in the teacher's space. Batches have 1 024 texts of one shard; Adam's rate starts
at 1.5 % of the typical size of a token vector's entry and falls to zero over one epoch.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import NamedTuple

import numpy as np

from embedkit.data.arrays import Float32
from embedkit.embedding.static.bags import Bags

TEMPERATURE = 0.05
_BATCH, _RATE, _COSINE = 1024, 0.015, 5.0


class Lesson(NamedTuple):
    """Texts of one shard for training: their bags, and the teacher's vectors `(texts, teacher's dim)`."""

    bags: Bags
    vectors: Float32


def refine(
    table: Float32,
    lessons: Callable[[np.random.Generator], Iterator[Lesson]],
    texts: int,
    projection: Float32,
    *,
    seed: int,
    on_batch: Callable[[int], None] = lambda rows: None,
) -> Float32:
    """Return the token vectors `(tokens, dim)` after one epoch over the lessons, which hold `texts` texts.

    `projection` `(teacher's dim, dim)` leads from the teacher's vectors to the student's.
    """
    import torch
    from torch.nn.functional import embedding_bag, kl_div, log_softmax, normalize, softmax

    weight = torch.from_numpy(table.copy()).requires_grad_(True)
    rows = np.abs(table).max(axis=1) > 0
    rate = _RATE * float(np.sqrt(np.median((table[rows] ** 2).mean(axis=1)))) if rows.any() else 0.0
    optimizer = torch.optim.Adam([weight], lr=rate)
    steps = max(1, texts // _BATCH)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: max(0.0, 1 - step / steps))
    lead = torch.from_numpy(projection)
    rng = np.random.default_rng(seed)
    for bags, vectors in _batches(lessons(rng), rng):
        offsets, ids = torch.from_numpy(bags.offsets[:-1]), torch.from_numpy(bags.ids.astype(np.int64))
        student = normalize(embedding_bag(ids, weight, offsets, mode="mean"))
        teacher = normalize(torch.from_numpy(vectors))
        own = torch.eye(len(vectors), dtype=torch.bool)
        wanted = softmax((teacher @ teacher.T / TEMPERATURE).masked_fill(own, -1e9), 1)
        given = log_softmax((student @ student.T / TEMPERATURE).masked_fill(own, -1e9), 1)
        cosines = (student * normalize(teacher @ lead)).sum(1)
        loss = kl_div(given, wanted, reduction="batchmean") + _COSINE * (1 - cosines).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
        on_batch(len(vectors))
    return np.asarray(weight.detach().numpy())


def _batches(lessons: Iterator[Lesson], rng: np.random.Generator) -> Iterator[Lesson]:
    """Yield batches of equal size in random order, from each lesson in turn; the rest of a lesson is left."""
    for bags, vectors in lessons:
        size = min(_BATCH, len(vectors))
        order = rng.permutation(len(vectors))
        for start in range(0, len(order) - size + 1, size):
            rows = np.sort(order[start : start + size])
            yield Lesson(bags.take(rows), np.ascontiguousarray(vectors[rows], dtype=np.float32))
