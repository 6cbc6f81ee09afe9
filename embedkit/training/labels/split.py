"""A split of labelled texts in three: for training, for calibration, and texts of held-out labels."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from embedkit.data.text.labelled import LabelledText
from embedkit.errors import UsageError


class Split(NamedTuple):
    """Rows by their use."""

    train: list[LabelledText]
    calibrate: list[LabelledText]  # their labels are trained on
    unseen: list[LabelledText]  # they have a held-out label
    names: list[str]  # labels trained on, sorted
    held_out: list[str]  # sorted

    def classes_of(self, rows: Sequence[LabelledText]) -> list[list[int]]:
        """Return the class numbers of each row's labels, all of which are trained on."""
        numbers = {name: number for number, name in enumerate(self.names)}
        return [[numbers[name] for name in row.labels] for row in rows]


def split(
    rows: Sequence[LabelledText], *, holdout: float = 0.0, calibrate: float = 0.0, seed: int = 0
) -> Split:
    """Hold out some labels with all their texts, and a share of the texts of every other label.

    `holdout` is a share of the labels below 1, or their number. `calibrate` is a share of each label's texts,
    rounded up or down at random; the last text of a label is never held out. Raises UsageError when fewer
    than two labels remain.
    """
    numbers = np.random.default_rng(seed)
    names = sorted({name for row in rows for name in row.labels})
    count = round(holdout * len(names)) if holdout < 1 else int(holdout)
    if holdout and (count < 1 or len(names) - count < 2):
        left = f"{count} held out and {max(0, len(names) - count)} to train on"
        raise UsageError(f"{holdout:g} of {len(names)} labels leave {left}", where="`holdout_labels`")
    held_out = {names[place] for place in numbers.permutation(len(names))[:count]}
    unseen = [row for row in rows if held_out.intersection(row.labels)]
    seen = [row for row in rows if not held_out.intersection(row.labels)]
    if not seen and held_out:
        raise UsageError(
            f"all {len(rows)} texts have a held-out label, which leaves none to train on",
            where="`holdout_labels`",
        )
    kept_back = _kept_back(seen, calibrate, numbers)
    train = [row for place, row in enumerate(seen) if place not in kept_back]
    trained = sorted({name for row in train for name in row.labels})
    return Split(train, [seen[place] for place in sorted(kept_back)], unseen, trained, sorted(held_out))


def _kept_back(rows: Sequence[LabelledText], share: float, numbers: np.random.Generator) -> set[int]:
    """Return positions of a share of each label's rows, or for lists of all rows; a label keeps its last."""
    lists = any(len(row.labels) != 1 for row in rows)
    groups: dict[str, list[int]] = defaultdict(list)
    for place, row in enumerate(rows):
        groups["" if lists else row.labels[0]].append(place)
    left = Counter(name for row in rows for name in row.labels)
    kept: set[int] = set()
    for places in groups.values():
        count = int(share * len(places) + numbers.random())  # random rounding gives the share on average
        for place in numbers.permutation(places)[:count].tolist():
            if all(left[name] > 1 for name in rows[place].labels):
                left.subtract(rows[place].labels)
                kept.add(place)
    return kept
