"""Define the options that name queries and their known answers, for the mining of negatives."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, ClassVar

import typer

from embedkit.errors import UsageError

if TYPE_CHECKING:
    from embedkit.adaptation.questions import Question
    from embedkit.data.text.records import TextFormat

SOURCE = "positive_id"  # column of pairs: the document that the positive came from, which is never a negative


@dataclass(frozen=True)
class AnswerOptions:
    """Options that name the queries and their known answers."""

    panel: ClassVar = "Queries"

    queries: Annotated[
        str | None, typer.Option(metavar="FILE", help="Queries with ids, judged by --qrels.")
    ] = None
    qrels: Annotated[
        str | None, typer.Option(metavar="FILE", help="Relevance judgements: TREC, BEIR's file or JSONL.")
    ] = None
    pairs: Annotated[
        str | None,
        typer.Option(metavar="FILE", help="Or pairs of texts: an anchor and its positive per row."),
    ] = None

    def check(self) -> None:
        """Raise UsageError unless queries and judgements, or pairs, were named."""
        judged = (self.queries is not None, self.qrels is not None)
        if self.pairs is not None and any(judged):
            raise UsageError("pairs and judged queries were both given", hint="give one of them")
        if self.pairs is None and not all(judged):
            raise UsageError("needs --queries with --qrels, or --pairs")

    @contextmanager
    def opened(self, format: TextFormat) -> Iterator[Iterator[Question]]:
        """Yield the questions."""
        from embedkit.adaptation.questions import judged_questions, paired_questions
        from embedkit.data.inputs import open_text
        from embedkit.data.text.examples import stream_pairs
        from embedkit.data.text.qrels import judgements

        if self.pairs is not None:
            yield paired_questions(stream_pairs(self.pairs, format, SOURCE))
            return
        with open_text([str(self.queries)], format) as reader:
            yield judged_questions(reader, judgements(str(self.qrels)))
