"""What class vectors begin with: the mean directions of the encoder's own vectors."""

import numpy as np
import pytest
import torch

from embedkit.training.labels import class_means as initial
from embedkit.training.labels.class_means import class_means, class_weights, first_offset

WORDS = {"x": [1.0, 0.0, 0.0], "y": [0.0, 2.0, 0.0], "z": [0.0, 0.0, 3.0], "xy": [5.0, 5.0, 0.0]}


def encode(texts):
    return np.array([WORDS[text] for text in texts])


def test_they_are_mean_directions_of_unit_vectors():
    rows = [("x", [0]), ("y", [0]), ("z", [1]), ("xy", [2]), ("x", [2])]
    means = class_means(encode, rows, 3)
    half = np.sqrt(0.5)
    expected = np.array([[half, half, 0], [0, 0, 1], [1 + half, half, 0] / np.hypot(1 + half, half)])
    np.testing.assert_allclose(means.numpy(), expected, atol=1e-6)


def test_a_text_of_several_classes_counts_for_each():
    means = class_means(encode, [("x", [0, 1]), ("y", [1]), ("z", [])], 2)
    half = np.sqrt(0.5)
    np.testing.assert_allclose(means.numpy(), [[1, 0, 0], [half, half, 0]], atol=1e-6)


def test_so_many_texts_of_a_class_are_encoded_at_most(monkeypatch):
    monkeypatch.setattr(initial, "MOST", 3)
    seen = []

    def counting(texts):
        seen.extend(texts)
        return encode(texts)

    class_means(counting, [("x", [0])] * 50 + [("y", [1])] * 2, 2)
    assert (seen.count("x"), seen.count("y")) == (3, 2)


@pytest.mark.parametrize("texts", [1, 2, 9])
def test_centres_of_a_class_differ_and_are_near_its_mean(texts):
    means = class_means(encode, [("xy", [0])] * texts + [("z", [1])], 2, centres=3).numpy().reshape(2, 3, 3)
    np.testing.assert_allclose(np.linalg.norm(means, axis=2), 1, atol=1e-6)
    half = np.sqrt(0.5)
    assert (means[0] @ [half, half, 0] > 0.95).all()
    assert (means[1] @ [0, 0, 1] > 0.95).all()
    assert all(not np.allclose(means[c, 0], means[c, 1], atol=1e-3) for c in range(2))


def test_weights_are_inverse_to_counts_and_one_on_average():
    labels = np.array([0, 0, 0, 1, 2, 2])
    weights = class_weights(labels)
    assert weights.tolist() == pytest.approx([6 / 9, 2.0, 1.0])
    assert float(weights[torch.from_numpy(labels)].mean()) == pytest.approx(1)


def test_the_offset_is_half_way_from_the_classes_cosine_to_one():
    assert first_offset(torch.eye(3)) == pytest.approx(0.5)
    assert first_offset(torch.tensor([[1.0, 0.0], [2.0, 0.0]])) == pytest.approx(1.0)
