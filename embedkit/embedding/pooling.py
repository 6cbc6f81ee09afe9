"""Pooling of a transformer's hidden states into one vector per text, under the names that papers use.

    mean         mean over the last block's tokens, including [CLS] and [SEP], without padding
    cls          the first token of the last block
    max          maximum over the last block's tokens
    first-last   mean over tokens of the mean of block 1's output (hidden_states[1]) and the last block's
    last2        the same with the last two blocks
    embedding    mean over the tokens of the embedding layer (hidden_states[0])
    pooler       the pooler's linear part on the first token, without its tanh

Source: BERT-whitening (arXiv 2103.15316) and its code for first-last, last2 and the linear pooler.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

from embedkit.errors import ModelError

if TYPE_CHECKING:
    import torch
    from sentence_transformers import SentenceTransformer

_LAYERS = {"first-last": (1, -1), "last2": (-2, -1), "embedding": (0,)}

Features = dict[str, Any]  # passed from step to step; the first axis of tensors is `rows`
Step = Callable[[Features], Features]


def build_module(
    model: SentenceTransformer, *, pooling: str | None, truncate_dim: int | None, normalize: bool, where: str
) -> torch.nn.Module:
    """Return one torch module `(input_ids, attention_mask, types or none) -> (rows, dimension)` of a model.

    `pooling` replaces the model's own; `truncate_dim` keeps the first dimensions; `normalize` gives unit
    length. Raises ModelError, about the model called `where`, when it lacks a layer that the pooling needs.
    """
    import torch

    class Pipeline(torch.nn.Module):  # type: ignore[misc]
        """The steps of a model in order, as one module that can be traced."""

        def __init__(self) -> None:
            super().__init__()
            self.model = model  # its parameters become the module's

        def forward(self, input_ids: Any, attention_mask: Any, token_type_ids: Any = None) -> Any:
            """Compute `(rows, dimension)` from two or three `(rows, tokens)`."""
            features = {"input_ids": input_ids, "attention_mask": attention_mask}
            if token_type_ids is not None:
                features["token_type_ids"] = token_type_ids
            vectors = run_steps(steps, features)[:, :truncate_dim]
            return torch.nn.functional.normalize(vectors, dim=1) if normalize else vectors

    steps: list[Step] = list(model)
    while not normalize and type(steps[-1]).__name__ == "Normalize":
        steps.pop()
    if pooling is not None:
        place = next((place for place, step in enumerate(steps) if type(step).__name__ == "Pooling"), None)
        if place is None:
            raise ModelError(f"has no pooling step that `pooling={pooling}` could replace", where=where)
        steps[place] = pooling_step(pooling, model[0].auto_model, where=where)
    return Pipeline().eval()


def run_steps(steps: Iterable[Step], features: Features) -> Any:
    """Pass features through every step and return the vectors, `(rows, dimension)`, in float32."""
    for step in steps:
        features = step(features)
    return features["sentence_embedding"].float()


def pooling_step(name: str, transformer: Any, *, where: str) -> Step:
    """Return the step that pools as named; raises ModelError when the model lacks a layer that it needs."""
    head = _pooler(transformer, where=where) if name == "pooler" else None
    if name in _LAYERS:
        transformer.config.output_hidden_states = True

    def pool(features: Features) -> Features:
        """Pool `(rows, tokens, width)` into `(rows, width)`."""
        last, mask = features["token_embeddings"], features["attention_mask"].unsqueeze(-1)
        if head is not None:
            vectors = head(last[:, 0])
        elif name == "cls":
            vectors = last[:, 0]
        elif name == "max":
            vectors = last.masked_fill(mask == 0, float("-inf")).max(dim=1).values
        else:
            hidden = features.get("all_layer_embeddings", ())
            layers = [hidden[layer] for layer in _LAYERS[name]] if name in _LAYERS else [last]
            vectors = masked_mean(sum(layers) / len(layers), mask)
        return {**features, "sentence_embedding": vectors}

    return pool


def masked_mean(tokens: Any, mask: Any) -> Any:
    """Average `(rows, tokens, width)` over the tokens where `mask`, `(rows, tokens, 1)`, is 1."""
    weights = mask.float()
    return (tokens.float() * weights).sum(dim=1) / weights.sum(dim=1).clamp(min=1e-9)


def _pooler(transformer: Any, *, where: str) -> Any:
    """Return the linear layer of the model's pooler."""
    linear = getattr(getattr(transformer, "pooler", None), "dense", None)
    if linear is None:
        raise ModelError(
            f"{type(transformer).__name__} has no pooler with a linear part",
            where=where,
            hint="choose another `pooling`",
        )
    return linear
