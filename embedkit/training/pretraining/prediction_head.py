"""The head that predicts masked tokens from their vectors; its output weights are the token embeddings."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from embedkit.data.atomic import write_whole
from embedkit.errors import FormatError, ModelError

if TYPE_CHECKING:
    from transformers import PreTrainedModel

HEAD = "masked-language-head.safetensors"  # in a model's folder; not part of the model's fingerprint
FORMAT, VERSION = "embedkit-head", 1
_STATED = f"{FORMAT} {VERSION}"  # in the metadata, in one entry: several would be written in any order
_DELETE = "delete it to train a new head"
_NAMES = {  # its weights in checkpoints of transformers, as BERT and as RoBERTa name them
    "dense.weight": ("cls.predictions.transform.dense.weight", "lm_head.dense.weight"),
    "dense.bias": ("cls.predictions.transform.dense.bias", "lm_head.dense.bias"),
    "norm.weight": ("cls.predictions.transform.LayerNorm.weight", "lm_head.layer_norm.weight"),
    "norm.bias": ("cls.predictions.transform.LayerNorm.bias", "lm_head.layer_norm.bias"),
    "bias": ("cls.predictions.bias", "lm_head.bias"),
}


class PredictionHead(nn.Module):  # type: ignore[misc]
    """A dense layer, GELU and a LayerNorm, then a score per token: the product with its embedding, and a bias
    (as in BERT, arXiv 1810.04805).
    """

    def __init__(self, width: int, embedding: int, tokens: int) -> None:
        super().__init__()
        self.dense = nn.Linear(width, embedding)
        self.norm = nn.LayerNorm(embedding, eps=1e-12)
        self.bias = nn.Parameter(torch.zeros(tokens))
        nn.init.normal_(self.dense.weight, std=0.02)
        nn.init.zeros_(self.dense.bias)

    def forward(self, vectors: Tensor, embeddings: Tensor) -> Tensor:
        """Return the scores of all tokens, `(rows, tokens)`, from vectors `(rows, width)` and the embeddings
        `(tokens, embedding)`.
        """
        found = self.norm(nn.functional.gelu(self.dense(vectors)))
        return nn.functional.linear(found, embeddings, self.bias)


def head_for(model: PreTrainedModel) -> PredictionHead:
    """Return a new head for a model of transformers."""
    tokens, embedding = model.get_input_embeddings().weight.shape
    width = int(getattr(model.config, "hidden_size", embedding))
    return PredictionHead(width, int(embedding), int(tokens))


def kept_head(folder: Path) -> dict[str, Tensor] | None:
    """Return the weights of the head in a model's folder: embedkit's own, or those of a checkpoint of
    transformers that was saved with its head; None if there is none.

    Raises FormatError for a file of embedkit's that is damaged or of another version.
    """
    from safetensors import safe_open

    if (folder / HEAD).is_file():
        return _own_head(folder / HEAD)
    file = folder / "model.safetensors"
    if not file.is_file():
        return None
    with safe_open(file, "pt") as weights:
        there = set(weights.keys())
        named = {own: next(filter(there.__contains__, names), None) for own, names in _NAMES.items()}
        if None in named.values():
            return None
        return {own: weights.get_tensor(name).float() for own, name in named.items()}


def _own_head(file: Path) -> dict[str, Tensor]:
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(file, "pt") as weights:
            said = weights.metadata() or {}
            found = {name: weights.get_tensor(name) for name in weights.keys()}  # noqa: SIM118
    except SafetensorError as error:
        raise FormatError(f"is damaged: {error}", where=str(file), hint=_DELETE) from None
    if said.get("format") != _STATED:
        what = f"is {said.get('format', 'without a format')}, expected {_STATED}"
        raise FormatError(what, where=str(file), hint=_DELETE)
    return found


def save_head(weights: dict[str, Tensor], folder: Path) -> None:
    """Write the weights of a head into a model's folder."""
    from safetensors.torch import save

    own = {name: value.detach().cpu().contiguous() for name, value in weights.items()}
    write_whole(folder / HEAD, save(own, {"format": _STATED}))


def load_head(head: PredictionHead, weights: dict[str, Tensor], *, where: str) -> None:
    """Put weights into a head; raises ModelError when they have other sizes than it."""
    own = {name: value.shape for name, value in head.state_dict().items()}
    if {name: value.shape for name, value in weights.items()} != own:
        raise ModelError(
            "its head for masked tokens does not fit the model", where=where, hint=f"delete {HEAD}"
        )
    head.load_state_dict(weights)
