"""Fitting: a kind, rows and the identity of their encoder become a map with its provenance."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace
from inspect import signature
from typing import Any, Literal, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from embedkit.data.affine import AffineMap, Space
from embedkit.data.identity import Identity
from embedkit.data.vectors.vector_set import Batch, VectorMeta
from embedkit.spec import render
from embedkit.transforms.alignment import aligned
from embedkit.transforms.streaming import Pairs, Rows
from embedkit.version import __version__

Need = Literal["none", "optional", "required"]
_NEEDS: dict[tuple[str, ...], Need] = {
    ("rows",): "none",
    ("rows", "target"): "optional",
    ("pairs",): "required",
}


class Transform(Protocol):
    """A transform kind: settings that can be fitted."""

    def fit(self, rows: Rows) -> AffineMap:
        """Return the map for rows given as blocks `(rows, dim)`, which it can read only once."""


class TargetTransform(Protocol):
    """A transform kind that can fit towards other vectors."""

    def fit(self, rows: Rows, target: Rows | None = None) -> AffineMap:
        """Return the map for rows; `target` is any number of other rows."""


class PairTransform(Protocol):
    """A transform kind that fits each row towards its own target row."""

    def fit(self, pairs: Pairs) -> AffineMap:
        """Return the map for pairs of blocks `(rows, dim)` and `(rows, target_dim)`, row by row."""


class Source(NamedTuple):
    """Vectors in batches, and their properties."""

    meta: VectorMeta
    batches: Iterable[Batch]


def need_of_target(kind: type[Any]) -> Need:
    """Return whether a kind is fitted towards other vectors, by the names of its `fit` parameters."""
    _, *names = signature(kind.fit).parameters
    return _NEEDS[tuple(names)]


def fit_map(
    settings: Transform, rows: Rows, *, dimension: int, identity: Identity | None = None
) -> AffineMap:
    """Fit a kind on rows `(rows, dimension)` made by the encoder `identity`, and record the provenance.

    A kind that needs only the dimension reads no row: its provenance counts 0 rows, and the map can also
    follow other maps of the same encoder.
    """
    seen = 0

    def counted() -> Iterator[NDArray[np.float32]]:
        """Yield the vectors, and count their rows."""
        nonlocal seen
        yield np.empty((0, dimension), dtype=np.float32)
        for block in rows:
            seen += len(block)
            yield block

    fitted = settings.fit(counted())
    return with_story(fitted, settings, rows=seen, identity=identity)


def with_story(
    fitted: AffineMap, settings: Transform | PairTransform, *, rows: int, identity: Identity | None
) -> AffineMap:
    """Return a map fitted on `rows` rows of the encoder `identity`, with its provenance recorded."""
    versions = {"embedkit": __version__, "numpy": np.__version__}
    story: dict[str, object] = {"spec": render(settings), "rows": rows, **fitted.story, "versions": versions}
    if identity is not None:
        story["encoder"] = identity.fingerprint
    if identity is not None and rows:
        story["maps"] = list(identity.maps)
    return replace(fitted, story=story)


def fit_towards(settings: TargetTransform | PairTransform, source: Source, target: Source) -> AffineMap:
    """Fit a kind on vectors towards others; the output of its map lies in the target's space.

    Raises MismatchError when the kind needs pairs of rows and the ids of the two sides differ.
    """
    seen = 0

    def counted() -> Iterator[Batch]:
        """Yield the vectors, and count their rows."""
        nonlocal seen
        for batch in source.batches:
            seen += len(batch.vectors)
            yield batch

    fit: Any = settings.fit
    if need_of_target(type(settings)) == "required":
        fitted = fit(aligned(counted(), target.batches))
    else:
        fitted = fit(_vectors(counted()), _vectors(target.batches))
    told = with_story(fitted, settings, rows=seen, identity=source.meta.identity)
    return replace(told, target=Space(target.meta.identity, target.meta.map))


def _vectors(batches: Iterable[Batch]) -> Rows:
    return (batch.vectors for batch in batches)
