"""`embedkit mine`: queries and their known answers in, training examples with hard negatives out."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, ClassVar, Literal

import typer

from embedkit.cli.closing import close
from embedkit.cli.command import command_app
from embedkit.cli.completion import complete_indexes
from embedkit.cli.console import Progress, kept_when_interrupted, relay_warnings
from embedkit.cli.fusion_options import FusionOptions
from embedkit.cli.input_options import TextEncoding
from embedkit.cli.options import Common
from embedkit.data.names import readable_name
from embedkit.errors import UsageError

if TYPE_CHECKING:
    from embedkit.adaptation.mining import MiningSettings
    from embedkit.adaptation.questions import Question
    from embedkit.data.text.records import TextFormat
    from embedkit.indexing.lexical.fusion import Fusion
    from embedkit.indexing.store import Index


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


@dataclass(frozen=True)
class NegativeOptions:
    """Options that choose the negatives."""

    panel: ClassVar = "Negatives"

    negatives: Annotated[int, typer.Option(metavar="N", help="Negatives per positive, at most.")] = 5
    ranks: Annotated[
        str, typer.Option(metavar="A-B", help="Ranks of the candidates; positives do not count.")
    ] = "1-100"
    share: Annotated[
        float, typer.Option(help="Share of the positive's similarity that a negative reaches at most.")
    ] = 0.95
    margin: Annotated[
        float, typer.Option(help="Least difference between the two similarities, besides the share.")
    ] = 0.0
    duplicate: Annotated[
        float, typer.Option(metavar="COSINE", help="Cosine from which a document counts as the positive.")
    ] = 0.98
    pick: Annotated[
        Literal["hardest", "random"], typer.Option(help="Which of the candidates that qualify.")
    ] = "hardest"

    def settings(self, index: Index, words: FusionOptions, seed: int) -> MiningSettings:
        """Return the library's settings."""
        from embedkit.adaptation.mining import MiningSettings

        parts = self.ranks.split("-")
        if len(parts) != 2 or not all(part.isdecimal() for part in parts):
            raise UsageError(f"{self.ranks!r} is not a range of ranks", where="--ranks", hint="--ranks 1-100")
        fusion = words.chosen(index)
        searched: Fusion | Literal["only"] | None = "only" if words.lexical else fusion
        about = self.share, self.margin, self.duplicate, self.pick, searched, seed
        return MiningSettings(self.negatives, int(parts[0]), int(parts[1]), *about)


def mine(
    index: Annotated[
        Path, typer.Argument(metavar="INDEX", help="An index folder.", autocompletion=complete_indexes)
    ],
    output: Annotated[
        Path, typer.Option("-o", "--output", metavar="FILE", help="The examples, as JSON lines.")
    ] = ...,  # type: ignore[assignment]
    *,
    answers: AnswerOptions,
    choosing: NegativeOptions,
    words: FusionOptions,
    resume: Annotated[bool, typer.Option("--resume", help="Continue an interrupted run.")] = False,
    texts: TextEncoding,
    common: Common,
) -> None:
    """Find hard negatives for training: documents that rank high and do not answer the query."""
    from embedkit.adaptation.mined_examples import write_examples
    from embedkit.indexing.store import Index

    relay_warnings(common.quiet)
    answers.check()
    opened = Index.open(index)
    settings = choosing.settings(opened, words, common.seed)
    encoder = texts.encoding.load_for(opened.identity, opened.map, where=str(index))
    opened.require_encoder(encoder)
    progress = Progress(common.quiet)
    run = partial(write_examples, resume=resume, force=common.force, on_window=progress.add)
    kept = kept_when_interrupted(output, common.quiet)
    with answers.opened(texts.reading.format()) as questions, kept, progress:
        found = run(output, opened, encoder, questions, settings)
    facts = {"output": readable_name(output), **found._asdict(), "seconds": round(progress.seconds, 3)}
    examples = f"{found.examples:,} example{'s' * (found.examples != 1)}"
    queries = f"{found.queries:,} {'query' if found.queries == 1 else 'queries'}"
    size = f"{examples} with {found.negatives:,} negative{'s' * (found.negatives != 1)} for {queries}"
    without = f"; {found.without:,} had none" if found.without else ""
    close(common, facts, f"{size}{without} -> {output}")


app = command_app(
    mine, epilog="Example: embedkit mine docs.idx --queries q.jsonl --qrels qrels.tsv -o triplets.jsonl"
)
