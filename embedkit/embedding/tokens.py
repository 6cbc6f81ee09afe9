"""Tokenizers, which turn texts into token ids, and the padding of several texts into one batch."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from tokenizers import Encoding
    from tokenizers import Tokenizer as Backend

Ids = NDArray[np.int64]

_LONG_CHARACTERS_A_TOKEN = 32  # a text with more characters per kept token is first read in part
_LONG_CHARACTERS = 4096  # shorter texts are always read whole


class Tokens(NamedTuple):
    """Token ids of one text: truncated, special tokens included, not padded."""

    ids: Ids
    types: Ids | None = None  # the type of each token, where the model reads types


class Tokenize(Protocol):
    """Turns texts into token ids; `unknown_id` is the id of what its vocabulary lacks, if it has one."""

    unknown_id: int | None

    def __call__(self, texts: Sequence[str]) -> list[Tokens]:
        """Return the tokens of each text."""


class TokenBatch(NamedTuple):
    """One padded batch: the rows that its texts have in the window, and inputs `(rows, tokens)`."""

    rows: NDArray[np.intp]
    input_ids: Ids
    attention_mask: Ids
    token_type_ids: Ids | None = None

    @property
    def inputs(self) -> list[Ids]:
        """The model's inputs, in the order in which it takes them."""
        types = [] if self.token_type_ids is None else [self.token_type_ids]
        return [self.input_ids, self.attention_mask, *types]


def pad(tokens: Sequence[Tokens], rows: NDArray[np.intp], pad_id: int, shortest: int = 1) -> TokenBatch:
    """Pad token ids on the right to the longest text of the batch, and to at least `shortest` tokens.

    A text without tokens becomes one padding token.
    """
    lengths = [max(1, len(text.ids)) for text in tokens]
    shape = (len(tokens), max(*lengths, shortest))
    input_ids, attention_mask = np.full(shape, pad_id, dtype=np.int64), np.zeros(shape, dtype=np.int64)
    typed = any(text.types is not None for text in tokens)
    types = np.zeros(shape, dtype=np.int64) if typed else None
    for row, text in enumerate(tokens):
        input_ids[row, : len(text.ids)] = text.ids
        attention_mask[row, : lengths[row]] = 1
        if types is not None and text.types is not None:
            types[row, : len(text.types)] = text.types
    return TokenBatch(rows, input_ids, attention_mask, types)


class FastTokenizer:
    """A tokenizer of the `tokenizers` library; of a very long text it reads only the beginning where that is
    enough.

    With `typed`, it returns the types of tokens too.
    """

    def __init__(self, backend: Backend, *, typed: bool = False) -> None:
        self.backend, self.typed = backend, typed
        unknown = getattr(backend.model, "unk_token", None)
        self.unknown_id: int | None = None if unknown is None else backend.token_to_id(unknown)
        truncation = backend.truncation or {}
        self._kept = int(truncation.get("max_length", 0)) if truncation.get("direction") == "right" else 0
        self._long = max(_LONG_CHARACTERS, _LONG_CHARACTERS_A_TOKEN * self._kept)

    def __call__(self, texts: Sequence[str]) -> list[Tokens]:
        """Return the tokens of each text."""
        early = self._beginnings(texts) if self._kept else {}
        rest = [place for place in range(len(texts)) if place not in early]
        encodings = self.backend.encode_batch_fast([texts[place] for place in rest])
        encoded = {**early, **dict(zip(rest, encodings, strict=True))}
        return [self._tokens(encoded[place]) for place in range(len(texts))]

    def _tokens(self, encoding: Encoding) -> Tokens:
        types = np.asarray(encoding.type_ids, dtype=np.int64) if self.typed else None
        return Tokens(np.asarray(encoding.ids, dtype=np.int64), types)

    def _beginnings(self, texts: Sequence[str]) -> dict[int, Encoding]:
        """Encode long texts from their first characters, where these decide every id that truncation keeps.

        They do when the kept tokens end within the first half of those characters: no tokenizer looks
        thousands of characters ahead to cut a token. Other texts (one endless word) are left out, and are
        read whole.
        """
        places = [place for place, text in enumerate(texts) if len(text) > self._long]
        encodings = self.backend.encode_batch([texts[place][: self._long] for place in places])
        return {
            place: encoding
            for place, encoding in zip(places, encodings, strict=True)
            if len(encoding.ids) == self._kept and max(end for _, end in encoding.offsets) <= self._long // 2
        }


class SlowTokenizer:
    """A tokenizer of transformers that exists in Python only; `typed` returns the types of tokens too."""

    def __init__(self, outer: Any, max_length: int | None, *, typed: bool = False) -> None:
        self.outer, self.max_length, self.typed = outer, max_length, typed
        self.unknown_id: int | None = outer.unk_token_id

    def __call__(self, texts: Sequence[str]) -> list[Tokens]:
        """Return the tokens of each text."""
        if not texts:
            return []
        encoded = self.outer(
            list(texts), truncation=self.max_length is not None, max_length=self.max_length, verbose=False
        )
        ids = [np.asarray(row, dtype=np.int64) for row in encoded["input_ids"]]
        if not self.typed:
            return [Tokens(row) for row in ids]
        types = [np.asarray(row, dtype=np.int64) for row in encoded["token_type_ids"]]
        return [Tokens(row, kinds) for row, kinds in zip(ids, types, strict=True)]
