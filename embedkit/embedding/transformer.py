"""The sentence-transformers encoder: any model of that library, or a plain transformers one, behind our batching."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from embedkit.data.identity import Identity
from embedkit.embedding.batching import token_batches
from embedkit.embedding.encoder import EncoderSettings, Role, Vectors
from embedkit.embedding.fingerprint import fingerprint
from embedkit.embedding.model_folder import ModelFolder, find_model
from embedkit.errors import ModelError

if TYPE_CHECKING:
    from tokenizers import Tokenizer


class TokenBatch(NamedTuple):
    """One padded batch: where its rows go in the window, and `(rows, tokens)` inputs."""

    rows: NDArray[np.intp]
    input_ids: NDArray[np.int64]
    attention_mask: NDArray[np.int64]


class Runtime(Protocol):
    """Where a model is computed. `tokenizer` truncates and does not pad; `token_budget` bounds rows x tokens."""

    tokenizer: Tokenizer
    pad_id: int
    dimension: int
    token_budget: int

    def run(self, batches: Iterable[TokenBatch]) -> Iterator[tuple[NDArray[np.intp], Vectors]]:
        """Yield each batch's rows and its vectors, in whatever order they are done."""


class Transformer:
    """A model of sentence-transformers (or plain transformers) as an encoder.

    Nothing heavy happens before the first text: the identity is read from the folder.
    """

    def __init__(self, settings: EncoderSettings) -> None:
        self.settings = settings
        self.folder = find_model(settings.model, allow_pickle=settings.allow_pickle)
        _check(self.folder, settings)
        self._lock = threading.Lock()
        self._runtime: Runtime | None = None
        self._identity: Identity | None = None

    @property
    def identity(self) -> Identity:
        """What decides the vectors; read without loading the model wherever its configuration says enough."""
        if self._identity is None:
            dimension = self.folder.dimension or self._loaded().dimension
            self._identity = identify(self.folder, self.settings, dimension)
        return self._identity

    def encode(self, texts: Sequence[str], role: Role = "document") -> Vectors:
        """Return `(len(texts), dimension)` vectors; tokenising runs beside another thread's inference."""
        runtime = self._loaded()
        prompt = self.identity.query_prompt if role == "query" else self.identity.document_prompt
        encodings = runtime.tokenizer.encode_batch([prompt + text for text in texts] if prompt else list(texts))
        tokens = [np.asarray(encoding.ids, dtype=np.int64) for encoding in encodings]
        vectors = np.empty((len(texts), self.identity.dimension), dtype=np.float32)
        cuts = token_batches([len(ids) for ids in tokens], runtime.token_budget)
        with self._lock:
            for rows, part in runtime.run(pad([tokens[row] for row in rows], rows, runtime.pad_id) for rows in cuts):
                vectors[rows] = part
        return vectors

    def _loaded(self) -> Runtime:
        with self._lock:
            if self._runtime is None:
                self._runtime = TorchRuntime(self.folder, self.settings)
            return self._runtime


def identify(folder: ModelFolder, settings: EncoderSettings, dimension: int) -> Identity:
    """Return the identity of a model read with these settings; `dimension` is its width before truncation."""
    pooling = settings.pooling or folder.pooling
    max_length = settings.max_length or folder.max_length
    normalized = folder.normalizes if settings.normalize is None else settings.normalize
    if settings.truncate_dim is not None and settings.truncate_dim > dimension:
        raise ModelError(
            f"has {dimension} dimensions, --truncate-dim asks for {settings.truncate_dim}", where=folder.name
        )
    document_prompt = folder.prompt("document") if settings.document_prompt is None else settings.document_prompt
    query_prompt = folder.prompt("query") if settings.query_prompt is None else settings.query_prompt
    deciding = {
        "content": folder.content,
        "pooling": pooling,
        "max_length": max_length,
        "truncate_dim": settings.truncate_dim,
        "normalized": normalized,
        "document_prompt": document_prompt,
    }
    return Identity(
        model=folder.name,
        fingerprint=fingerprint(deciding),
        dimension=settings.truncate_dim or dimension,
        normalized=normalized,
        pooling=pooling,
        max_length=max_length,
        truncate_dim=settings.truncate_dim,
        document_prompt=document_prompt,
        query_prompt=query_prompt,
    )


def pad(tokens: Sequence[NDArray[np.int64]], rows: NDArray[np.intp], pad_id: int) -> TokenBatch:
    """Pad token ids on the right to the longest of the batch."""
    longest = max(1, *(len(ids) for ids in tokens))
    input_ids = np.full((len(tokens), longest), pad_id, dtype=np.int64)
    attention_mask = np.zeros((len(tokens), longest), dtype=np.int64)
    for row, ids in enumerate(tokens):
        input_ids[row, : len(ids)] = ids
        attention_mask[row, : len(ids)] = 1
    return TokenBatch(rows, input_ids, attention_mask)


class TorchRuntime:
    """The model in torch: fp32 on processors, bf16 on graphics cards unless `precision` says otherwise."""

    def __init__(self, folder: ModelFolder, settings: EncoderSettings) -> None:
        import torch

        from embedkit.embedding.pooling import build_module

        model = load_sentence_transformer(folder, settings)
        identity = identify(folder, settings, folder.dimension or model.get_embedding_dimension())
        own_pooling = identity.pooling == folder.pooling
        self.device = model.device
        self.module = build_module(model, None if own_pooling else identity.pooling, identity.truncate_dim, identity.normalized)
        self.bf16 = settings.precision == "bf16" or (settings.precision == "auto" and self.device.type == "cuda")
        self.tokenizer, self.pad_id = backend_tokenizer(model, identity.max_length)
        self.dimension = identity.dimension
        self.token_budget = 2048 if self.device.type == "cpu" else 65536
        self._torch = torch

    def run(self, batches: Iterable[TokenBatch]) -> Iterator[tuple[NDArray[np.intp], Vectors]]:
        """Yield each batch's rows and vectors, in the batches' order."""
        torch = self._torch
        for batch in batches:
            with torch.inference_mode(), torch.autocast(self.device.type, torch.bfloat16, enabled=self.bf16):
                ids, mask = (torch.from_numpy(array).to(self.device) for array in (batch.input_ids, batch.attention_mask))
                vectors = self.module(ids, mask)
            yield batch.rows, vectors.float().cpu().numpy()


def load_sentence_transformer(folder: ModelFolder, settings: EncoderSettings) -> Any:
    """Load the folder with sentence-transformers, quietly, never trusting remote code, never asking the network."""
    import logging

    import transformers
    from sentence_transformers import SentenceTransformer

    transformers.logging.set_verbosity_error()
    transformers.logging.disable_progress_bar()
    logging.getLogger("sentence_transformers").setLevel(logging.ERROR)
    device = settings.device or ("cpu" if settings.runtime == "openvino" else None)
    try:
        model = SentenceTransformer(
            str(folder.path),
            device=device,
            trust_remote_code=False,
            local_files_only=True,
            model_kwargs={} if settings.allow_pickle else {"use_safetensors": True},
        )
    except (OSError, ValueError, RuntimeError, KeyError, ImportError) as error:
        raise ModelError(f"cannot be loaded: {error}", where=folder.name) from error
    return model.eval()


def backend_tokenizer(model: Any, max_length: int | None) -> tuple[Any, int]:
    """Return the fast tokenizer of a loaded model, truncating to `max_length` and not padding, and the padding id."""
    outer = model.tokenizer
    backend = getattr(outer, "backend_tokenizer", None)
    if backend is None:
        raise ModelError(f"{type(outer).__name__} has no fast tokenizer", where=str(model.model_card_data.model_id))
    from tokenizers import Tokenizer

    tokenizer = Tokenizer.from_str(backend.to_str())
    tokenizer.no_padding()
    if max_length is None:
        tokenizer.no_truncation()
    else:
        tokenizer.enable_truncation(max_length)
    return tokenizer, int(outer.pad_token_id or 0)


def _check(folder: ModelFolder, settings: EncoderSettings) -> None:
    limit = folder.position_limit
    if settings.max_length is not None and limit is not None and settings.max_length > limit:
        raise ModelError(f"has positions for {limit} tokens, --max-length asks for {settings.max_length}", where=folder.name)
