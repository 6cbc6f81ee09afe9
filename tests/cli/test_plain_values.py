"""Values of plain types are converted as Typer converts them, without the library that it uses for it."""

import subprocess
import sys
from pathlib import Path

import pytest
import typer

from embedkit.cli.app import app
from embedkit.cli.plain_values import Group, PlainValues, use_plain_values

VALUES = [
    "", " ", "a", "-", "5", "-5", "+5", " 5 ", "05", "-0", "5.0", "5.5", "-.5", ".5", "5.", "1e3", "1_000",
    "٥", "５", "nan", "0x10", "9" * 30, "true", "auto", "jsonl", "table", "none", "mean", "Mean", "\udcff",
    "a b", "here", ".", "missing", "missing/below", 5, -1, 0.5, 5.0, True, None, (), ("5",), ("a", "b"),
    "inf", [], ["x"], Path("a"),
]  # fmt: skip


def commands(group):
    """Yield every command of the program."""
    context = typer.Context(group)
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        yield from commands(command) if isinstance(command, Group) else [command]


def result(coerce, value, parameter, context):
    """Return the type and value of a conversion, or the error's text."""
    try:
        found = coerce(value, param=parameter, ctx=context)
    except Exception as error:
        return type(error), str(getattr(error, "message", error))
    return type(found), repr(found), [type(each) for each in found] if isinstance(found, list) else None


def test_every_option_gets_the_value_that_typer_gives_it(folder):
    Path("here").write_text("a file")
    seen = set()
    for command in commands(typer.main.get_command(app)):
        context = typer.Context(command)
        for parameter in command.get_params(context):
            described = parameter.type_descriptor
            key = repr(
                (
                    described.annotation,
                    vars(described.parameter_info).get("min"),
                    parameter.multiple,
                    parameter.nargs,
                )
            )
            if key in seen or described.annotation is bool:
                continue
            seen.add(key)
            ours, own = parameter.get_runtime_param(), type(parameter).get_runtime_param(parameter)
            assert isinstance(ours, PlainValues)
            for value in VALUES:
                expected = result(own.coerce, value, parameter, context)
                assert result(ours.coerce, value, parameter, context) == expected, (parameter.name, value)
    assert len(seen) > 10


@pytest.mark.parametrize("command", ["search --help", "search missing.idx text -k 5 --format jsonl"])
def test_a_command_starts_without_the_library_that_validates(folder, command):
    program = (
        "import sys, embedkit.cli.app as program\n"
        "try: program.app(sys.argv[1:], standalone_mode=False)\n"
        "except BaseException: pass\n"
        "print('pydantic' in sys.modules, file=sys.stderr)"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, *command.split()], capture_output=True, text=True, check=False
    )
    assert done.stderr.splitlines()[-1] == "False"


def test_parameters_of_a_typer_without_converters_are_left_as_they_are():
    class Parameter:
        name = "k"

    parameter = Parameter()
    use_plain_values(parameter)
    assert vars(parameter) == {}
