"""Register embedkit's own network with transformers, so that a folder with its configuration loads."""

from __future__ import annotations


def register() -> None:
    """Let transformers' Auto classes find the network by its model type; calling again changes nothing."""
    from transformers import AutoConfig, AutoModel

    from embedkit.embedding.architectures.blocks.config import EncoderConfig
    from embedkit.embedding.architectures.blocks.model import BlockEncoder
    from embedkit.embedding.architectures.model_type import MODEL_TYPE

    AutoConfig.register(MODEL_TYPE, EncoderConfig, exist_ok=True)
    AutoModel.register(EncoderConfig, BlockEncoder, exist_ok=True)
