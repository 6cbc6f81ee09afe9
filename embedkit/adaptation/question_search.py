"""The search of questions for candidates: by vectors, by words or by both, with scores that can be taught."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from embedkit.indexing.kind import Floats, Rows
from embedkit.indexing.lexical.fusion import FusedSearch, Fusion
from embedkit.indexing.lexical.operators import LexicalQuery, literal_query
from embedkit.indexing.query import Query, rankings
from embedkit.indexing.ranking import Ranking
from embedkit.indexing.store import Index


@dataclass(frozen=True)
class QuestionSearch:
    """The search of some questions; `fusion` is None where vectors or words are searched alone."""

    index: Index
    fusion: Fusion | None
    typed: Sequence[LexicalQuery] | None  # None: words are not searched

    @classmethod
    def of(cls, index: Index, words: Fusion | Literal["only"] | None, texts: Sequence[str]) -> QuestionSearch:
        """Return the search of questions with these texts."""
        if words is None:
            return cls(index, None, None)
        analysis = index.lexical.settings
        typed = [literal_query(text, analysis) for text in texts]
        return cls(index, words if isinstance(words, Fusion) else None, typed)

    def rankings(self, vectors: Floats, depth: int) -> list[Ranking]:
        """Return the best `depth` hits of each question, given the vectors of all."""
        by_words = self.typed is not None and self.fusion is None
        asked = None if by_words else vectors
        return rankings(self.index, asked, Query(depth, fusion=self.fusion), self.typed or ())

    def scores(
        self, place: int, vector: Floats, found: Ranking, rows: Sequence[int]
    ) -> Mapping[int, float] | None:
        """Return the scores of the question at `place` by row: of its hits, and of other `rows`.

        None for a search by vectors, whose scores are the similarities, and for one that fuses by ranks,
        which gives no score to other rows.
        """
        if self.typed is None or (self.fusion is not None and self.fusion.method == "rrf"):
            return None
        known = dict(zip(found.rows.tolist(), found.scores.tolist(), strict=True))
        missing = np.array([row for row in rows if row not in known], dtype=np.int64)
        if len(missing):
            scores = self._computed(self.typed[place], vector, missing)
            known |= dict(zip(missing.tolist(), scores.tolist(), strict=True))
        return known

    def _computed(self, typed: LexicalQuery, vector: Floats, rows: Rows) -> Floats:
        lexical = self.index.lexical
        if self.fusion is None:
            return lexical.scores(typed.terms)[rows]
        return FusedSearch(self.index, lexical, self.fusion, self.index.search).scores(vector, typed, rows)
