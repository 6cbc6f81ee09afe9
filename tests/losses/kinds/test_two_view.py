"""The two-view loss: its known values, and sentence-transformers' own on pairs and triplets."""

import math

import pytest
import torch

from embedkit.losses.kinds.two_view import TwoView


def numbers(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


@pytest.mark.parametrize("sentences", [1, 2, 64])
@pytest.mark.parametrize("temperature", [0.001, 0.05])
def test_equal_vectors_give_log_n(sentences, temperature):
    views = [torch.ones(sentences, 3, dtype=torch.float64)] * 2
    assert float(TwoView(temperature)(views)) == pytest.approx(math.log(sentences), abs=1e-9)


@pytest.mark.parametrize("columns", [2, 3, 4])
def test_it_is_the_loss_of_sentence_transformers(columns):
    """MultipleNegativesRankingLoss at scale 20, whose docstring cites the same paper."""
    from sentence_transformers.sentence_transformer.losses import MultipleNegativesRankingLoss

    views = list(numbers(columns, 12, 7))
    for view in views:
        view.requires_grad_()
    peer = MultipleNegativesRankingLoss(torch.nn.Identity(), scale=20.0)
    expected = peer.compute_loss_from_embeddings(views, None)
    value = TwoView(temperature=0.05)(views)
    torch.testing.assert_close(value, expected)
    torch.testing.assert_close(torch.autograd.grad(value, views), torch.autograd.grad(expected, views))


def test_doubles_count_where_masking_is_off():
    views, texts = numbers(2, 5, 4), torch.zeros(2, 5, dtype=torch.int64)
    torch.testing.assert_close(TwoView(mask_duplicates=False)(views, texts), TwoView()(views))
    assert float(TwoView()(views, texts)) == 0  # all others are equal texts: only the positive is left


def test_a_weight_of_one_negative_is_a_bias_of_its_log():
    """Two candidates of equal cosine, the negative weighted by 3: -log(1 / (1 + 3))."""
    same = torch.ones(1, 2, dtype=torch.float64)
    assert float(TwoView(hard_negative_weight=3.0)([same] * 3)) == pytest.approx(math.log(4))
