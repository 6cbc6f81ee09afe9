"""Where the tokens of texts begin, by the tokenizer of an encoder."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from embedkit.data.folders.token_places import Places, TokenPlaces, divided, in_blocks, rule_places
from embedkit.embedding.encoder import Encoder

if TYPE_CHECKING:
    from tokenizers import Tokenizer

_TOKENIZER = "tokenizer.json"


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
        return divided(both[:, 0], both[:, 1])

    def _loaded(self) -> Tokenizer:
        if self._tokenizer is None:
            from tokenizers import Tokenizer

            self._tokenizer = Tokenizer.from_file(str(self._file))
            self._tokenizer.no_truncation()
            self._tokenizer.no_padding()
        return self._tokenizer
