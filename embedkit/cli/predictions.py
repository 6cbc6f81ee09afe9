"""Write predicted labels to standard output or a file: a table for people, JSON lines for pipes."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import IO, TYPE_CHECKING, Any, Literal

import orjson

from embedkit.data.free_names import free_names
from embedkit.data.text.display import printable

if TYPE_CHECKING:
    from embedkit.data.text.record import Record
    from embedkit.embedding.labelling import Prediction

LabelFormat = Literal["table", "jsonl"]
NONE = "(none of these)"
_NAMES = {"id", "text", "label", "score", "cosine", "labels"}  # reserved names in a line of JSON
_DIGITS = 6  # decimals of scores and cosines
_WIDTH = 40  # cells of an id in a table; longer ids are cut


def write_predictions(
    predicted: Iterable[tuple[list[Record], list[Prediction]]],
    out: IO[bytes],
    format: LabelFormat,
    on_batch: Callable[[int], None],
    *,
    lists: bool,
) -> int:
    """Write each window of predictions as soon as it is ready, and return how many texts have no label.

    `on_batch` is called with the number of texts of each window; `lists` means that a text may have several
    labels.
    """
    none = 0
    for records, predictions in predicted:
        on_batch(len(records))
        none += sum(prediction.label is None for prediction in predictions)
        if format == "table":
            _table(records, predictions, lists=lists)
            continue
        for record, prediction in zip(records, predictions, strict=True):
            out.write(_line(record, prediction, lists=lists))
        out.flush()
    return none


def _line(record: Record, prediction: Prediction, *, lists: bool) -> bytes:
    line: dict[str, object] = {
        "id": record.id,
        "text": record.text,
        "label": prediction.label,
        "score": round(prediction.score, _DIGITS),
        "cosine": round(prediction.cosine, _DIGITS),
    }
    if lists:
        line["labels"] = [
            {"label": name, "score": round(score, _DIGITS)} for name, score in prediction.ranked
        ]
    line |= free_names(record.fields, _NAMES)
    return orjson.dumps(line, default=str, option=orjson.OPT_APPEND_NEWLINE)


def _table(records: list[Record], predictions: list[Prediction], *, lists: bool) -> None:
    from rich.console import Console
    from rich.table import Table

    table = Table(box=None, pad_edge=False)
    table.add_column("id", style="cyan", no_wrap=True, max_width=_WIDTH)
    table.add_column("label", style="bold", overflow="fold")
    table.add_column("score", justify="right")
    table.add_column("cosine", justify="right")
    table.add_column("text", no_wrap=True, ratio=1)
    for record, prediction in zip(records, predictions, strict=True):
        shown = _several(prediction) if lists else printable(prediction.label or NONE)
        numbers = f"{prediction.score:.3f}", f"{prediction.cosine:.3f}"
        table.add_row(*map(_cell, (printable(record.id), shown, *numbers, _first_line(record.text))))
    Console().print(table)


def _several(prediction: Prediction) -> str:
    """Return the labels of a text, one per line."""
    lines = [f"{printable(name)} {score:.3f}" for name, score in prediction.ranked]
    return "\n".join(lines if prediction.label else [NONE, *lines])


def _cell(text: str) -> Any:
    from rich.text import Text

    return Text(text, overflow="ellipsis")


def _first_line(text: str) -> str:
    return printable(next((line.strip() for line in text.splitlines() if line.strip()), ""))
