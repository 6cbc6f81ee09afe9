"""The contrastive objective: columns of text become views, in one pass or two, padded on either side."""

from __future__ import annotations

import copy

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from embedkit.errors import ModelError
from embedkit.losses.kinds.nt_xent import NTXent
from embedkit.losses.kinds.two_view import TwoView
from embedkit.training.batch_columns import numbers_of, stacked
from embedkit.training.objective import Contrastive

each_passes = pytest.mark.parametrize("passes", [1, 2])
SENTENCES = 7


@pytest.fixture
def columns(toys):
    """Anchors, positives and two hard negatives, each column with a width of its own."""
    return [toys.padded(toys.some_texts(SENTENCES, seed, longest=3 + 2 * seed)) for seed in range(4)]


def by_columns(model, loss, columns, texts=None):
    """The oracle: a copy of the model, each column in one forward pass, one graph; and the loss."""
    oracle = copy.deepcopy(model)
    value = loss([oracle(dict(column))["sentence_embedding"] for column in columns], texts)
    value.backward()
    return oracle, value.detach()


@each_passes
@pytest.mark.parametrize("loss", [TwoView(hard_negative_weight=2.0), NTXent()])
@pytest.mark.parametrize("count", [2, 3, 4])
@pytest.mark.parametrize("budget", [1, 12, 1000])
def test_columns_give_the_full_batchs_gradient(toys, columns, passes, loss, count, budget):
    model = toys.Toy(by_content=True)
    value = Contrastive(model, loss, chunk_tokens=budget, passes=passes)(columns[:count])
    value.backward()
    oracle, expected = by_columns(model, loss, columns[:count])
    torch.testing.assert_close(value.detach(), expected)
    assert toys.error(toys.gradient(model), toys.gradient(oracle)) <= 1e-10


@each_passes
def test_one_column_is_two_views_of_it(toys, columns, passes):
    """The two views of a sentence have masks of their own: rows 0 to n are the first, n to 2 n the second."""
    model = toys.Toy(dropout=0.5)
    objective = Contrastive(model, NTXent(), chunk_tokens=10_000, passes=passes)
    objective([columns[3]]).backward()
    lengths = columns[3]["attention_mask"].sum(dim=1).repeat(2)
    drawn = model.drawn[0][torch.argsort(torch.argsort(-lengths, stable=True))]  # in the batch's order
    assert not torch.equal(drawn[:SENTENCES], drawn[SENTENCES:])
    oracle = copy.deepcopy(model)
    oracle.zero_grad()
    views = []
    for oracle.given in drawn.split(SENTENCES):
        views.append(oracle(columns[3])["sentence_embedding"])
    NTXent()(views).backward()
    assert toys.error(toys.gradient(model), toys.gradient(oracle)) <= 1e-10


@each_passes
def test_equal_texts_are_no_negatives(toys, passes):
    texts = toys.some_texts(5)
    columns = [toys.padded(rows, 12) for rows in ([*texts, texts[0]], [*texts[1:], texts[2], texts[4]])]
    numbers = [torch.tensor([0, 1, 2, 3, 4, 0]), torch.tensor([1, 2, 3, 4, 2, 4])]
    model = toys.Toy(by_content=True)
    value = Contrastive(model, TwoView(), passes=passes)(columns)
    _, masked = by_columns(model, TwoView(), columns, numbers)
    _, plain = by_columns(model, TwoView(), columns)
    torch.testing.assert_close(value.detach(), masked)
    assert abs(masked - plain) > 1e-3


@each_passes
def test_columns_may_be_padded_on_the_left(toys, passes):
    """And a text without any token, as a tokenizer without special tokens makes of "", is no trap."""
    texts = [toys.some_texts(SENTENCES, seed, longest=3 + 4 * seed) for seed in range(2)]
    texts[0][3] = []
    model = toys.Toy(by_content=True)
    for left in (True, False):
        columns = [toys.padded(rows, left=left) for rows in texts]
        model.zero_grad()
        Contrastive(model, TwoView(), chunk_tokens=12, passes=passes)(columns).backward()
        oracle, _ = by_columns(toys.Toy(by_content=True), TwoView(), columns)
        assert toys.error(toys.gradient(model), toys.gradient(oracle)) <= 1e-10


class Prompted(nn.Module):
    """Leaves the prompt out of the mean, as sentence-transformers' pooling can."""

    def __init__(self, toy):
        super().__init__()
        self.toy = toy

    def forward(self, features):
        mask = features["attention_mask"].clone()
        mask[:, : int(features["prompt_length"][0])] = 0
        return self.toy({**features, "attention_mask": mask})


@pytest.mark.parametrize("lengths", [(2, 2), (2, 1)])
def test_columns_may_have_prompts_of_their_own(toys, lengths):
    columns = [
        {**toys.padded([[1] * length + text for text in toys.some_texts(SENTENCES, length)]),
         "prompt_length": torch.tensor([length])}
        for length in lengths
    ]  # fmt: skip
    model = Prompted(toys.Toy(by_content=True))
    Contrastive(model, TwoView(), chunk_tokens=20)(columns).backward()
    oracle, _ = by_columns(Prompted(toys.Toy(by_content=True)), TwoView(), columns)
    assert toys.error(toys.gradient(model), toys.gradient(oracle)) <= 1e-10


@each_passes
def test_a_head_is_trained_too(toys, columns, passes):
    head = nn.Sequential(nn.Linear(6, 6, dtype=torch.float64), nn.Tanh())
    model = toys.Toy(by_content=True)
    Contrastive(model, TwoView(), chunk_tokens=12, passes=passes, head=head)(columns[:2]).backward()
    oracle, own_head = copy.deepcopy(model), copy.deepcopy(head)
    oracle.zero_grad(), own_head.zero_grad()
    TwoView()([own_head(oracle(column)["sentence_embedding"]) for column in columns[:2]]).backward()
    assert toys.error(toys.gradient(model, head), toys.gradient(oracle, own_head)) <= 1e-10


def test_features_are_left_as_they_were(toys, columns):
    class Writing(toys.Toy):
        def forward(self, features):
            assert "sentence_embedding" not in features  # else every chunk's vectors would stay in memory
            features.update(super().forward(features))
            return features

    before = [dict(column) for column in columns]
    Contrastive(Writing(), NTXent(), chunk_tokens=10)(columns).backward()
    assert [column.keys() for column in columns] == [column.keys() for column in before]
    for column, was in zip(columns, before, strict=True):
        torch.testing.assert_close(column, was)


def test_stacked_columns_keep_their_tokens_and_what_they_share(toys):
    one, other = toys.padded([[1, 2], [3]]), toys.padded([[4, 5, 6], [7, 8]])
    together = stacked([{**one, "task": "x"}, {**other, "task": "x"}])
    assert together["input_ids"].tolist() == [[1, 2, 0], [3, 0, 0], [4, 5, 6], [7, 8, 0]]
    assert together["attention_mask"].tolist() == [[1, 1, 0], [1, 0, 0], [1, 1, 1], [1, 1, 0]]
    assert together["task"] == "x"


texts = st.lists(st.lists(st.integers(0, 3), max_size=4), min_size=1, max_size=12)


@given(texts, texts, st.integers(0, 9), st.integers(0, 9))
def test_texts_have_equal_numbers_when_their_tokens_are_equal(toys, right, left, more, extra):
    """Whichever side is padded, with whatever, however wide the batch; and only then."""
    one = toys.padded(right, max(1, *map(len, right), 1) + more)
    other = toys.padded(left, max(1, *map(len, left), 1) + extra, left=True)
    other["input_ids"] = torch.where(other["attention_mask"] == 1, other["input_ids"], 9)
    numbers = [*numbers_of(one).tolist(), *numbers_of(other).tolist()]
    for a, first in zip(numbers, right + left, strict=True):
        for b, second in zip(numbers, right + left, strict=True):
            assert (a == b) == (first == second)


def test_real_tokens_have_numbers_of_their_own():
    """100 000 texts of two tokens from a large vocabulary: no two with the same number."""
    ids = torch.stack([torch.arange(100_000) // 1000 * 1009, torch.arange(100_000) % 1000 * 1013], dim=1)
    numbers = numbers_of({"input_ids": ids, "attention_mask": torch.ones_like(ids)})
    assert len(numbers.unique()) == 100_000


@pytest.mark.parametrize("part", ["model", "head"])
def test_batch_norm_is_refused(toys, part):
    steps = nn.Sequential(nn.Linear(6, 6), nn.BatchNorm1d(6))
    parts = {"model": toys.Toy(), "head": None} | {part: steps}
    with pytest.raises(ModelError, match=r"^1 is a BatchNorm1d: its output depends on the chunk"):
        Contrastive(parts["model"], TwoView(), head=parts["head"])


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"passes": 3}, "passes must be 1 or 2, got 3"),
        ({"chunk_tokens": 0}, "chunk_tokens must be at least 1, got 0"),
    ],
)
def test_settings_out_of_range_are_refused(toys, settings, message):
    with pytest.raises(ValueError, match=message):
        Contrastive(toys.Toy(), TwoView(), **settings)
