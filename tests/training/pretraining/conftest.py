"""A small corpus with a grammar, so that hidden words can be predicted, and settings of tiny runs."""

import random

import pytest

from embedkit.training.pretraining.corpus import Corpus
from embedkit.training.pretraining.pretrain_settings import PretrainSettings

KINDS = {"cat": "mew purr nap", "dog": "bark howl run", "owl": "hoot soar peer", "eel": "swim glow hide"}


def sentence(seed):
    """Return a sentence about one animal and what it does."""
    rng = random.Random(seed)
    name = rng.choice(sorted(KINDS))
    deeds = rng.choices(KINDS[name].split(), k=rng.randint(2, 6))
    return f"the {name} will {' and '.join(deeds)}"


TEXTS = Corpus([(sentence(seed),) for seed in range(60)])
PAIRS = Corpus([(sentence(seed), sentence(seed + 1)) for seed in range(0, 80, 2)])


@pytest.fixture
def settings(folder):
    """Six steps of 8 texts for a model of one layer, evaluated every two."""
    return PretrainSettings(
        inputs=("a.txt",), arch="bert:layers=1,width=16,heads=2", vocabulary_size=60, max_length=24,
        batch_size=8, max_steps=6, eval_steps=2, log_steps=1, learning_rate=3e-3, precision="fp32",
        holdout=8.0,
    )  # fmt: skip
