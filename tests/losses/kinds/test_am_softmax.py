"""AM-Softmax: its known value, and the sparse form of the articles, which float32 cannot hold."""

import math

import pytest
import torch

from embedkit.losses.kinds.am_softmax import AMSoftmax


@pytest.mark.parametrize("classes", [1, 2, 77])
@pytest.mark.parametrize("margin", [0.0, 0.35])
def test_equal_cosines_give_the_margin_alone(classes, margin):
    rows, vectors = torch.ones(4, 3, dtype=torch.float64), torch.ones(classes, 3, dtype=torch.float64)
    value = AMSoftmax(30.0, margin)(rows, torch.zeros(4, dtype=torch.int64), vectors)
    assert float(value) == pytest.approx(math.log(1 + (classes - 1) * math.exp(30 * margin)), abs=1e-12)


def sparse_form(cosines, labels, scale, margin):
    """kexue.fm 5743: log Z of the logits without a margin, corrected at the label."""
    right = scale * cosines.gather(1, labels[:, None])
    log_sum = torch.cat([scale * cosines, right - scale * margin], dim=1).logsumexp(dim=1, keepdim=True)
    log_sum = log_sum + torch.log(1 - torch.exp(right - log_sum))
    return (log_sum - right + scale * margin).mean()


@pytest.mark.parametrize("near", [0.1, 1.0])
def test_it_is_the_articles_sparse_form_where_that_can_be_computed(near):
    numbers = torch.Generator().manual_seed(0)
    vectors = torch.nn.functional.normalize(torch.randn(9, 6, generator=numbers, dtype=torch.float64), dim=1)
    labels = torch.arange(9)
    rows = torch.nn.functional.normalize(
        vectors + near * torch.randn(9, 6, generator=numbers, dtype=torch.float64), dim=1
    )
    expected = sparse_form(rows @ vectors.T, labels, 10.0, 0.35)
    torch.testing.assert_close(AMSoftmax(10.0, 0.35)(rows, labels, vectors), expected)


def test_a_small_loss_keeps_its_digits_in_float32():
    """Rows at their classes, others orthogonal: (classes - 1) e^(scale (margin - 1)), nearly."""
    vectors = torch.eye(8)
    value = AMSoftmax(20.0, 0.35)(vectors, torch.arange(8), vectors)
    assert float(value) == pytest.approx(math.log1p(7 * math.exp(-13)), rel=1e-2)
    assert value > 0
