"""The article's loss: its known values, and the article's own code on interleaved rows."""

import math

import pytest
import torch

from embedkit.losses.kinds.nt_xent import NTXent


@pytest.mark.parametrize("sentences", [1, 2, 64])
def test_equal_vectors_give_log_2n_minus_1(sentences):
    views = [torch.ones(sentences, 3, dtype=torch.float64)] * 2
    assert float(NTXent()(views)) == pytest.approx(math.log(2 * sentences - 1), abs=1e-9)


@pytest.mark.parametrize("sentences", [2, 9])
def test_it_is_the_articles_code(sentences):
    """kexue.fm 8348: interleaved rows, similarities - 1e12 on the diagonal, the target of r at r XOR 1."""
    views = torch.randn(
        2, sentences, 7, generator=torch.Generator().manual_seed(0), dtype=torch.float64
    ).requires_grad_()
    rows = torch.nn.functional.normalize(views.transpose(0, 1).reshape(2 * sentences, 7), dim=1)
    similarities = rows @ rows.T - 1e12 * torch.eye(2 * sentences, dtype=torch.float64)
    targets = torch.arange(2 * sentences) ^ 1
    expected = torch.nn.functional.cross_entropy(similarities * 20, targets)
    value = NTXent(temperature=0.05)(list(views))
    torch.testing.assert_close(value, expected)
    torch.testing.assert_close(torch.autograd.grad(value, views), torch.autograd.grad(expected, views))


def test_the_views_may_change_places():
    views = list(torch.randn(3, 8, 5, generator=torch.Generator().manual_seed(1), dtype=torch.float64))
    torch.testing.assert_close(NTXent()([views[1], views[0], views[2]]), NTXent()(views))


def test_doubles_count_where_masking_is_off():
    views = list(torch.randn(2, 5, 4, generator=torch.Generator().manual_seed(2), dtype=torch.float64))
    texts = torch.zeros(2, 5, dtype=torch.int64)
    torch.testing.assert_close(NTXent(mask_duplicates=False)(views, texts), NTXent()(views))
    assert float(NTXent()(views, texts)) == 0
