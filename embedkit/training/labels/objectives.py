"""Objectives with class vectors: a text must be nearer to the vector of its label than to the others.

The loss takes matrices, so its gradient is accumulated as for other losses; class vectors are its parameters.
Checkpoints contain them with their optimiser's state; the trained encoder does not contain them.
"""

from __future__ import annotations

import math
import zlib
from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Any, NamedTuple, Protocol

import numpy as np
import torch
from torch import Tensor, nn

from embedkit.losses.kinds.zlpr import ZLPR
from embedkit.training.gather import gathered, own_rows
from embedkit.training.gradcache import Features, cut
from embedkit.training.objective import Objective


class ClassLoss(Protocol):
    """A kind of `losses/` that compares texts with class vectors."""

    @property
    def centres(self) -> int:
        """Vectors per class."""

    def __call__(
        self,
        embeddings: Tensor,
        labels: Tensor,
        class_vectors: Tensor,
        *,
        row_weights: Tensor | None = None,
        log_counts: Tensor | None = None,
    ) -> Tensor:
        """Return the mean loss."""


class Sampled(NamedTuple):
    """A sample of the classes: those of a batch, and others that represent all others."""

    classes: Tensor  # (sampled,), ascending
    labels: Tensor  # (rows,): positions in `classes`
    log_counts: Tensor  # (sampled,): logarithm of the number of classes that each represents


class Classified(Objective):
    """`loss` over texts with one label each.

    `class_vectors` are `(classes * centres, dim)`, with the centres of a class next to each other. With more
    than `max_classes` classes, each step compares with a sample: the batch's own classes, and others drawn
    uniformly and weighted so that the sum over classes is right on average; `seed` and the batch's labels
    decide the sample. `class_weights`, `(classes,)`, weigh texts by their label. A loss with
    `margin_is_set=False` uses margin 0 until `margin` is filled.
    """

    margin: Tensor  # the loss's margin; NaN before it is set

    def __init__(
        self,
        model: nn.Module,
        loss: Any,
        class_vectors: Tensor,
        *,
        max_classes: int | None = None,
        class_weights: Tensor | None = None,
        margin_is_set: bool = True,
        seed: int = 0,
        **how: Any,
    ) -> None:
        super().__init__(model, **how)
        self.loss: Any = loss
        self.max_classes, self.seed = max_classes, seed
        self.class_vectors = nn.Parameter(class_vectors)
        self.register_buffer("class_weights", class_weights, persistent=False)
        if not margin_is_set:
            self.register_buffer("margin", torch.tensor(math.nan, device=class_vectors.device))

    @property
    def classes(self) -> int:
        """The number of classes."""
        return len(self.class_vectors) // int(self.loss.centres)

    @property
    def margin_is_open(self) -> bool:
        """True until the margin is set."""
        return bool(self._buffers.get("margin") is not None and self.margin.isnan())

    def set_margin(self, margin: float) -> None:
        """Use this margin from now on, and keep it in checkpoints."""
        self.margin.fill_(margin)

    def figures(self) -> dict[str, float]:
        """Return the margin of the kept checkpoint, if training computes it; 0 before it is set."""
        if self._buffers.get("margin") is None:
            return {}
        return {"margin": 0.0 if self.margin_is_open else round(float(self.margin), 4)}

    def forward(self, sentence_features: Iterable[Features], labels: Tensor) -> Tensor:
        """Return the loss of this process's rows; `labels` `(rows,)` are class numbers."""
        (features,) = sentence_features
        loss = self.current_loss()
        row_weights = None if self.class_weights is None else self.class_weights[labels]
        sampled = self._sampled(labels)

        def value(H: Tensor) -> Tensor:
            """Return the loss of vectors `(rows, dim)`."""
            if sampled is None:
                return loss(H, labels, self.class_vectors, row_weights=row_weights)
            vectors = self.class_vectors.unflatten(0, (self.classes, -1))[sampled.classes].flatten(0, 1)
            return loss(H, sampled.labels, vectors, row_weights=row_weights, log_counts=sampled.log_counts)

        return self.value(cut(dict(features), self.plan.chunk_tokens), value, parameters=[self.class_vectors])

    def current_loss(self) -> ClassLoss:
        """Return the loss with the current margin."""
        loss: ClassLoss = self.loss
        if self._buffers.get("margin") is not None:
            loss = replace(self.loss, margin=0.0 if self.margin_is_open else float(self.margin))
        return loss

    def _sampled(self, labels: Tensor) -> Sampled | None:
        if self.max_classes is None or self.classes <= self.max_classes:
            return None
        batch = gathered(labels)  # labels of all processes, so that they use the same sample
        sampled = sample_classes(batch, self.classes, self.max_classes, draws_of(batch, self.seed))
        return sampled._replace(labels=sampled.labels[own_rows(len(labels))])


def draws_of(labels: Tensor, seed: int) -> torch.Generator:
    """Return the random generator of a batch, the same for any number of processes and for a resumed run."""
    return torch.Generator().manual_seed(zlib.crc32(labels.cpu().numpy().tobytes(), seed % 2**32))


def sample_classes(labels: Tensor, classes: int, size: int, generator: torch.Generator) -> Sampled:
    """Draw `size` of the classes (more, if a batch has more): all of the batch's, and others uniformly."""
    own = labels.unique()
    others = torch.ones(classes, dtype=torch.bool, device=labels.device)
    others[own] = False
    candidates = others.nonzero().flatten()
    count = min(max(0, size - len(own)), len(candidates))
    picked = torch.randperm(len(candidates), generator=generator)[:count]
    drawn = candidates[picked.to(labels.device)]
    chosen, order = torch.cat([own, drawn]).sort()
    stands_for = math.log(len(candidates) / count) if count else 0.0
    log_counts = torch.zeros(len(chosen), device=labels.device)
    log_counts[order >= len(own)] = stands_for
    return Sampled(chosen, torch.searchsorted(chosen, labels), log_counts)


class Targets(NamedTuple):
    """The labels of texts with lists of labels: text i has the labels from `starts[i]` to `starts[i + 1]`."""

    starts: Tensor  # (texts + 1,)
    classes: Tensor  # (labels of all texts,)
    weights: Tensor  # (labels of all texts,)

    @classmethod
    def of(cls, rows: Sequence[tuple[Sequence[int], Sequence[float]]]) -> Targets:
        """Concatenate the classes and weights of all texts."""
        counts = np.array([0, *(len(classes) for classes, _ in rows)])
        return cls(
            torch.from_numpy(np.cumsum(counts)),
            torch.tensor([place for classes, _ in rows for place in classes], dtype=torch.int64),
            torch.tensor([weight for _, weights in rows for weight in weights], dtype=torch.float32),
        )

    def dense(self, texts: Tensor, classes: int) -> Tensor:
        """Return the weight of every class for some texts, `(len(texts), classes)`."""
        dense = torch.zeros(len(texts), classes)
        for row, text in enumerate(texts.tolist()):
            part = slice(int(self.starts[text]), int(self.starts[text + 1]))
            dense[row, self.classes[part]] = self.weights[part]
        return dense.to(texts.device)


class Tagged(Objective):
    """ZLPR over texts with lists of labels: a label applies if `scale * (cosine - offset)` is above 0.

    `class_vectors` are `(classes, dim)`; `offset` is learnt. The labels of a batch are row numbers in
    `targets`.
    """

    def __init__(
        self,
        model: nn.Module,
        class_vectors: Tensor,
        targets: Targets,
        *,
        scale: float,
        offset: float,
        **how: Any,
    ) -> None:
        super().__init__(model, **how)
        self.loss, self.targets, self.scale = ZLPR(), targets, scale
        self.class_vectors = nn.Parameter(class_vectors)
        self.offset = nn.Parameter(torch.tensor(offset, device=class_vectors.device))

    def forward(self, sentence_features: Iterable[Features], labels: Tensor) -> Tensor:
        """Return the loss of this process's rows; `labels` `(rows,)` are row numbers in `targets`."""
        (features,) = sentence_features
        wanted = self.targets.dense(labels, len(self.class_vectors))

        def value(H: Tensor) -> Tensor:
            """Return the loss of vectors `(rows, dim)`."""
            return self.loss(self.scores(H), wanted)

        parameters = [self.class_vectors, self.offset]
        return self.value(cut(dict(features), self.plan.chunk_tokens), value, parameters=parameters)

    def scores(self, H: Tensor) -> Tensor:
        """Return the score of every class for vectors `(rows, dim)`: `(rows, classes)`."""
        with torch.autocast(H.device.type, enabled=False):
            unit = nn.functional.normalize(H if H.dtype == torch.float64 else H.float(), dim=1)
            return self.scale * (unit @ nn.functional.normalize(self.class_vectors, dim=1).T - self.offset)
