"""Define the option that names the columns of a pair's texts and score."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from embedkit.errors import UsageError

if TYPE_CHECKING:
    from embedkit.data.text.scored_pairs import Columns

PairColumns = Annotated[
    str | None,
    typer.Option(
        "--columns", metavar="A,B,SCORE", help="Fields of scored pairs [sentence1,sentence2,score, ...]."
    ),
]


def read_columns(text: str | None) -> Columns | None:
    """Parse `--columns`; raise UsageError unless it names three columns."""
    from embedkit.data.text.scored_pairs import Columns

    if text is None:
        return None
    names = [name.strip() for name in text.split(",")]
    if len(names) != 3 or not all(names):
        raise UsageError(f"{text!r} does not name three fields", where="--columns", hint="write A,B,SCORE")
    return Columns(*names)
