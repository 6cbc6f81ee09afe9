"""`embedkit mine`: queries and their known answers in, training examples with hard negatives out."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, ClassVar, Literal

import typer

from embedkit.cli.answer_options import AnswerOptions
from embedkit.cli.closing import close
from embedkit.cli.command import command_app
from embedkit.cli.completion import complete_indexes
from embedkit.cli.console import Progress, kept_when_interrupted, relay_warnings
from embedkit.cli.fusion_options import FusionOptions
from embedkit.cli.input_options import TextEncoding
from embedkit.cli.options import Common
from embedkit.data.names import readable_name
from embedkit.data.text.display import counted
from embedkit.errors import UsageError

if TYPE_CHECKING:
    from embedkit.adaptation.mining import MiningSettings
    from embedkit.indexing.lexical.fusion import Fusion
    from embedkit.indexing.store import Index


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
    """Find hard negatives: documents that rank high and do not answer the query."""
    from embedkit.adaptation.mined_examples import write_examples
    from embedkit.data.atomic import refuse_existing
    from embedkit.indexing.store import Index

    relay_warnings(common.quiet)
    answers.check()
    refuse_existing(output, force=common.force)
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
    size = f"{counted(found.examples, 'example')} with {counted(found.negatives, 'negative')}"
    size += f" for {counted(found.queries, 'query', 'queries')}"
    without = f"; {found.without:,} had none" if found.without else ""
    close(common, facts, f"{size}{without} -> {output}")


app = command_app(
    mine, epilog="Example: embedkit mine docs.idx --queries q.jsonl --qrels qrels.tsv -o triplets.jsonl"
)
