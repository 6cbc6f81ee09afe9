"""What each of several processes does: torchrun several.py MODEL FOLDER trains every case; so does one alone.

Batches are of all processes, and dropout is off: each process draws its own.
"""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path

from embedkit.data.text.examples import Examples
from embedkit.data.text.scored_pairs import Pair
from embedkit.training.amsoftmax import train_amsoftmax
from embedkit.training.amsoftmax_settings import AMSoftmaxSettings
from embedkit.training.distributed import part
from embedkit.training.gather import processes
from embedkit.training.simcse import train_simcse
from embedkit.training.simcse_settings import SimCSESettings
from tests.training.test_amsoftmax import TEXTS, lists
from tests.training.test_simcse import PAIRS, sentence

COLUMNS = ("anchor", "positive", "negative")
TRIPLETS = Examples(COLUMNS, [tuple(sentence(seed + 500 * view) for view in range(3)) for seed in range(45)])
REPEATED = replace(TRIPLETS, rows=[(sentence(seed % 15), *row[1:]) for seed, row in enumerate(TRIPLETS.rows)])
SHARED = {  # 45 triplets: 5 batches and 5 left over; half a batch more, which no batch of all is made of
    "batch_size": 8, "epochs": 2.0, "precision": "fp32", "log_steps": 1, "dropout": 0.0,
    "attention_dropout": 0.0, "eval_steps": 5, "learning_rate": 1e-4,
}  # fmt: skip
# The cosine of a text to itself is 1 but for rounding, which must not decide the best checkpoint.
DISTINCT = [Pair(*pair) for pair in PAIRS if pair.first != pair.second]
TWO_PASSES = {"chunk_tokens": 40, "passes": 2}
SIMCSE = {
    "one-pass": {"passes": 1, "chunk_tokens": 2048},
    "two-passes": TWO_PASSES,
    "nt-xent-head": {"loss": "nt-xent", "head": True, **TWO_PASSES},
    "accumulated": {"accumulate": 2, **TWO_PASSES},
    "distinct": {"distinct": True, **TWO_PASSES},
    "guided": {"guide": "self", "guide_margin": 0.1, **TWO_PASSES},
    "taught": {"teacher": "hash:dim=64", "distill_weight": 0.5, "dims": (32, 8), **TWO_PASSES},
    "scored": {"teacher": "hash:dim=64", "distill": "kl", "loss": "none", **TWO_PASSES},
}
LABELS = {
    "am-softmax": TWO_PASSES,
    "sub-centre": {"loss": "sub-centre"},
    "sampled": {"max_classes": 2, "batch_size": 4, **TWO_PASSES},
    "balanced": {"class_balance": "loss"},
    "auto": {"margin": "auto"},
    "zlpr": {"loss": "zlpr", **TWO_PASSES},
    "lora": {"lora": 2},
}


def main(model: str, folder: Path) -> None:
    """Train all cases into folders named after the case and the number of processes."""
    from embedkit.training.distributed import join

    join()
    for name, given in SIMCSE.items():
        settings = SimCSESettings(model=model, **{**SHARED, **given})
        pairs = DISTINCT if name == "one-pass" else []
        triplets = REPEATED if name == "distinct" else TRIPLETS
        train_simcse(folder / f"{name}-of-{processes()}", settings, triplets, pairs)
    for name, given in LABELS.items():
        settings = AMSoftmaxSettings(model=model, holdout_labels=1, **{**SHARED, **given})
        texts = lists() if name == "zlpr" else TEXTS
        if name == "zlpr":
            settings = replace(settings, holdout_labels=0)
        train_amsoftmax(folder / f"{name}-of-{processes()}", settings, texts)
    part()


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]))
