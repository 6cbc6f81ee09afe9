"""Define the options of `embedkit train-simcse`: its columns and loss."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal

import typer

from embedkit.cli.completion import complete_distilling, complete_models
from embedkit.errors import UsageError
from embedkit.losses.registry import losses_comparing

if TYPE_CHECKING:
    LossName = str
else:  # the choices are the kinds in their folder
    LossName = Literal[(*losses_comparing("views"), "none")]


@dataclass(frozen=True)
class JudgedOptions:
    """Options of a retrieval set to score during training."""

    panel: ClassVar = "Run"

    eval_qrels: Annotated[
        str | None,
        typer.Option(
            metavar="FILE", help="Judgements of a retrieval set, whose queries are --eval: nDCG@10 is scored."
        ),
    ] = None
    eval_corpus: Annotated[
        str | None, typer.Option(metavar="FILE", help="Documents of the retrieval set.")
    ] = None

    def given(self) -> dict[str, Any]:
        """Return what was given on the command line, by name."""
        return {name: value for name, value in vars(self).items() if value is not None}


@dataclass(frozen=True)
class LossOptions:
    """What is compared, and how sharply."""

    panel: ClassVar = "Loss"

    preset: Annotated[
        Literal["paper-unsup", "paper-sup", "article-zh"] | None,
        typer.Option(help="Settings from a paper's table."),
    ] = None
    columns: Annotated[
        str | None,
        typer.Option(
            help="Columns to train on: one of sentences, or anchor,positive[,negative ...] "
            "[chosen by their names, and reported].",
            metavar="A,B,C",
        ),
    ] = None
    loss: Annotated[
        LossName | None,
        typer.Option(help="Loss kind; none: only what --distill names [two-view].", show_default=False),
    ] = None
    temperature: Annotated[float | None, typer.Option(help="Divisor of the cosines [0.05].")] = None
    hard_negative_weight: Annotated[
        float | None, typer.Option(help="Weight of an example's own hard negatives [1].")
    ] = None
    scale_with_candidates: Annotated[
        int | None, typer.Option(metavar="N0", help="Scale the logits by log n / log N0 for n candidates.")
    ] = None
    mask_duplicates: Annotated[
        bool | None,
        typer.Option(
            "--mask-duplicates/--keep-duplicates",
            help="Whether equal texts are left out as negatives of each other [yes].",
        ),
    ] = None
    distill: Annotated[
        str | None,
        typer.Option(
            metavar="KIND[:key=value,...]",
            help="Add a loss of distillation: kl or margin-mse teaches scores, those of FILE or --teacher; "
            "batch-kl teaches a teacher's similarities of all texts of a batch, vector-mse its vectors "
            "[with --teacher: batch-kl].",
            autocompletion=complete_distilling,
        ),
    ] = None
    distill_weight: Annotated[
        float | None, typer.Option(help="Weight of --distill in the sum with --loss [1].")
    ] = None
    teacher: Annotated[
        str | None,
        typer.Option(
            metavar="MODEL",
            help="An encoder that teaches its similarities or vectors: any model, or self.",
            autocompletion=complete_models,
        ),
    ] = None
    score_columns: Annotated[
        str | None,
        typer.Option(
            metavar="A,B,...",
            help="Columns of scores: of the positive, then of the negatives [chosen by their names, and "
            "reported].",
        ),
    ] = None
    guide: Annotated[
        str | None,
        typer.Option(
            metavar="MODEL",
            help="Mask candidates that this encoder finds more similar than the positive: any model, or "
            "self for the one to train, as it is at the start.",
            autocompletion=complete_models,
        ),
    ] = None
    guide_margin: Annotated[
        float | None, typer.Option(help="Mask candidates above the positive's similarity minus this [0].")
    ] = None
    dims: Annotated[
        str | None,
        typer.Option(
            metavar="A,B,C",
            help="Matryoshka: sum the loss over the first A, B and C dimensions, so that vectors can be "
            "truncated to them.",
        ),
    ] = None
    dim_weights: Annotated[
        str | None, typer.Option(metavar="A,B,C", help="Weight of each of --dims in the sum [1 each].")
    ] = None
    distinct: Annotated[
        bool | None,
        typer.Option(
            "--distinct/--no-distinct",
            help="Make batches in which no text occurs twice: anchors, positives and negatives [no].",
        ),
    ] = None
    head: Annotated[
        bool | None,
        typer.Option("--head/--no-head", help="Add a dense layer and tanh during training only [no]."),
    ] = None

    def given(self) -> dict[str, Any]:
        """Return what was given on the command line, by name, the preset apart."""
        values = {name: value for name, value in vars(self).items() if value is not None and name != "preset"}
        for name in {"columns", "score_columns"} & values.keys():
            values[name] = tuple(column.strip() for column in values[name].split(","))
        for name, number in (("dims", int), ("dim_weights", float)):
            if name in values:
                values[name] = _numbers(values[name], number, where=f"--{name.replace('_', '-')}")
        return values


def _numbers(text: str, number: type[int] | type[float], *, where: str) -> tuple[float, ...]:
    try:
        return tuple(number(part) for part in text.split(","))
    except ValueError:
        what = "whole numbers" if number is int else "numbers"
        raise UsageError(f"{text!r} is not a list of {what}", where=where) from None
