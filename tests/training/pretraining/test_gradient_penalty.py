"""The gradient penalty: its value and its gradient are those of finite differences, in chunks as at once."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from embedkit.errors import ModelError, UsageError
from embedkit.training.gradient_check import check_exact
from embedkit.training.pretraining.gradient_penalty import embedded_tokens, half_squared_gradients
from embedkit.training.pretraining.masking import NO_TARGET
from embedkit.training.pretraining.pretraining import Pretraining, pretrain
from embedkit.training.run import start_of
from tests.embedding.architectures.examples import SIZES
from tests.training.pretraining.conftest import PAIRS, TEXTS
from tests.training.running import Killed, killed_at, same, weights

STEP = 1e-5  # of central differences; their error is of the order of its square over that of the weights
WEIGHT = 0.5


def batch_of(settings, arch):
    """Return an objective in float64 without dropout, and its arguments for a batch of three texts."""
    quiet = {"dropout": 0.0, "attention_dropout": 0.0} if "dropout" not in arch else {}
    settings = replace(settings, arch=arch, gradient_penalty=WEIGHT, **quiet)
    recipe = Pretraining(settings, TEXTS)
    Path("run").mkdir()
    recipe.base.make(Path("run/base"))
    objective = start_of(recipe, recipe.rows(), Path("run/base"), resumed=False).objective.double()
    rows = recipe.rows()[:3]
    features = objective.model.preprocess(rows["text0"])
    return objective, (features, torch.tensor(rows["label"]))


def value(objective, batch):
    """Return the loss of a batch, always with the masks of the first draw."""
    objective.draws.zero_()
    return objective([dict(batch[0])], batch[1])


def central(function, point, direction):
    """Return the derivative of a function of a tensor, which is changed in place, along a direction."""
    with torch.no_grad():
        point.add_(STEP * direction)
        above = function()
        point.sub_(2 * STEP * direction)
        below = function()
        point.add_(STEP * direction)
    return (above - below) / (2 * STEP)


def test_the_value_is_the_loss_and_the_squares_of_differences_by_embedded_tokens(settings):
    objective, batch = batch_of(settings, "bert:layers=1,width=8,heads=2")
    penalised = float(value(objective, batch).detach())
    objective.penalty = 0.0
    plain = float(value(objective, batch).detach())
    hidden = objective.hidden([batch[0]], batch[1], 1)
    counts = (hidden["targets"] != NO_TARGET).sum(dim=1)
    embedding = objective.model[0].auto_model.get_input_embeddings()
    change = torch.zeros(*hidden["input_ids"].shape, 8, dtype=torch.float64)
    hook = embedding.register_forward_hook(lambda module, inputs, output: output + change)
    squares = 0.0
    for place, column in torch.cartesian_prod(*map(torch.arange, change.shape[1:])).tolist():
        direction = torch.zeros_like(change)
        direction[:, place, column] = 1.0  # of each row, on which only its own loss depends
        found = central(lambda: objective.encode(hidden)[:, 0] / counts, change, direction)
        squares += float((found**2).sum())
    hook.remove()
    assert penalised - plain == pytest.approx(WEIGHT * squares / 2 / 3, rel=1e-5)


@pytest.mark.parametrize("arch", [f"{kind}:{sizes},dropout=0" for kind, sizes in SIZES.items()])
def test_the_gradient_is_that_of_finite_differences(settings, arch):
    objective, batch = batch_of(settings, arch)
    value(objective, batch).backward()
    generator = torch.Generator().manual_seed(0)
    for name, weight in objective.named_parameters():
        if weight.grad is None:
            continue
        direction = torch.randn(weight.shape, generator=generator, dtype=torch.float64)
        direction /= direction.norm()
        found = central(lambda: value(objective, batch), weight, direction)
        assert float(found) == pytest.approx(float((weight.grad * direction).sum()), rel=1e-4, abs=1e-6), name


@pytest.mark.parametrize("corpus", [TEXTS, PAIRS], ids=["texts", "pairs"])
def test_the_gradient_in_chunks_is_that_of_the_whole_batch(settings, corpus):
    assert check_exact(Pretraining(replace(settings, gradient_penalty=WEIGHT), corpus)) < 1e-5


def test_a_killed_run_resumes_to_the_same_weights(settings):
    settings = replace(settings, gradient_penalty=WEIGHT, chunk_size=3)
    pretrain("whole", settings, TEXTS)
    with pytest.raises(Killed):
        pretrain("killed", settings, TEXTS, watch=killed_at(5))
    pretrain("killed", settings, TEXTS, resume=True)
    assert same(weights("whole"), weights("killed"))
    pretrain("plain", replace(settings, gradient_penalty=0.0), TEXTS)
    assert not same(weights("whole"), weights("plain"))
    assert ", with gradient penalty 0.5" in Path("whole/README.md").read_text()


def test_a_frozen_embedding_has_gradients_too():
    embedding = torch.nn.Embedding(5, 3).requires_grad_(False)
    with embedded_tokens(embedding) as embedded:
        losses = (embedding(torch.tensor([[0, 1], [2, 3]])) ** 2).sum(dim=(1, 2)) / 2
    found = half_squared_gradients(losses, embedded, differentiable=False)
    expected = (embedding.weight[:4].view(2, 6) ** 2).sum(dim=1) / 2
    torch.testing.assert_close(found, expected)


def test_a_model_that_embeds_twice_is_refused():
    embedding = torch.nn.Embedding(5, 3)
    with embedded_tokens(embedding) as embedded:
        losses = (embedding(torch.tensor([[0]])) + embedding(torch.tensor([[1]]))).sum(dim=(1, 2))
    with pytest.raises(ModelError, match="embeds its tokens 2 times"):
        half_squared_gradients(losses, embedded, differentiable=False)


@pytest.mark.parametrize("wrong", [-1.0, float("nan"), float("inf")])
def test_a_weight_that_is_not_one_is_refused(settings, wrong):
    with pytest.raises(UsageError, match="`gradient_penalty`: must be at least 0"):
        replace(settings, gradient_penalty=wrong)
