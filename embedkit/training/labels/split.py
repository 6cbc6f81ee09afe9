"""Labelled texts cut in three: to train on, to calibrate scores with, and those whose labels are held out."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from embedkit.data.text.labelled import LabelledText
from embedkit.errors import UsageError


class Split(NamedTuple):
    """Rows by what they are for."""

    train: list[LabelledText]
    calibrate: list[LabelledText]  # of labels that are trained on
    unseen: list[LabelledText]  # with a label that is held out
    names: list[str]  # of the labels trained on, sorted
    held_out: list[str]  # sorted


def split(
    rows: Sequence[LabelledText], *, holdout: float = 0.0, calibrate: float = 0.0, seed: int = 0
) -> Split:
    """Hold out labels with all their texts, and of each other label a share of its texts.

    `holdout` is a share of the labels below 1, or a number of them; `calibrate` a share of a label's texts,
    or one more, though never a label's last. Raises UsageError when fewer than two labels are left.
    """
    numbers = np.random.default_rng(seed)
    names = sorted({name for row in rows for name in row.labels})
    count = round(holdout * len(names)) if holdout < 1 else int(holdout)
    if holdout and (count < 1 or len(names) - count < 2):
        left = f"{count} held out and {max(0, len(names) - count)} to train on"
        raise UsageError(f"{holdout:g} of {len(names)} labels leaves {left}", where="--holdout-labels")
    held_out = {names[place] for place in numbers.permutation(len(names))[:count]}
    unseen = [row for row in rows if held_out.intersection(row.labels)]
    seen = [row for row in rows if not held_out.intersection(row.labels)]
    kept_back = _kept_back(seen, calibrate, numbers)
    train = [row for place, row in enumerate(seen) if place not in kept_back]
    trained = sorted({name for row in train for name in row.labels})
    return Split(train, [seen[place] for place in sorted(kept_back)], unseen, trained, sorted(held_out))


def _kept_back(rows: Sequence[LabelledText], share: float, numbers: np.random.Generator) -> set[int]:
    """Return places of rows: a share of each label's, of lists one of all; no label loses its last."""
    lists = any(len(row.labels) != 1 for row in rows)
    groups: dict[str, list[int]] = defaultdict(list)
    for place, row in enumerate(rows):
        groups["" if lists else row.labels[0]].append(place)
    left = Counter(name for row in rows for name in row.labels)
    kept: set[int] = set()
    for places in groups.values():
        count = int(share * len(places) + numbers.random())  # rounded so that it is the share on average
        for place in numbers.permutation(places)[:count].tolist():
            if all(left[name] > 1 for name in rows[place].labels):
                left.subtract(rows[place].labels)
                kept.add(place)
    return kept
