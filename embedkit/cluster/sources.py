"""Sources of distributed work: shards of a vector set, or units of text, each read by its worker."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Any, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from embedkit.cluster.corpus import Unit
from embedkit.cluster.corpus_reading import records_of
from embedkit.cluster.encoders import EncoderRecipe, encoder_of
from embedkit.cluster.encoding_workers import Texts
from embedkit.cluster.session import Cluster, WorkerResources
from embedkit.data.affine import AffineMap
from embedkit.data.identity import Identity
from embedkit.data.text.records import TextFormat
from embedkit.data.vectors.shards import SHARD_ROWS
from embedkit.data.vectors.vector_set import Batch, VectorMeta, VectorSet
from embedkit.embedding.encoding import describe, encode_batches, map_batches
from embedkit.errors import DataError


class Reader(Protocol):
    """A reader with which a worker reads a part."""

    def batches(self, part: Any) -> Iterator[Batch]:
        """Yield the vectors of a part."""


class Spread(NamedTuple):
    """Vectors in parts: their metadata, the parts in order, and the reader for a worker of `share`."""

    meta: VectorMeta
    parts: Iterable[Any]
    reader: Reader
    share: WorkerResources


@dataclass(frozen=True)
class MappedShards:
    """Shards of a vector set, with maps applied; a part is a shard's position."""

    source: VectorSet
    maps: tuple[AffineMap, ...] = ()
    declared: Identity | None = None

    def known(self) -> VectorMeta:
        """Return the metadata of the mapped vectors; raises MismatchError when a map does not fit."""
        return map_batches(self.source.meta, [], self.maps, self.declared)[0]

    def batches(self, part: int) -> Iterator[Batch]:
        """Yield the vectors of one shard, with its documents; errors name the shard."""
        one = self._one(part)
        try:
            yield from map_batches(self.source.meta, one, self.maps, self.declared)[1]
        except DataError as error:
            where = f"{self.source.path / one.shards[0].file}: {error.where or ''}".rstrip(": ")
            raise DataError(error.what, where=where, hint=error.hint) from None

    def coded(self, part: int) -> Iterator[Batch]:
        """Yield the stored codes of one shard, with its documents."""
        return self._one(part).coded_batches()

    def mapped(self, vectors: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return stored vectors `(rows, dimension)` with the maps applied."""
        (batch,) = map_batches(self.source.meta, [Batch(None, vectors)], self.maps, self.declared)[1]
        return batch.vectors

    def _one(self, part: int) -> VectorSet:
        return replace(self.source, shards=self.source.shards[part : part + 1])


@dataclass(frozen=True)
class EncodedTexts:
    """Texts encoded by the worker that reads them; a part is a unit."""

    recipe: EncoderRecipe
    format: TextFormat
    several: bool
    share: WorkerResources

    def batches(self, part: Unit) -> Iterator[Batch]:
        """Read the texts of a unit, and yield their vectors without the texts."""
        records = records_of(part, self.format, several=self.several)
        return encode_batches(encoder_of(self.recipe, self.share), records, with_text=False)


def of_vectors(cluster: Cluster, shards: MappedShards) -> Spread:
    """Return the shards of a vector set, spread over workers with one processor each."""
    return Spread(shards.known(), range(len(shards.source.shards)), shards, cluster.share(1))


def of_texts(cluster: Cluster, recipe: EncoderRecipe, texts: Texts) -> Spread:
    """Return texts, spread over workers that encode them."""
    share = recipe.share(cluster)
    meta = describe(recipe.load(), with_text=False)
    reader = EncodedTexts(recipe, texts.format, texts.several, share)
    return Spread(meta, texts.corpus.units(SHARD_ROWS), reader, share)
