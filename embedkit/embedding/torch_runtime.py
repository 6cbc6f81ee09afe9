"""The torch runtime: a model loaded with sentence-transformers, computed on a processor or a graphics
card.
"""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from embedkit.embedding.encoder import EncoderSettings, Vectors
from embedkit.embedding.model_folder import ModelFolder
from embedkit.embedding.reading import read
from embedkit.embedding.telemetry import silence
from embedkit.embedding.tokens import FastTokenizer, SlowTokenizer, TokenBatch, Tokenize, pad
from embedkit.errors import ModelError


class TorchRuntime:
    """The model in torch: fp32 on processors, bf16 on graphics cards unless `precision` says otherwise."""

    def __init__(self, folder: ModelFolder, settings: EncoderSettings) -> None:
        import torch

        from embedkit.embedding.pooling import build_module

        model, reading = load_sentence_transformer(folder, settings), read(folder, settings)
        self.device = model.device
        self.module = build_module(
            model,
            pooling=None if reading.pooling == folder.pooling else reading.pooling,
            truncate_dim=reading.truncate_dim,
            normalize=reading.normalized,
            where=folder.name,
        )
        self.bf16 = settings.precision == "bf16" or (
            settings.precision == "auto" and self.device.type == "cuda"
        )
        self.tokenize = tokenizer_of(model, reading.max_length)
        self.pad_id = int(model.tokenizer.pad_token_id or 0)
        self.token_budget = 2048 if self.device.type == "cpu" else 65536
        self._torch = torch
        self.dimension = self._width(folder)

    def run(self, batches: Iterable[TokenBatch]) -> Iterator[tuple[NDArray[np.intp], Vectors]]:
        """Yield each batch's rows and vectors, in the batches' order."""
        torch = self._torch
        for batch in batches:
            with torch.inference_mode(), torch.autocast(self.device.type, torch.bfloat16, enabled=self.bf16):
                ids, mask = (torch.from_numpy(array).to(self.device) for array in batch[1:])
                vectors = self.module(ids, mask)
            yield batch.rows, vectors.float().cpu().numpy()

    def _width(self, folder: ModelFolder) -> int:
        """Return how many columns a small batch comes out with; raises ModelError when the model fails."""
        probe = pad([np.array([self.pad_id])], np.arange(1), self.pad_id)
        try:
            ((_, vectors),) = self.run([probe])
        except (RuntimeError, ValueError, TypeError, KeyError, IndexError, AttributeError) as error:
            raise ModelError(f"cannot be run: {error}", where=folder.name) from error
        return int(vectors.shape[1])


def load_sentence_transformer(
    folder: ModelFolder, settings: EncoderSettings, config: dict[str, Any] | None = None
) -> Any:
    """Load the folder in fp32 with sentence-transformers, quietly, without remote code or the network.

    `config` replaces values of the transformer's configuration.
    """
    silence()
    import transformers
    from sentence_transformers import SentenceTransformer

    transformers.logging.set_verbosity_error()
    transformers.logging.disable_progress_bar()
    logging.getLogger("sentence_transformers").setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of transformers, to those who maintain models
            model = SentenceTransformer(
                str(folder.path),
                device=settings.device,
                trust_remote_code=False,
                local_files_only=True,
                model_kwargs={} if settings.allow_pickle else {"use_safetensors": True},
                config_kwargs=config,
            )
    except Exception as error:  # settings of any type reach the constructors of models and tokenizers
        raise ModelError(f"cannot be loaded: {error}", where=folder.name) from error
    return model.eval().float()


def tokenizer_of(model: Any, max_length: int | None) -> Tokenize:
    """Return the tokenizer of a loaded model, truncating to `max_length`: the fast one where it has one."""
    outer = model.tokenizer
    backend = getattr(outer, "backend_tokenizer", None)
    if backend is None:
        return SlowTokenizer(outer, max_length)
    from tokenizers import Tokenizer

    copy = Tokenizer.from_str(backend.to_str())
    copy.no_padding()
    if max_length is None:
        copy.no_truncation()
    else:
        copy.enable_truncation(max_length, direction=outer.truncation_side)
    return FastTokenizer(copy)
