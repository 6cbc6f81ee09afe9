"""Dropout by 16 bits: masks of the same law, the same numbers as torch's attention, nothing else changed."""

import copy

import pytest
import torch
from torch import nn
from torch.utils.checkpoint import checkpoint

from embedkit.training import dropout
from embedkit.training.dropout import QuickDropout, attended, dropped, quicken_dropout
from tests.embedding.conftest import BUILDERS

COUNT = 1 << 20


@pytest.fixture(scope="module")
def bert(tmp_path_factory):
    """A small BERT with dropout .1, as transformers loads it."""
    from transformers import AutoModel

    folder = BUILDERS["bert"](tmp_path_factory.mktemp("models") / "bert")
    return AutoModel.from_pretrained(folder).train()


@pytest.fixture
def texts():
    """Three texts of 7, 4 and 1 tokens."""
    mask = torch.tensor([[1] * 7, [1] * 4 + [0] * 3, [1] + [0] * 6])
    return {"input_ids": torch.randint(5, 50, (3, 7)), "attention_mask": mask}


def test_values_are_dropped_by_the_law_and_the_others_scaled():
    for p in (0.1, 0.3, 0.5):
        torch.manual_seed(0)
        found = dropped(torch.ones(COUNT, dtype=torch.float64), p)
        zero = found == 0
        spread = (p * (1 - p) / COUNT) ** 0.5
        assert abs(float(zero.double().mean()) - p) <= 5 * spread + 2**-17
        for lane in range(4):  # the four numbers of a word of 64 bits
            assert abs(float(zero[lane::4].double().mean()) - p) <= 10 * spread
        for lag in (1, 2, 3, 4):
            both = float((zero[lag:] & zero[:-lag]).double().mean())
            assert abs(both - p * p) <= 10 * spread
        kept = found[~zero]
        assert kept.unique().tolist() == [1 / (1 - round(p * 65536) / 65536)]


def test_the_share_is_exact_where_16_bits_say_it():
    bits = torch.arange(-(1 << 15), 1 << 15, dtype=torch.int16)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(dropout, "_bits", lambda values: bits)
        found = dropped(torch.ones(1 << 16, dtype=torch.float64), 0.25)
    assert int((found == 0).sum()) == 1 << 14
    assert float(found.mean()) == pytest.approx(1, abs=1e-12)


@pytest.mark.parametrize("p", [0.0, 1e-9, 1.0])
def test_shares_without_a_number_of_16_bits_are_torchs(p):
    values = torch.randn(100)
    torch.manual_seed(1)
    found = dropped(values, p)
    torch.manual_seed(1)
    torch.testing.assert_close(found, nn.functional.dropout(values, p), rtol=0, atol=0)


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16])
@pytest.mark.parametrize("shape", [(), (0, 3), (1,), (5, 7), (2, 3, 3, 3)])
def test_any_shape_keeps_shape_and_type(shape, dtype):
    values = torch.ones(shape, dtype=dtype)
    found = dropped(values, 0.5)
    assert (found.shape, found.dtype) == (values.shape, dtype)


def test_the_same_state_gives_the_same_mask():
    values, state = torch.randn(1000), torch.get_rng_state()
    first, second = dropped(values, 0.1), dropped(values, 0.1)
    torch.set_rng_state(state)
    assert torch.equal(dropped(values, 0.1), first)
    assert not torch.equal(first, second)


def test_the_gradient_is_masked_as_the_values_are():
    values = torch.randn(1000, dtype=torch.float64, requires_grad=True)
    found = dropped(values, 0.3)
    found.sum().backward()
    torch.testing.assert_close(values.grad, found.detach() / values.detach())


def masks(queries, keys):
    """Return masks of attention of every sort, `(2, 1, queries, keys)` or wider."""
    allowed = torch.rand(2, 1, queries, keys) < 0.7
    allowed[..., 0] = True
    added = torch.zeros(2, 1, queries, keys, dtype=torch.float64).masked_fill(~allowed, -torch.inf)
    return {"none": None, "bool": allowed, "added": added, "bias": torch.randn(2, 3, queries, keys).double()}


@pytest.mark.parametrize(
    ("mask", "how"),
    [
        *(("none", how) for how in ({}, {"scale": 0.3}, {"is_causal": True})),
        *((mask, how) for mask in ("bool", "added", "bias") for how in ({}, {"scale": 0.3})),
    ],
)
def test_attention_is_torchs_but_for_the_mask_of_dropout(mask, how, monkeypatch):
    torch.manual_seed(0)
    query, key, value = (torch.randn(2, 3, 5, 4, dtype=torch.float64, requires_grad=True) for _ in range(3))
    seen = masks(5, 5)[mask]
    expected = nn.functional.scaled_dot_product_attention(query, key, value, seen, **how)
    expected_gradients = torch.autograd.grad(expected.square().sum(), (query, key, value))
    monkeypatch.setattr(dropout, "_bits", lambda values: torch.zeros(values.shape, dtype=torch.int16))
    found = attended(query, key, value, seen, 0.25, **how) * 0.75  # nothing was dropped, all scaled
    torch.testing.assert_close(found, expected, rtol=1e-12, atol=1e-12)
    for mine, theirs in zip(
        torch.autograd.grad(found.square().sum(), (query, key, value)), expected_gradients, strict=True
    ):
        torch.testing.assert_close(mine, theirs, rtol=1e-10, atol=1e-12)


def test_attention_drops_weights_and_not_values():
    query, key = torch.randn(2, 1, 1, 3, 4, dtype=torch.float64)
    torch.manual_seed(2)
    found = attended(query, key, torch.eye(3, dtype=torch.float64)[None, None], dropout_p=0.5)
    weights = (query @ key.transpose(-2, -1) / 2).softmax(dim=-1)
    torch.manual_seed(2)
    torch.testing.assert_close(found, dropped(weights, 0.5))


def test_a_query_that_sees_nothing_poisons_no_gradient():
    query = torch.randn(1, 1, 2, 4, requires_grad=True)
    nowhere = torch.tensor([[True, False], [False, False]])[None, None]
    for mask in (nowhere, torch.zeros(1, 1, 2, 2).masked_fill(~nowhere, -torch.inf)):
        attended(query, query, query, mask, 0.1).sum().backward()
        assert torch.isfinite(query.grad).all()


def test_a_model_keeps_weights_names_configuration_and_what_it_computes(bert, texts, tmp_path):
    plain, quick = bert, copy.deepcopy(bert)
    quicken_dropout(quick)
    assert quick.config._attn_implementation == dropout.ATTENTION
    assert not [name for name, module in quick.named_modules() if type(module) is nn.Dropout]
    assert [name for name, _ in plain.named_parameters()] == [name for name, _ in quick.named_parameters()]
    for model in (plain, quick):
        model.eval()
    torch.testing.assert_close(
        quick(**texts).last_hidden_state, plain(**texts).last_hidden_state, rtol=0, atol=0
    )
    for name, model in (("plain", plain), ("quick", quick)):
        model.save_pretrained(tmp_path / name)
        model.train()
    config = [(tmp_path / name / "config.json").read_bytes() for name in ("plain", "quick")]
    assert config[0] == config[1]


def test_what_a_model_computes_on_average_is_the_same(bert, texts):
    quick = copy.deepcopy(bert)
    quicken_dropout(quick)
    torch.manual_seed(0)

    def mean(model):
        with torch.no_grad():
            found = torch.stack([model(**texts).last_hidden_state[:, 0] for _ in range(400)]).double()
        return found.mean(dim=0), found.std(dim=0) / 20

    (theirs, their_error), (mine, my_error) = mean(bert), mean(quick)
    assert bool(((mine - theirs).abs() <= 6 * (their_error + my_error)).all())
    torch.testing.assert_close(my_error, their_error, rtol=0.5, atol=0)


def test_what_is_computed_again_for_its_gradient_draws_the_same_masks(bert, texts):
    quick = copy.deepcopy(bert)
    quicken_dropout(quick)

    def gradient(forward):
        quick.zero_grad()
        torch.manual_seed(4)
        forward(lambda: quick(**texts).last_hidden_state[:, 0].square().sum()).backward()
        return torch.cat([weight.grad.flatten() for weight in quick.parameters() if weight.grad is not None])

    once = gradient(lambda run: run())
    again = gradient(lambda run: checkpoint(run, use_reentrant=False))
    assert float((again - once).norm() / once.norm()) <= 1e-6


def test_models_elsewhere_and_layers_of_other_types_are_left_alone():
    class Own(nn.Dropout):
        """Somebody's own."""

    model = nn.Sequential(nn.Dropout(0.2).eval(), Own(0.3), nn.Dropout1d(0.1))
    quicken_dropout(model)
    assert [type(module) for module in model] == [QuickDropout, Own, nn.Dropout1d]
    assert (model[0].p, model[0].training) == (0.2, False)
    elsewhere = nn.Sequential(nn.Linear(2, 2, device="meta"), nn.Dropout(0.2))
    quicken_dropout(elsewhere)
    assert type(elsewhere[1]) is nn.Dropout
