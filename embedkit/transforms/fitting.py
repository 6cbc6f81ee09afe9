"""Fitting: a kind, rows and the encoder they came from become a map that knows its story."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from embedkit.data.identity import Identity
from embedkit.spec import render
from embedkit.transforms.affine import Affine
from embedkit.transforms.moments import Rows
from embedkit.version import __version__


class Transform(Protocol):
    """A kind: settings that can be fitted."""

    def fit(self, rows: Rows) -> Affine:
        """Return the map for rows that come in blocks `(rows, dim)`; one look at each is all it gets."""


def fit_map(settings: Transform, rows: Rows, *, dimension: int, identity: Identity | None = None) -> Affine:
    """Fit a kind on rows `(rows, dimension)` made by the encoder `identity`, and write down its story.

    A kind that needs the width alone sees no row: its story counts 0 rows, and the map fits behind other maps
    of the same encoder too.
    """
    seen = 0

    def counted() -> Iterator[NDArray[np.float32]]:
        nonlocal seen
        yield np.empty((0, dimension), dtype=np.float32)
        for block in rows:
            seen += len(block)
            yield block

    fitted = settings.fit(counted())
    versions = {"embedkit": __version__, "numpy": np.__version__}
    story: dict[str, Any] = {"spec": render(settings), "rows": seen, **fitted.story, "versions": versions}
    if identity is not None:
        story["encoder"] = identity.fingerprint
    if identity is not None and seen:
        story["maps"] = list(identity.maps)
    return replace(fitted, story=story)
