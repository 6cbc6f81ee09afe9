"""Objectives with class vectors: exact in chunks, unbiased where classes are sampled, right for lists."""

from __future__ import annotations

import copy
import itertools
import math

import pytest
import torch
from torch import nn

from embedkit.losses.kinds.am_softmax import AMSoftmax
from embedkit.losses.kinds.softmax import Softmax
from embedkit.losses.kinds.sub_centre import SubCentre
from embedkit.losses.kinds.zlpr import ZLPR
from embedkit.training.labels.objectives import Classified, Tagged, Targets, draws_of, sample_classes

ROWS, CLASSES = 9, 4
LABELS = torch.tensor([0, 1, 2, 3, 0, 0, 2, 1, 0])
LISTS = [([0, 2], [1.0, 0.5]), ([], []), ([3], [1.0]), *[([place % 4], [1.0]) for place in range(6)]]
each_passes = pytest.mark.parametrize("passes", [1, 2])
each_budget = pytest.mark.parametrize("budget", [1, 12, 1000])


@pytest.fixture
def batch(toys):
    return toys.padded(toys.some_texts(ROWS, 3))


def class_vectors(toys, rows=CLASSES, seed=5):
    return torch.randn(rows, toys.DIM, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


@each_passes
@each_budget
@pytest.mark.parametrize("loss", [AMSoftmax(margin=0.2), SubCentre(centres=3)])
def test_chunks_give_the_full_batchs_gradient_of_model_and_classes(toys, batch, passes, budget, loss):
    model = toys.Toy(by_content=True)
    vectors = class_vectors(toys, CLASSES * loss.centres)
    objective = Classified(model, loss, vectors.clone(), chunk_tokens=budget, passes=passes)
    value = objective([batch], LABELS)
    value.backward()
    oracle, leaf = copy.deepcopy(model), nn.Parameter(vectors.clone())
    oracle.zero_grad()
    expected = loss(oracle(dict(batch))["sentence_embedding"], LABELS, leaf)
    expected.backward()
    torch.testing.assert_close(value.detach(), expected.detach())
    assert toys.error(toys.gradient(model), toys.gradient(oracle)) <= 1e-10
    assert toys.error(toys.gradient(objective.class_vectors), toys.gradient(leaf)) <= 1e-10


@each_passes
@each_budget
def test_lists_of_labels_give_the_full_batchs_gradient(toys, batch, passes, budget):
    model, vectors = toys.Toy(by_content=True), class_vectors(toys)
    objective = Tagged(
        model, vectors.clone(), Targets.of(LISTS), scale=10.0, offset=0.3, chunk_tokens=budget, passes=passes
    )
    objective([batch], torch.arange(ROWS)).backward()
    oracle, leaf, offset = copy.deepcopy(model), nn.Parameter(vectors), nn.Parameter(torch.tensor(0.3))
    oracle.zero_grad()
    unit = nn.functional.normalize(oracle(dict(batch))["sentence_embedding"], dim=1)
    scores = 10.0 * (unit @ nn.functional.normalize(leaf, dim=1).T - offset)
    wanted = torch.zeros(ROWS, CLASSES)
    for row, (places, weights) in enumerate(LISTS):
        for place, weight in zip(places, weights, strict=True):
            wanted[row, place] = weight
    ZLPR()(scores, wanted).backward()
    assert toys.error(toys.gradient(model), toys.gradient(oracle)) <= 1e-10
    assert toys.error(toys.gradient(objective.class_vectors), toys.gradient(leaf)) <= 1e-10
    assert float(objective.offset.grad) == pytest.approx(float(offset.grad), rel=1e-5)


def test_targets_are_the_weights_of_the_texts_asked_for():
    dense = Targets.of(LISTS).dense(torch.tensor([2, 0, 1]), CLASSES)
    assert dense.tolist() == [[0, 0, 0, 1], [1, 0, 0.5, 0], [0, 0, 0, 0]]


def test_a_sample_has_the_batchs_classes_and_others_that_count_for_all():
    labels = torch.tensor([7, 2, 7])
    sampled = sample_classes(labels, 10, 6, torch.Generator())
    assert sampled.classes.tolist() == sorted(set(sampled.classes.tolist()))
    assert sampled.classes[sampled.labels].tolist() == labels.tolist()
    counted = dict(zip(sampled.classes.tolist(), sampled.log_counts.tolist(), strict=True))
    assert len(counted) == 6
    assert counted.pop(7) == counted.pop(2) == 0
    assert list(counted.values()) == pytest.approx([math.log(8 / 4)] * 4)


def test_every_class_that_is_not_the_batchs_is_drawn_as_often():
    labels = torch.tensor([1])
    drawn = [tuple(sample_classes(labels, 5, 3, draws_of(labels, n)).classes.tolist()) for n in range(600)]
    counts = {
        pair: drawn.count(tuple(sorted((1, *pair)))) for pair in itertools.combinations((0, 2, 3, 4), 2)
    }
    assert sum(counts.values()) == 600
    assert all(70 < count < 130 for count in counts.values())


def test_a_batch_draws_the_same_whenever_it_comes_and_another_something_else():
    one, again, seed, other = (
        sample_classes(labels, 1000, 20, draws_of(labels, seed)).classes
        for labels, seed in ((LABELS, 0), (LABELS, 0), (LABELS, 1), (LABELS.flip(0), 0))
    )
    assert torch.equal(one, again)
    assert not torch.equal(one, seed)
    assert not torch.equal(one, other)


def test_a_batch_of_all_classes_leaves_none_to_draw():
    sampled = sample_classes(torch.arange(4), 4, 3, torch.Generator())
    assert (sampled.classes.tolist(), sampled.log_counts.tolist()) == ([0, 1, 2, 3], [0.0] * 4)


def test_the_sum_over_a_sample_is_that_over_all_on_average(toys, batch):
    """exp(loss) of one row is the sum over classes against its own, which the sample estimates."""
    model, vectors = toys.Toy(by_content=True).eval(), class_vectors(toys, 12)
    row = {name: value[:1] for name, value in batch.items()}
    full = Classified(model, Softmax(scale=2.0), vectors)
    sampled = [Classified(model, Softmax(scale=2.0), vectors, max_classes=5, seed=n) for n in range(800)]
    with torch.no_grad():
        label = torch.tensor([3])
        expected = math.exp(full([row], label))
        found = [math.exp(objective([row], label)) for objective in sampled]
    assert sum(found) / len(found) == pytest.approx(expected, rel=0.03)
    assert max(found) > 1.05 * min(found)


def test_a_sampled_step_gives_gradients_to_no_other_class(toys, batch):
    objective = Classified(toys.Toy(), AMSoftmax(), class_vectors(toys, 200), max_classes=20)
    objective([batch], LABELS).backward()
    moved = objective.class_vectors.grad.abs().sum(dim=1) > 0
    assert moved[:CLASSES].all()
    assert int(moved.sum()) == 20


def test_weights_of_classes_weigh_their_texts(toys, batch):
    model, vectors, loss = toys.Toy(by_content=True), class_vectors(toys), AMSoftmax()
    weights = torch.tensor([0.5, 2.0, 1.0, 3.0])
    value = Classified(model, loss, vectors, class_weights=weights)([batch], LABELS)
    H = model(dict(batch))["sentence_embedding"]
    each = [loss(H[row : row + 1], LABELS[row : row + 1], vectors) for row in range(ROWS)]
    expected = sum(weights[label] * one for label, one in zip(LABELS, each, strict=True)) / ROWS
    torch.testing.assert_close(value, expected)


def test_a_margin_that_is_open_is_none_and_a_set_one_counts(toys, batch):
    model, vectors = toys.Toy(by_content=True), class_vectors(toys)
    objective = Classified(model, AMSoftmax(margin=0.0), vectors, margin_is_set=False)
    assert objective.margin_is_open
    torch.testing.assert_close(
        objective([batch], LABELS), Classified(model, Softmax(), vectors)([batch], LABELS)
    )
    objective.margin.fill_(0.4)
    assert not objective.margin_is_open
    torch.testing.assert_close(
        objective([batch], LABELS),
        Classified(model, AMSoftmax(margin=0.4), vectors)([batch], LABELS),
        rtol=1e-6,
        atol=0,
    )
    assert "margin" in objective.state_dict()
