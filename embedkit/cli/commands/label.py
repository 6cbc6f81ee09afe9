"""`embedkit label`: texts in, their labels out, by what training on labels left in a model's folder."""

from __future__ import annotations

import contextlib
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from embedkit.cli.closing import passed_over
from embedkit.cli.command import command_app
from embedkit.cli.console import Progress, input_names, relay_warnings, say
from embedkit.cli.encoder_options import EncoderOptions
from embedkit.cli.input_options import Files, TextOptions
from embedkit.cli.options import Common
from embedkit.cli.predictions import LabelFormat, write_predictions
from embedkit.data.names import readable_name
from embedkit.errors import DataError, UsageError

if TYPE_CHECKING:
    from typing import IO

    from embedkit.data.text.records import RecordReader
    from embedkit.data.vectors.label_vectors import LabelVectors

THRESHOLD = (
    "Least cosine of a label, else null (none of these); for lists of labels, the probability that each has "
    "to exceed. [default: what training found on held-out texts, which `embedkit info` shows; for lists .5]"
)


def label(
    files: Files = None,
    output: Annotated[
        Path | None,
        typer.Option(
            "-o", "--output", metavar="FILE", help="File of JSON lines. Without it: standard output."
        ),
    ] = None,
    k: Annotated[
        int | None,
        typer.Option(
            "-k",
            help="Labels per text, nearest first, in `labels`; for lists of labels, the most per "
            "text. [default: 1; for lists, all that apply]",
            min=1,
            show_default=False,
        ),
    ] = None,
    threshold: Annotated[
        str | None, typer.Option(metavar="X|none", help=THRESHOLD, show_default=False)
    ] = None,
    format: Annotated[
        Literal["table", "jsonl"] | None,
        typer.Option("--format", help="[default: table on a terminal, else jsonl]", show_default=False),
    ] = None,
    *,
    reading: TextOptions,
    encoding: EncoderOptions,
    common: Common,
) -> None:
    """Assign labels to texts, with probabilities; no label where none is probable."""
    from embedkit.data.atomic import refuse_existing
    from embedkit.data.inputs import open_text
    from embedkit.embedding.labelling import Labeller, label_records, load_labels

    relay_warnings(common.quiet)
    _check(encoding, output, format)
    names = input_names(files)
    if output is not None:
        refuse_existing(output, force=common.force)
    settings = encoding.settings()
    labels = load_labels(settings.model)
    labeller = Labeller(labels, k, _threshold(threshold, labels))
    with open_text(names, reading.format()) as reader, _destination(output) as out:
        predicted = label_records(encoding.load(), reader, labeller, first=256)
        chosen = format or _usual_format(output, common)
        lists = labels.multiple or (k or 1) > 1
        with Progress(common.quiet or output is None, reader) as progress:
            none = write_predictions(predicted, out, chosen, progress.add, lists=lists)
        if not reader.read:
            raise DataError("the input contains no text", where=reader.name)
    _close(common, reader, progress, output, none)


def _check(encoding: EncoderOptions, output: Path | None, format: LabelFormat | None) -> None:
    if encoding.transform:
        raise UsageError(
            "cannot be used, because label vectors lie in the model's own space, without maps",
            where="--transform",
        )
    if output is not None and format == "table":
        raise UsageError("table is only for a terminal", where="--format", hint="write jsonl to the file")


def _threshold(given: str | None, labels: LabelVectors) -> float | None:
    """Return the threshold that was asked for, else the usual one; raises UsageError for what is none."""
    from embedkit.embedding.labelling import usual_threshold

    if given is None:
        return usual_threshold(labels)
    if given == "none":
        return None
    what, least = ("a probability", 0) if labels.multiple else ("a cosine", -1)
    with contextlib.suppress(ValueError):
        if least <= (value := float(given)) <= 1:  # NaN is not
            return value
    raise UsageError(f"must be {what} from {least} to 1, or none, got {given!r}", where="--threshold")


@contextlib.contextmanager
def _destination(output: Path | None) -> Iterator[IO[bytes]]:
    from embedkit.data.atomic import whole_file

    if output is None:
        yield sys.stdout.buffer
    else:
        with whole_file(output) as file:
            yield file


def _usual_format(output: Path | None, common: Common) -> LabelFormat:
    return "table" if output is None and not common.json and sys.stdout.isatty() else "jsonl"


def _close(common: Common, reader: RecordReader, progress: Progress, output: Path | None, none: int) -> None:
    """Say what was written, or only what was passed over where the predictions are on standard output."""
    over = passed_over(reader)
    if output is None:
        if over and not common.quiet:
            say(over)
        return
    if common.json:
        facts = {"output": readable_name(output), "rows": progress.rows, "none": none}
        facts |= {"seconds": round(progress.seconds, 3), "blank": reader.blank, "skipped": reader.skipped}
        print(json.dumps(facts))
    elif not common.quiet:
        count = f"{progress.rows:,} text{'s' * (progress.rows != 1)} labelled"
        count += f", {none:,} matched none of the labels"
        say(f"{count}, in {progress.seconds:.1f} s -> {output}{f'; {over}' if over else ''}")


app = command_app(label, epilog="Example: embedkit label mails.jsonl -m out/ -o labelled.jsonl")
