"""Tiny networks of every kind, with random weights that are large enough to matter."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch

from embedkit.embedding.architectures.registry import architecture
from tests.embedding.conftest import save_transformer, word_pieces

VOCABULARY, PADDING, MAX_LENGTH = 30, 0, 12
SIZES = {  # settings that make each kind tiny
    "bert": "layers=2,width=8,heads=2",
    "pre-norm": "layers=2,width=8,heads=2",
    "deepnorm": "layers=2,width=8,heads=2",
    "gau": "layers=2,width=8,key_size=4",
    "linear": "layers=2,width=8,heads=2",
    "mlp": "layers=2,width=8,positions_size=6",
}
OPTIONS = {  # settings besides the sizes under which each kind is tested
    "bert": ("", "positions=rotary,scale=log-length,activation=squareplus", "positions=none"),
    "pre-norm": ("", "positions=rotary,activation=smooth-relu", "scale=log-length,activation=softplus"),
    "deepnorm": ("", "positions=rotary,scale=log-length"),
    "gau": ("", "attention=relu-squared,normalization=pre", "positions=learned,scale=plain"),
    "linear": ("", "features=performer,count=6,positions=rotary", "features=performer", "positions=rotary"),
    "mlp": ("", "normalization=pre,activation=squareplus"),
}
SPECS = [
    f"{kind}:{SIZES[kind]}" + (f",{options}" if options else "")
    for kind in OPTIONS
    for options in OPTIONS[kind]
]
IDS = torch.tensor([[5, 9, 6, 28, 7, 3], [8, 8, 4, 0, 0, 0], [2, 0, 0, 0, 0, 0]])
MASK = torch.tensor([[1, 1, 1, 1, 1, 1], [1, 1, 1, 0, 0, 0], [1, 0, 0, 0, 0, 0]])


def tiny(text: str, *, vocabulary: int = VOCABULARY, dtype: torch.dtype = torch.float64) -> Any:
    """Return a network by its spec, in evaluation; all its weights are moved away from 0 and 1."""
    torch.manual_seed(3)
    model = architecture(text).build(vocabulary=vocabulary, padding=PADDING, max_length=MAX_LENGTH)
    generator = torch.Generator().manual_seed(4)
    with torch.no_grad():
        for weight in model.parameters():
            weight += 0.2 * torch.randn(weight.shape, generator=generator)
    return model.eval().to(dtype)


def output(model: Any, ids: torch.Tensor = IDS, mask: torch.Tensor = MASK) -> torch.Tensor:
    """Return the last hidden state."""
    return model(input_ids=ids, attention_mask=mask).last_hidden_state


def saved(text: str, folder: Path) -> Path:
    """Save a tiny network with a tokenizer as a plain folder."""
    tokenizer = word_pieces()
    model = tiny(text, vocabulary=tokenizer.get_vocab_size(), dtype=torch.float32)
    special = {"pad_token": "[PAD]", "unk_token": "[UNK]", "cls_token": "[CLS]", "sep_token": "[SEP]"}
    return save_transformer(folder, model, tokenizer, MAX_LENGTH, **special)
