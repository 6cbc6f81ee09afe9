"""LoRA: small matrices are trained in place of the frozen weights (Hu et al. 2021, arXiv 2106.09685).

While training they are layers of the model; at the end they are merged into its weights, so the result is an
ordinary model.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from embedkit.errors import MissingPackageError

if TYPE_CHECKING:
    from sentence_transformers import SentenceTransformer


def add_lora(model: SentenceTransformer, rank: int) -> None:
    """Freeze a SentenceTransformer and add matrices of a rank to the linear layers of its transformer.

    Raises MissingPackageError without peft.
    """
    try:
        from peft import LoraConfig, inject_adapter_in_model
    except ImportError:
        raise MissingPackageError("peft", needed_for="`lora`", extra="lora") from None
    model.requires_grad_(False)
    config = LoraConfig(r=rank, lora_alpha=2 * rank, target_modules="all-linear")
    inject_adapter_in_model(config, model[0].auto_model)


def merge_lora(model: SentenceTransformer) -> None:
    """Add the products of the trained matrices to the weights, and restore the original layers."""
    from peft.tuners.tuners_utils import BaseTunerLayer

    for name, layer in list(model.named_modules()):
        if isinstance(layer, BaseTunerLayer):
            layer.merge()
            model.set_submodule(name, layer.get_base_layer())
    model.requires_grad_(True)


def is_lora(name: str) -> bool:
    """Return whether a parameter is one of the matrices, by its name."""
    return ".lora_" in name
