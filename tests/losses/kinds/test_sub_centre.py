"""Sub-centres: one centre is ArcFace; of several only the nearest counts, in any order."""

import pytest
import torch

from embedkit.losses.kinds.arc_face import ArcFace
from embedkit.losses.kinds.sub_centre import SubCentre


def numbers(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


LABELS = torch.tensor([0, 2, 1, 1, 0])


def test_one_centre_is_arc_face():
    rows, vectors = numbers(5, 4), numbers(3, 4, seed=1)
    expected = ArcFace(20.0, 0.3)(rows, LABELS, vectors)
    torch.testing.assert_close(SubCentre(20.0, 0.3, centres=1)(rows, LABELS, vectors), expected)


def test_the_order_of_centres_does_not_matter():
    rows, vectors = numbers(5, 4), numbers(3, 3, 4, seed=1)
    value = SubCentre()(rows, LABELS, vectors.flatten(0, 1))
    torch.testing.assert_close(SubCentre()(rows, LABELS, vectors[:, [2, 0, 1]].flatten(0, 1)), value)


def test_only_the_nearest_centre_of_a_class_learns():
    rows = torch.tensor([[1.0, 0.1, 0.2]])
    vectors = torch.tensor([[0.0, 1, 0], [1, 0, 0], [0, 0, -1], [-1.0, 0, 0]]).requires_grad_()
    SubCentre(scale=1.0, centres=2)(rows, torch.tensor([0]), vectors).backward()
    assert vectors.grad.abs().amax(dim=1).gt(0).tolist() == [False, True, True, False]


def test_far_centres_change_nothing():
    """Opposite to all rows, beside the one centre of each class: ArcFace again."""
    rows, vectors = numbers(5, 4).abs(), numbers(3, 4, seed=1).abs()
    both = torch.stack([-vectors, vectors], dim=1).flatten(0, 1)
    expected = ArcFace()(rows, LABELS, vectors)
    torch.testing.assert_close(SubCentre(centres=2)(rows, LABELS, both), expected)


@pytest.mark.parametrize("centres", [0, -1])
def test_no_centres_are_refused(centres):
    with pytest.raises(ValueError, match=f"centres must be at least 1, got {centres}"):
        SubCentre(centres=centres)
