"""Calibration: known temperatures are found again, thresholds by brute force, errors by slow loops."""

import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from embedkit.data.vectors.label_vectors import LabelVectors
from embedkit.embedding import labelling
from embedkit.embedding.labelling import Labeller
from embedkit.errors import DataError, MismatchError
from embedkit.evaluation.labels import calibration
from embedkit.evaluation.labels.calibration import (
    LIMITS,
    calibrate,
    expected_calibration_error,
    keeping_threshold,
    separating_threshold,
)

CLASSES = 6


def labels_of(classes=CLASSES, **fields):
    """Label vectors along the axes, so that a text's unit vector is its cosines."""
    return LabelVectors(tuple(map(str, range(classes))), np.eye(classes, dtype=np.float32), **fields)


def texts(rows, seed=0, classes=CLASSES):
    vectors = np.random.default_rng(seed).normal(size=(rows, classes))
    return (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)


def log_likelihoods(vectors, targets, labels, temperature):
    """Negative log-likelihoods of rows, by the formulas in float64."""
    scores = labels.scale * (vectors.astype(np.float64) - labels.offset) / temperature
    if labels.multiple:
        p = 1 / (1 + np.exp(-2 * scores))
        return -(targets * np.log(p) + (1 - targets) * np.log(1 - p)).mean(axis=1)
    p = np.exp(scores) / np.exp(scores).sum(axis=1, keepdims=True)
    return -np.log(p[np.arange(len(p)), targets])


def drawn(vectors, labels, temperature, seed=1):
    """Draw the labels of texts from the probabilities at a temperature."""
    generator = np.random.default_rng(seed)
    scores = labels.scale * (vectors.astype(np.float64) - labels.offset) / temperature
    if labels.multiple:
        return (generator.random(scores.shape) < 1 / (1 + np.exp(-2 * scores))).astype(np.float32)
    gumbel = -np.log(-np.log(generator.random(scores.shape)))
    return (scores + gumbel).argmax(axis=1)


@pytest.mark.parametrize("temperature", [0.5, 1.0, 3.0])
@pytest.mark.parametrize("multiple", [False, True])
def test_a_known_temperature_is_found_again(temperature, multiple):
    labels = labels_of(scale=4.0, multiple=multiple, offset=0.2 * multiple)
    vectors = texts(20_000)
    targets = drawn(vectors, labels, temperature)
    found = calibrate(vectors, targets, None, labels)
    assert found.temperature == pytest.approx(temperature, rel=0.04)
    assert found.ece < 0.015
    assert (
        found.ece_before == pytest.approx(found.ece, abs=0.005)
        if temperature == 1
        else found.ece_before > 0.04
    )


@pytest.mark.parametrize("multiple", [False, True])
def test_nothing_near_is_likelier(multiple):
    labels = labels_of(scale=9.0, multiple=multiple, offset=0.1 * multiple)
    vectors = texts(200)
    targets = drawn(vectors, labels, 2.0)
    found = calibrate(vectors, targets, None, labels)
    loss = [
        log_likelihoods(vectors, targets, labels, found.temperature * by).mean() for by in (0.99, 1, 1.01)
    ]
    assert found.nll == pytest.approx(loss[1], abs=1e-7)
    assert found.nll < min(loss[0], loss[2])
    assert found.nll_before == pytest.approx(log_likelihoods(vectors, targets, labels, 1.0).mean(), abs=1e-6)


@given(
    vectors=arrays(np.float32, (5, 3), elements=st.floats(-1, 1, width=32)),
    targets=st.lists(st.integers(0, 2), min_size=5, max_size=5),
    scale=st.sampled_from([0.1, 1.0, 30.0, 64.0]),
    multiple=st.booleans(),
)
def test_it_is_never_less_likely_than_before(vectors, targets, scale, multiple):
    wanted = np.eye(3, dtype=np.float32)[targets] if multiple else np.array(targets)
    found = calibrate(vectors, wanted, None, labels_of(3, scale=scale, multiple=multiple))
    assert found.nll <= found.nll_before
    assert LIMITS[0] <= found.temperature <= LIMITS[1]
    assert all(np.isfinite([value for value in found if value is not None]))


@pytest.mark.parametrize("multiple", [False, True])
@pytest.mark.parametrize(("rows", "classes"), [(1, 1), (1, 4), (5, 1), (4, 4)])
def test_little_to_go_by_gives_finite_figures(rows, classes, multiple):
    """One text, one class, all texts right."""
    vectors = np.eye(rows, classes, dtype=np.float32) + np.float32(0.01)
    targets = np.arange(rows) % classes
    wanted = np.eye(classes, dtype=np.float32)[targets] if multiple else targets
    for unseen in (None, texts(3, classes=classes)):
        found = calibrate(
            vectors, wanted, unseen, labels_of(classes, multiple=multiple, offset=0.5 * multiple)
        )
        assert all(np.isfinite([value for value in found if value is not None]))
        assert found.rows == rows
    if rows <= classes:  # all are right, and would be likelier yet at temperature 0
        assert found.temperature == 1.0


def balanced_accuracy(threshold, seen, unseen):
    return (np.mean(seen >= threshold) + np.mean(unseen < threshold)) / 2


@given(
    seen=st.lists(st.integers(0, 12), min_size=1, max_size=12),
    unseen=st.lists(st.integers(0, 12), min_size=1, max_size=12),
)
def test_no_threshold_tells_seen_from_unseen_better(seen, unseen):
    seen, unseen = (np.array(cosines, dtype=np.float32) / 8 - 1 for cosines in (seen, unseen))
    found = separating_threshold(seen, unseen)
    tried = np.arange(-1, 1.01, 1 / 16)  # every text, and between any two
    best = max(balanced_accuracy(threshold, seen, unseen) for threshold in tried)
    assert balanced_accuracy(found, seen, unseen) == pytest.approx(best)
    below = [
        t for t in tried if t < min(found, np.append(seen, unseen)[np.append(seen, unseen) >= found].min())
    ]
    kept = np.mean(np.append(seen, unseen) >= found)
    for threshold in below:  # a lower one that keeps more is not as good
        if np.mean(np.append(seen, unseen) >= threshold) > kept:
            assert balanced_accuracy(threshold, seen, unseen) < best - 1e-9


def test_a_threshold_lies_midway_between_the_texts_beside_it():
    seen, unseen = np.array([0.9, 0.5], np.float32), np.array([0.25, 0.0], np.float32)
    assert separating_threshold(seen, unseen) == 0.375


@pytest.mark.parametrize("rows", range(1, 122))
def test_without_unseen_texts_95_percent_are_kept_and_no_larger_threshold_keeps_them(rows):
    generator = np.random.default_rng(rows)
    for seen in (generator.permutation(rows) / rows, generator.integers(0, 9, rows) / 9):
        seen = seen.astype(np.float32)
        found = keeping_threshold(seen)
        assert found in seen
        assert 100 * np.count_nonzero(seen >= found) >= 95 * rows
        assert 100 * np.count_nonzero(seen > found) < 95 * rows


def test_the_threshold_is_that_of_right_texts_against_unseen_ones():
    labels = labels_of(2)
    angles = np.radians([0, 5, 10, 15, 46, 47, 48, 46, 47, 48])
    vectors = np.stack([np.cos(angles), np.sin(angles)], axis=1).astype(np.float32)
    targets = np.zeros(10, dtype=np.int64)  # wrong for those beyond 45 degrees
    unseen = np.float32([[0.75, -0.66], [0.7, -0.72]])
    best, right = vectors.max(axis=1), vectors.argmax(axis=1) == 0
    found = calibrate(vectors, targets, unseen, labels)
    others = (unseen / np.linalg.norm(unseen, axis=1, keepdims=True)).max(axis=1)
    assert found.threshold == pytest.approx(separating_threshold(best[right], others), abs=1e-6)
    assert (found.rows, found.unseen, found.accuracy) == (10, 2, 0.4)
    assert found.kept == np.mean(best >= found.threshold) == 0.4
    assert found.rejected == np.mean(others < found.threshold)
    labeller = Labeller(replace(labels, calibration=found), threshold=found.threshold)
    assert found.kept == np.mean([one.label is not None for one in labeller.predict(vectors)])
    alone = calibrate(vectors, targets, None, labels)
    assert (alone.threshold, alone.unseen, alone.rejected) == (keeping_threshold(best), 0, None)
    assert calibrate(vectors, targets, unseen[:0], labels) == alone
    assert calibrate(vectors, right.astype(int), unseen, labels).threshold is None  # no text was right


def test_lists_are_right_when_all_of_their_labels_are_and_no_other():
    labels = labels_of(3, multiple=True, offset=0.5)
    vectors = np.array([[1, 0, 0], [1, 1, 0], [1, 1, 0], [1, 1, 1.2]], dtype=np.float32)
    targets = np.array([[1, 0, 0], [1, 1, 0], [1, 0, 0], [0, 0, 1]], dtype=np.float32)
    found = calibrate(vectors, targets, texts(7, classes=3), labels)
    assert (found.accuracy, found.threshold, found.unseen) == (0.5, None, 7)
    predicted = Labeller(labels, threshold=0.5).predict(texts(7, classes=3))
    assert found.rejected == pytest.approx(np.mean([one.label is None for one in predicted]))
    assert found.kept == 1


def test_the_calibration_error_is_that_of_slow_loops():
    generator = np.random.default_rng(3)
    probability, truth = generator.random(500), generator.integers(0, 2, 500).astype(float)
    probability[:3] = 0, 1, 1 / 15
    expected = 0.0
    for number in range(15):
        rows = [
            row for row in range(500)
            if number / 15 < probability[row] <= (number + 1) / 15 or (number == 0 and probability[row] == 0)
        ]  # fmt: skip
        confidence, accuracy = (math.fsum(of[row] for row in rows) / len(rows) for of in (probability, truth))
        expected += len(rows) / 500 * abs(confidence - accuracy)
    blocks = [(probability[:123], truth[:123]), (probability[123:], truth[123:])]
    assert expected_calibration_error(blocks) == pytest.approx(expected, abs=1e-12)


def test_a_probability_on_an_edge_is_in_the_bin_below():
    probability, truth = np.array([0.2, 0.25]), np.array([0.0, 1.0])
    assert expected_calibration_error([(probability, truth)]) == pytest.approx((0.2 + 0.75) / 2)


def test_texts_that_say_nothing_leave_the_temperature_alone():
    found = calibrate(np.zeros((4, 3), np.float32), np.arange(4) % 3, None, labels_of(3))
    assert found.temperature == 1.0


def test_blocks_of_rows_change_nothing(monkeypatch):
    labels, vectors = labels_of(scale=5.0), texts(300)
    targets = drawn(vectors, labels, 2.0)
    whole = calibrate(vectors, targets, texts(40, seed=5), labels)
    monkeypatch.setattr(labelling, "_CELLS", 100)
    assert calibrate(vectors, targets, texts(40, seed=5), labels) == pytest.approx(whole, rel=1e-4)


def test_where_all_rows_would_fill_the_memory_some_evenly_spaced_stand_for_them(monkeypatch):
    labels, vectors = labels_of(scale=5.0), texts(101)
    targets = drawn(vectors, labels, 2.0)
    monkeypatch.setattr(calibration, "_CELLS", 26 * CLASSES)
    some = calibrate(vectors, targets, None, labels)
    assert some == calibrate(vectors[::4], targets[::4], None, labels)
    assert some.rows == 26


def test_what_cannot_calibrate_is_refused():
    with pytest.raises(
        DataError, match=r"^calibration needs at least 1 text that was not trained on, got 0$"
    ):
        calibrate(texts(0), np.zeros(0, np.int64), None, labels_of())
    wants = r"^calibration expects labels of shape \(4,\), got \(3,\)$"
    with pytest.raises(MismatchError, match=wants):
        calibrate(texts(4), np.zeros(3, np.int64), None, labels_of())
    with pytest.raises(MismatchError, match=r"^calibration expects labels of shape \(4, 6\), got \(4,\)$"):
        calibrate(texts(4), np.zeros(4, np.int64), None, labels_of(multiple=True))
