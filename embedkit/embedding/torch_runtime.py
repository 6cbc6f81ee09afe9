"""The torch runtime: a model of sentence-transformers, computed on the processor or a graphics card."""

from __future__ import annotations

import logging
import re
import sys
import warnings
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from embedkit.embedding.architectures.blocks.registration import register
from embedkit.embedding.architectures.model_type import is_own
from embedkit.embedding.encoder import EncoderSettings, Vectors
from embedkit.embedding.faults import as_model_error
from embedkit.embedding.model_folder import ModelFolder
from embedkit.embedding.model_reading import read
from embedkit.embedding.telemetry import silence
from embedkit.embedding.tokens import FastTokenizer, SlowTokenizer, TokenBatch, Tokenize, Tokens, pad
from embedkit.embedding.weights import Report, loading_report, require_loaded
from embedkit.errors import ModelError, foreign

if TYPE_CHECKING:
    from sentence_transformers import SentenceTransformer

_PROBE = "A quick brown fox jumps over the lazy dog."
_PADDING = 4  # tokens by which a text is padded to see whether padding is read
_LONGEST_START = 16  # tokens: a model that cannot run with this many is taken to be broken
_UNMOVED = 1e-3  # relative change: above rounding errors, below the effect of padding that is read


class TorchRuntime:
    """The model in torch: unless `precision` is set, fp32 on processors and bf16 on graphics cards."""

    def __init__(self, folder: ModelFolder, settings: EncoderSettings) -> None:
        import torch

        from embedkit.embedding.pooling import build_module

        (model, report), reading = load_with_report(folder, settings), read(folder, settings)
        self.prefix = report.prefix
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
        self.at_once = 1
        self.token_budget = 2048 if self.device.type == "cpu" else 65536
        self._torch = torch
        self.pad_id, self.known_ids = int(model.tokenizer.pad_token_id or 0), known_ids(model)
        if self.known_ids is not None and self.pad_id >= self.known_ids:
            self.pad_id = 0  # padding is masked, so any id serves
        if settings.max_length is not None:
            require_room(model, settings.max_length, where=folder.name)
        self.tokenize = tokenizer_of(model, reading.max_length, typed=_gives_types(model))
        with as_model_error("cannot be run", where=folder.name):
            self.shortest, self.dimension = self._start()
            probe = self._probe()
            if probe.types is not None and not self._reads_types(probe):
                self.tokenize, probe = tokenizer_of(model, reading.max_length), Tokens(probe.ids)
            self.pads = self._is_unmoved_by_padding(probe, reading.max_length)
        if report.missing or report.mismatched:
            require_loaded(model[0].auto_model, report, lambda: self._forward(probe), where=folder.name)

    def run(self, batches: Iterable[TokenBatch]) -> Iterator[tuple[NDArray[np.intp], Vectors]]:
        """Yield each batch's rows and vectors, in the batches' order."""
        torch = self._torch
        for batch in batches:
            with torch.inference_mode(), torch.autocast(self.device.type, torch.bfloat16, enabled=self.bf16):
                vectors = self.module(*(torch.from_numpy(array).to(self.device) for array in batch.inputs))
            yield batch.rows, vectors.float().cpu().numpy()

    def _start(self) -> tuple[int, int]:
        """Return the fewest tokens that the model runs with, and the dimension of its vectors."""
        fault: Exception | None = None
        for length in range(1, _LONGEST_START + 1):
            ids = np.full(length, self.pad_id, dtype=np.int64)
            try:
                return length, int(self._vector(Tokens(ids)).shape[0])
            except (RuntimeError, ValueError, TypeError, KeyError, IndexError, AttributeError) as error:
                fault = fault or error
        assert fault is not None
        raise fault

    def _probe(self) -> Tokens:
        """Return the first and last tokens of a short text; tokens without an embedding are replaced."""
        ((ids, types),) = self.tokenize([_PROBE])
        if not len(ids):
            ids, types = np.array([self.pad_id]), None
        if self.known_ids is not None:
            ids = np.where(ids < self.known_ids, ids, self.pad_id)
        kept = np.unique(np.r_[: min(4, len(ids)), max(0, len(ids) - 4) : len(ids)])
        return Tokens(ids[kept], None if types is None else types[kept])

    def _reads_types(self, text: Tokens) -> bool:
        """Return whether the vector changes without the types of the tokens."""
        return not np.array_equal(self._vector(text), self._vector(Tokens(text.ids)))

    def _is_unmoved_by_padding(self, text: Tokens, longest: int | None) -> bool:
        """Return whether a text has the same vector alone and padded to the length of a longer one; of a text
        that leaves no room for padding in `longest` tokens, the first tokens are compared.
        """
        padded_length = min(len(text.ids) + _PADDING, longest or sys.maxsize)
        kept = max(1, padded_length - _PADDING)
        text = Tokens(text.ids[:kept], None if text.types is None else text.types[:kept])
        alone, padded = self._vector(text), self._vector(text, shortest=padded_length)
        apart, length = np.linalg.norm(alone - padded), np.linalg.norm(alone)
        return not apart > _UNMOVED * length

    def _vector(self, text: Tokens, shortest: int = 1) -> Vectors:
        """Return the vector of one text in fp32, padded to at least `shortest` tokens."""
        with self._torch.inference_mode():
            vector: Vectors = self._forward(text, shortest)[0].float().cpu().numpy()
        return vector

    def _forward(self, text: Tokens, shortest: int = 1) -> Any:
        batch = pad([text], np.arange(1), self.pad_id, max(shortest, getattr(self, "shortest", 1)))
        return self.module(*(self._torch.from_numpy(array).to(self.device) for array in batch.inputs))


class Loaded(NamedTuple):
    """A loaded model of sentence-transformers, and the report on its weights."""

    model: SentenceTransformer
    report: Report


def load_sentence_transformer(
    folder: ModelFolder, settings: EncoderSettings, config: dict[str, Any] | None = None
) -> Any:
    """Load the folder in fp32 with sentence-transformers, silently, without remote code or the network.

    `config` replaces values of the transformer's configuration. Weights that the files lack are random.
    """
    return _load(folder, settings, config, {}).model


def load_with_report(folder: ModelFolder, settings: EncoderSettings) -> Loaded:
    """Load the folder, including weights that another library stored under a prefix."""
    how: dict[str, object] = {"ignore_mismatched_sizes": True}  # transformers' own error would not name them
    loaded = _load(folder, settings, None, how)
    if prefix := loaded.report.found_prefix():
        how["key_mapping"] = {f"^{re.escape(prefix)}": ""}
        renamed = _load(folder, settings, None, how)
        return Loaded(renamed.model, renamed.report._replace(prefix=prefix))
    return loaded


def _load(
    folder: ModelFolder, settings: EncoderSettings, config: dict[str, object] | None, how: dict[str, object]
) -> Loaded:
    """Load the folder; `how` contains arguments for the loading of the transformer."""
    silence()
    import transformers
    from sentence_transformers import SentenceTransformer

    transformers.logging.set_verbosity_error()
    transformers.logging.disable_progress_bar()
    logging.getLogger("sentence_transformers").setLevel(logging.ERROR)
    if is_own(folder.config):
        register()
    try:
        with warnings.catch_warnings(), loading_report() as report:
            warnings.simplefilter("ignore")  # transformers warns the maintainers of models
            model = SentenceTransformer(
                str(folder.path),
                device=settings.device,
                trust_remote_code=False,
                local_files_only=True,
                model_kwargs=how if settings.allow_pickle else {**how, "use_safetensors": True},
                config_kwargs=config,
            )
    except Exception as error:  # unchecked settings can raise any exception in constructors
        raise ModelError(f"cannot be loaded: {foreign(error)}", where=folder.name) from error
    return Loaded(model.eval().float(), report())


def tokenizer_of(model: SentenceTransformer, max_length: int | None, *, typed: bool = False) -> Tokenize:
    """Return the tokenizer of a loaded model, truncating to `max_length`; the fast one if the model has it.

    With `typed`, it returns the types of tokens too.
    """
    outer = model.tokenizer
    backend = getattr(outer, "backend_tokenizer", None)
    if backend is None:
        return SlowTokenizer(outer, max_length, typed=typed)
    from tokenizers import Tokenizer

    copy = Tokenizer.from_str(backend.to_str())
    copy.no_padding()
    if max_length is None:
        copy.no_truncation()
    else:
        copy.enable_truncation(max_length, direction=outer.truncation_side)
    return FastTokenizer(copy, typed=typed)


def _gives_types(model: SentenceTransformer) -> bool:
    """Return whether the tokenizer of a loaded model passes types of tokens to the model."""
    return "token_type_ids" in model.tokenizer.model_input_names


def require_room(model: SentenceTransformer, max_length: int, *, where: str) -> None:
    """Raise ModelError when the special tokens of a text leave no room for the text itself.

    Tokenizers do not truncate to fewer tokens than the special ones, but read everything.
    """
    count: Any = getattr(model.tokenizer, "num_special_tokens_to_add", None)
    special = count() if count is not None else 0
    if max_length <= special:
        what = f"adds {special} special tokens per text, and `max_length={max_length}` leaves no room"
        raise ModelError(f"{what} for the text", where=where, hint=f"allow at least {special + 1}")


def known_ids(model: SentenceTransformer) -> int | None:
    """Return the number of token embeddings of a model; None if its tokenizer returns no other token."""
    try:
        rows = int(model[0].auto_model.get_input_embeddings().weight.shape[0])
    except (AttributeError, NotImplementedError):  # the model has no embedding table
        return None
    highest = max(model.tokenizer.get_vocab().values(), default=0)
    return rows if highest >= rows else None
