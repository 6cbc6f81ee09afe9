"""Functions become commands, whatever the version of Python makes of their annotations."""

from dataclasses import dataclass
from typing import Annotated, ClassVar

import pytest
import typer
from typer.testing import CliRunner

from embedkit.cli.command import command_app
from embedkit.cli.option_groups import declared

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


@dataclass(frozen=True)
class Wheels:
    panel: ClassVar = "Wheels"

    wheels: Annotated[int, typer.Option(help="Number of wheels.")] = 4


@dataclass(frozen=True, kw_only=True)
class Car:
    colour: Annotated[str, typer.Option(help="Colour of the car.")]
    wheels: Wheels
    names: Annotated[list[str] | None, typer.Argument(help="Names.")] = None


def build(*, factory: str = "here", car: Car) -> None:
    print(factory, car.colour, car.wheels.wheels, car.names)


APP = command_app(build, epilog="Example")


def test_groups_of_options_hold_groups():
    done = CliRunner().invoke(APP, ["--colour", "red", "--wheels", "3", "a", "b"])
    assert (done.exit_code, done.stdout) == (0, "here red 3 ['a', 'b']\n")
    done = CliRunner().invoke(APP, ["--colour", "red", "--factory", "there"])
    assert done.stdout == "there red 4 None\n"


def test_an_option_of_a_group_without_default_is_required():
    assert CliRunner().invoke(APP, []).exit_code == 2


def test_help_lists_the_options_of_a_group_under_its_panel():
    lines = [line.split() for line in CliRunner().invoke(APP, ["--help"]).stdout.splitlines()]
    heads = [line[0] for line in lines if len(line) == 1 and line[0].endswith(":")]
    assert heads == ["Arguments:", "Options:", "Wheels:"]
    first = [line[0] for line in lines if line]
    assert first.index("Wheels:") < first.index("--wheels")
    assert first.index("Options:") < first.index("--colour") < first.index("Wheels:")
