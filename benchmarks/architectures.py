"""Architectures from nothing: masked tokens, depth, warm-up, norms, longer texts and a doubled width.

    python benchmarks/architectures.py                # losses of all kinds after equal steps
    python benchmarks/architectures.py --quick        # the same, few steps: does everything run?
    python benchmarks/architectures.py --what deep    # 100 layers of width 64
    python benchmarks/architectures.py --what warmup  # the same training without warm-up
    python benchmarks/architectures.py --what norms   # pre and post norm at higher and higher learning rates
    python benchmarks/architectures.py --what length  # trained on 64 tokens, read on up to 512
    python benchmarks/architectures.py --what widen   # a widened network against a new one of its width

All sides have about as many weights in their layers, and train on the same segments of Chinese Wikipedia, a
character per token, with the same masks, steps and learning rate, which is tuned for none of them. Depth,
warm-up, norms and width are measured on repeated tokens to copy, longer texts also on letters of the English
Wikipedia. Prints one JSON line per side. Needs no network.
"""

from __future__ import annotations

import argparse
from typing import Any

from masked_training import ENGLISH, Reader, Trained, Training, characters, held_out, repetitions, train
from measure import emit

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
LONGER = {
    "bert, plain scale": "bert:layers=2,width=64,positions=rotary",
    "bert, log-length": "bert:layers=2,width=64,positions=rotary,scale=log-length",
    "gau, plain scale": "gau:layers=4,width=64,scale=plain",
    "gau, log-length": "gau:layers=4,width=64",
}
NORMS = {"post norm": "bert:layers=12,width=64", "pre norm": "pre-norm:layers=12,width=64"}
RATES = (1e-3, 3e-3, 1e-2)
LENGTHS, LETTERS = (64, 128, 256, 512), 128  # tokens to read; different letters to learn


def main() -> None:
    """Read the options, run the chosen measurements, and print a line for each."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--what", choices=MEASUREMENTS, default="loss")
    parser.add_argument("--steps", type=int, default=1000, help="of every side")
    parser.add_argument("--seed", type=int, default=0, help="of weights, segments and masks")
    parser.add_argument("--quick", action="store_true", help="5 steps")
    options = parser.parse_args()
    training = Training(5 if options.quick else options.steps, options.seed)
    MEASUREMENTS[options.what](training)


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


def norms(training: Training) -> None:
    """Train 12 layers to copy, with pre norm and with post norm, at three learning rates."""
    stream = repetitions()
    for rate in RATES:
        how = training._replace(**REPEATED, rate=rate)
        for side, text in NORMS.items():
            report(side, text, train(text, stream, how), how)


def length(training: Training) -> None:
    """Train on segments of 64 tokens to copy, and of 64 letters, and print the losses on longer ones."""
    tasks = {
        "copying": (repetitions(), {"vocabulary": REPEATED["vocabulary"]}),
        "letters": (characters(ENGLISH, LETTERS), {"vocabulary": LETTERS}),
    }
    for task, (stream, more) in tasks.items():
        how = training._replace(**more, rate=3e-3)
        for side, text in LONGER.items():
            found = train(text, stream, how)
            by_length = {tokens: held_out(found.reader, stream, tokens) for tokens in LENGTHS}
            report(side, text, found, how, task=task, loss_by_tokens=by_length)


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


def report(side: str, text: str, found: Trained, how: Training, **more: Any) -> None:
    """Print the line of one side."""
    emit(
        side=side, spec=text, steps=how.steps, seed=how.seed, learning_rate=how.rate, warmup=how.warmup,
        layer_weights=found.reader.layer_weights(), loss=found.loss, curve=found.curve,
        steps_per_second=how.steps / found.seconds, **more,
    )  # fmt: skip


MEASUREMENTS = {
    "loss": losses, "deep": deep, "warmup": warmup, "norms": norms, "length": length, "widen": widen,
}  # fmt: skip

if __name__ == "__main__":
    main()
