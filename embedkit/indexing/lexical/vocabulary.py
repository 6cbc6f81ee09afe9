"""The vocabulary of a run of postings: numbers of terms, in the order in which they were seen."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from embedkit.data.vectors.arrow_arrays import strings, to_numpy
from embedkit.indexing.lexical.analysis import BREAK, Analysis, is_unspaced, pairs, split


class Vocabulary:
    """The numbers of the terms of a run, in the order in which they were seen."""

    def __init__(self, analysis: Analysis) -> None:
        self._analysis = analysis
        self.clear()

    def clear(self) -> None:
        """Begin a new run."""
        self._numbers: dict[str, int] = {}  # of terms
        self._words: dict[str, int] = {}  # words whose stem is known, with the number of the stem

    def encode(self, texts: Sequence[str]) -> tuple[NDArray[np.generic], NDArray[np.generic]]:
        """Return the numbers of the terms of all texts, in order, and how many terms each text has."""
        encoded = strings(split(texts), large=True).dictionary_encode()
        words, codes = encoded.dictionary.to_pylist(), to_numpy(encoded.indices)
        self._learn([word for word in words if word not in self._words and not _is_several(word)])
        numbers = list(map(self._words.get, words))
        several = {place: self._several(words[place]) for place, n in enumerate(numbers) if n is None}
        sizes = np.ones(len(words), np.int64)
        sizes[list(several)] = [len(each) for each in several.values()]
        starts = np.cumsum(sizes) - sizes
        flat = np.empty(int(sizes.sum()), np.int32)
        single = np.array([number is not None for number in numbers], dtype=bool)
        flat[starts[single]] = [number for number in numbers if number is not None]
        for place, each in several.items():
            flat[starts[place] : starts[place] + len(each)] = each
        counts = sizes[codes]
        ends = np.cumsum(counts)
        inside = np.arange(counts.sum()) - np.repeat(ends - counts, counts)
        found = flat[np.repeat(starts[codes], counts) + inside]
        breaks = ends[codes == words.index(BREAK)] if BREAK in words else ends[:0]
        return found, np.diff(breaks, prepend=0, append=len(found))

    def sorted(self) -> tuple[Any, NDArray[np.generic]]:
        """Return the terms as an Arrow array of binaries, sorted, and the place of each number in it."""
        import pyarrow as pa

        terms = sorted(self._numbers)
        places = np.empty(len(terms), np.int64)
        places[np.fromiter(map(self._numbers.__getitem__, terms), np.int64, len(terms))] = np.arange(
            len(terms)
        )
        return strings(terms, large=True).cast(pa.large_binary()), places

    def _learn(self, words: Sequence[str]) -> None:
        for word, stem in zip(words, self._analysis.stems(words), strict=True):
            self._words[word] = self._number(stem)

    def _several(self, word: str) -> list[int]:
        """Return the numbers of the terms of a run; a break has no terms."""
        return [] if word == BREAK else [self._number(pair) for pair in pairs(word)]

    def _number(self, term: str) -> int:
        return self._numbers.setdefault(term, len(self._numbers))


def _is_several(word: str) -> bool:
    return word == BREAK or is_unspaced(word)
