"""The model to train: a copy in stock sentence-transformers modules, with the requested dropout."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import orjson
import torch
from torch import nn

from embedkit.embedding.encoder import EncoderSettings
from embedkit.embedding.faults import as_model_error
from embedkit.embedding.model_folder import ModelFolder
from embedkit.embedding.runtime import require_known
from embedkit.embedding.torch_runtime import known_ids, load_sentence_transformer, require_room
from embedkit.errors import ModelError
from embedkit.training.divergence import require_finite
from embedkit.training.dropout import quicken_dropout
from embedkit.training.run_settings import RunSettings

if TYPE_CHECKING:
    from sentence_transformers import SentenceTransformer

# Names of dropout in the configurations of transformers: hidden layers, and attention.
HIDDEN = (
    "hidden_dropout_prob", "hidden_dropout", "dropout", "dropout_rate", "embedding_dropout", "mlp_dropout",
    "resid_pdrop", "embd_pdrop", "classifier_dropout",
)  # fmt: skip
ATTENTION = ("attention_probs_dropout_prob", "attention_dropout", "attn_pdrop")


class Dropout(NamedTuple):
    """Dropout rates in training, by their names in the model's configuration."""

    values: dict[str, float]

    @property
    def is_off(self) -> bool:
        """True when two passes over a text give the same vector."""
        return not any(self.values.values())

    def __str__(self) -> str:
        return ", ".join(f"{name} {value:g}" for name, value in self.values.items()) or "none"


def load_trainable(folder: Path, settings: RunSettings) -> tuple[Any, Dropout]:
    """Load a sentence-transformers folder for training, in float32 and with the requested dropout."""
    values = orjson.loads((folder / "config.json").read_bytes())
    changed = _changed(values, settings, where=settings.model)
    found, where = ModelFolder(str(folder), folder), EncoderSettings(device=settings.device)
    model = load_sentence_transformer(found, where, changed)
    require_finite(model, where=settings.model)
    _require_length(model, found, settings)
    _refuse_unknown_tokens(model, where=settings.model)
    inner = model[0].auto_model.config
    for name in changed:
        setattr(inner, name, values[name])  # the saved configuration keeps the model's own values
    quicken_dropout(model)
    names = [name for name in (*HIDDEN, *ATTENTION) if isinstance(values.get(name), int | float)]
    return model.train(), Dropout({name: float((values | changed)[name]) for name in names})


def _require_length(model: SentenceTransformer, folder: ModelFolder, settings: RunSettings) -> None:
    """Raise ModelError when `max_length` exceeds the model's positions, or leaves no room for text."""
    length, limit = settings.max_length, folder.position_limit
    if length is None:
        return
    if limit is not None and length > limit:
        raise ModelError(
            f"has positions for {limit} tokens, fewer than `max_length={length}`", where=settings.model
        )
    require_room(model, length, where=settings.model)


def _refuse_unknown_tokens(model: SentenceTransformer, *, where: str) -> None:
    """Make the model's `preprocess` raise ModelError for a text with a token that has no embedding."""
    known, preprocess = known_ids(model), model.preprocess
    if known is None:
        return

    def checked(*inputs: Any, **options: Any) -> Any:
        """Return the tokens of texts; raises ModelError for ids beyond the embedding table."""
        features = preprocess(*inputs, **options)
        with as_model_error("cannot be trained", where=where):
            require_known(int(features["input_ids"].max()), known)
        return features

    model.preprocess = checked


def _changed(config: dict[str, object], settings: RunSettings, *, where: str) -> dict[str, float]:
    changed: dict[str, float] = {}
    for value, names, field in (
        (settings.dropout, HIDDEN, "dropout"),
        (settings.attention_dropout, ATTENTION, "attention_dropout"),
    ):
        found = [name for name in names if isinstance(config.get(name), int | float)]
        if value is not None and not found:
            raise ModelError(f"its configuration has no dropout that `{field}` could set", where=where)
        if value is not None:
            changed |= dict.fromkeys(found, value)
    return changed


class Head(nn.Module):  # type: ignore[misc]
    """A dense layer and tanh after the vectors, in training only (arXiv 2104.08821, section 6.3)."""

    def __init__(self, dimension: int) -> None:
        super().__init__()
        self.dense = nn.Linear(dimension, dimension)

    def forward(self, vectors: torch.Tensor) -> torch.Tensor:
        """Map vectors `(rows, dimension)`."""
        return torch.tanh(self.dense(vectors))


def bf16_is_fast(device: torch.device) -> bool:
    """Return whether a device multiplies in bfloat16 natively."""
    if device.type == "cuda":
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    told: dict[str, object] = getattr(torch.cpu, "get_capabilities", dict)()
    return device.type == "cpu" and bool(told.get("avx512_bf16") or told.get("amx_bf16"))
