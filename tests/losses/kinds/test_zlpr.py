"""ZLPR: the published formulas by loops, soft targets and hard, masks, and what its scores mean."""

import itertools
import math

import pytest
import torch
from scipy.optimize import minimize

from embedkit.losses.kinds.zlpr import ZLPR, probabilities

ROWS, CLASSES = 6, 5
LOSS = ZLPR()


def numbers(*shape, seed=0, dtype=torch.float64):
    return (3 * torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)).to(
        dtype
    )


def hard_targets():
    """Some labels; all; none; one."""
    targets = torch.randint(2, (ROWS, CLASSES), generator=torch.Generator().manual_seed(1)).double()
    targets[0], targets[1], targets[2] = 1, 0, torch.eye(CLASSES)[2]
    return targets


def soft_targets():
    targets = torch.rand(ROWS, CLASSES, generator=torch.Generator().manual_seed(2), dtype=torch.float64)
    return torch.where(targets < 0.2, 0.0, torch.where(targets > 0.8, 1.0, targets))


def some_mask():
    """Rows with a few entries masked, one with all."""
    mask = torch.rand(ROWS, CLASSES, generator=torch.Generator().manual_seed(3)) < 0.6
    mask[0], mask[1] = True, False
    return mask


def hard_by_loops(scores, targets, mask):
    """kexue.fm 7359: log(1 + sum_neg e^s) + log(1 + sum_pos e^-s)."""
    losses = []
    for row in range(len(scores)):
        entries = [(s, t) for s, t, m in zip(scores[row], targets[row], mask[row], strict=True) if m]
        negative = sum(math.exp(s) for s, t in entries if t == 0)
        positive = sum(math.exp(-s) for s, t in entries if t == 1)
        losses.append(math.log(1 + negative) + math.log(1 + positive))
    return sum(losses) / len(losses)


def soft_by_loops(scores, targets, mask):
    """kexue.fm 9064: log(1 + sum t e^-s) + log(1 + sum (1 - t) e^s)."""
    losses = []
    for row in range(len(scores)):
        entries = [(s, t) for s, t, m in zip(scores[row], targets[row], mask[row], strict=True) if m]
        present = sum(t * math.exp(-s) for s, t in entries)
        absent = sum((1 - t) * math.exp(s) for s, t in entries)
        losses.append(math.log(1 + present) + math.log(1 + absent))
    return sum(losses) / len(losses)


def gradient(scores, targets, mask=None):
    leaf = scores.clone().requires_grad_()
    value = LOSS(leaf, targets, mask)
    return value.detach(), torch.autograd.grad(value, leaf)[0]


each_mask = pytest.mark.parametrize("mask", [None, some_mask()])
each_target = pytest.mark.parametrize("targets", [hard_targets(), soft_targets()])


@each_mask
@pytest.mark.parametrize(
    ("targets", "by_loops"),
    [(hard_targets(), hard_by_loops), (hard_targets(), soft_by_loops), (soft_targets(), soft_by_loops)],
)
def test_it_is_the_slow_loops_number(targets, by_loops, mask):
    scores = numbers(ROWS, CLASSES)
    everything = torch.ones(ROWS, CLASSES) if mask is None else mask
    expected = by_loops(scores.tolist(), targets.tolist(), everything.tolist())
    assert float(LOSS(scores, targets, mask)) == pytest.approx(expected, rel=1e-12)


@each_mask
@each_target
def test_its_gradient_is_that_of_finite_differences(targets, mask):
    assert torch.autograd.gradcheck(
        lambda scores: LOSS(scores, targets, mask), numbers(ROWS, CLASSES).requires_grad_()
    )


def test_soft_targets_next_to_0_and_1_have_the_gradient_of_hard_ones():
    """The articles' code for hard targets adds 1e12 where there is -inf here; and softness is continuous."""
    scores, targets = numbers(ROWS, CLASSES), hard_targets()
    leaf = scores.clone().requires_grad_()
    signed = (1 - 2 * targets) * leaf
    zeros = torch.zeros(ROWS, 1, dtype=torch.float64)
    parts = [
        torch.cat([signed - off * 1e12, zeros], dim=1).logsumexp(dim=1) for off in (targets, 1 - targets)
    ]
    expected = sum(parts).mean()
    hard = (expected.detach(), torch.autograd.grad(expected, leaf)[0])
    torch.testing.assert_close(gradient(scores, targets), hard)
    torch.testing.assert_close(gradient(scores, targets.clamp(1e-9, 1 - 1e-9)), hard, atol=1e-6, rtol=1e-6)


@each_target
def test_masked_entries_are_inert(targets):
    """Whatever stands there: the row is as if it had no such class, and nothing goes back."""
    scores, mask = numbers(ROWS, CLASSES), some_mask()
    value, grad = gradient(scores, targets, mask)
    for wild in (0.0, 1e30, math.inf, -math.inf, math.nan):
        again = gradient(scores.masked_fill(~mask, wild), targets.masked_fill(~mask, math.nan), mask)
        torch.testing.assert_close(again, (value, grad), rtol=0, atol=0)
    assert (grad[~mask] == 0).all()
    assert (grad[mask] != 0).any(dim=0).all()
    without = [LOSS(scores[row, mask[row]][None], targets[row, mask[row]][None]) for row in range(ROWS)]
    torch.testing.assert_close(torch.stack(without).mean(), value)


@pytest.mark.parametrize("score", [-1e4, -30.0, 0.0, 30.0, 1e4])
@pytest.mark.parametrize("target", [0.0, 0.5, 1.0])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
def test_it_is_finite_and_never_negative(score, target, dtype):
    """Rows whose labels are all right, all wrong or all half; large scores of either sign."""
    scores = torch.full((2, CLASSES), score, dtype=dtype)
    value, grad = gradient(scores, torch.full((2, CLASSES), target), None)
    assert value.dtype == torch.float32
    assert value >= 0
    assert math.isfinite(value)
    assert torch.isfinite(grad).all()


def test_halves_are_worked_in_float32_in_autocast_too():
    scores, targets = numbers(ROWS, CLASSES, dtype=torch.bfloat16), soft_targets()
    expected = LOSS(scores.double(), targets)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        inside = LOSS(scores, targets)
    assert float(inside) == pytest.approx(float(expected), rel=1e-6)


@pytest.mark.parametrize("fill", [0.0, 1.0])
def test_no_labels_and_all_labels_at_scores_of_zero(fill):
    """log(1 + classes) + log(1 + 0): the empty side is finite, and 0."""
    value = LOSS(torch.zeros(3, CLASSES, dtype=torch.float64), torch.full((3, CLASSES), fill))
    assert float(value) == pytest.approx(math.log(1 + CLASSES))


def test_rows_without_classes_are_0():
    value, grad = gradient(numbers(3, 0), torch.zeros(3, 0))
    assert (value, grad.shape) == (0, (3, 0))
    value, grad = gradient(numbers(3, 2), torch.ones(3, 2), torch.zeros(3, 2, dtype=torch.bool))
    assert value == 0
    assert (grad == 0).all()


def test_no_gradient_goes_to_targets():
    targets = hard_targets().requires_grad_()
    LOSS(numbers(ROWS, CLASSES).requires_grad_(), targets).backward()
    assert targets.grad is None


@pytest.mark.parametrize("start", [0, 1])
def test_soft_targets_are_the_probabilities_at_the_least_loss(start):
    """A stationary point has t e^-s / P = (1 - t) e^s / N, with P and N the sums; P = N, so sigmoid(2 s) = t.

    Found here by a minimiser that knows nothing of it, from any start, all labels at once.
    """
    targets = torch.tensor([[0.03, 0.2, 0.5, 0.77, 0.99]], dtype=torch.float64)

    def value_and_gradient(scores):
        value, grad = gradient(torch.from_numpy(scores)[None], targets)
        return float(value), grad[0].numpy()

    found = minimize(value_and_gradient, numbers(5, seed=start).numpy(), jac=True, method="BFGS", tol=1e-10)
    torch.testing.assert_close(probabilities(torch.from_numpy(found.x)[None]), targets, atol=1e-6, rtol=0)


@pytest.mark.parametrize("target", [0.1, 0.5, 0.9])
def test_a_label_alone_that_is_drawn_is_at_another_place(target):
    """Known limit: the mean of hard losses of one label is least at sigmoid(s), not sigmoid(2 s)."""
    found = min(
        (step / 1000 for step in range(-3000, 3001)),
        key=lambda s: target * math.log(1 + math.exp(-s)) + (1 - target) * math.log(1 + math.exp(s)),
    )
    score = torch.tensor([[found]], dtype=torch.float64)
    means = [
        target * float(LOSS(score + shift, torch.ones(1, 1)))
        + (1 - target) * float(LOSS(score + shift, torch.zeros(1, 1)))
        for shift in (-0.01, 0, 0.01)
    ]
    assert means[1] == min(means)
    assert float(score.sigmoid()) == pytest.approx(target, abs=1e-3)


def test_labels_above_0_are_the_more_probable_than_not():
    scores = numbers(ROWS, CLASSES)
    assert ((probabilities(scores) > 0.5) == (scores > 0)).all()


def test_the_order_of_rows_and_of_classes_does_not_matter():
    scores, targets, mask = numbers(ROWS, CLASSES), soft_targets(), some_mask()
    rows, classes = torch.tensor([2, 0, 1, 5, 4, 3]), torch.tensor([4, 2, 0, 1, 3])
    value, grad = gradient(scores, targets, mask)
    mixed = [tensor[rows][:, classes] for tensor in (scores, targets, mask)]
    torch.testing.assert_close(gradient(*mixed), (value, grad[rows][:, classes]))


def test_every_set_of_labels_is_learnt():
    """The loss is least, and near 0, where exactly the right labels are above 0."""
    scores = torch.tensor([[9.0, -9.0, 9.0]], dtype=torch.float64)
    values = {
        labels: float(LOSS(scores, torch.tensor([labels], dtype=torch.float64)))
        for labels in itertools.product((0, 1), repeat=3)
    }
    assert min(values, key=values.get) == (1, 0, 1)
    assert values[1, 0, 1] < 1e-3 < min(value for labels, value in values.items() if labels != (1, 0, 1))
