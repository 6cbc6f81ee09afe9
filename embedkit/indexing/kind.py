"""What an index kind is: settings that build a segment's files, open them, and search them."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, ClassVar, Literal, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from embedkit.data.vectors.codes import Codes

Floats = NDArray[np.float32]
Rows = NDArray[np.int64]
Mask = NDArray[np.bool_]
Blocks = Iterable[NDArray[Any]]
Metric = Literal["cosine", "dot"]


class Rehearsal(NamedTuple):
    """What is done when an index that is being built holds the first `rows` and no more: `ask` gets what
    `Kind.search` takes as opened.
    """

    rows: int
    ask: Callable[[Any], None]


class Space(NamedTuple):
    """What the rows of a segment are: under `cosine` they have unit length, and so have the queries."""

    dimension: int
    metric: Metric
    codes: Codes | None = None  # rows come as these codes `(rows, width)`, and as floats where this is None
    rows: int | None = (
        None  # that will come, where it is known: memory is taken once, and not again as it grows
    )
    taught: Path | None = (
        None  # a file of what the kind has learnt before of a sample of more rows than these
    )
    rehearsal: Rehearsal | None = None  # for kinds that say that they `rehearse`


class Kind(Protocol):
    """An index kind: one frozen dataclass in a file of `indexing/kinds/`, files and search in three methods.

    What is opened does not depend on the settings named in `per_query`: other values of those search the same
    files.
    """

    per_query: ClassVar[frozenset[str]]

    def build(self, blocks: Blocks, space: Space, folder: Path) -> None:
        """Write files into `folder` from blocks of rows, which come once and are held one at a time.

        Raises UsageError for a space in which the kind cannot say similarities.
        """

    def open(self, folder: Path, rows: int) -> Any:
        """Map the files into memory; raises FormatError when one is damaged or holds not that many rows."""

    def search(
        self, opened: Any, queries: Floats, k: int, allowed: Mask | None = None
    ) -> tuple[Floats, Rows]:
        """Return similarities and rows, each `(queries, k)`, best first; only rows are found where
        `allowed`, `(rows,)`, is true, and `k` is at most the number of those.
        """

    def vectors(self, opened: Any, rows: Rows, dimension: int) -> Floats:
        """Return some stored rows, `(len(rows), dimension)`, decoded where nothing but codes is kept."""
