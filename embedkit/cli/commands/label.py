"""`embedkit label`: texts in, their labels out, by what training on labels left in a model's folder."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from embedkit.cli.closing import after_semicolon, close, passed_over, say_passed_over, skipped_counts
from embedkit.cli.command import command_app
from embedkit.cli.console import Progress, relay_warnings
from embedkit.cli.destination import file_or_standard_output
from embedkit.cli.encoder_options import EncoderOptions
from embedkit.cli.input_options import Inputs
from embedkit.cli.labelling_options import LabellingOptions
from embedkit.cli.options import Common
from embedkit.cli.predictions import write_predictions
from embedkit.data.names import readable_name
from embedkit.data.text.display import counted
from embedkit.errors import DataError, UsageError

if TYPE_CHECKING:
    from embedkit.data.text.records import RecordReader


def label(*, labelling: LabellingOptions, inputs: Inputs, common: Common) -> None:
    """Assign labels to texts, with probabilities; no label where none is probable."""
    from embedkit.data.atomic import refuse_existing
    from embedkit.data.inputs import open_text
    from embedkit.embedding.labelling import Labeller, label_records, load_labels
    from embedkit.embedding.tokenizer_places import divide_by_tokens

    relay_warnings(common.quiet)
    encoding, output, k = inputs.encoding, labelling.output, labelling.k
    _check(encoding, labelling)
    names = inputs.names
    if output is not None:
        refuse_existing(output, force=common.force)
    labels = load_labels(encoding.settings().model)
    labeller = Labeller(labels, k, labelling.least(labels))
    with open_text(names, inputs.format()) as reader, file_or_standard_output(output) as out:
        divide_by_tokens(reader, encoder := encoding.load())
        predicted = label_records(encoder, reader, labeller, first=256)
        format, lists = labelling.line_format(common), labels.multiple or (k or 1) > 1
        with Progress(common.quiet or output is None, reader) as progress:
            none = write_predictions(predicted, out, format, progress.add, lists=lists)
        if not reader.read:
            raise DataError("the input contains no text", where=reader.name)
    _close(common, reader, progress, output, none)


def _check(encoding: EncoderOptions, labelling: LabellingOptions) -> None:
    if encoding.transform:
        raise UsageError(
            "cannot be used, because label vectors lie in the model's own space, without maps",
            where="--transform",
        )
    if labelling.output is not None and labelling.format == "table":
        raise UsageError("table is only for a terminal", where="--format", hint="write jsonl to the file")


def _close(common: Common, reader: RecordReader, progress: Progress, output: Path | None, none: int) -> None:
    """Say what was written, or only what was passed over where the predictions are on standard output."""
    if output is None:
        say_passed_over(reader, common)
        return
    facts = {"output": readable_name(output), "rows": progress.rows, "none": none}
    facts |= {"seconds": round(progress.seconds, 3), **skipped_counts(reader)}
    count = f"{counted(progress.rows, 'text')} labelled"
    count += f", {none:,} matched none of the labels"
    over = after_semicolon(passed_over(reader))
    close(common, facts, f"{count}, in {progress.seconds:.1f} s -> {output}{over}")


app = command_app(label, epilog="Example: embedkit label mails.jsonl -m out/ -o labelled.jsonl")
