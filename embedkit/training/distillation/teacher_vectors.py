"""The texts of a distillation: the teacher's vectors on disk, and the bags of the static encoder's tokens."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from embedkit.data.arrays import Float32, Float64
from embedkit.data.identity import Identity
from embedkit.data.vectors.vector_set import VectorSet
from embedkit.embedding.encoder import Encoder, Role, Vectors, unit_length
from embedkit.embedding.static.bags import BagReader, Bags
from embedkit.training.distillation.refinement import Lesson

if TYPE_CHECKING:
    from tokenizers import Tokenizer

_MOST_HELD_OUT, _SHARE_HELD_OUT = 2000, 10


class BothRoles:
    """An encoder that encodes every second text as a query: the student serves both roles with one table."""

    def __init__(self, encoder: Encoder) -> None:
        self.encoder = encoder

    @property
    def identity(self) -> Identity:
        """The encoder's own identity."""
        return self.encoder.identity

    def encode(self, texts: Sequence[str], role: Role = "document") -> Vectors:
        """Return `(len(texts), dimension)` vectors: of documents in even places, of queries in odd ones."""
        vectors = np.empty((len(texts), self.identity.dimension), dtype=np.float32)
        vectors[0::2] = self.encoder.encode(texts[0::2], "document")
        vectors[1::2] = self.encoder.encode(texts[1::2], "query")
        return vectors


def teacher_of(encoder: Encoder) -> Encoder:
    """Return the encoder whose vectors are fitted; one with different prompts teaches both roles."""
    identity = encoder.identity
    return encoder if identity.document_prompt == identity.query_prompt else BothRoles(encoder)


class Corpus:
    """A vector set of the teacher's vectors, with texts, as the rows of a regression.

    Vectors and texts stay on disk. `held_out` marks the rows that nothing is fitted on.
    """

    def __init__(self, vectors: VectorSet, seed: int) -> None:
        self.set = vectors
        self._ends = np.cumsum([0, *(shard.rows for shard in vectors.shards)])
        held = min(_MOST_HELD_OUT, vectors.rows // _SHARE_HELD_OUT)
        self.held_out: NDArray[np.bool_] = np.zeros(vectors.rows, dtype=bool)
        self.held_out[np.random.default_rng(seed).permutation(vectors.rows)[:held]] = True

    def __len__(self) -> int:
        return int(self._ends[-1])

    def texts(self) -> Iterator[list[str]]:
        """Yield the texts, one list per shard."""
        for shard in range(len(self.set.shards)):
            yield self.set.column("text", shard).to_pylist()

    def vectors(self, rows: slice) -> Float32:
        """Return the teacher's vectors of consecutive rows at unit length, `(rows, dimension)`."""
        first, last = np.searchsorted(self._ends, [rows.start, rows.stop - 1], side="right") - 1
        parts = [self.set.vectors(shard) for shard in range(first, last + 1)]
        start = int(self._ends[first])
        found = parts[0] if len(parts) == 1 else np.concatenate(parts)
        return unit_length(np.asarray(found[rows.start - start : rows.stop - start], dtype=np.float32))

    def held_out_rows(self) -> tuple[list[str], Float32]:
        """Return the texts that are held out, and their teacher's vectors `(texts, dimension)`."""
        texts: list[str] = []
        vectors = []
        for shard, names in enumerate(self.texts()):
            rows = slice(int(self._ends[shard]), int(self._ends[shard + 1]))
            kept = np.flatnonzero(self.held_out[rows])
            texts += [names[row] for row in kept.tolist()]
            vectors.append(self.vectors(rows)[kept])
        return texts, np.concatenate(vectors)

    def second_moment(self) -> Float64:
        """Return the sum of y y^T over all rows, `(dimension, dimension)`."""
        total = np.zeros((self.set.meta.dimension,) * 2)
        for start, stop in zip(self._ends[:-1], self._ends[1:], strict=True):
            part = self.vectors(slice(int(start), int(stop)))
            total += part.T @ part
        return total

    def bags(self, tokenizer: Tokenizer, file: Path) -> Bags:
        """Return the bags of all texts; their token ids lie in `file`, by memory map."""
        reader = BagReader(tokenizer)
        lengths = []
        with open(file, "wb") as out:
            for texts in self.texts():
                part = reader.read(texts)
                part.ids.tofile(out)
                lengths.append(part.lengths)
        offsets = np.concatenate([[0], np.cumsum(np.concatenate(lengths))])
        ids = np.memmap(file, np.int32, mode="r") if offsets[-1] else np.empty(0, np.int32)
        return Bags(offsets, ids)

    def lessons(self, bags: Bags, rng: np.random.Generator) -> Iterator[Lesson]:
        """Yield the rows that are not held out, shard by shard in random order."""
        for shard in rng.permutation(len(self.set.shards)).tolist():
            rows = slice(int(self._ends[shard]), int(self._ends[shard + 1]))
            kept = np.flatnonzero(~self.held_out[rows])
            yield Lesson(bags.take(kept + rows.start), self.vectors(rows)[kept])
