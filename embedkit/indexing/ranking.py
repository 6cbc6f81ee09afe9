"""The ranking of a query: the rows of its hits with their scores, before their documents are read."""

from __future__ import annotations

from typing import NamedTuple

from embedkit.indexing.kind import Floats, Mask, Rows


class Ranking(NamedTuple):
    """Hits of a query, best first: their scores and rows, and in a fused search their similarities and BM25
    scores.
    """

    scores: Floats
    rows: Rows
    dense: Floats | None = None
    lexical: Floats | None = None

    def taken(self, places: Rows | Mask) -> Ranking:
        """Return the hits at some places."""
        scores, rows = self.scores[places], self.rows[places]
        if self.dense is None or self.lexical is None:
            return Ranking(scores, rows)
        return Ranking(scores, rows, self.dense[places], self.lexical[places])
