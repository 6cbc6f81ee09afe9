"""What every architecture keeps to, whatever its file."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from embedkit import spec
from embedkit.embedding.architectures.blocks.registration import register
from embedkit.embedding.architectures.registry import architecture
from embedkit.errors import UsageError
from tests.embedding.architectures.examples import (
    IDS,
    MASK,
    MAX_LENGTH,
    PADDING,
    SPECS,
    VOCABULARY,
    output,
    tiny,
)

EXACT = 1e-12  # in float64: sums of tens of terms of size 1


def test_every_kind_has_examples():
    assert {text.partition(":")[0] for text in SPECS} == set(spec.kinds("architecture"))


@pytest.mark.parametrize("kind", spec.kinds("architecture"))
def test_a_kind_builds_with_its_defaults_and_reads_its_spec_back(kind):
    settings = architecture(kind)
    assert spec.parse("architecture", spec.render(settings)) == settings
    assert settings.dropout == 0.1
    model = architecture(f"{kind}:layers=2").build(vocabulary=50, padding=0, max_length=16)
    assert output(model.eval()).shape == (*IDS.shape, settings.width)
    assert model.get_input_embeddings().weight.shape == (50, settings.width)


@pytest.mark.parametrize("kind", spec.kinds("architecture"))
@pytest.mark.parametrize("setting", ["layers=0", "width=0", "dropout=1"])
def test_a_setting_out_of_range_is_refused(kind, setting):
    with pytest.raises(UsageError, match=setting.partition("=")[0]):
        architecture(f"{kind}:{setting}")


@pytest.mark.parametrize("text", SPECS)
def test_a_seed_gives_the_same_weights(text):
    first, again = tiny(text), tiny(text)
    for (name, weight), other in zip(first.state_dict().items(), again.state_dict().values(), strict=True):
        assert torch.equal(weight, other), name


@pytest.mark.parametrize("text", SPECS)
def test_padding_and_order_change_nothing(text):
    model = tiny(text)
    whole = output(model)
    for row, count in enumerate(MASK.sum(dim=1).tolist()):
        alone = output(model, IDS[row : row + 1, :count], MASK[row : row + 1, :count])
        torch.testing.assert_close(whole[row, :count], alone[0], rtol=0, atol=EXACT)
    order = torch.tensor([2, 0, 1])
    turned = output(model, IDS[order], MASK[order])
    for row, count in enumerate(MASK.sum(dim=1).tolist()):
        where = order.tolist().index(row)
        torch.testing.assert_close(whole[row, :count], turned[where, :count], rtol=0, atol=EXACT)


@pytest.mark.parametrize("text", SPECS)
def test_tokens_see_each_other_and_their_order(text):
    model = tiny(text)
    whole = output(model)[0]
    changed, swapped = IDS[:1].clone(), IDS[:1].clone()
    changed[0, 4] = 11
    swapped[0, [3, 4]] = IDS[0, [4, 3]]
    everything = torch.ones_like(IDS[:1])
    assert (output(model, changed, everything)[0] - whole).abs().amax(dim=1).min() > 1e-6
    moved = (output(model, swapped, everything)[0, 0] - whole[0]).abs().max()
    assert (moved < EXACT) == ("positions=none" in text)


@pytest.mark.parametrize("text", SPECS)
def test_texts_may_have_as_many_tokens_as_were_asked_for(text):
    ids = torch.arange(1, MAX_LENGTH + 1)[None]
    assert torch.isfinite(output(tiny(text), ids, torch.ones_like(ids))).all()


@pytest.mark.parametrize("text", SPECS)
def test_gradients_are_those_of_finite_differences(text):
    model = tiny(text)
    numbers = torch.Generator().manual_seed(5)
    along = torch.randn(*IDS.shape, 8, generator=numbers, dtype=torch.float64) * MASK[..., None]

    def value() -> torch.Tensor:
        return (output(model) * along).sum()

    weights = dict(model.named_parameters())
    gradients = torch.autograd.grad(value(), list(weights.values()))
    for (name, weight), gradient in zip(weights.items(), gradients, strict=True):
        direction = torch.randn(weight.shape, generator=numbers, dtype=torch.float64)
        step = 1e-5 * direction
        with torch.no_grad():
            above = (weight.add_(step), value())[1]
            below = (weight.sub_(2 * step), value())[1]
            weight.add_(step)
        slope = float(above - below) / 2e-5
        np.testing.assert_allclose(
            float((gradient * direction).sum()), slope, rtol=1e-6, atol=1e-6, err_msg=name
        )


@pytest.mark.parametrize("text", SPECS)
def test_saving_and_loading_give_the_same_output(text, tmp_path):
    from transformers import AutoModel

    register()
    model = tiny(text, dtype=torch.float32)
    model.save_pretrained(tmp_path)
    again = AutoModel.from_pretrained(tmp_path, local_files_only=True).eval()
    assert type(again) is type(model)
    assert torch.equal(output(again), output(model))


@pytest.mark.parametrize("text", SPECS)
def test_the_padding_token_is_known_and_may_be_any(text):
    with pytest.raises(ValueError, match="padding=30 is not a token among 30"):
        architecture(text).build(vocabulary=VOCABULARY, padding=VOCABULARY, max_length=MAX_LENGTH)
    assert tiny(text).config.pad_token_id == PADDING
