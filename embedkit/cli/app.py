"""Run the program `embedkit`: import the command that is named, and turn errors into one line and an exit
code.
"""

from __future__ import annotations

import atexit
import io
import os
import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from difflib import get_close_matches
from importlib import import_module
from typing import Any, NoReturn

import typer
from typer.exceptions import TyperException

from embedkit.cli.command import CONTEXT, write_section
from embedkit.cli.console import explain, say
from embedkit.cli.options import print_version
from embedkit.cli.plain_values import Group
from embedkit.errors import UnknownNameError

GROUPS = {  # a file per command in commands/; its docstring begins with the same line
    "Search": {
        "demo": "Index Python's own documentation, and answer a few questions from it.",
        "encode": "Turn text into vectors, in order, in constant memory.",
        "index": "Build an index of documents, change it, measure it and check it.",
        "search": "Find the documents that answer one query or many.",
        "serve": "Answer searches and embed texts over HTTP, on a web page, and as tools of MCP.",
        "dedupe": "Find near-duplicates: documents that are similar enough to an earlier one.",
        "label": "Assign labels to texts, with probabilities; no label where none is probable.",
    },
    "Train": {
        "pretrain": "Pretrain an encoder on text alone, from nothing or from a model, by masked words.",
        "train-simcse": "Train an encoder on sentences, pairs or triplets, exactly at any batch size.",
        "train-amsoftmax": "Train an encoder on labelled texts, by margin softmax, to retrieve by label.",
        "pairs": "Make training pairs of documents without labels: queries and their texts.",
        "mine": "Find hard negatives: documents that rank high and do not answer the query.",
        "distill": "Distil an encoder into a static one, which needs no network, on your own texts.",
    },
    "Maps": {
        "whiten": "Fit a whitening map on vectors, or on text, which is encoded first.",
        "reduce": "Make a map to fewer dimensions, random or fitted, or codes of fewer bits.",
        "fit": "Fit a map of any kind on vectors, or on text, which is encoded first.",
        "apply": "Apply maps to vectors, one after the other, in constant memory.",
        "export": "Write a model with its maps baked in as a sentence-transformers folder, or a map alone.",
        "merge": "Join vector sets of one encoder into one.",
    },
    "Evaluate": {
        "eval": "Measure the quality of encoders, maps and indexes, with confidence intervals.",
        "advise": "Estimate how many dimensions the vectors need, by rules of thumb and by measurement.",
        "report": "Turn the JSON of evaluations into one HTML page that needs no network.",
    },
    "Inspect": {
        "info": "Describe files, folders and models, how they were made, and which fit together.",
        "doctor": "Check the installation, the processor features in use, and what is wrong.",
    },
}
COMMANDS = {name: line for group in GROUPS.values() for name, line in group.items()}


class Commands(Group):
    """The commands in `COMMANDS`; only the command that is named is imported."""

    def list_commands(self, ctx: Any) -> list[str]:
        """Return the names of all commands."""
        return list(COMMANDS)

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        """Import the file of a command and return it."""
        if cmd_name not in COMMANDS:
            if ctx.resilient_parsing:  # during shell completion
                return None
            raise UnknownNameError(cmd_name, COMMANDS, what="command")
        if cmd_name not in self.commands:
            module = import_module(f"embedkit.cli.commands.{cmd_name.replace('-', '_')}")
            self.commands[cmd_name] = typer.main.get_command(module.app)
        return self.commands[cmd_name]

    def format_commands(self, ctx: Any, formatter: Any) -> None:
        """Write the commands by group, without importing them."""
        for title, commands in GROUPS.items():
            write_section(formatter, title, commands.items())

    def format_options(self, ctx: Any, formatter: Any) -> None:
        """Write the options after the commands."""
        self.format_commands(ctx, formatter)
        records = (parameter.get_help_record(ctx) for parameter in self.get_params(ctx))
        write_section(formatter, "Options", filter(None, records))

    def make_context(self, *args: Any, **kwargs: Any) -> Any:
        """Parse the options before the command."""
        with one_line_errors():
            return super().make_context(*args, **kwargs)

    def invoke(self, ctx: Any) -> Any:
        """Parse and run the command."""
        with one_line_errors():
            return super().invoke(ctx)


@contextmanager
def one_line_errors() -> Iterator[None]:
    """Turn errors that are not bugs into one line on standard error and an exit code: 2 for errors of the
    command line, else 1.
    """
    try:
        yield
    except TyperException as error:
        say(_one_line(error.format_message()))
        raise typer.Exit(2) from None
    except (typer.Exit, typer.Abort):
        raise
    except Exception as error:
        if isinstance(error.__cause__, KeyboardInterrupt):  # Python 3.11 wraps it while a class is created
            raise typer.Exit(130) from None
        line, code = explain(error)
        say(line)
        raise typer.Exit(code) from None


def _one_line(message: str) -> str:
    """Return a parser's message as one line, with the nearest of the values that it lists as a suggestion."""
    line = " ".join(message.replace("Value error, ", "").split())
    if found := re.search(r"'([^']*)' is not one of (.*)\.", line):
        near = get_close_matches(found[1], re.findall(r"'([^']*)'", found[2]), n=1, cutoff=0.5)
        line = line.rstrip(".") + (f"; did you mean {near[0]}?" if near else "")
    return line


app = typer.Typer(
    cls=Commands,
    invoke_without_command=True,
    context_settings=CONTEXT,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    epilog="Start with: embedkit demo",
)


@app.callback()
def root(
    ctx: typer.Context,
    version: bool = typer.Option(
        False, "--version", callback=print_version, is_eager=True, help="Print the version."
    ),
) -> None:
    """Sentence embeddings and retrieval: text to vectors to index to hits, in constant memory."""
    if ctx.invoked_subcommand is None:
        typer.echo(ctx.get_help(), color=ctx.color)


def main() -> NoReturn:
    """Run the program, and end the process without Python's teardown, which is slower than the system's.

    Bugs and closed pipes still end through Python, because it reports them.
    """
    for stream in (sys.stdout, sys.stderr):  # printed names may contain any bytes
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    try:
        app()
    except SystemExit as end:
        atexit._run_exitfuncs()  # runs the exit handlers of libraries
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(end.code if isinstance(end.code, int) else 0 if end.code is None else 1)
    raise AssertionError("the program always ends in an exit code")
