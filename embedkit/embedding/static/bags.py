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

from embedkit.embedding.static.chunks import Chunker, chunker
from embedkit.embedding.static.word_pieces import WordPieces
from embedkit.errors import DataError

if TYPE_CHECKING:
    from tokenizers import Tokenizer

_CHUNKS = 1 << 18  # chunks that are remembered, which bounds memory
_CHARACTERS = 1 << 24  # in all of them

Ids = NDArray[np.int32]
Offsets = NDArray[np.int64]

_NONE: Offsets = np.empty(0, dtype=np.int64)


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
        self._slots: dict[str, int] = {}  # place of each known chunk in the arrays
        self._starts, self._lengths = _NONE, _NONE
        self._ids: Ids = _NONE.astype(np.int32)
        self._characters = 0

    @cached_property
    def _split(self) -> Chunker | None:
        return chunker(self.tokenizer)

    @cached_property
    def _pieces(self) -> WordPieces | None:
        return WordPieces.of(self.tokenizer)

    def read(self, texts: Sequence[str]) -> Bags:
        """Return the bags of texts."""
        if self._split is None:
            return self.read_whole(texts)
        every: list[str] = []
        ends = [0]
        for text in texts:  # few containers live at a time: many would set off the garbage collector
            every += self._split(text)
            ends.append(len(every))
        with self._turn:
            slots = self._slots_of(every)
            starts, lengths, ids = self._starts[slots], self._lengths[slots], self._ids
        return Bags(_offsets(lengths)[ends], ids[_ranges(starts, lengths)])

    def _slots_of(self, chunks: list[str]) -> NDArray[np.intp]:
        """Return the place of each chunk in the memory; unknown ones are tokenised first, all together."""
        if len(self._slots) > _CHUNKS or self._characters > _CHARACTERS:
            self._forget()
        slots = np.fromiter(map(self._slots.get, chunks, repeat(-1)), dtype=np.intp, count=len(chunks))
        if (missing := np.flatnonzero(slots < 0)).size:
            wanted = [chunks[place] for place in missing.tolist()]
            self._learn(list(dict.fromkeys(wanted)))
            slots[missing] = np.fromiter(map(self._slots.__getitem__, wanted), np.intp, len(wanted))
        return slots

    def _learn(self, chunks: list[str]) -> None:
        """Remember the ids of chunks; the tokenizer reads those that are not plain."""
        plain, others = _bags([]), chunks
        if self._pieces is not None:
            cut, others, plain = _cut(chunks, self._pieces)
            chunks = cut + others
        for bags in (plain, self.read_whole(others)):
            self._starts = np.concatenate([self._starts, len(self._ids) + bags.offsets[:-1]])
            self._lengths = np.concatenate([self._lengths, bags.lengths])
            self._ids = np.concatenate([self._ids, bags.ids])
        first = len(self._slots)
        self._slots.update(zip(chunks, range(first, first + len(chunks)), strict=True))
        self._characters += sum(map(len, chunks))

    def _forget(self) -> None:
        self._slots, self._characters = {}, 0
        self._starts, self._lengths, self._ids = _NONE, _NONE, _NONE.astype(np.int32)

    def read_whole(self, texts: Sequence[str]) -> Bags:
        """Return the bags of texts as the tokenizer reads them, which is quickest for a few."""
        return _bags(self._ids_of(list(texts)))

    def _ids_of(self, texts: list[str]) -> list[list[int]]:
        try:
            return [text.ids for text in self.tokenizer.encode_batch_fast(texts, add_special_tokens=False)]
        except TypeError:  # its only reason here
            raise DataError("a text holds half of a surrogate pair, expected Unicode") from None


def _cut(chunks: list[str], pieces: WordPieces) -> tuple[list[str], list[str], Bags]:
    """Return the plain chunks, the others, and the bags of the plain ones."""
    plain, others = [], []
    ids: list[int] = []
    ends = [0]
    for chunk in chunks:
        if pieces.cut(chunk, ids):
            plain.append(chunk)
            ends.append(len(ids))
        else:
            others.append(chunk)
    return plain, others, Bags(np.array(ends, dtype=np.int64), np.array(ids, dtype=np.int32))


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
