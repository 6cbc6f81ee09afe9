"""Architectures from nothing: masked language modelling, depth, warm-up, longer texts and a doubled width.

    python benchmarks/architectures.py                # losses of all kinds after equal steps
    python benchmarks/architectures.py --quick        # the same, few steps: does everything run?
    python benchmarks/architectures.py --what deep    # 100 layers of width 64
    python benchmarks/architectures.py --what warmup  # the same training without warm-up
    python benchmarks/architectures.py --what length  # trained on 64 tokens, read on up to 512
    python benchmarks/architectures.py --what widen   # a widened network against a new one of its width

All sides have about as many weights in their layers, and train on the same segments of Chinese Wikipedia, a
character per token, with the same masks, steps and learning rate, which is tuned for none of them. Depth,
warm-up and width are measured on repeated tokens to copy. Prints one JSON line per side. Needs no network.
"""

from __future__ import annotations

import argparse
import os
import time
from collections import Counter
from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
import torch
from measure import data, emit
from numpy.typing import NDArray
from torch import Tensor, nn

os.environ.setdefault("HF_HUB_OFFLINE", "1")

CORPUS = "corpus/wiki-zh/sentences_simplified_200k.txt"
VOCABULARY, PADDING, MASK = 4000, 0, 2  # 1 is any other character
SHARE, TOKENS, BATCH, HELD_OUT = (
    0.15,
    64,
    32,
    64,
)  # of masked tokens; per segment; segments per batch, held out
SIDES = {
    "bert": "bert:layers=3,width=128",
    "bert, rotary": "bert:layers=3,width=128,positions=rotary",
    "bert, rotary, log-length": "bert:layers=3,width=128,positions=rotary,scale=log-length",
    "pre-norm": "pre-norm:layers=3,width=128",
    "deepnorm": "deepnorm:layers=3,width=128",
    "gau, softmax": "gau:layers=6,width=128",
    "gau, relu-squared": "gau:layers=6,width=128,attention=relu-squared",
    "linear, elu": "linear:layers=3,width=128",
    "linear, performer": "linear:layers=3,width=128,features=performer",
    "mlp": "mlp:layers=4,width=128",
}
DEEP = {
    "deepnorm": "deepnorm:layers=100,width=64",
    "post norm, Xavier": "deepnorm:layers=100,width=64,alpha=1,beta=1",
    "post norm, BERT's deviation of .02": "bert:layers=100,width=64",
    "pre-norm": "pre-norm:layers=100,width=64",
}
REPEATED: Any = {"tokens": 8, "vocabulary": 64}  # settings of training on `repetitions`
WARMED = ("bert", "pre-norm", "deepnorm", "gau, softmax")
LONGER = ("bert, rotary", "bert, rotary, log-length", "gau, plain scale", "gau, softmax")
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


def main() -> None:
    """Read the options, run the chosen measurements, and print a line for each."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--what", choices=["loss", "deep", "warmup", "length", "widen"], default="loss")
    parser.add_argument("--steps", type=int, default=1000, help="of every side")
    parser.add_argument("--seed", type=int, default=0, help="of weights, segments and masks")
    parser.add_argument("--quick", action="store_true", help="5 steps")
    options = parser.parse_args()
    training = Training(5 if options.quick else options.steps, options.seed)
    {"loss": losses, "deep": deep, "warmup": warmup, "length": length, "widen": widen}[options.what](training)


def losses(training: Training) -> None:
    """Train all sides, and print their losses on held-out segments."""
    stream = characters()
    for side, text in SIDES.items():
        report(side, text, train(text, stream, training), training)


def deep(training: Training) -> None:
    """Train networks of 100 layers to copy."""
    stream = repetitions()
    how = training._replace(**REPEATED, steps=min(training.steps, 300))
    for side, text in DEEP.items():
        report(side, text, train(text, stream, how), how)


def warmup(training: Training) -> None:
    """Train to copy with and without warm-up, at a learning rate that is 3 times as high."""
    stream = repetitions()
    for side in WARMED:
        for share in (0.1, 0.0):
            how = training._replace(**REPEATED, warmup=share, rate=3e-3)
            report(side, SIDES[side], train(SIDES[side], stream, how), how)


def length(training: Training) -> None:
    """Train on segments of 64 tokens, and print the losses on longer ones."""
    stream = characters()
    specs = {**SIDES, "gau, plain scale": "gau:layers=6,width=128,scale=plain"}
    for side in LONGER:
        found = train(specs[side], stream, training)
        by_length = {tokens: held_out(found.reader, stream, tokens) for tokens in (64, 128, 256, 512)}
        report(side, specs[side], found, training, loss_by_tokens=by_length)


def widen(training: Training) -> None:
    """Teach a network of width 64 to copy, double it, and train on, against a new one of width 128."""
    from embedkit.embedding.architectures.widening import widened, widened_head

    stream, side = repetitions(), "bert:layers=3,width=64,heads=2"
    training = training._replace(**REPEATED, rate=3e-3)
    narrow = train(side, stream, training)
    report("narrow", side, narrow, training)
    wide_side = "bert:layers=3,width=128,heads=4"
    reader = Reader(wide_side, training.tokens, training.vocabulary)
    head = {name: value for name, value in narrow.reader.state_dict().items() if "network" not in name}
    reader.load_state_dict(widened_head(head), strict=False)
    reader.network = widened(narrow.reader.network)
    before = held_out(reader, stream, training.tokens)
    more = training._replace(steps=training.steps // 2, seed=training.seed + 1)
    report("widened", wide_side, train(wide_side, stream, more, reader=reader), more, loss_before=before)
    report("new", wide_side, train(wide_side, stream, more), more)


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


def characters() -> NDArray[np.int64]:
    """Return the corpus as one stream of ids of its most frequent characters."""
    text = data(CORPUS).read_text(encoding="utf-8").replace("\n", "")
    known = {each: n for n, (each, _) in enumerate(Counter(text).most_common(VOCABULARY - 3), start=3)}
    return np.fromiter((known.get(each, 1) for each in text), dtype=np.int64, count=len(text))


def repetitions() -> NDArray[np.int64]:
    """Return a stream of 61 ids, each 32 times in a row, so that a segment of 8 has one or two to copy."""
    return np.repeat(np.random.default_rng(0).integers(3, 64, 70_000), 32)


def report(side: str, text: str, found: Trained, how: Training, **more: Any) -> None:
    """Print the line of one side."""
    emit(
        side=side, spec=text, steps=how.steps, seed=how.seed, learning_rate=how.rate, warmup=how.warmup,
        layer_weights=found.reader.layer_weights(), loss=found.loss, curve=found.curve,
        steps_per_second=how.steps / found.seconds, **more,
    )  # fmt: skip


if __name__ == "__main__":
    main()
