"""What a text brings as a query and as one to be found, against taking each text away."""

import numpy as np
import pytest

from embedkit.evaluation.bootstrap import share_estimate
from embedkit.evaluation.jackknife import with_effects
from embedkit.evaluation.labels.influence import among_themselves
from embedkit.evaluation.labels.label_retrieval import FIGURES, evaluate_labels, label_figures
from embedkit.evaluation.means import mean_results


def sample(seed, texts=24, ties=False):
    """Vectors in the plane, on a grid where they are to tie, and lists of no to two labels."""
    numbers = np.random.default_rng(seed)
    X = numbers.integers(-1, 2, size=(texts, 2)) if ties else numbers.normal(size=(texts, 2))
    sizes = numbers.integers(0, 3, texts)
    labels = [tuple(numbers.choice(list("abcdefg"), size, replace=False).tolist()) for size in sizes]
    return X.astype(np.float32), labels


def without(text, values):
    return [value for row, value in enumerate(values) if row != text]


def slow_influence(X, labels):
    """Return what each text brings, by measuring all others without it."""
    whole = label_figures(X, labels)
    texts, mean = len(labels), whole.values.mean(axis=1)
    queries = [text for text in range(texts) if text not in whole.left_out]
    own = np.repeat(mean[:, None], texts, axis=1)
    own[:, queries] = whole.values
    losses = np.zeros((len(FIGURES), texts, texts))
    for text in range(texts):
        fewer = label_figures(X[without(text, range(texts))], without(text, labels))
        rows = without(text, range(texts))
        left_out = {rows[row] for row in fewer.left_out}
        remaining = [row for row in rows if row not in left_out]
        losses[:, remaining, text] = own[:, remaining] - fewer.values
        lost = [row for row in queries if row in left_out]
        losses[:, lost, text] = own[:, lost] - mean[:, None]
    weight = texts / len(queries)
    moved = mean[:, None] + weight * (own - mean[:, None])
    return with_effects(moved, weight * losses.sum(axis=1), weight**2 * np.sum(losses**2, axis=(1, 2)))


@pytest.mark.parametrize("ties", [False, True])
@pytest.mark.parametrize("seed", range(8))
def test_influence_is_what_is_lost_without_a_text(seed, ties):
    X, labels = sample(seed, ties=ties)
    found = among_themselves(X, labels)
    np.testing.assert_allclose(found.influence, slow_influence(X, labels), rtol=1e-7, atol=1e-9)
    np.testing.assert_allclose(found.influence.mean(axis=1), found.values.mean(axis=1))


def test_figures_are_the_same_and_intervals_wider():
    numbers = np.random.default_rng(0)
    labels = [(str(label),) for label in numbers.integers(0, 4, 120)]
    X = numbers.normal(size=(120, 6)) + np.eye(4, 6)[[int(name) for (name,) in labels]]
    plain, found = label_figures(X.astype(np.float32), labels), among_themselves(X.astype(np.float32), labels)
    for one, other in zip(plain[:5], found[:5], strict=True):
        np.testing.assert_array_equal(one, other)
    queries, texts = evaluate_labels([plain]), evaluate_labels([found])
    assert texts == mean_results(FIGURES, found.influence[None], interval=share_estimate)
    for one, other in zip(queries, texts, strict=True):
        assert one.value.value == pytest.approx(other.value.value)
    width = [each[-1].value.high - each[-1].value.low for each in (queries, texts)]
    assert width[1] > 1.5 * width[0]  # of MAP


@pytest.mark.parametrize("seed", range(6))
def test_no_interval_of_a_share_leaves_its_bounds(seed):
    """Few texts of many labels: as means of pseudo-values, most intervals of top-1 reached below zero."""
    numbers = np.random.default_rng(seed)
    X, labels = numbers.normal(size=(40, 5)), [(str(label),) for label in numbers.integers(0, 20, 40)]
    systems = [among_themselves((X + move).astype(np.float32), labels) for move in (0, 1)]
    results = evaluate_labels(systems)
    assert all(0 <= end <= 1 for result in results for end in result.value)
    assert all(result.value.low <= result.value.value <= result.value.high for result in results)
    plain = mean_results(FIGURES, np.array([each.influence for each in systems]))
    assert any(result.value.low < 0 for result in plain)
    assert [result.gain for result in results] == [result.gain for result in plain]


def test_two_texts_that_find_each_other_alone():
    X = np.array([[1, 0], [0, 1], [1, 1]], dtype=np.float32)
    found = among_themselves(X, [("a",), ("a",), ("b",)])
    assert found.left_out.tolist() == [2]
    assert np.isfinite(found.influence).all()
    np.testing.assert_allclose(found.influence.mean(axis=1), found.values.mean(axis=1))


def test_nothing_to_find_has_no_influence():
    assert among_themselves(np.eye(2, dtype=np.float32), [("a",), ("b",)]).influence is None
