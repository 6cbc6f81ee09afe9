"""The program itself: commands that do not exist, and what is said about things."""

import json
from pathlib import Path

import numpy as np
import pytest
import typer

from embedkit.cli.app import COMMANDS, one_line_errors
from embedkit.data.affine import AffineMap


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (["encod"], "unknown command 'encod'; did you mean encode?"),
        (["serach", "x"], "unknown command 'serach'; did you mean search?"),
        (["--frob"], None),
    ],
)
def test_an_unknown_command_is_one_line(run, args, message):
    done = run(*args)
    assert (done.code, done.out, done.said.count("\n")) == (2, "", 1)
    if message is not None:
        assert done.said == f"embedkit: {message}\n"


def test_ctrl_c_that_python_turned_into_another_error_ends_the_program_without_a_line(capsys):
    with pytest.raises(typer.Exit) as end, one_line_errors():
        raise RuntimeError("Error calling __set_name__ on 'Field'") from KeyboardInterrupt()
    assert (end.value.exit_code, capsys.readouterr().err) == (130, "")


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_help_that_begins_with_its_line_and_ends_with_an_example(run, command):
    done = run(command, "--help")
    assert (done.code, done.said) == (0, "")
    assert COMMANDS[command].rstrip(".") in " ".join(done.out.split())
    assert "embedkit " in done.out.rpartition("Example: ")[2]


def test_info_knows_each_kind_of_thing(run, docs):
    run("encode", docs, "-o", "x.vec", "-q")
    run("index", docs, "-o", "x.idx", "-q")
    AffineMap(np.eye(2, 8), np.zeros(2), {"spec": "truncate:dim=2"}).save(Path("x.safetensors"))
    for thing, what in (
        ("x.vec", "vector set"),
        ("x.idx", "index"),
        ("x.safetensors", "map"),
        ("hash:dim=8", "model"),
    ):
        facts = json.loads(run("info", thing, "--json").out)
        assert facts["type"].startswith(what)
        assert run("info", thing).out.splitlines()[0].split() == ["type", *facts["type"].split()]


@pytest.mark.parametrize(
    ("thing", "message"),
    [
        ("nothing", "nothing: no such file, folder or model"),
        (
            "docs.jsonl",
            "docs.jsonl: is not an index, vectors, a map, label vectors, a model, a run of hits or an "
            "evaluation",
        ),
    ],
)
def test_info_of_nothing_is_one_line(run, docs, thing, message):
    assert run("info", thing) == (1, "", f"embedkit: {message}\n")
