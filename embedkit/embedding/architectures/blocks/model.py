"""embedkit's own network: embeddings and layers, as a model of transformers."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from transformers import PreTrainedModel
from transformers.modeling_outputs import BaseModelOutput

from embedkit.embedding.architectures.blocks.config import EncoderConfig
from embedkit.embedding.architectures.blocks.context import Context, log_length_scale
from embedkit.embedding.architectures.blocks.initial_weights import set_initial_weights
from embedkit.embedding.architectures.blocks.layers import Layer
from embedkit.embedding.architectures.blocks.rotary import Rotation, rotation


class Embeddings(nn.Module):  # type: ignore[misc]
    """The sum of a token's vector and, if positions are learned, its position's, normalised."""

    def __init__(self, config: EncoderConfig) -> None:
        super().__init__()
        width = config.hidden_size
        self.word_embeddings = nn.Embedding(config.vocab_size, width, padding_idx=config.pad_token_id)
        learned = config.positions == "learned"
        self.position_embeddings = nn.Embedding(config.max_position_embeddings, width) if learned else None
        self.norm = nn.LayerNorm(width, eps=config.layer_norm_eps)
        self.dropout = nn.Dropout(config.hidden_dropout_prob)

    def forward(self, input_ids: Tensor, positions: Tensor) -> Tensor:
        """Return the vectors `(texts, tokens, width)` of ids `(texts, tokens)` at positions `(tokens,)`."""
        vectors = self.word_embeddings(input_ids)
        if self.position_embeddings is not None:
            vectors = vectors + self.position_embeddings(positions)
        normed: Tensor = self.dropout(self.norm(vectors))
        return normed


class BlockEncoder(PreTrainedModel):  # type: ignore[misc]
    """Embeddings, layers, and with pre norm a last normalisation."""

    config_class = EncoderConfig
    base_model_prefix = "encoder"
    _no_split_modules = ("Layer",)

    def __init__(self, config: EncoderConfig) -> None:
        super().__init__(config)
        self.embeddings = Embeddings(config)
        self.layers = nn.ModuleList([Layer(config) for _ in range(config.num_hidden_layers)])
        is_pre = config.normalization == "pre"
        self.norm = nn.LayerNorm(config.hidden_size, eps=config.layer_norm_eps) if is_pre else None
        self.post_init()

    def get_input_embeddings(self) -> nn.Embedding:
        """Return the table of token vectors."""
        return self.embeddings.word_embeddings

    def set_input_embeddings(self, value: nn.Embedding) -> None:
        """Replace the table of token vectors."""
        self.embeddings.word_embeddings = value

    def forward(
        self,
        input_ids: Tensor,
        attention_mask: Tensor | None = None,
        output_hidden_states: bool | None = None,
        return_dict: bool | None = None,
    ) -> BaseModelOutput:
        """Return `.last_hidden_state`, `(texts, tokens, width)`, for ids and a mask, `(texts, tokens)`.

        The mask is 1 for tokens and 0 for padding. Outputs at padding have no meaning. `return_dict` is there
        for callers of transformers' models, and changes nothing.
        """
        mask = torch.ones_like(input_ids) if attention_mask is None else attention_mask
        positions = torch.arange(input_ids.shape[1], device=input_ids.device)
        context = self._context(mask.bool(), positions)
        hidden = self.embeddings(input_ids, positions)
        states = [hidden]
        for layer in self.layers:
            hidden = layer(hidden, context)
            states.append(hidden)
        if self.norm is not None:
            hidden = states[-1] = self.norm(hidden)
        wanted = self.config.output_hidden_states if output_hidden_states is None else output_hidden_states
        return BaseModelOutput(last_hidden_state=hidden, hidden_states=tuple(states) if wanted else None)

    def _context(self, mask: Tensor, positions: Tensor) -> Context:
        """Return what the layers know of a batch with this mask."""
        dtype = torch.promote_types(self.embeddings.norm.weight.dtype, torch.float32)
        turned: Rotation | None = None
        if self.config.positions == "rotary":
            turned = rotation(positions, self._rotary_size(), dtype)
        scales = self.config.attention_scale == "log-length"
        return Context(mask, turned, log_length_scale(mask, dtype) if scales else None)

    def _rotary_size(self) -> int:
        """Return the size of the vectors that rotary positions turn."""
        config = self.config
        sizes = {"gated-attention": config.key_size, "kernel-attention": config.feature_count}
        return int(sizes.get(config.mixing, config.hidden_size // config.num_attention_heads))

    def _init_weights(self, module: Any) -> None:
        set_initial_weights(module, self.config)
