"""Functions become commands, whatever the version of Python makes of their annotations."""

from typing import Annotated

import pytest
import typer

from embedkit.cli.command import declared

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


@pytest.mark.parametrize("value", ["nan", "inf", "-inf", "1e999"])
@pytest.mark.parametrize(
    "line",
    [
        "search x.idx query --min-score",
        "search x.idx query --dedupe",
        "search x.idx query --recall",
        "dedupe docs.txt --threshold",
        "whiten docs.txt -o map.safetensors --beta",
        "index docs.txt -o x.idx --recall",
        "index tune x.idx --recall",
        "train-simcse docs.txt -o model --temperature",
        "train-amsoftmax docs.csv -o model --scale",
    ],
)
def test_a_number_that_is_not_finite_is_refused(run, line, value):
    """`search --min-score nan` let no hit through, without a word."""
    done = run(*line.split(), value)
    option, shown = line.split()[-1], str(float(value))
    assert done == (2, "", f"embedkit: {option}: {shown} is not a finite number\n")
