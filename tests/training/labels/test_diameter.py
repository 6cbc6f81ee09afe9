"""The margin that retrieval asks for: known figures of made-up classes."""

import numpy as np
import pytest

from embedkit.training.labels.diameter import class_diameter


def plane(*degrees):
    """Unit vectors in the plane, of any length."""
    angles = np.radians(degrees)
    lengths = np.linspace(1, 3, len(degrees))
    return np.stack([np.cos(angles), np.sin(angles)], axis=1) * lengths[:, None]


def test_it_is_worked_out_by_hand():
    """Two classes, a right angle apart; the texts of each 60 degrees apart, their vector between them."""
    found = class_diameter(plane(-30, 30, 60, 120), np.array([0, 0, 1, 1]), plane(0, 90))
    assert found.diameter == pytest.approx(np.sqrt(1 - np.cos(np.radians(60))))
    own, inner, outer = (np.sqrt(1 - np.cos(np.radians(angle))) for angle in (30, 60, 120))
    assert found.wanted == pytest.approx(found.diameter * (own + (inner + outer) / 2))
    assert found.bound == pytest.approx(1.0)
    assert found.margin == min(found.wanted, found.bound)


def test_the_bound_is_the_room_between_class_vectors():
    found = class_diameter(plane(-90, 90, 0, 120), np.array([0, 0, 1, 1]), plane(0, 60))
    assert found.bound == pytest.approx(0.5)
    assert found.margin == found.bound < found.wanted


def test_a_margin_on_cosines_is_at_most_as_the_metric_allows():
    numbers = np.random.default_rng(0)
    labels = np.repeat(np.arange(10), 20)
    vectors = numbers.standard_normal((10, 8))[labels] + 0.4 * numbers.standard_normal((200, 8))
    found = class_diameter(vectors, labels, np.stack([vectors[labels == c].mean(axis=0) for c in range(10)]))
    assert 0 < found.wanted <= 2 * np.sqrt(2) * found.diameter


def test_tight_classes_ask_for_less():
    labels = np.array([0, 0, 1, 1])
    loose = class_diameter(plane(-30, 30, 60, 120), labels, plane(0, 90))
    tight = class_diameter(plane(-3, 3, 87, 93), labels, plane(0, 90))
    assert tight.diameter < loose.diameter / 5
    assert tight.wanted < loose.wanted / 5


def test_centres_of_a_class_count_as_their_mean():
    labels = np.array([0, 0, 1, 1])
    vectors = plane(-30, 30, 60, 120)
    centres = np.array([[1.0, 0.5], [1.0, -0.5], [0.5, 1.0], [-0.5, 1.0]])
    assert class_diameter(vectors, labels, centres, 2).wanted == pytest.approx(
        class_diameter(vectors, labels, plane(0, 90)).wanted
    )


def test_one_text_a_class_has_no_diameter():
    with pytest.raises(ValueError, match="no label has two texts"):
        class_diameter(plane(0, 90), np.array([0, 1]), plane(0, 90))
