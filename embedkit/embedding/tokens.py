"""Texts become token ids, and the ids of a few texts become one padded batch."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from tokenizers import Encoding
    from tokenizers import Tokenizer as Backend

Ids = NDArray[np.int64]
Tokenize = Callable[
    [Sequence[str]], list[Ids]
]  # one row of ids a text, truncated, special tokens included, not padded

_LONG_CHARACTERS_A_TOKEN = 32  # a text with more characters for each token that is kept is read in part first
_LONG_CHARACTERS = 4096  # but only when it is longer than this


class TokenBatch(NamedTuple):
    """One padded batch: where its rows go in the window, and `(rows, tokens)` inputs."""

    rows: NDArray[np.intp]
    input_ids: Ids
    attention_mask: Ids


def pad(tokens: Sequence[Ids], rows: NDArray[np.intp], pad_id: int) -> TokenBatch:
    """Pad token ids on the right to the longest of the batch; an empty row reads one padding token."""
    lengths = [max(1, len(ids)) for ids in tokens]
    input_ids = np.full((len(tokens), max(lengths)), pad_id, dtype=np.int64)
    attention_mask = np.zeros((len(tokens), max(lengths)), dtype=np.int64)
    for row, ids in enumerate(tokens):
        input_ids[row, : len(ids)] = ids
        attention_mask[row, : lengths[row]] = 1
    return TokenBatch(rows, input_ids, attention_mask)


class FastTokenizer:
    """The tokenizer of the `tokenizers` library, which reads very long texts only as far as it needs to."""

    def __init__(self, backend: Backend) -> None:
        self.backend = backend
        truncation = backend.truncation or {}
        self._kept = int(truncation.get("max_length", 0)) if truncation.get("direction") == "right" else 0
        self._long = max(_LONG_CHARACTERS, _LONG_CHARACTERS_A_TOKEN * self._kept)

    def __call__(self, texts: Sequence[str]) -> list[Ids]:
        """Return the ids of each text."""
        early = self._beginnings(texts) if self._kept else {}
        rest = [place for place in range(len(texts)) if place not in early]
        encodings = self.backend.encode_batch_fast([texts[place] for place in rest])
        encoded = {**early, **dict(zip(rest, encodings, strict=True))}
        return [np.asarray(encoded[place].ids, dtype=np.int64) for place in range(len(texts))]

    def _beginnings(self, texts: Sequence[str]) -> dict[int, Encoding]:
        """Encode long texts from their first characters, where these settle every id that truncation keeps.

        They do when truncation set in before the middle of those characters: no tokenizer looks thousands of
        characters ahead to cut a token. A text where it did not (one endless word) is left to be read whole.
        """
        places = [place for place, text in enumerate(texts) if len(text) > self._long]
        encodings = self.backend.encode_batch([texts[place][: self._long] for place in places])
        return {
            place: encoding
            for place, encoding in zip(places, encodings, strict=True)
            if len(encoding.ids) == self._kept and max(end for _, end in encoding.offsets) <= self._long // 2
        }


class SlowTokenizer:
    """A tokenizer of transformers that exists in Python only."""

    def __init__(self, outer: Any, max_length: int | None) -> None:
        self.outer, self.max_length = outer, max_length

    def __call__(self, texts: Sequence[str]) -> list[Ids]:
        """Return the ids of each text."""
        if not texts:
            return []
        encoded = self.outer(
            list(texts), truncation=self.max_length is not None, max_length=self.max_length, verbose=False
        )
        return [np.asarray(ids, dtype=np.int64) for ids in encoded["input_ids"]]
