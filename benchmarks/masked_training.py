"""Small networks that learn masked tokens of a stream, for the benchmarks of architectures."""

from __future__ import annotations

import os
import time
from collections import Counter
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import torch
from measure import data
from numpy.typing import NDArray
from torch import Tensor, nn

os.environ.setdefault("HF_HUB_OFFLINE", "1")

CHINESE, ENGLISH = "corpus/wiki-zh/sentences_simplified_200k.txt", "corpus/wiki-en/sentences_100k.txt"
PADDING, MASK, FIRST = 0, 2, 3  # ids: 1 is any other character, and the first of the known ones
SHARE = 0.15  # of masked tokens
VOCABULARY, TOKENS, BATCH = 4000, 64, 32  # of Chinese characters; per segment; segments per batch
HELD_OUT = 64  # segments of 512 tokens
MOST_TOKENS = 4096  # read at a time


class Training(NamedTuple):
    """How a side trains."""

    steps: int
    seed: int
    rate: float = 1e-3
    warmup: float = 0.1  # share of the steps
    batch: int = BATCH
    tokens: int = TOKENS
    vocabulary: int = VOCABULARY


class Reader(nn.Module):
    """A network and the head that predicts masked tokens by the table of token vectors."""

    def __init__(self, text: str, max_length: int, vocabulary: int = VOCABULARY) -> None:
        from embedkit.embedding.architectures.registry import architecture

        super().__init__()
        kind = architecture(text)
        self.network = kind.build(vocabulary=vocabulary, padding=PADDING, max_length=max_length)
        self.dense, self.norm = nn.Linear(kind.width, kind.width), nn.LayerNorm(kind.width)
        self.bias = nn.Parameter(torch.zeros(vocabulary))

    def forward(self, ids: Tensor, masked: Tensor) -> Tensor:
        """Return the mean loss of predicting the masked tokens of ids `(segments, tokens)`."""
        read = ids.masked_fill(masked, MASK)
        hidden = self.network(input_ids=read, attention_mask=torch.ones_like(read)).last_hidden_state
        vectors = self.norm(nn.functional.gelu(self.dense(hidden[masked])))
        table = self.network.get_input_embeddings().weight
        return nn.functional.cross_entropy(nn.functional.linear(vectors, table, self.bias), ids[masked])

    def layer_weights(self) -> int:
        """Return the number of weights without the table of token vectors."""
        table = self.network.get_input_embeddings().weight.numel()
        return sum(weight.numel() for weight in self.network.parameters()) - table


class Trained(NamedTuple):
    """A trained side."""

    reader: Reader
    loss: float  # on held-out segments
    curve: list[float]  # mean training loss of each tenth of the steps
    seconds: float


def train(text: str, stream: NDArray[np.int64], how: Training, *, reader: Reader | None = None) -> Trained:
    """Train one side, or a reader that has learnt something, by Adam with a linear schedule."""
    torch.manual_seed(how.seed)
    reader = (Reader(text, how.tokens, how.vocabulary) if reader is None else reader).train()
    optimizer = torch.optim.AdamW(reader.parameters(), lr=how.rate, weight_decay=0.01, fused=True)
    batches = segments(stream, how)
    values, begun = [], time.perf_counter()
    for step in range(how.steps):
        for group in optimizer.param_groups:
            group["lr"] = how.rate * schedule(step, how)
        optimizer.zero_grad()
        loss = reader(*next(batches))
        loss.backward()
        nn.utils.clip_grad_norm_(reader.parameters(), 1.0)
        optimizer.step()
        values.append(float(loss.detach()))
    tenths = [float(np.mean(part)) for part in np.array_split(values, min(10, len(values)))]
    seconds = time.perf_counter() - begun
    return Trained(reader, held_out(reader, stream, how.tokens), tenths, seconds)


def schedule(step: int, how: Training) -> float:
    """Return the factor on the learning rate: a linear rise, if any, then a linear fall."""
    rise = max(1, round(how.warmup * how.steps)) if how.warmup else 0
    if step < rise:
        return (step + 1) / rise
    return (how.steps - step) / max(1, how.steps - rise)


def segments(stream: NDArray[np.int64], how: Training) -> Iterator[tuple[Tensor, Tensor]]:
    """Yield random segments of the stream before its held-out end, with their masks."""
    numbers = np.random.default_rng(how.seed)
    while True:
        starts = numbers.integers(0, len(stream) * 19 // 20 - how.tokens, how.batch)
        yield batch_at(stream, starts, how.tokens, numbers)


def batch_at(
    stream: NDArray[np.int64], starts: NDArray[np.int64], tokens: int, numbers: np.random.Generator
) -> tuple[Tensor, Tensor]:
    """Return the segments at `starts`, `(segments, tokens)`, and which of their tokens are masked."""
    ids = torch.from_numpy(stream[starts[:, None] + np.arange(tokens)])
    return ids, torch.from_numpy(numbers.random(ids.shape) < SHARE)


def held_out(reader: Reader, stream: NDArray[np.int64], tokens: int) -> float:
    """Return the loss on the end of the stream; the same characters at every length."""
    reader.eval()
    numbers = np.random.default_rng(1)
    starts = len(stream) * 19 // 20 + tokens * np.arange(HELD_OUT * 512 // tokens)
    parts = np.array_split(starts, max(1, len(starts) * tokens // MOST_TOKENS))
    with torch.inference_mode():
        return float(np.mean([float(reader(*batch_at(stream, part, tokens, numbers))) for part in parts]))


def characters(corpus: str = CHINESE, vocabulary: int = VOCABULARY) -> NDArray[np.int64]:
    """Return a corpus as one stream of ids of its most frequent characters."""
    text = data(corpus).read_text(encoding="utf-8").replace("\n", " " if corpus == ENGLISH else "")
    frequent = Counter(text).most_common(vocabulary - FIRST)
    known = {each: n for n, (each, _) in enumerate(frequent, start=FIRST)}
    return np.fromiter((known.get(each, 1) for each in text), dtype=np.int64, count=len(text))


def repetitions() -> NDArray[np.int64]:
    """Return a stream of 61 ids, each 32 times in a row, so that a segment of 8 has one or two to copy."""
    return np.repeat(np.random.default_rng(0).integers(3, 64, 70_000), 32)
