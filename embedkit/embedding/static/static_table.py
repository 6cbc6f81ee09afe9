"""Folders of static encoders: which ones they are, and the table of token vectors in them.

Two layouts are read. Sentence-transformers lists a `StaticEmbedding` step in `modules.json`; such a folder
gives the vectors that sentence-transformers gives, also if model2vec wrote it. A folder without
`modules.json` whose weights are called `embeddings` gives the vectors that model2vec gives: unknown tokens
are left out, and a text is cut after the `max_length` tokens of its `config.json`.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import orjson

from embedkit.data.arrays import Float32
from embedkit.data.tensors import read_header
from embedkit.embedding.model_folder import ModelFolder
from embedkit.errors import ModelError

if TYPE_CHECKING:
    from tokenizers import Tokenizer

_TOKENIZER, _WEIGHTS = "tokenizer.json", "model.safetensors"
_SENTENCE_TRANSFORMERS, _MODEL2VEC = "embedding.weight", "embeddings"  # names of the table
_DTYPES = {"F64": "<f8", "F32": "<f4", "F16": "<f2", "BF16": "<u2", "I8": "i1", "I64": "<i8", "I32": "<i4"}


class StaticTable(NamedTuple):
    """What a folder of a static encoder holds."""

    tokenizer: Tokenizer
    vectors: Float32  # (tokens, dim): one vector per token id
    skipped: int | None  # the id of the token that is left out of the mean; None where all count
    characters: int | None  # characters of a text that are read at most; None where all are


def dimension(folder: ModelFolder) -> int:
    """Return the dimension of the token vectors, read from the header of the weights."""
    header = read_header(_weights(folder))
    name = _table_name(header, folder.name)
    shape = header[name].get("shape", [])
    if len(shape) != 2:
        raise ModelError(f"its {name} has {len(shape)} axes, expected 2", where=folder.name)
    return int(shape[1])


def read_table(folder: ModelFolder) -> StaticTable:
    """Read the tokenizer and the table; raises ModelError for a folder in which they do not fit together."""
    from tokenizers import Tokenizer

    path = _weights(folder).with_name(_TOKENIZER)
    try:
        tokenizer = Tokenizer.from_file(str(path))
    except Exception as error:  # tokenizers raises Exception itself
        raise ModelError(f"{_TOKENIZER} cannot be read: {error}", where=folder.name) from None
    tensors = _tensors(_weights(folder))
    vectors = _fold(tensors, _table_name(tensors, folder.name), folder.name)
    if tokenizer.get_vocab_size() > len(vectors):
        raise ModelError(
            f"its tokenizer has {tokenizer.get_vocab_size()} tokens, its table has {len(vectors)} vectors",
            where=folder.name,
        )
    if folder.steps is not None:
        return StaticTable(tokenizer, vectors, None, None)
    most = folder.max_length and folder.max_length * _median_length(tokenizer)
    return StaticTable(tokenizer, vectors, _unknown(tokenizer), most)


def _weights(folder: ModelFolder) -> Path:
    path = folder.transformer_path / _WEIGHTS
    if not path.is_file():
        raise ModelError(f"has no {_WEIGHTS}", where=folder.name)
    return path


def _tensors(path: Path) -> dict[str, Any]:
    """Return the tensors of a file by name, by memory map; bfloat16, which numpy lacks, becomes float32."""
    tensors = {}
    with open(path, "rb") as file:
        start = 8 + int.from_bytes(file.read(8), "little")
    for name, entry in read_header(path).items():
        if name == "__metadata__" or entry["dtype"] not in _DTYPES or 0 in entry["shape"]:
            continue
        place = start + entry["data_offsets"][0]
        tensor = np.asarray(np.memmap(path, _DTYPES[entry["dtype"]], "r", place, tuple(entry["shape"])))
        if entry["dtype"] == "BF16":
            tensor = (tensor.astype(np.uint32) << 16).view(np.float32)
        tensors[name] = tensor
    return tensors


def _table_name(names: Mapping[str, Any], where: str) -> str:
    for name in (_SENTENCE_TRANSFORMERS, _MODEL2VEC):
        if name in names:
            return name
    raise ModelError(f"its weights have no {_SENTENCE_TRANSFORMERS} and no {_MODEL2VEC}", where=where)


def _fold(tensors: Mapping[str, Any], name: str, where: str) -> Float32:
    """Return one float32 vector per token id: the table's row of each token, times the token's weight."""
    vectors = np.asarray(tensors[name])
    if vectors.ndim != 2:
        raise ModelError(f"its {name} has {vectors.ndim} axes, expected 2", where=where)
    if (mapping := tensors.get("mapping")) is not None:
        if mapping.min(initial=0) < 0 or mapping.max(initial=0) >= len(vectors):
            raise ModelError(f"its mapping leads out of the {len(vectors)} vectors", where=where)
        vectors = vectors[mapping]
    vectors = np.ascontiguousarray(vectors, dtype=np.float32)
    if (weights := tensors.get("weights")) is not None:
        if weights.shape != (len(vectors),):
            raise ModelError(f"it has weights of {weights.shape} for {len(vectors)} tokens", where=where)
        vectors = vectors * weights.astype(np.float32)[:, None]
    return vectors


def _unknown(tokenizer: Tokenizer) -> int | None:
    """Return the id of a tokenizer's unknown token; None where it has none."""
    model = orjson.loads(tokenizer.to_str())["model"]
    if model.get("unk_token") is not None:
        return tokenizer.token_to_id(model["unk_token"])
    unknown: int | None = model.get("unk_id")  # of Unigram
    return unknown


def _median_length(tokenizer: Tokenizer) -> int:
    """Return the median length of the tokens in characters, by which model2vec cuts texts beforehand."""
    return int(np.median([len(token) for token in tokenizer.get_vocab()]))
