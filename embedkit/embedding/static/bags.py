"""Bags of tokens: the token ids of many texts in two arrays, without special tokens.

Where the tokenizer reads chunks independently (`chunks.py`), distinct chunks are tokenised once and
remembered; otherwise the tokenizer reads whole texts. Both ways give the same ids.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from functools import cached_property
from itertools import chain, repeat
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import NDArray

from embedkit.errors import DataError

if TYPE_CHECKING:
    from tokenizers import Tokenizer

    from embedkit.embedding.static.chunks import Chunker, Chunks

_CHUNKS = 1 << 18  # chunks that are remembered, which bounds memory
_CHARACTERS = 1 << 24  # in all of them

Ids = NDArray[np.int32]
Offsets = NDArray[np.int64]


class Bags(NamedTuple):
    """Token ids of texts: those of text i are `ids[offsets[i]:offsets[i + 1]]`."""

    offsets: Offsets  # (texts + 1,)
    ids: Ids  # (tokens,)

    @property
    def lengths(self) -> Offsets:
        """Tokens per text, `(texts,)`."""
        return np.diff(self.offsets)

    def take(self, rows: NDArray[np.intp]) -> Bags:
        """Return the bags of some texts, in the order of `rows`."""
        lengths = self.lengths[rows]
        return Bags(_offsets(lengths), self.ids[_ranges(self.offsets[rows], lengths)])

    def first(self, most: int) -> Bags:
        """Return the bags with at most the first `most` tokens of each text."""
        lengths = np.minimum(self.lengths, most)
        return Bags(_offsets(lengths), self.ids[_ranges(self.offsets[:-1], lengths)])

    def runs(self, most: int) -> tuple[Bags, Offsets]:
        """Return the bags divided into runs of at most `most` tokens, and the first run of each text.

        A text without tokens has one empty run.
        """
        if self.lengths.max(initial=0) <= most:
            return self, np.arange(len(self.lengths))
        counts = np.maximum(-(-self.lengths // most), 1)
        firsts = _offsets(counts)[:-1]
        starts = _ranges(np.zeros_like(counts), counts) * most + np.repeat(self.offsets[:-1], counts)
        return Bags(np.append(starts, self.offsets[-1]), self.ids), firsts

    def without(self, token: int) -> Bags:
        """Return the bags without one token."""
        kept = self.ids != token
        return Bags(np.concatenate([[0], np.cumsum(kept)])[self.offsets], self.ids[kept])


class BagReader:
    """Reads texts into bags; two threads may use it at once."""

    def __init__(self, tokenizer: Tokenizer) -> None:
        tokenizer.no_padding()
        tokenizer.no_truncation()
        self.tokenizer = tokenizer
        self._turn = threading.Lock()
        self._forget()

    def _forget(self) -> None:
        self._places: dict[str, int] = {}  # the number of each known chunk in the bags of all of them
        self._known = _bags([])
        self._characters = 0

    @cached_property
    def _chunker(self) -> Chunker | None:
        from embedkit.embedding.static.chunks import Chunker

        return Chunker.of(self.tokenizer)

    def read(self, texts: Sequence[str]) -> Bags:
        """Return the bags of texts."""
        if self._chunker is None:
            return self.read_whole(texts)
        chunks = self._chunker.cut(texts)
        with self._turn:
            places, known = self._places_of(chunks), self._known
        bags = known.take(places[chunks.codes])
        return Bags(bags.offsets[chunks.offsets], bags.ids)

    def _places_of(self, chunks: Chunks) -> NDArray[np.intp]:
        """Return the places of the distinct chunks; unknown ones are tokenised first, all together."""
        if len(self._places) > _CHUNKS or self._characters > _CHARACTERS:
            self._forget()
        found = map(self._places.get, chunks.distinct, repeat(-1))
        places = np.fromiter(found, np.intp, len(chunks.distinct))
        if (missing := np.flatnonzero(places < 0)).size:
            new = [chunks.distinct[place] for place in missing.tolist()]
            words = [chunk for chunk in new if chunks.fine and chunk.isascii() and chunk.isprintable()]
            self._remember(words, self._bags_of_words(words))
            others = list(set(new).difference(words))
            self._remember(others, self.read_whole(others))
            places[missing] = [self._places[chunk] for chunk in new]
        return places

    def _bags_of_words(self, words: list[str]) -> Bags:
        """Return the bags of words that need the tokenizer's model only, which costs a tenth of the whole."""
        read = self.tokenizer.model.tokenize
        return _bags([[token.id for token in read(word)] for word in words])

    def _remember(self, chunks: list[str], bags: Bags) -> None:
        offsets, ids = self._known
        self._known = Bags(np.append(offsets, bags.offsets[1:] + len(ids)), np.append(ids, bags.ids))
        self._places |= zip(chunks, range(len(offsets) - 1, len(self._known.lengths)), strict=True)
        self._characters += sum(map(len, chunks))

    def read_whole(self, texts: Sequence[str]) -> Bags:
        """Return the bags of texts as the tokenizer reads them, which is quickest for a few."""
        return _bags(self._ids_of(list(texts)))

    def _ids_of(self, texts: list[str]) -> list[list[int]]:
        try:
            return [text.ids for text in self.tokenizer.encode_batch_fast(texts, add_special_tokens=False)]
        except TypeError:  # its only reason here
            raise DataError("a text holds half of a surrogate pair, expected Unicode") from None


def _bags(found: Sequence[list[int]]) -> Bags:
    offsets = _offsets(np.fromiter(map(len, found), dtype=np.int64, count=len(found)))
    return Bags(offsets, np.fromiter(chain.from_iterable(found), dtype=np.int32, count=int(offsets[-1])))


def _offsets(lengths: Offsets) -> Offsets:
    """Return where each text begins, and where the last ends, `(texts + 1,)`."""
    offsets = np.zeros(len(lengths) + 1, dtype=np.int64)
    np.cumsum(lengths, out=offsets[1:])
    return offsets


def _ranges(starts: Offsets, lengths: Offsets) -> NDArray[np.int64]:
    """Return `start, start + 1, ...`, as many as its length, of every start, one after the other."""
    offsets = _offsets(lengths)
    return np.arange(offsets[-1]) + np.repeat(starts - offsets[:-1], lengths)
