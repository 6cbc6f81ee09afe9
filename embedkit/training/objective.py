"""Objectives: a model, a loss and a way to cut batches, as the module that a trainer calls.

They also work in other trainers: `SentenceTransformerTrainer(..., loss=Contrastive(model, NTXent()))`.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from contextlib import nullcontext
from typing import Any, NamedTuple, Protocol

import torch
from torch import Tensor, nn

from embedkit.errors import ModelError
from embedkit.training.gather import gathered, own_rows, processes
from embedkit.training.gradcache import (
    Chunk,
    Features,
    Loss,
    Unsynchronised,
    cut,
    one_pass,
    padded_left,
    two_passes,
)
from embedkit.training.settings import RunSettings
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
        if passes not in (1, 2):
            raise ValueError(f"passes must be 1 or 2, got {passes}")
        if chunk_tokens < 1:
            raise ValueError(f"chunk_tokens must be at least 1, got {chunk_tokens}")
        for part in (model, head):
            if part is not None:
                refuse_batch_norm(part)
        self.model, self.head = model, head
        self.chunk_tokens, self.passes = chunk_tokens, passes
        self.averaged = False  # True if a callback averages the gradients of `own` over processes

    def own(self) -> dict[str, nn.Parameter]:
        """Return the parameters outside the model, by name."""
        return {name: value for name, value in self.named_parameters() if not name.startswith("model.")}

    def encode(self, features: Features) -> Tensor:
        """Return the vectors of some rows, `(rows, dim)`, after the head if there is one."""
        vectors: Tensor = self.model(dict(features))["sentence_embedding"]
        return vectors if self.head is None else self.head(vectors)

    def value(self, chunks: Sequence[Chunk], loss: Loss, *, parameters: Iterable[Tensor] = ()) -> Tensor:
        """Return the loss of all chunks; its backward gives the exact gradient, also of `parameters`."""
        if self.passes == 1:
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
        if processes() > 1 and not self.averaged and self.own():
            raise ModelError(
                f"gradients of {next(iter(self.own()))} would differ between processes",
                hint="add the callback AverageOwn, put the head into the model, or train without it",
            )
        unsynchronised: Unsynchronised = getattr(self.model, "no_sync", nullcontext)
        return unsynchronised


class ContrastiveLoss(Protocol):
    """A kind of `losses/` that compares views."""

    def __call__(
        self, views: Sequence[Tensor], texts: Sequence[Tensor] | None, rows: slice, **counts: Tensor
    ) -> Tensor:
        """Return the mean loss of some rows of the batch; `counts=` are hard negatives per row."""


class Contrastive(Objective):
    """`loss` over batches of `model`, a SentenceTransformer, exact at any batch size.

    One column of text gives two views of each text; several columns are anchor, positive, and hard negatives.
    The labels of a batch, `(rows,)`, are the numbers of hard negatives per row; the remaining columns of a
    row are filler.
    """

    def __init__(self, model: nn.Module, loss: ContrastiveLoss, **how: Any) -> None:
        super().__init__(model, **how)
        self.loss = loss

    def forward(self, sentence_features: Iterable[Features], labels: Tensor | None = None) -> Tensor:
        """Return the loss of this process's rows against the rows of all processes."""
        columns = [dict(features) for features in sentence_features]
        columns = columns * 2 if len(columns) == 1 else columns
        counts = {} if labels is None else {"counts": gathered(labels)}
        texts = gathered(torch.stack([numbers_of(features) for features in columns], dim=1)).unbind(dim=1)

        def loss(H: Tensor) -> Tensor:
            views = H.chunk(len(columns))
            if processes() > 1:
                views = gathered(torch.stack(views, dim=1)).unbind(dim=1)
            return self.loss(views, texts, own_rows(len(H) // len(columns)), **counts)

        return self.value(cut_columns(columns, self.chunk_tokens), loss)


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


def _equal(one: Any, other: Any) -> bool:
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


def refuse_batch_norm(model: nn.Module) -> None:
    """Raise ModelError for layers whose output depends on the other rows of the chunk."""
    for name, module in model.named_modules():
        if isinstance(module, nn.modules.batchnorm._BatchNorm):
            what = f"{name} is a {type(module).__name__}" if name else f"it is a {type(module).__name__}"
            raise ModelError(f"{what}: its output depends on the chunk, so no gradient is exact")


class Made(NamedTuple):
    """An objective around the model to start from, and the settings completed while making it."""

    objective: Objective
    bf16: bool
    settings: RunSettings  # completed: chunk sizes, number of passes
