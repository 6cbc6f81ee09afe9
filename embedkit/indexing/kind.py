"""An index kind: settings that build, open and search the files of a segment, and state its cost."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from embedkit.data.arrays import Array

if TYPE_CHECKING:
    from typing import Self

    from embedkit.data.vectors.codes import Codes
    from embedkit.indexing.planning.costs import Cost
    from embedkit.indexing.planning.machine import Machine

Floats = NDArray[np.float32]
Rows = NDArray[np.int64]
Mask = NDArray[np.bool_]
Blocks = Iterable[Array]
Metric = Literal["cosine", "dot"]


class Rehearsal(NamedTuple):
    """A measurement while an index is built: `ask` is called once, when the index holds the first `rows`,
    with the object that `IndexKind.search` takes as opened.
    """

    rows: int
    ask: Callable[[Any], None]


class Layout(NamedTuple):
    """The rows of a segment: under `cosine` they have unit length, and so have the queries."""

    dimension: int
    metric: Metric
    codes: Codes | None = None  # rows are these codes `(rows, width)`; floats if None
    rows: int | None = None  # number of rows to come, if known, so that memory is allocated once
    pretrained: Path | None = None  # a file that `learn` wrote, from a sample of more rows than these
    rehearsal: Rehearsal | None = None  # for kinds that `rehearse`


class IndexKind:
    """An index kind: a frozen dataclass of settings in a file of `indexing/kinds/` that inherits from it.

    It must build, open and search a segment. It may also learn once from a sample for many segments, and
    state its cost, without which the planner ignores it. An opened segment does not depend on the settings
    named in `per_query`: searches with other values of these read the same files.
    """

    per_query: ClassVar[frozenset[str]] = frozenset()
    rehearses: ClassVar[bool] = False  # whether `build` calls the rehearsal of its layout
    seed: int = 0

    def build(self, blocks: Blocks, layout: Layout, folder: Path) -> None:
        """Write files into `folder` from blocks of rows, which come once and are held one at a time.

        Raises UsageError for a layout in which the kind cannot compute similarities.
        """
        raise NotImplementedError

    def open(self, folder: Path, rows: int) -> Any:
        """Map the files into memory; raises FormatError when one is damaged or does not hold `rows`."""
        raise NotImplementedError

    def warm(self, opened: Any) -> None:
        """Do what the first search would otherwise have to do before it starts."""

    def search(
        self, opened: Any, queries: Floats, k: int, allowed: Mask | None = None
    ) -> tuple[Floats, Rows]:
        """Return similarities and rows, each `(queries, k)`, best first.

        Only rows where `allowed`, `(rows,)`, is true are returned; `k` is at most their number.
        """
        raise NotImplementedError

    def vectors(self, opened: Any, rows: Rows, dimension: int) -> Floats:
        """Return some stored rows, `(len(rows), dimension)`, decoded if only codes are kept."""
        raise NotImplementedError

    @property
    def keeps_vectors(self) -> bool:
        """Return whether `vectors` returns the rows exactly as `build` received them."""
        return False

    @property
    def sample_rows(self) -> int:
        """Return the rows of the sample that `learn` needs; 0 for a kind that learns nothing."""
        return 0

    def learn(self, sample: Floats, file: Path) -> None:
        """Write to `file` what the kind learns from a sample `(rows, dimension)`, for `Layout.pretrained`."""
        raise NotImplementedError

    def limits(self, k: int) -> Mapping[str, tuple[int, int]]:
        """Return the least and the greatest value of the per-query setting that plans and measurements vary,
        for the nearest `k`; empty without one.
        """
        return {}

    @classmethod
    def proposals(cls, rows: int, dimension: int) -> Iterator[Self]:
        """Yield the settings that the planner should compare for this number of rows."""
        return iter(())

    def settled(self, rows: int, dimension: int) -> Self:
        """Return these settings with the numbers that a build would choose filled in."""
        return self

    def cost(self, rows: int, dimension: int, machine: Machine) -> Cost:
        """Return the cost of `rows` rows with these settings; raises NotImplementedError if it is unknown."""
        raise NotImplementedError
