"""Objectives: a model, a loss and a way to cut batches, as the module that a trainer calls.

They also work in other trainers: `SentenceTransformerTrainer(..., loss=Contrastive(model, NTXent()))`.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from contextlib import nullcontext
from typing import Any, Protocol

import torch
from torch import Tensor, nn

from embedkit.errors import ModelError
from embedkit.losses.registry import accepted
from embedkit.training.batch_columns import cut_columns, numbers_of
from embedkit.training.chunking import ChunkPlan
from embedkit.training.gather import gathered, own_rows, processes
from embedkit.training.gradcache import Chunk, Features, Loss, Unsynchronised, one_pass, two_passes
from embedkit.training.known_rows import KnownRows
from embedkit.training.sparse_embeddings import sparse_gradients


class Objective(nn.Module):  # type: ignore[misc]
    """A model, a loss and a way to cut batches, as the module that a trainer calls.

    Chunks have at most `chunk_tokens` tokens, including padding. `passes` is 2 (memory of one chunk) or 1
    (the graphs of all chunks at once: faster, if memory suffices). `head` maps vectors in training only.
    Raises ModelError for a model whose vectors depend on the chunk, ValueError for settings out of range.
    """

    def __init__(
        self, model: nn.Module, *, chunk_tokens: int = 2048, passes: int = 2, head: nn.Module | None = None
    ) -> None:
        super().__init__()
        self.cut_by(ChunkPlan(chunk_tokens, passes))
        for part in (model, head):
            if part is not None:
                refuse_batch_norm(part)
        self.model, self.head = model, head
        self._shares_own = False

    def cut_by(self, plan: ChunkPlan) -> None:
        """Cut batches by `plan` from now on; raises ValueError for numbers out of range."""
        if plan.passes not in (1, 2):
            raise ValueError(f"passes must be 1 or 2, got {plan.passes}")
        if plan.chunk_tokens < 1:
            raise ValueError(f"chunk_tokens must be at least 1, got {plan.chunk_tokens}")
        self.plan = plan

    def views(self, columns: Sequence[Features]) -> list[Features]:
        """Return the columns to encode for some columns of text."""
        return list(columns)

    def figures(self) -> dict[str, float]:
        """Return values that training has computed from its data, by name."""
        return {}

    def own(self) -> dict[str, nn.Parameter]:
        """Return the parameters outside the model, by name."""
        return {name: value for name, value in self.named_parameters() if not name.startswith("model.")}

    def share_own(self) -> None:
        """Copy the first process's parameters of `own` to all processes, before the first step.

        From then on, `average_own` must be called before every step.
        """
        self._shares_own = True
        for parameter in self.own().values():
            if processes() > 1:
                torch.distributed.broadcast(parameter.data, src=0)

    def average_own(self) -> None:
        """Average the gradients of `own` over processes."""
        for parameter in self.own().values():
            if processes() > 1 and parameter.grad is not None:
                torch.distributed.all_reduce(parameter.grad)
                parameter.grad /= processes()

    def encode(self, features: Features) -> Tensor:
        """Return the vectors of some rows, `(rows, dim)`, after the head if there is one."""
        vectors: Tensor = self.model(dict(features))["sentence_embedding"]
        return vectors if self.head is None else self.head(vectors)

    def value(self, chunks: Sequence[Chunk], loss: Loss, *, parameters: Iterable[Tensor] = ()) -> Tensor:
        """Return the loss of all chunks; its backward gives the exact gradient, also of `parameters`."""
        if self.plan.passes == 1:
            return one_pass(self._encode_a_chunk, chunks, loss, unsynchronised=self._unsynchronised)
        return two_passes(
            self._encode_a_chunk, chunks, loss, parameters=parameters, unsynchronised=self._unsynchronised
        )

    def _encode_a_chunk(self, features: Features) -> Tensor:
        with sparse_gradients(self.model):
            return self.encode(features)

    @property
    def _unsynchronised(self) -> Unsynchronised:
        """The context in which a distributed model does not exchange gradients."""
        if processes() > 1 and not self._shares_own and self.own():
            raise ModelError(
                f"gradients of {next(iter(self.own()))} would differ between processes",
                hint="add the callback AverageOwn, put the head into the model, or train without it",
            )
        unsynchronised: Unsynchronised = getattr(self.model, "no_sync", nullcontext)
        return unsynchronised


class ContrastiveLoss(Protocol):
    """A kind of `losses/` that compares views, or teaches scores, similarities or vectors of a teacher."""

    def __call__(
        self, views: Sequence[Tensor], texts: Sequence[Tensor] | None, rows: slice, **known: Any
    ) -> Tensor:
        """Return the mean loss of some rows of the batch; it is given what it takes of `known`, the values of
        `KnownRows`.
        """


class Contrastive(Objective):
    """`loss` over batches of `model`, a SentenceTransformer, exact at any batch size.

    One column of text gives two views of each text; several columns are anchor, positive, and hard negatives.
    The labels of a batch, `(rows,)`, are the numbers of hard negatives per row; the remaining columns of a
    row are filler. With `known`, the labels are the rows' numbers, by which it finds what the loss is given.
    """

    def __init__(
        self, model: nn.Module, loss: ContrastiveLoss, *, known: KnownRows | None = None, **how: Any
    ) -> None:
        super().__init__(model, **how)
        self.loss, self.known = loss, known

    def forward(self, sentence_features: Iterable[Features], labels: Tensor | None = None) -> Tensor:
        """Return the loss of this process's rows against the rows of all processes."""
        columns = self.views([dict(features) for features in sentence_features])
        known = {} if labels is None else self._known(gathered(labels), len(columns))
        texts = gathered(torch.stack([numbers_of(features) for features in columns], dim=1)).unbind(dim=1)

        def loss(H: Tensor) -> Tensor:
            """Return the loss of the vectors of all columns, one column after the other."""
            views = H.chunk(len(columns))
            if processes() > 1:
                views = gathered(torch.stack(views, dim=1)).unbind(dim=1)
            return self.loss(views, texts, own_rows(len(H) // len(columns)), **accepted(self.loss, known))

        return self.value(cut_columns(columns, self.plan.chunk_tokens), loss)

    def views(self, columns: Sequence[Features]) -> list[Features]:
        """Return the columns; a lone column twice if the loss compares views, which dropout makes of it."""
        alone = len(columns) == 1 and getattr(self.loss, "compares", "views") == "views"
        return list(columns) * (2 if alone else 1)

    def _known(self, labels: Tensor, views: int) -> dict[str, object]:
        """Return what the loss is given of the rows of all processes, by the names of its arguments."""
        return {"counts": labels} if self.known is None else self.known.of(labels, views)


def refuse_batch_norm(model: nn.Module) -> None:
    """Raise ModelError for layers whose output depends on the other rows of the chunk."""
    for name, module in model.named_modules():
        if isinstance(module, nn.modules.batchnorm._BatchNorm):
            what = f"{name} is a {type(module).__name__}" if name else f"it is a {type(module).__name__}"
            raise ModelError(f"{what}: its output depends on the chunk, so no gradient is exact")
