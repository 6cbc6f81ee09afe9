"""Sparse gradients of word embeddings: the numbers of dense ones, and dense to whoever comes after."""

import copy

import pytest
import torch

from embedkit.losses.kinds.two_view import TwoView
from embedkit.training import sparse_embeddings as words
from embedkit.training.objective import Contrastive


@pytest.fixture
def columns(toys):
    """Two columns of texts."""
    return [toys.padded(toys.some_texts(7, seed)) for seed in (1, 2)]


each_passes = pytest.mark.parametrize("passes", [1, 2])


def trained(model, columns, passes, steps=1):
    """Take steps; gradients are forgotten between the forward pass and backward, as some loops do."""
    optimizer = torch.optim.AdamW(model.parameters(), lr=0.01)
    for _ in range(steps):
        torch.manual_seed(3)
        value = Contrastive(model, TwoView(), chunk_tokens=10, passes=passes).forward(columns)
        optimizer.zero_grad()
        value.backward()
        optimizer.step()
    return model


@each_passes
def test_the_gradient_is_that_of_dense_ones(toys, columns, passes, monkeypatch):
    dense, sparse = toys.Toy(), toys.Toy()
    trained(dense, columns, passes, steps=2)
    monkeypatch.setattr(words, "FEWEST", 1)
    trained(sparse, columns, passes, steps=2)
    assert not sparse.tokens.weight.grad.is_sparse
    assert toys.error(toys.gradient(sparse), toys.gradient(dense)) <= 1e-14
    torch.testing.assert_close(sparse.tokens.weight, dense.tokens.weight, rtol=1e-12, atol=0)


@each_passes
def test_a_gradient_is_sparse_until_it_is_the_first(toys, columns, passes, monkeypatch):
    monkeypatch.setattr(words, "FEWEST", 1)
    model = toys.Toy()
    kinds = []
    model.tokens.weight.register_hook(lambda gradient: kinds.append(gradient.is_sparse))  # before ours
    trained(model, columns, passes, steps=2)
    assert kinds
    assert all(kinds)
    assert model.tokens.sparse is False


def test_a_copy_of_a_model_has_dense_gradients_too(toys, columns, monkeypatch):
    monkeypatch.setattr(words, "FEWEST", 1)
    model = trained(toys.Toy(), columns, 2)
    again = trained(copy.deepcopy(model), columns, 2)
    assert not again.tokens.weight.grad.is_sparse


@each_passes
def test_gradients_add_up_over_batches(toys, columns, passes, monkeypatch):
    monkeypatch.setattr(words, "FEWEST", 1)
    model = toys.Toy(by_content=True)
    objective = Contrastive(model, TwoView(), chunk_tokens=10, passes=passes)
    objective(columns).backward()
    once = copy.deepcopy(toys.gradient(model))
    objective(columns).backward()
    assert toys.error(toys.gradient(model), 2 * once) <= 1e-14


def test_a_distributed_model_and_small_embeddings_are_left_alone(toys, monkeypatch):
    model = toys.Toy()
    with words.sparse_gradients(model):
        assert not model.tokens.sparse
    monkeypatch.setattr(words, "FEWEST", 1)
    with words.sparse_gradients(model):
        assert model.tokens.sparse
    with torch.no_grad(), words.sparse_gradients(model):
        assert not model.tokens.sparse
    model.no_sync = None
    with words.sparse_gradients(model):
        assert not model.tokens.sparse
