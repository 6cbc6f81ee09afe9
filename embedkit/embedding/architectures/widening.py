"""A network of twice the width that computes the same, as the start of further training (kexue.fm 8444).

A token vector h becomes (h, h) / sqrt(2), which has the same length, so the vectors of texts keep their
cosines. A dense layer W from vectors of scale s to vectors of scale t becomes

    t / (2 s) * [[W + D, W - D], [W + D', W - D']],

which computes the same for any D and D', since both halves of its input are equal. Random D make the halves
of its gradient differ, so that training can use the new width. Biases and layer normalisation become
t (b, b). The scale is 1/sqrt(2) for token vectors, values and outputs, so the second bias of the feed-forward
part is divided by sqrt(2) too, and 1 for queries, keys and inner layers, whose products and activations must
not change. Heads keep their size, and their number doubles. Layer normalisation sees half the variance, so
its epsilon halves.
"""

from __future__ import annotations

import copy
import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, NamedTuple

from embedkit.embedding.architectures.model_type import MODEL_TYPE
from embedkit.errors import ModelError

if TYPE_CHECKING:
    from torch import Generator, Tensor
    from transformers import PretrainedConfig, PreTrainedModel

_STREAM, _INNER = 2**-0.5, 1.0  # scales: of token vectors, and of vectors before and after activations
_TYPES = ("bert", "roberta", "xlm-roberta", "camembert", "roberta-prelayernorm", MODEL_TYPE)
_MIXING = ("attention", "kernel-attention")  # of embedkit's own networks


class _Role(NamedTuple):
    """The scale of a weight's output, and of its input if it is a dense layer's."""

    output: float = _STREAM
    input: float | None = None


_ROLES = (  # patterns of names, the first that matches decides
    (r"(^|\.)(word|position|token_type)_embeddings\.weight$", _Role()),
    (r"(^|\.)(LayerNorm|norm)\.(weight|bias)$", _Role()),
    (r"\.(query|key)\.(weight|bias)$", _Role(_INNER, _STREAM)),
    (r"(\.value|attention\.output\.dense|mixing\.branch\.output)\.(weight|bias)$", _Role(_STREAM, _STREAM)),
    (r"(intermediate\.dense|branch\.inner|pooler\.dense)\.(weight|bias)$", _Role(_INNER, _STREAM)),
    (r"(output\.dense|feed_forward\.branch\.output)\.(weight|bias)$", _Role(_STREAM, _INNER)),
)


def widened(model: PreTrainedModel, *, noise: float = 1.0, seed: int = 0) -> PreTrainedModel:
    """Return a network of twice the width, with twice the heads and inner layer, whose token vectors are
    (h, h) / sqrt(2) for the vectors h of `model`, in the same precision.

    `noise` is the deviation of D relative to that of W; at 1, weights have the deviation that the width asks
    for, and at 0 both halves stay equal for ever. Raises ModelError unless the network is BERT, RoBERTa, or
    one of embedkit's own with heads.
    """
    import torch

    _require_known(model.config)
    numbers = torch.Generator().manual_seed(seed)
    weights = {name: _widened(name, weight, noise, numbers) for name, weight in model.state_dict().items()}
    with torch.random.fork_rng(devices=[]):
        wide = type(model)(_doubled(model.config)).to(device=model.device, dtype=model.dtype)
    if getattr(model, "pooler", None) is None and hasattr(wide, "pooler"):
        wide.pooler = None
    wide.load_state_dict(weights)
    return wide.train(model.training)


def widened_head(weights: Mapping[str, Tensor], *, noise: float = 1.0, seed: int = 0) -> dict[str, Tensor]:
    """Return the weights of a head that gives the wide network's vectors the scores of the narrow one's.

    The head is a dense layer, an activation, layer normalisation and the product with the table of token
    vectors: `dense.weight`, `dense.bias`, `norm.weight`, `norm.bias`, and one `bias` per token.
    """
    import torch

    numbers = torch.Generator().manual_seed(seed)
    wide = {name: weight for name, weight in weights.items() if name == "bias"}
    for name, role in (("dense", _Role(_INNER, _STREAM)), ("norm", _Role())):
        for part in ("weight", "bias"):
            wide[f"{name}.{part}"] = _by_role(weights[f"{name}.{part}"], role, noise, numbers)
    return wide


def _require_known(config: PretrainedConfig) -> None:
    own = config.model_type == MODEL_TYPE
    if config.model_type not in _TYPES or (own and config.mixing not in _MIXING):
        what = f"is a {config.model_type} with {config.mixing}" if own else f"is a {config.model_type}"
        raise ModelError(
            f"{what}, which cannot be widened",
            where=config.name_or_path or None,
            hint="widen a BERT or a RoBERTa, or train a wider network from the beginning",
        )


def _doubled(config: PretrainedConfig) -> PretrainedConfig:
    """Return the configuration of the wide network."""
    wide = copy.deepcopy(config)
    for name in ("hidden_size", "num_attention_heads", "intermediate_size"):
        setattr(wide, name, 2 * getattr(config, name))
    wide.layer_norm_eps = config.layer_norm_eps / 2
    return wide


def _widened(name: str, weight: Tensor, noise: float, numbers: Generator) -> Tensor:
    """Return a weight of the wide network by its name."""
    if name.endswith("mixing.branch.projection"):  # random features of heads, whose size stays
        return weight
    role = next((role for pattern, role in _ROLES if re.search(pattern, name)), None)
    if role is None:
        raise ModelError(f"its weight {name} is not known, so it cannot be widened")
    return _by_role(weight, role, noise, numbers)


def _by_role(weight: Tensor, role: _Role, noise: float, numbers: Generator) -> Tensor:
    """Return a weight of the wide network or head, computed in float64."""
    exact = weight.detach().cpu().double()
    if weight.dim() == 2 and role.input is not None:
        wide = _widened_dense(exact, noise, numbers) * (role.output / (2 * role.input))
    else:
        wide = role.output * exact.repeat(*(1,) * (weight.dim() - 1), 2)
    return wide.to(weight.dtype)


def _widened_dense(W: Tensor, noise: float, numbers: Generator) -> Tensor:
    """Return [[W + D, W - D], [W + D', W - D']] for a dense layer `(out, in)`."""
    import torch

    deviation = noise * W.std()
    halves = []
    for _ in range(2):
        D = deviation * torch.randn(W.shape, generator=numbers, dtype=W.dtype)
        halves.append(torch.cat([W + D, W - D], dim=1))
    return torch.cat(halves)
