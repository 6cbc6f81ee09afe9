"""Define options that select hits by fields, score and similarity to each other, and set the search."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, ClassVar

import typer

from embedkit.cli.options import named
from embedkit.errors import DataError, UsageError

if TYPE_CHECKING:
    from embedkit.indexing.kind import Floats
    from embedkit.indexing.lexical.fusion import Fusion
    from embedkit.indexing.query import Query
    from embedkit.indexing.store import Index


@dataclass(frozen=True)
class Narrowing:
    """Options that select which documents may be hits, and how they are searched."""

    panel: ClassVar = "Hits"

    where: Annotated[
        str | None,
        typer.Option(
            metavar="SQL", help="Search only documents for which this holds: \"lang = 'en' and year > 2020\"."
        ),
    ] = None
    min_score: Annotated[float | None, typer.Option(help="Return only hits with at least this score.")] = None
    dedupe: Annotated[
        float | None,
        typer.Option(
            metavar="COSINE",
            help="Leave out hits whose cosine to a better hit is at least this, for example .98.",
        ),
    ] = None
    exact: Annotated[bool, typer.Option("--exact", help="Compare each query with every stored vector.")] = (
        False
    )
    oversample: Annotated[
        int | None, typer.Option(help="Candidates rescored per hit, for kinds that rescore.", min=1)
    ] = None

    recall: Annotated[
        float | None,
        typer.Option(
            metavar="SHARE",
            help="Recall to search at, as `index tune` measured it, for example .95. [as the index "
            "was built]",
        ),
    ] = None

    def tuned(self, index: Index, k: int) -> Index:
        """Return the index with the requested search settings for `k` hits; raise UsageError if its kind does
        not support them, or if no measured operating point reaches the recall.
        """
        if self.recall is not None:
            from embedkit.indexing.query import at_recall

            self._require_share()
            return at_recall(index, self.recall, k)
        return index if self.oversample is None else index.tuned(oversample=self.oversample)

    def _require_share(self) -> None:
        assert self.recall is not None
        if not 0 < self.recall <= 1:
            raise UsageError(f"{self.recall:g} is not a share above 0, at most 1", where="--recall")
        for name, given in (("--oversample", self.oversample is not None), ("--exact", self.exact)):
            if given:
                raise UsageError(f"is settled by {name}", where="--recall", hint="give one of them")

    def of_vectors(self) -> list[str]:
        """Return the names of the given options that apply to a search by vectors only."""
        return named({"--exact": self.exact, "--oversample": self.oversample, "--recall": self.recall})

    def query(
        self,
        index: Index,
        k: int,
        *,
        but: int | None = None,
        fusion: Fusion | None = None,
        explain: bool = False,
    ) -> Query:
        """Return the query to run on an index, without the row `but`; the SQL is evaluated here, once."""
        import numpy as np

        from embedkit.indexing.query import Query

        passing = None
        if self.where is not None:
            from embedkit.indexing.where import rows_where

            passing = rows_where(index, self.where)
        if but is not None:
            passing = np.ones(index.stored_rows, dtype=bool) if passing is None else passing
            passing[but] = False
        return Query(k, passing, self.exact, self.min_score, self.dedupe, fusion, explain)


def stored_vector(index: Index, id: str) -> tuple[int, Floats]:
    """Return the row and the vector `(1, dimension)` of a document; raise DataError if the id is missing."""
    import numpy as np

    found = index.find([id])
    if id not in found:
        raise DataError(f"has no document of id {id!r}", where=str(index.path))
    return found[id], index.vectors(np.array([found[id]]))
