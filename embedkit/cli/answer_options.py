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

SOURCE = "positive_id"  # column of pairs: the document that a positive was made of, as `pairs` writes it


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
        from embedkit.adaptation.questions import judged_questions
        from embedkit.data.inputs import open_text
        from embedkit.data.text.qrels import read_qrels

        if self.pairs is not None:
            yield self._pairs(format)
            return
        qrels = read_qrels(str(self.qrels))
        with open_text([str(self.queries)], format) as reader:
            yield judged_questions(reader, qrels)

    def _pairs(self, format: TextFormat) -> Iterator[Question]:
        """Return the questions of pairs; where a document made a positive, it is never a negative."""
        from embedkit.adaptation.questions import paired_questions
        from embedkit.data.text.examples import read_examples

        examples = read_examples([str(self.pairs)], format)
        if len(examples.columns) < 2:
            raise UsageError("has sentences, expected an anchor and its positive", where=self.pairs)
        if not any(SOURCE in choice.others for choice in examples.choices):
            return paired_questions(examples.rows)
        examples = read_examples([str(self.pairs)], format, (*examples.columns[:2], SOURCE))
        return paired_questions(examples.rows, (row[2] if len(row) > 2 else None for row in examples.rows))
