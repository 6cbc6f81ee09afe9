"""Where the tokens of texts begin, by the tokenizer of an encoder."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from embedkit.data.folders.token_places import Places, TokenPlaces, divided, in_blocks, rule_places
from embedkit.data.text.records import RecordReader
from embedkit.embedding.encoder import Encoder

if TYPE_CHECKING:
    from tokenizers import Tokenizer

_TOKENIZER = "tokenizer.json"
_SPECIAL = 2  # tokens that most models add to a text

_log = logging.getLogger("embedkit")


def token_places(encoder: Encoder) -> TokenPlaces:
    """Return the function that finds the tokens of an encoder's tokenizer in a text.

    No weights are read. An encoder without a tokenizer in a file counts by `rule_places`.
    """
    inner: Any = encoder
    while hasattr(inner, "encoder"):  # followed by a map, or behind a cache
        inner = inner.encoder
    folder = getattr(inner, "folder", None)
    for place in (getattr(folder, "transformer_path", None), getattr(folder, "path", None)):
        if place is not None and (Path(place) / _TOKENIZER).is_file():
            return _TokenizerPlaces(Path(place) / _TOKENIZER)
    return rule_places


def divide_by_tokens(reader: RecordReader, encoder: Encoder) -> None:
    """Let a reader divide files by the tokens of an encoder; warn if it reads fewer than a passage has."""
    reader.count_tokens_by(token_places(encoder))
    most, chunk = encoder.identity.max_length, reader.format.folders.chunk
    if reader.folders is not None and most is not None and chunk + _SPECIAL > most:
        what = "passages have up to %d tokens, and %s reads %d, special ones included; set `chunk=%d` or less"
        _log.warning(what, chunk, encoder.identity, most, max(1, most - _SPECIAL))


class _TokenizerPlaces:
    """The places of a tokenizer's tokens; the tokenizer is read at the first text."""

    def __init__(self, file: Path) -> None:
        self._file = file
        self._tokenizer: Tokenizer | None = None

    def __call__(self, text: str) -> Places:
        blocks = list(in_blocks(text))
        encodings = self._loaded().encode_batch([block for _, block in blocks], add_special_tokens=False)
        places = [
            start + np.asarray(encoding.offsets, dtype=np.int64).reshape(-1, 2)
            for (start, _), encoding in zip(blocks, encodings, strict=True)
        ]
        both = np.concatenate(places)
        return divided(np.maximum.accumulate(both[:, 0]), both[:, 1])

    def _loaded(self) -> Tokenizer:
        if self._tokenizer is None:
            from tokenizers import Tokenizer

            self._tokenizer = Tokenizer.from_file(str(self._file))
            self._tokenizer.no_truncation()
            self._tokenizer.no_padding()
        return self._tokenizer
