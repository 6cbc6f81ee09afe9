"""`embedkit distill`: an encoder and texts in, a static encoder out."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, ClassVar

import typer

from embedkit.cli.closing import after_semicolon, close, passed_over, skipped_counts
from embedkit.cli.command import command_app
from embedkit.cli.console import Progress, kept_when_interrupted, relay_warnings, say
from embedkit.cli.input_options import Inputs
from embedkit.cli.options import Common
from embedkit.cli.printed_tables import print_table
from embedkit.data.names import readable_name
from embedkit.data.text.display import counted

if TYPE_CHECKING:
    from embedkit.training.distillation.distill_settings import DistillSettings
    from embedkit.training.distillation.distillation import Distilled


@dataclass(frozen=True)
class DistillOptions:
    """Options of the fit: its size, its texts, and its steps."""

    panel: ClassVar = "Distillation"

    dim: Annotated[
        int, typer.Option(help="Dimensions of the static encoder; 0 keeps the teacher's space.")
    ] = 256
    vocabulary: Annotated[
        int, typer.Option(metavar="N", help="Add up to N frequent words of the corpus as tokens.")
    ] = 0
    whole: Annotated[
        bool, typer.Option("--whole", help="Fit on texts as they are, not on their sentences.")
    ] = False
    refine: Annotated[
        bool, typer.Option("--refine/--no-refine", help="Try gradient steps after the regression.")
    ] = True
    eval: Annotated[
        str | None,
        typer.Option(metavar="FILE", help="Scored pairs: also print Spearman's correlation on them."),
    ] = None
    reuse: Annotated[
        Path | None, typer.Option(metavar="VECTORS", help="Copy the teacher's vectors of equal texts.")
    ] = None
    resume: Annotated[bool, typer.Option("--resume", help="Continue an interrupted run.")] = False

    def settings(self, names: list[str], model: str, seed: int) -> DistillSettings:
        """Return the library's settings."""
        from embedkit.training.distillation.distill_settings import DistillSettings

        inputs, dim = tuple(map(readable_name, names)), self.dim or None
        return DistillSettings(inputs, model, dim, self.vocabulary, self.whole, self.refine, self.eval, seed)


def distill(
    output: Annotated[
        Path, typer.Option("-o", "--output", metavar="DIR", help="The static encoder, a folder.")
    ] = ...,  # type: ignore[assignment]
    *,
    distilling: DistillOptions,
    inputs: Inputs,
    common: Common,
) -> None:
    """Distil an encoder into a static one, which needs no network, on your own texts."""
    from embedkit.data.atomic import refuse_existing
    from embedkit.data.inputs import open_text
    from embedkit.data.vectors.vector_set import VectorSet
    from embedkit.embedding.export.sentence_transformers import MARKER
    from embedkit.embedding.tokenizer_places import divide_by_tokens
    from embedkit.training.distillation.distillation import Distillation

    relay_warnings(common.quiet)
    refuse_existing(output, force=common.force, marker=MARKER)
    names = inputs.names
    settings = distilling.settings(names, inputs.encoding.settings().model, common.seed)
    old = None if distilling.reuse is None else VectorSet.open(distilling.reuse)
    with open_text(names, inputs.format()) as reader, kept_when_interrupted(output, common.quiet):
        encoder = inputs.encoding.load()
        divide_by_tokens(reader, encoder)
        with Distillation(
            output, encoder, settings, reuse=old, resume=distilling.resume, force=common.force
        ) as run:
            progress = Progress(common.quiet, reader)
            progress.run(run.encode(reader))
            if not common.quiet:
                say(f"{counted(progress.rows, 'text')} encoded in {progress.seconds:.1f} s")
            found = run.fit(lambda step: None if common.quiet else say(f"{step} ..."))
    _close(common, found, output, progress, reader)


def _close(common: Common, found: Distilled, output: Path, progress: Progress, reader: object) -> None:
    from embedkit.training.distillation.distillation import story_of

    facts = {"output": readable_name(output), "fingerprint": found.fingerprint, **story_of(found)}
    facts |= {"seconds": round(progress.seconds, 3), **skipped_counts(reader)}
    if not common.json and not common.quiet:
        rows = [
            ("overlap of 10 nearest", "1", f"{found.agreement.overlap:.3f}"),
            ("Spearman of similarities", "1", f"{found.agreement.spearman:.3f}"),
            ("texts per second", f"{found.teacher_speed:,.0f}", f"{found.student_speed:,.0f}"),
        ]
        if found.scores is not None:
            teacher, student = found.scores
            rows.append(("Spearman on the pairs", f"{100 * teacher:.2f}", f"{100 * student:.2f}"))
        print_table([f"{counted(found.held_out, 'held-out text')}", "teacher", "static"], rows)
    size = f"{found.tokens:,} tokens x {found.dimension} dimensions"
    how = f"penalty {found.penalty:g}, {'refined' if found.refined else 'not refined'}"
    over = after_semicolon(passed_over(reader))
    close(
        common,
        facts,
        f"{size} from {counted(found.texts, 'text')} ({how}) in {progress.seconds:.1f} s -> {output}{over}",
    )


app = command_app(distill, epilog="Example: embedkit distill docs.jsonl -m minilm -o static/")
