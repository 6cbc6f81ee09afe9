"""Functions become commands, whatever the version of Python makes of their annotations."""

from typing import Annotated

import pytest
import typer

from embedkit.cli.spread import declared

ARGUMENT = typer.Argument(metavar="FILE")


@pytest.mark.parametrize(
    ("hint", "expected"),
    [
        (Annotated[list[str] | None, ARGUMENT] | None, Annotated[list[str] | None, ARGUMENT]),
        (Annotated[list[str] | None, ARGUMENT], Annotated[list[str] | None, ARGUMENT]),
        (int | None, int | None),
        (str, str),
    ],
)
def test_an_optional_that_python_3_10_adds_is_taken_off(hint, expected):
    assert declared(hint) == expected
