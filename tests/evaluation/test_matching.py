"""Matching against slow loops: the nearest partner, and the best of all one-to-one assignments."""

from itertools import permutations

import numpy as np
import pytest

from embedkit.errors import DataError
from embedkit.evaluation.matching import MOST, evaluate_matching, matches


class Given:
    """An encoder of given vectors."""

    def __init__(self, vectors):
        self.vectors = vectors

    def encode(self, texts, role="document"):
        return np.array([self.vectors[text] for text in texts], dtype=np.float32)


def cosine(x, y):
    return float(np.dot(x, y) / np.linalg.norm(x) / np.linalg.norm(y))


@pytest.mark.parametrize("seed", range(5))
def test_values_equal_those_of_slow_loops(seed):
    numbers = np.random.default_rng(seed)
    pairs = [(f"a{row}", f"b{row}") for row in range(6)]
    vectors = {text: numbers.normal(size=3) for pair in pairs for text in pair}
    scores = [[cosine(vectors[a], vectors[b]) for _, b in pairs] for a, _ in pairs]
    best = max(permutations(range(6)), key=lambda order: sum(scores[row][order[row]] for row in range(6)))
    nearest = [max(range(6), key=lambda column: scores[row][column]) == row for row in range(6)]
    reverse = [max(range(6), key=lambda row: scores[row][column]) == column for column in range(6)]
    expected = [nearest, reverse, [best[row] == row for row in range(6)]]
    np.testing.assert_array_equal(matches(Given(vectors), pairs), np.array(expected, dtype=float))


def test_one_to_one_uses_every_partner_once():
    vectors = {"a": [1, 0.2], "b": [1, 0], "x": [1, 0.05], "y": [0.5, 1]}
    found = matches(Given(vectors), [("a", "y"), ("b", "x")])
    assert found.tolist() == [[0, 1], [1, 1], [1, 1]]  # x is the nearest to both a and b


def test_equal_texts_count_as_one_and_ties_by_chance():
    vectors = {"a": [1, 0], "b": [0, 1], "c": [1, 1], "same": [1, 0], "too": [2, 0]}
    found = matches(Given(vectors), [("a", "same"), ("b", "same"), ("c", "too")])
    assert found[0].tolist() == [0.5, 0.5, 0.5]
    assert found[2][0] + found[2][1] >= 1


@pytest.mark.parametrize(("count", "hint"), [(1, "add pairs"), (MOST + 1, "take a sample")])
def test_too_few_or_too_many_pairs_are_refused(count, hint):
    with pytest.raises(DataError, match=f"matching needs 2 to 5,000 pairs, there are {count:,}") as caught:
        matches(Given({}), [("a", "b")] * count)
    assert caught.value.hint == hint


def test_accuracy_is_the_mean_with_paired_differences():
    first, second = np.array([[1, 0, 1, 1]] * 3, dtype=float), np.ones((3, 4))
    results = evaluate_matching([first, second])
    assert [(each.name, each.system, each.value.value) for each in results[:2]] == [
        ("nearest", 0, 0.75),
        ("nearest", 1, 1.0),
    ]
    assert results[1].gain.value == pytest.approx(0.25)
