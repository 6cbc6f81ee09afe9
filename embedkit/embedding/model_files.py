"""The files of a model's folder that loading reads, by the rules of sentence-transformers and transformers.

`modules.json` names the steps and their folders. Loading reads the settings and one set of weights of each
folder, and the tokenizer's files of the transformer's folder. All other files (cards, logs, optimizer states,
other checkpoints, exports for other runtimes) are ignored.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import NamedTuple

from embedkit.data.tensors import is_lfs_pointer, read_header
from embedkit.embedding.foreign_json import kind, read_json, read_object, text
from embedkit.errors import ModelError

MODULES = "modules.json"
SETTINGS = "config_sentence_transformers.json"  # mostly prompts, whose text enters the fingerprint
ADAPTER = "adapter_config.json"
READS = "sentence_*_config.json"  # how the transformer reads its texts

# Files read from a transformer's folder besides its weights: settings, then the files of every tokenizer in
# transformers (tests/embedding/test_model_files.py compares the names with the library's).
_TRANSFORMER = (
    "config.json", READS, ADAPTER, "processor_config.json",
    "tokenizer*.json", "*vocab*", "merges.txt", "special_tokens_map.json", "added_tokens.json", "*.model",
    "*.spm", "*.tiktoken", "tekken.json", "bpe.codes", "dict.txt", "emoji.json", "byte_maps.json",
    "normalizer.json", "prophetnet.tokenizer", "word_pronunciation.json", "word_shape.json",
)  # fmt: skip
_WEIGHTS = ("model.safetensors", "pytorch_model.bin")  # in loading's order of preference
_ADAPTER_WEIGHTS = ("adapter_model.safetensors", "adapter_model.bin")
_SAFE, _PICKLE = ".safetensors", ".bin"
_INDEX = ".index.json"  # suffix of the weights' name; the file names the shards
HUB_FIRST = (MODULES, "*config.json", f"*{_INDEX}")  # these files name the rest of a repository
_LFS_LENGTH = 1024  # bytes; a pointer is shorter
_READ_BY_TOKENIZERS = ("tokenizer.json", "vocab.json")  # by a library whose errors name no file


class Step(NamedTuple):
    """An entry of `modules.json`: the class of a step, and its folder, relative to the model's."""

    type: str
    path: PurePosixPath


def read_steps(folder: Path, *, where: str) -> tuple[Step, ...] | None:
    """Return the steps in `modules.json`; None without that file, in a plain transformers folder.

    Raises ModelError unless the file lists steps with a type and a readable path inside the folder.
    """
    if not (folder / MODULES).is_file():
        return None
    entries = read_json(folder, MODULES, where=where)
    if not isinstance(entries, list) or not entries:
        raise ModelError(f"{MODULES} is {kind(entries)}, expected a list of steps", where=where)
    return tuple(_step(folder, entry, place, where) for place, entry in enumerate(entries))


def _step(folder: Path, entry: object, place: int, where: str) -> Step:
    file = f"{MODULES}: step {place}"
    if not isinstance(entry, dict):
        raise ModelError(f"{file} is {kind(entry)}, expected an object", where=where)
    said = {key: text(entry, key, file=file, where=where) for key in ("type", "path")}
    if missing := [key for key, value in said.items() if value is None]:
        raise ModelError(f"{file} has no {missing[0]}", where=where)
    path = PurePosixPath(str(said["path"]))
    if path.is_absolute() or ".." in path.parts:
        raise ModelError(f"{file}: the path {str(path)!r} leads out of the model's folder", where=where)
    try:
        (folder / path).stat()
    except FileNotFoundError:
        pass  # Git keeps no empty folder, and a step without settings needs none
    except (OSError, ValueError) as error:  # the name is too long, or not valid
        why = getattr(error, "strerror", None) or error
        raise ModelError(f"{file}: its path cannot be read: {why}", where=where) from None
    return Step(str(said["type"]), path)


def files_read(folder: Path, steps: Sequence[Step] | None, *, where: str) -> dict[str, Path]:
    """Return, by relative name, every file that loading reads and that decides the vectors.

    SETTINGS is left out. Raises ModelError when a file that names other files is damaged.
    """
    transformer = transformer_path(steps)
    names = [*_transformer_files(folder, transformer, where)]
    if steps is not None:
        names.append(MODULES)
        for path in {step.path for step in steps} - {transformer}:
            names += [*_matching(folder, path, "*.json"), *_weights(folder, path, where)]
    return {name: folder / name for name in sorted(set(names))}


def transformer_path(steps: Sequence[Step] | None) -> PurePosixPath:
    """Return the folder of the transformer: the first step's, or the model's own."""
    return steps[0].path if steps else PurePosixPath()


def require_whole(files: Mapping[str, Path], *, where: str) -> None:
    """Raise ModelError for a file that is missing, truncated, or a Git LFS pointer."""
    for name, file in files.items():
        try:
            if name.endswith(_SAFE):
                read_header(file)
            elif file.stat().st_size < _LFS_LENGTH and is_lfs_pointer(file.read_bytes()):
                raise ValueError("it is a Git LFS pointer; run git lfs pull")
            elif file.name in _READ_BY_TOKENIZERS and not file.read_bytes().rstrip().endswith(b"}"):
                raise ValueError("it is empty, truncated, or not a JSON object")
        except OSError as error:
            raise ModelError(f"{name} cannot be read: {error.strerror}", where=where) from None
        except ValueError as error:
            raise ModelError(f"{name} cannot be read: {error}", where=where) from None


def first_pickle(files: Iterable[str]) -> str | None:
    """Return the first file whose reading can run code, or None."""
    return next((name for name in files if name.endswith(_PICKLE)), None)


def hub_patterns(folder: Path, *, where: str, allow_pickle: bool) -> list[str]:
    """Return hub patterns for the files of a repository that loading would read.

    `folder` contains the files that match HUB_FIRST, which name the others.
    """
    steps = read_steps(folder, where=where)
    transformer = transformer_path(steps)
    others = {step.path for step in steps or ()} - {transformer}
    names = [transformer / name for name in (*_TRANSFORMER, *_ADAPTER_WEIGHTS)]
    names += [path / "*.json" for path in others]
    names += [path / name for path in (transformer, *others) for name in _WEIGHTS]
    patterns = [MODULES, SETTINGS, *map(str, names), *files_read(folder, steps, where=where)]
    return [pattern for pattern in patterns if allow_pickle or not pattern.endswith(_PICKLE)]


def _transformer_files(folder: Path, path: PurePosixPath, where: str) -> list[str]:
    """Return the files of a transformer: settings, tokenizer, weights, and an adapter's weights."""
    for name in _matching(folder, path, READS):
        if read_object(folder, name, where=where).get("tokenizer_name_or_path") is not None:
            raise ModelError(
                f"{name} takes the tokenizer from another folder (tokenizer_name_or_path)",
                where=where,
                hint="copy the tokenizer's files next to the weights",
            )
    named = None
    for name in _matching(folder, path, "config.json"):
        named = text(read_object(folder, name, where=where), "transformers_weights", file=name, where=where)
    adapter = _first(folder, path, _ADAPTER_WEIGHTS) if _matching(folder, path, ADAPTER) else []
    return [*_matching(folder, path, *_TRANSFORMER), *_weights(folder, path, where, named), *adapter]


def _weights(folder: Path, path: PurePosixPath, where: str, named: str | None = None) -> list[str]:
    """Return the weight files that are loaded for a step: one file, or an index and the shards that it names.

    `named` is the file that the configuration names in place of the usual ones.
    """
    usual = [f"{name}{end}" for name in _WEIGHTS for end in ("", _INDEX)]
    found = _first(folder, path, [named] if named else usual)
    return [
        *found,
        *(shard for name in found if name.endswith(_INDEX) for shard in _shards(folder, name, where)),
    ]


def _shards(folder: Path, index: str, where: str) -> list[str]:
    """Return the files that an index of weights names, relative to the model's folder."""
    weights = read_object(folder, index, where=where).get("weight_map")
    if not isinstance(weights, dict) or not all(isinstance(file, str) for file in weights.values()):
        raise ModelError(f"{index} names no files of weights", where=where)
    return [str(PurePosixPath(index).parent / file) for file in set(weights.values())]


def _matching(folder: Path, path: PurePosixPath, *patterns: str) -> list[str]:
    """Return the files of a step's folder that match one of the patterns, relative to the model's folder."""
    found = {file.name for pattern in patterns for file in (folder / path).glob(pattern) if file.is_file()}
    return [str(path / name) for name in sorted(found)]


def _first(folder: Path, path: PurePosixPath, names: Iterable[str]) -> list[str]:
    """Return a list of the first name that is a file in a step's folder; an empty list if none is."""
    return [str(path / name) for name in names if os.path.isfile(folder / path / name)][:1]
