"""Faster dropout on processors, with 16 random bits per value of a mask.

On processors, torch draws a mask one real number at a time, which takes a quarter of a contrastive step. Here
a value is dropped if 16 bits of the same generator are below `p * 65536`, and the others are divided by the
share that is kept. The masks differ from torch's but have the same distribution, with p to 1/131072. Seeds,
states and replays work as with torch's.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

LEVELS = 1 << 16
ATTENTION = "embedkit_quick_dropout"  # its name among the attentions of transformers


def quicken_dropout(model: nn.Module) -> None:
    """Make a model use this file's dropout: in its Dropout layers, and in attention where it is "sdpa".

    Weights, their names and saved files do not change, nor does evaluation. Models on other devices are left
    alone, because dropout is cheap there.
    """
    if any(weight.device.type != "cpu" for weight in model.parameters()):
        return
    for module in list(model.modules()):
        for name, child in module.named_children():
            if type(child) is nn.Dropout:
                setattr(module, name, QuickDropout(child.p).train(child.training))
        if _attends_by_sdpa(module):
            module.set_attn_implementation(_registered())


class QuickDropout(nn.Dropout):  # type: ignore[misc]
    """`nn.Dropout` with the masks of this file."""

    def forward(self, values: Tensor) -> Tensor:
        """Drop values while training."""
        return dropped(values, self.p) if self.training else values


def dropped(values: Tensor, p: float) -> Tensor:
    """Return `values` with a share `p` of them zero and the others divided by the kept share."""
    below = round(p * LEVELS)
    if not 0 < below < LEVELS:
        return nn.functional.dropout(values, p)
    kept = (_bits(values) >= below - LEVELS // 2).view(torch.int8)  # int8 is cast faster than bool
    return values * (LEVELS / (LEVELS - below)) * kept.to(values.dtype)


def _bits(values: Tensor) -> Tensor:
    """Return 16 random bits per value, as a number from -32768 to 32767."""
    words = torch.empty(-(-values.numel() // 4), dtype=torch.int64, device=values.device)
    return words.random_(-(2**63), None).view(torch.int16)[: values.numel()].view(values.shape)


def _attends_by_sdpa(module: nn.Module) -> bool:
    config = getattr(module, "config", None)
    settable = getattr(module, "_can_set_attn_implementation", bool)
    return getattr(config, "_attn_implementation", None) == "sdpa" and settable()


def _registered() -> str:
    """Register the attention below in transformers; returns its name."""
    from transformers.masking_utils import ALL_MASK_ATTENTION_FUNCTIONS, sdpa_mask
    from transformers.modeling_utils import ALL_ATTENTION_FUNCTIONS

    ALL_ATTENTION_FUNCTIONS.register(ATTENTION, _attention)
    ALL_MASK_ATTENTION_FUNCTIONS.register(ATTENTION, sdpa_mask)
    return ATTENTION


def _attention(*args: Any, **kwargs: Any) -> Any:
    """Compute attention as transformers does for "sdpa", with other random numbers."""
    from transformers.integrations.sdpa_attention import sdpa_attention_forward

    with _Quick():
        return sdpa_attention_forward(*args, **kwargs)


class _Quick(TorchFunctionMode):  # type: ignore[misc]
    def __torch_function__(
        self, function: Callable[..., Any], types: Any, args: Any = (), kwargs: Any = None
    ) -> Any:
        known = function is nn.functional.scaled_dot_product_attention
        return (attended if known else function)(*args, **(kwargs or {}))


def attended(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attn_mask: Tensor | None = None,
    dropout_p: float = 0.0,
    is_causal: bool = False,
    scale: float | None = None,
    enable_gqa: bool = False,
) -> Tensor:
    """Return `torch.nn.functional.scaled_dot_product_attention` of the same arguments, with other dropout
    masks.

    A query whose keys are all masked gets the mean of all values instead of zeros.
    """
    if dropout_p == 0 or enable_gqa:
        return nn.functional.scaled_dot_product_attention(
            query, key, value, attn_mask, dropout_p, is_causal, scale=scale, enable_gqa=enable_gqa
        )
    if is_causal:
        shape = query.shape[-2], key.shape[-2]
        attn_mask = torch.ones(shape, dtype=torch.bool, device=query.device).tril()
    scores = query * (query.shape[-1] ** -0.5 if scale is None else scale) @ key.transpose(-2, -1)
    if attn_mask is not None:
        scores = scores + _added(attn_mask, scores.dtype)
    weights = scores.softmax(dim=-1, dtype=torch.promote_types(scores.dtype, torch.float32))
    return dropped(weights.to(scores.dtype), dropout_p) @ value


def _added(mask: Tensor, dtype: torch.dtype) -> Tensor:
    """Return a finite mask to add to scores."""
    lowest = torch.finfo(dtype).min
    if mask.dtype == torch.bool:
        return torch.zeros((), dtype=dtype).where(mask, lowest)
    return mask.clamp(min=lowest).to(dtype)
