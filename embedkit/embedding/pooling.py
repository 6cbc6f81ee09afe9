"""Pooling: from a transformer's hidden states to one vector a text, under the names that papers and people use.

    mean         mean over the last block's tokens, [CLS] and [SEP] included, padding not
    cls          the first token of the last block
    max          maximum over the last block's tokens
    first-last   mean over tokens of the mean of block 1's output (hidden_states[1]) and the last block's
    last2        the same with the last two blocks
    embedding    mean over the tokens of the embedding layer (hidden_states[0])
    pooler       the pooler's linear part on the first token, without its tanh

Source: BERT-whitening (arXiv 2103.15316) and its code for first-last, last2 and the linear pooler.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from embedkit.errors import ModelError

if TYPE_CHECKING:
    import torch
    from sentence_transformers import SentenceTransformer

_LAYERS = {"first-last": (1, -1), "last2": (-2, -1), "embedding": (0,)}


def build_module(model: SentenceTransformer, pooling: str | None, truncate_dim: int | None, normalize: bool) -> torch.nn.Module:
    """Return one torch module `(input_ids, attention_mask) -> (rows, dimension)` of a loaded model.

    `pooling` replaces the model's own; `truncate_dim` keeps the first columns; `normalize` gives unit length.
    Raises ModelError when the model lacks what the pooling reads.
    """
    import torch

    steps = list(model)
    replaced = next((place for place, step in enumerate(steps) if type(step).__name__ == "Pooling"), None)
    if pooling is not None and replaced is None:
        raise ModelError(f"has no pooling step that --pooling {pooling} could replace", where=str(model.model_card_data.model_id))

    class Pipeline(torch.nn.Module):
        """The model's steps with the pooling replaced; inputs are `(rows, tokens)`."""

        def __init__(self) -> None:
            super().__init__()
            self.steps = torch.nn.ModuleList(steps)

        def forward(self, input_ids: Any, attention_mask: Any) -> Any:
            features = {"input_ids": input_ids, "attention_mask": attention_mask}
            for place, step in enumerate(self.steps):
                if place == replaced and pooling is not None:
                    features["sentence_embedding"] = pool(pooling, features, steps[0])
                else:
                    features = step(features)
            vectors = features["sentence_embedding"].float()
            if truncate_dim is not None:
                vectors = vectors[:, :truncate_dim]
            return torch.nn.functional.normalize(vectors, dim=1) if normalize else vectors

    if pooling in _LAYERS:
        steps[0].auto_model.config.output_hidden_states = True
    if pooling == "pooler":
        _pooler(steps[0])
    return Pipeline().eval()


def pool(name: str, features: dict[str, Any], transformer: Any) -> Any:
    """Pool `(rows, tokens, width)` hidden states into `(rows, width)`."""
    last = features["token_embeddings"]
    if name == "cls":
        return last[:, 0]
    if name == "pooler":
        return _pooler(transformer)(last[:, 0])
    mask = features["attention_mask"].unsqueeze(-1).to(last.dtype)
    if name == "max":
        return last.masked_fill(mask == 0, float("-inf")).max(dim=1).values
    layers = [features["all_layer_embeddings"][layer] for layer in _LAYERS[name]] if name in _LAYERS else [last]
    tokens = sum(layers) / len(layers)
    return (tokens * mask).sum(dim=1) / mask.sum(dim=1).clamp(min=1e-9)


def _pooler(transformer: Any) -> Any:
    """Return the linear layer of the model's pooler."""
    pooler = getattr(transformer.auto_model, "pooler", None)
    linear = getattr(pooler, "dense", None)
    if linear is None:
        raise ModelError(f"{type(transformer.auto_model).__name__} has no pooler with a linear part", hint="choose another --pooling")
    return linear
