"""Vectors of other encoders: each text is encoded once and found again, and the objective stays exact."""

from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
import torch

from embedkit import spec
from embedkit.embedding.loading import load
from embedkit.errors import DataError, FormatError
from embedkit.losses.combining import WeightedSum
from embedkit.losses.kinds.batch_kl import BatchKL
from embedkit.losses.kinds.nt_xent import NTXent
from embedkit.losses.kinds.two_view import TwoView
from embedkit.training.known_rows import KnownRows
from embedkit.training.objective import Contrastive
from embedkit.training.text_vectors import TextVectors, open_text_vectors, write_text_vectors

ROWS = [("a b", "c d", "e"), ("c d", "a b"), ("a b", "f", "e"), ("g", "c d", "a b")]


class Counting:
    """An encoder that counts the texts that it is given, by role."""

    def __init__(self, encoder):
        self.encoder, self.identity, self.given = encoder, encoder.identity, Counter()

    def encode(self, texts, role="document"):
        self.given.update((role, text) for text in texts)
        return self.encoder.encode(texts, role)


class Prompted(Counting):
    """An encoder with a prompt for queries."""

    def __init__(self, encoder):
        super().__init__(encoder)
        self.identity = replace(encoder.identity, query_prompt="ask ")

    def encode(self, texts, role="document"):
        self.given.update((role, text) for text in texts)
        return self.encoder.encode([f"ask {text}" if role == "query" else text for text in texts])


@pytest.mark.parametrize("prompts", [False, True])
def test_every_text_is_encoded_once_per_prompt_and_found_by_its_row(folder, prompts):
    encoder = (Prompted if prompts else Counting)(load("hash:dim=32"))
    write_text_vectors(folder / "v.npy", encoder, ROWS)
    assert set(encoder.given.values()) == {1}
    assert len(encoder.given) == (7 if prompts else 5)  # a b, c d and g as queries; a b, c d, e and f else
    found = open_text_vectors(folder / "v.npy", encoder, ROWS)
    for view, vectors in enumerate(found.of(torch.tensor([3, 0, 2]), 3)):
        for row, vector in zip([3, 0, 2], vectors.numpy(), strict=True):
            text = ROWS[row][view] if view < len(ROWS[row]) else None
            if text is None:
                continue
            wanted = encoder.encoder.encode([f"ask {text}" if prompts and not view else text])[0]
            np.testing.assert_allclose(vector, wanted / np.linalg.norm(wanted), atol=1e-6)


def test_a_file_that_is_there_is_kept(folder):
    encoder = Counting(load("hash:dim=32"))
    write_text_vectors(folder / "v.npy", encoder, ROWS)
    write_text_vectors(folder / "v.npy", encoder, ROWS)
    assert set(encoder.given.values()) == {1}


def test_one_column_is_every_view(folder):
    encoder, rows = load("hash:dim=32"), [("a",), ("b",)]
    write_text_vectors(folder / "v.npy", encoder, rows)
    one, two = open_text_vectors(folder / "v.npy", encoder, rows).of(torch.tensor([1, 0]), 2)
    assert torch.equal(one, two)
    assert not torch.equal(one[0], one[1])


@pytest.mark.parametrize("damage", [b"", b"\x93NUMPY", None])
def test_a_changed_file_is_one_line(folder, damage):
    encoder = load("hash:dim=32")
    write_text_vectors(folder / "v.npy", encoder, ROWS)
    (folder / "v.npy").write_bytes((folder / "v.npy").read_bytes()[:-4] if damage is None else damage)
    with pytest.raises(FormatError, match=r"v\.npy: has changed since it was written; start again"):
        open_text_vectors(folder / "v.npy", encoder, ROWS)


def test_a_vector_that_is_not_finite_is_refused(folder):
    class Broken(Counting):
        def encode(self, texts, role="document"):
            return self.encoder.encode(texts, role) * np.nan

    with pytest.raises(DataError, match="a number that is not finite"):
        write_text_vectors(folder / "v.npy", Broken(load("hash:dim=32")), ROWS)
    assert not (folder / "v.npy").exists()


@pytest.mark.parametrize("passes", [1, 2])
@pytest.mark.parametrize("budget", [1, 12, 1000])
@pytest.mark.parametrize("loss", [TwoView(guide_margin=0.1), NTXent()])
def test_the_objective_with_a_guide_has_the_full_batchs_gradient(toys, passes, budget, loss):
    """Rows are shuffled and their numbers with them; the oracle is one graph over the whole batch."""
    rows, views = 7, 4
    columns = [toys.padded(toys.some_texts(rows, seed, longest=3 + 2 * seed)) for seed in range(views)]
    numbers = np.arange(rows * views).reshape(rows, views)
    made = np.random.default_rng(0).normal(size=(rows * views, 5))
    vectors = made / np.linalg.norm(made, axis=1, keepdims=True)
    counts, order = torch.tensor([2, 0, 1, 2, 2, 1, 0]), torch.tensor([4, 0, 6, 2, 1, 5, 3])
    known = KnownRows(counts, TextVectors(vectors, numbers))
    mixed = [{name: value[order] for name, value in column.items()} for column in columns]
    model, oracle = toys.Toy(by_content=True), toys.Toy(by_content=True)
    value = Contrastive(model, loss, known=known, chunk_tokens=budget, passes=passes)(mixed, order)
    value.backward()
    guide = [torch.tensor(vectors[numbers[:, view]]) for view in range(views)]
    expected = loss([oracle(column)["sentence_embedding"] for column in columns], counts=counts, guide=guide)
    expected.backward()
    torch.testing.assert_close(value.detach(), expected.detach())
    assert toys.error(toys.gradient(model), toys.gradient(oracle)) <= 1e-10
    unguided = loss([oracle(column)["sentence_embedding"] for column in columns], counts=counts)
    assert abs(float(unguided.detach() - expected.detach())) > 1e-3


@pytest.mark.parametrize("passes", [1, 2])
@pytest.mark.parametrize("name", ["kl", "margin-mse", "batch-kl", "vector-mse"])
@pytest.mark.parametrize("source", ["scores", "teacher"])
def test_the_objective_with_a_teacher_has_the_full_batchs_gradient(toys, passes, name, source):
    """Alone and in a sum with a contrastive loss; without scores, the teacher's cosines are the scores."""
    loss, rows, views = spec.parse("loss", name), 7, 4
    if source == "scores" and loss.compares != "scores":
        return
    columns = [toys.padded(toys.some_texts(rows, seed, longest=3 + 2 * seed)) for seed in range(views)]
    made = np.random.default_rng(0).normal(size=(rows * views, 6))
    vectors = made / np.linalg.norm(made, axis=1, keepdims=True)
    numbers = np.arange(rows * views).reshape(rows, views)
    counts, order = torch.tensor([2, 0, 1, 2, 2, 1, 0]), torch.tensor([4, 0, 6, 2, 1, 5, 3])
    scores = torch.tensor(np.random.default_rng(1).normal(size=(rows, views - 1)))
    teacher = [torch.tensor(vectors[numbers[:, view]]) for view in range(views)]
    known = KnownRows(counts, teacher=TextVectors(vectors, numbers))
    if source == "teacher":
        cosines = [[float(teacher[0][row] @ other[row]) for other in teacher[1:]] for row in range(rows)]
        scores = torch.tensor(cosines, dtype=torch.float64)
    scores = scores.masked_fill(torch.arange(views - 1) > counts[:, None], torch.nan)
    known = KnownRows(counts, scores=scores) if source == "scores" else known
    given = {"teacher": teacher, "counts": counts} if loss.compares != "scores" else {"scores": scores}
    mixed = [{name: value[order] for name, value in column.items()} for column in columns]
    for summed in (False, True):
        model, oracle = toys.Toy(by_content=True), toys.Toy(by_content=True)
        trained = WeightedSum((TwoView(), loss), (1.0, 2.0)) if summed else loss
        value = Contrastive(model, trained, known=known, chunk_tokens=12, passes=passes)(mixed, order)
        value.backward()
        encoded = [oracle(column)["sentence_embedding"] for column in columns]
        expected = loss(encoded, **given)
        if summed:
            expected = TwoView()(encoded, counts=counts) + 2 * expected
        expected.backward()
        torch.testing.assert_close(value.detach(), expected.detach())
        assert toys.error(toys.gradient(model), toys.gradient(oracle)) <= 1e-10


def test_a_lone_column_is_encoded_once_for_a_teacher_and_twice_for_views(toys):
    columns = [toys.padded(toys.some_texts(7))]
    vectors = np.random.default_rng(0).normal(size=(7, 5))
    known = KnownRows(teacher=TextVectors(vectors, np.arange(7)[:, None]))
    alone, both = BatchKL(), WeightedSum((TwoView(), BatchKL()), (1.0, 1.0))
    assert [len(Contrastive(toys.Toy(), loss).views(columns)) for loss in (alone, both)] == [1, 2]
    model, oracle = toys.Toy(by_content=True), toys.Toy(by_content=True)
    Contrastive(model, alone, known=known, chunk_tokens=12)(columns, torch.arange(7)).backward()
    alone([oracle(columns[0])["sentence_embedding"]], teacher=[torch.tensor(vectors)]).backward()
    assert toys.error(toys.gradient(model), toys.gradient(oracle)) <= 1e-10
