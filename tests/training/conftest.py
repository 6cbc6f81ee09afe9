"""A small encoder for proofs: every kind of layer that gradients meet, dropout included, in any precision."""

from __future__ import annotations

import sys
from types import ModuleType

import pytest
import torch
from torch import Tensor, nn

VOCABULARY, WIDTH, DIM = 40, 16, 6


class Toy(nn.Module):
    """Tokens -> the mean of their vectors -> two layers with dropout between: `(rows, DIM)`.

    `by_content` makes the mask of dropout a function of a row's tokens and `view`, so that a row has the same
    one in any chunk. Else it is drawn, and kept in `drawn`; `given`, `(rows, WIDTH)`, replaces it.
    """

    def __init__(self, dtype: torch.dtype = torch.float64, dropout: float = 0.1, by_content: bool = False):
        super().__init__()
        with torch.random.fork_rng():
            torch.manual_seed(0)
            self.tokens = nn.Embedding(VOCABULARY, WIDTH, dtype=dtype)
            self.inner = nn.Linear(WIDTH, WIDTH, dtype=dtype)
            self.norm = nn.LayerNorm(WIDTH, dtype=dtype)
            self.outer = nn.Linear(WIDTH, DIM, dtype=dtype)
        self.register_buffer("places", torch.arange(8))  # as position ids: processes exchange buffers
        self.dropout, self.by_content = dropout, by_content
        self.drawn: list[Tensor] = []
        self.given: Tensor | None = None

    def forward(self, features: dict[str, Tensor]) -> dict[str, Tensor]:
        mask = features["attention_mask"][..., None].to(self.inner.weight.dtype)
        tokens = self.tokens(features["input_ids"]) * mask
        mean = self.norm(tokens.sum(dim=1) / mask.sum(dim=1).clamp(min=1))
        hidden = torch.tanh(self.inner(mean)) * self._mask(features).to(mean.dtype)
        return {**features, "sentence_embedding": self.outer(hidden)}

    def _mask(self, features: dict[str, Tensor]) -> Tensor:
        ids = features["input_ids"]
        if self.given is not None:
            return self.given
        if self.by_content:
            key = (ids * features["attention_mask"]).sum(dim=1).double() + 0.37 * features.get("view", 0)
            noise = torch.sin(key[:, None] * 12.9898 + torch.arange(WIDTH) * 78.233) * 43758.5453
            return (noise.frac().abs() >= self.dropout) / (1 - self.dropout)
        self.drawn.append(nn.functional.dropout(torch.ones(len(ids), WIDTH), self.dropout, self.training))
        return self.drawn[-1]


def padded(texts: list[list[int]], width: int | None = None, left: bool = False) -> dict[str, Tensor]:
    """Return texts as a tokenizer gives them: ids and mask, `(rows, width)`, padded with 0."""
    width = width or max(map(len, texts))
    rows, masks = [], []
    for text in texts:
        padding = [0] * (width - len(text))
        ones = [1] * len(text)
        rows.append(padding + text if left else text + padding)
        masks.append(padding + ones if left else ones + padding)
    return {"input_ids": torch.tensor(rows), "attention_mask": torch.tensor(masks)}


def some_texts(count: int, seed: int = 0, longest: int = 9) -> list[list[int]]:
    """Return texts of different lengths, as lists of tokens."""
    numbers = torch.Generator().manual_seed(seed)
    lengths = torch.randint(1, longest + 1, (count,), generator=numbers).tolist()
    return [torch.randint(1, VOCABULARY, (n,), generator=numbers).tolist() for n in lengths]


def gradient(*modules: nn.Module | Tensor) -> Tensor:
    """Return all gradients as one vector, zeros where there is none."""
    parameters = [p for m in modules for p in (m.parameters() if isinstance(m, nn.Module) else [m])]
    return torch.cat([(torch.zeros_like(p) if p.grad is None else p.grad).flatten() for p in parameters])


def error(found: Tensor, expected: Tensor) -> float:
    """Return the relative error of a gradient."""
    assert expected.norm() > 0
    return float((found.double() - expected.double()).norm() / expected.double().norm())


@pytest.fixture(name="error")
def error_() -> object:
    """The function that compares gradients."""
    return error


@pytest.fixture(scope="session")
def toys() -> ModuleType:
    """This file: the small encoder, its inputs, and what compares gradients."""
    return sys.modules[__name__]


@pytest.fixture(autouse=True, scope="session")
def _one_thread():
    """Compute in one thread: models here are tiny, and other tests run beside."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)
