"""Errors of the library name settings, `max_length`; the command line prints their options, --max-length."""

import ast
import re
from pathlib import Path

import pytest
import typer

import embedkit.errors
from embedkit.cli.app import COMMANDS, app
from embedkit.cli.console import say

PACKAGE = Path(embedkit.errors.__file__).parent
SETTING = re.compile(r"`([a-z][a-z0-9_]*)[=`]")
OPTION = re.compile(r"(?:^|[ (\"'])--[a-z]")
COMMAND = re.compile(r"\bembedkit [a-z{]|\bray start ")  # a whole command line has options


def texts_of(code: str) -> list[str]:
    """Return the texts in a file's code, docstrings left out; an expression in an f-string becomes {}."""
    tree = ast.parse(code)
    silent = {
        id(node)
        for found in ast.walk(tree)
        if isinstance(found, ast.Expr | ast.JoinedStr)
        for node in ast.walk(found)
        if isinstance(node, ast.Constant)
        and (isinstance(found, ast.JoinedStr) or isinstance(found.value, ast.Constant))
    }
    whole = ["".join(map(_part, node.values)) for node in ast.walk(tree) if isinstance(node, ast.JoinedStr)]
    plain = [
        node.value for node in ast.walk(tree) if isinstance(node, ast.Constant) and id(node) not in silent
    ]
    return whole + [text for text in plain if isinstance(text, str)]


def _part(node: ast.expr) -> str:
    return str(node.value) if isinstance(node, ast.Constant) else "{}"


def library() -> list[Path]:
    return [path for path in sorted(PACKAGE.rglob("*.py")) if PACKAGE / "cli" not in path.parents]


def test_no_text_of_the_library_names_an_option():
    found = [(path.name, text) for path in library() for text in texts_of(path.read_text())]
    assert [each for each in found if OPTION.search(each[1]) and not COMMAND.search(each[1])] == []


@pytest.mark.parametrize(
    "code",
    [
        "hint = 'pass --force'",
        "where = f'--loss {loss}'",
        "known = {'--dropout': 1}",
        "Error(where='--seeds')",
    ],
)
def test_an_option_would_be_found(code):
    assert any(OPTION.search(text) for text in texts_of(code))
    assert texts_of(f"'Take --this.'\n{code}") == texts_of(code)


def test_every_setting_that_the_library_names_is_an_option_of_a_command():
    named = {
        name for path in library() for text in texts_of(path.read_text()) for name in SETTING.findall(text)
    }
    named.discard("broadcast_buffers")  # in a warning of torch
    group = typer.main.get_command(app)
    context = group.context_class(group)
    commands = [group.get_command(context, name) for name in COMMANDS]
    commands += [below for each in commands for below in getattr(each, "commands", {}).values()]
    options = {option for each in commands for parameter in each.params for option in parameter.opts}
    wanted = {f"-{name}" if len(name) == 1 else f"--{name.replace('_', '-')}" for name in named}
    assert len(wanted) > 30
    assert sorted(wanted - options) == []


@pytest.mark.parametrize(
    ("message", "line"),
    [
        ("`max_length`: must be at least 1, got 0", "--max-length: must be at least 1, got 0"),
        ("a: already exists; overwrite it with `force=True`", "a: already exists; overwrite it with --force"),
        ("`normalize=False`: is refused", "--no-normalize: is refused"),
        ("omit it with `query_prompt=''`", "omit it with --query-prompt ''"),
        ("`loss=am-softmax`: takes one label", "--loss am-softmax: takes one label"),
        ("`k`: must be at least 1", "-k: must be at least 1"),
        ("measured by `index tune`, `A` and ``", "measured by `index tune`, `A` and ``"),
    ],
)
def test_the_command_line_prints_options(capsys, message, line):
    say(message)
    assert capsys.readouterr().err == f"embedkit: {line}\n"
