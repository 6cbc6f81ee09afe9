"""Register embedkit's own network with transformers, so that a folder with its configuration loads."""

from __future__ import annotations


def register() -> None:
    """Let transformers' Auto classes find the network by its model type; calling again changes nothing."""
    from transformers import AutoConfig, AutoModel

    from embedkit.embedding.architectures.blocks.config import MODEL_TYPE, EncoderConfig
    from embedkit.embedding.architectures.blocks.model import BlockEncoder

    AutoConfig.register(MODEL_TYPE, EncoderConfig, exist_ok=True)
    AutoModel.register(EncoderConfig, BlockEncoder, exist_ok=True)
