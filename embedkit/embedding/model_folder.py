"""A model's folder and its properties, read from its files without loading the model."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from fnmatch import fnmatch
from functools import cached_property
from pathlib import Path
from typing import Any

from embedkit.data.tensors import read_header
from embedkit.embedding.encoder import STATIC
from embedkit.embedding.fingerprint import file_sha256
from embedkit.embedding.foreign_json import count, kind, read_object, text
from embedkit.embedding.hub import download
from embedkit.embedding.model_files import (
    ADAPTER,
    MODULES,
    READS,
    SETTINGS,
    files_read,
    first_pickle,
    read_steps,
    require_whole,
    transformer_path,
)
from embedkit.errors import ModelError

# Model types whose positions start after the padding id, which is always 1 in MPNet.
_OFFSET_POSITIONS = (
    "roberta", "xlm-roberta", "xlm-roberta-xl", "roberta-prelayernorm", "camembert", "mpnet", "longformer",
    "data2vec-text", "ibert", "xmod", "luke",
)  # fmt: skip

# The weight of learned positions as BERT, GPT-2, BART and CLIP name it.
_POSITION_TABLE = re.compile(r"(^|\.)(position_embeddings?|wpe|embed_positions|pos_embed\w*)\.weight$")
_CONFIG, _TOKENIZER = "config.json", "tokenizer.json"
_STATIC, _MODEL2VEC_TABLE = "StaticEmbedding", "embeddings"
_MODEL2VEC_LENGTH = 512  # tokens; model2vec's default
_UNLIMITED = 10**9  # tokens; tokenizers without a limit state 1e30
_BASE = "base_model_name_or_path"  # key in an adapter's settings

_POOLING_KEYS = {
    "pooling_mode_cls_token": "cls", "pooling_mode_max_tokens": "max", "pooling_mode_mean_tokens": "mean",
    "pooling_mode_mean_sqrt_len_tokens": "mean_sqrt_len_tokens",
    "pooling_mode_weightedmean_tokens": "weightedmean", "pooling_mode_lasttoken": "lasttoken",
}  # fmt: skip


@dataclass(frozen=True)
class Module:
    """One step of a sentence-transformers model: its class name without the package, and its settings."""

    type: str
    config: dict[str, Any]


class ModelFolder:
    """A model on this machine, with the name that finds it again.

    `files` maps the names of the files that loading reads to their paths. `prompts` replace those of the
    folder, by their names. Raises ModelError when the folder contains no model, a damaged one, or weights
    that only pickle can read.
    """

    def __init__(
        self,
        name: str,
        path: Path,
        *,
        allow_pickle: bool = False,
        prompts: Mapping[str, str] | None = None,
    ) -> None:
        self.name, self.path, self._prompts = name, path, prompts
        if not (path / _CONFIG).is_file() and not (path / MODULES).is_file():
            raise ModelError("contains no model: neither config.json nor modules.json", where=name)
        self.steps = read_steps(path, where=name)
        self.transformer_path = path / transformer_path(self.steps)
        self.files = files_read(path, self.steps, where=name)
        self.files |= self._files_of_base()
        if not allow_pickle and (unsafe := first_pickle(self.files)):
            raise ModelError(
                f"{unsafe} is a pickle, which can run code when it is read",
                where=name,
                hint="save the model as safetensors, or trust it with `allow_pickle=True`",
            )
        require_whole(self.files, where=name)

    @cached_property
    def modules(self) -> tuple[Module, ...]:
        """The steps in order; a plain transformers folder counts as a transformer with mean pooling."""
        if self.steps is None and _MODEL2VEC_TABLE in self.weight_names:
            last = [Module("Normalize", {})] if self.config.get("normalize") else []
            return (Module(_STATIC, {}), *last)
        if self.steps is None:
            return (Module("Transformer", self.config), Module("Pooling", {}))
        return tuple(
            Module(step.type.rpartition(".")[2], self._object(str(step.path / _CONFIG)))
            for step in self.steps
        )

    @cached_property
    def config(self) -> dict[str, Any]:
        """The transformer's configuration; empty without one."""
        return self._object(self._of_transformer(_CONFIG))

    @property
    def is_static(self) -> bool:
        """True for a static encoder, which has one vector per token and no network."""
        return self.modules[0].type == _STATIC

    @property
    def pooling(self) -> str | None:
        """The model's own pooling, several joined by `+`; None when it has no pooling step.

        Static encoders have a pooling of their own.
        """
        if self.is_static:
            return STATIC
        config = next((module.config for module in self.modules if module.type == "Pooling"), None)
        if config is None:
            return None
        named = config.get("pooling_mode", [name for key, name in _POOLING_KEYS.items() if config.get(key)])
        names = [named] if isinstance(named, str) else named
        known = tuple(_POOLING_KEYS.values())
        if unknown := [name for name in names if name not in known] if isinstance(names, list) else [named]:
            raise ModelError(
                f"its pooling_mode is {kind(unknown[0])}, expected one or more of {', '.join(known)}",
                where=self.name,
            )
        return "+".join(names) or "mean"

    @property
    def pools_without_prompt(self) -> bool:
        """True when the model's pooling leaves out the tokens of the prompt."""
        return any(module.config.get("include_prompt") is False for module in self.modules)

    @property
    def normalizes(self) -> bool:
        """True when the model's last step gives unit length."""
        return self.modules[-1].type == "Normalize"

    @cached_property
    def position_limit(self) -> int | None:
        """The number of tokens that the model has positions for; None if its configuration states none."""
        limit = self._count("max_position_embeddings") or self._count("n_positions")
        model_type = self.config.get("model_type")
        padding = 1 if model_type == "mpnet" else self._count("pad_token_id") or 0
        offset = padding + 1 if model_type in _OFFSET_POSITIONS else 0
        return limit - offset if limit else None

    @cached_property
    def max_length(self) -> int | None:
        """The most tokens that the model reads per text, special ones included; None without a limit."""
        if self.is_static:
            return self._static_length
        if (length := self.wanted_length) is not None:
            return min(length, self.position_limit or length) if self._has_position_table else length
        file = self._of_transformer("tokenizer_config.json")
        limits = [
            count(self._object(file), "model_max_length", file=file, where=self.name),
            self.position_limit,
        ]
        return min((limit for limit in limits if limit and limit < _UNLIMITED), default=None)

    @property
    def _static_length(self) -> int | None:
        """The tokens after which a static encoder cuts a text; without a setting, only model2vec does."""
        if self.steps is None and "max_length" not in self.config:
            return _MODEL2VEC_LENGTH
        if self.steps is None:
            return self._count("max_length")
        truncation = self._object(self._of_transformer(_TOKENIZER)).get("truncation") or {}
        if truncation.get("direction", "Right") != "Right":
            raise ModelError(f"{_TOKENIZER} cuts texts at their beginning", where=self.name)
        return count(truncation, "max_length", file=_TOKENIZER, where=self.name)

    @cached_property
    def wanted_length(self) -> int | None:
        """The most tokens per text by the model's own settings, which may exceed its positions."""
        for file in sorted(name for name in self.files if fnmatch(name, self._of_transformer(READS))):
            if length := count(self._object(file), "max_seq_length", file=file, where=self.name):
                return length
        return None

    @property
    def _has_position_table(self) -> bool:
        """True when positions are learned, one row per position; computed positions have no limit."""
        return any(_POSITION_TABLE.search(name) for name in self.weight_names)

    @property
    def dimension(self) -> int | None:
        """The vectors' dimension; None when the configuration alone does not decide it."""
        width = next(filter(None, map(self._count, ("hidden_size", "d_model", "dim", "n_embd"))), None)
        for module in self.modules[1:]:
            if module.type == "Pooling" and width and self.pooling:
                width *= len(self.pooling.split("+"))
            elif module.type == "Dense":
                width = count(module.config, "out_features", file="the Dense step", where=self.name)
            elif module.type not in ("Normalize", "Dropout", "LayerNorm", "WeightedLayerPooling"):
                return None
        return width

    @cached_property
    def weight_names(self) -> frozenset[str]:
        """Names of the transformer's weights, read from the headers of its safetensors files."""
        below = [file for file in self.files.values() if file.parent == self.transformer_path]
        headers = [read_header(file) for file in below if file.suffix == ".safetensors"]
        return frozenset(name for header in headers for name in header) - {"__metadata__"}

    def prompt(self, role: str) -> str:
        """Return the model's prompt for a `document` or a `query`; an empty string if it has none."""
        config = self._object(SETTINGS)
        prompts = self._prompts or config.get("prompts") or {}
        if not isinstance(prompts, dict):
            raise ModelError(f"{SETTINGS}: prompts is {kind(prompts)}, expected an object", where=self.name)
        queries, documents = ("query",), ("document", "passage", "corpus")
        names, others = (queries, documents) if role == "query" else (documents, queries)
        default = text(config, "default_prompt_name", file=SETTINGS, where=self.name)
        name = next((name for name in names if prompts.get(name)), default)
        if name is None or name in others:
            return ""
        return text(prompts, name, file=f"{SETTINGS}: prompts", where=self.name) or ""

    @cached_property
    def content(self) -> dict[str, str]:
        """SHA-256 of every file that decides the vectors, by its path in the folder."""
        return {name: file_sha256(path) for name, path in self.files.items()}

    def _files_of_base(self) -> dict[str, Path]:
        """Return the files that are read of an adapter's base model; none without an adapter."""
        if self._of_transformer(ADAPTER) not in self.files:
            return {}
        base = text(self._object(self._of_transformer(ADAPTER)), _BASE, file=ADAPTER, where=self.name)
        if base is None:
            raise ModelError(f"{ADAPTER} has no {_BASE}", where=self.name)
        path = Path(base) if os.path.isdir(base) else download(base, allow_pickle=False, fetch=False)
        return {f"base: {name}": file for name, file in files_read(path, None, where=base).items()}

    def _count(self, key: str) -> int | None:
        """Return a numeric setting of the transformer's configuration."""
        return count(self.config, key, file=self._of_transformer(_CONFIG), where=self.name)

    def _of_transformer(self, name: str) -> str:
        """Return the path of one of the transformer's files, relative to the model's folder."""
        return str(transformer_path(self.steps) / name)

    def _object(self, file: str) -> dict[str, Any]:
        """Return the object in a JSON file; an empty one if the file does not exist."""
        return read_object(self.path, file, where=self.name) if (self.path / file).is_file() else {}
