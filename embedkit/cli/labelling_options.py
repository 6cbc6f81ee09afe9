"""Define the options of `embedkit label`."""

from __future__ import annotations

import contextlib
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from embedkit.cli.options import Common
from embedkit.cli.predictions import LabelFormat
from embedkit.errors import UsageError

if TYPE_CHECKING:
    from embedkit.data.vectors.label_vectors import LabelVectors

THRESHOLD = (
    "Least cosine of a label, else null (none of these); for lists of labels, the probability that each has "
    "to exceed. [default: what training found on held-out texts, which `embedkit info` shows; for lists .5]"
)


@dataclass(frozen=True)
class LabellingOptions:
    """Options that choose the labels of a text, and where and how they are written."""

    output: Annotated[
        Path | None,
        typer.Option(
            "-o", "--output", metavar="FILE", help="File of JSON lines. Without it: standard output."
        ),
    ] = None
    k: Annotated[
        int | None,
        typer.Option(
            "-k",
            help="Labels per text, nearest first, in `labels`; for lists of labels, the most per "
            "text. [default: 1; for lists, all that apply]",
            min=1,
            show_default=False,
        ),
    ] = None
    threshold: Annotated[str | None, typer.Option(metavar="X|none", help=THRESHOLD, show_default=False)] = (
        None
    )
    format: Annotated[
        Literal["table", "jsonl"] | None,
        typer.Option("--format", help="[default: table on a terminal, else jsonl]", show_default=False),
    ] = None

    def least(self, labels: LabelVectors) -> float | None:
        """Return the given threshold, or the usual one; raises UsageError for an invalid threshold."""
        from embedkit.embedding.labelling import usual_threshold

        given = self.threshold
        if given is None:
            return usual_threshold(labels)
        if given == "none":
            return None
        what, least = ("a probability", 0) if labels.multiple else ("a cosine", -1)
        with contextlib.suppress(ValueError):
            if least <= (value := float(given)) <= 1:  # NaN is not
                return value
        raise UsageError(f"must be {what} from {least} to 1, or none, got {given!r}", where="--threshold")

    def line_format(self, common: Common) -> LabelFormat:
        """Return the format of the predictions: as given, or a table on a terminal and JSON lines
        otherwise.
        """
        table = self.output is None and not common.json and sys.stdout.isatty()
        return self.format or ("table" if table else "jsonl")
