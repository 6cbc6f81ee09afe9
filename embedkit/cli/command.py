"""Turn a function into a command, which prints its help by group and refuses invalid numbers and texts."""

from __future__ import annotations

import math
import os
import signal
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import typer
from typer.core import TyperCommand

from embedkit.cli.option_groups import spread
from embedkit.cli.plain_values import WithPlainValues
from embedkit.errors import UsageError

CONTEXT = {
    "help_option_names": ["-h", "--help"],
    "color": False if os.environ.get("NO_COLOR") else None,
    "max_content_width": 100,  # columns of help, on a terminal that has as many
}


OMITTED = "auto"  # the value of an option that is given without its optional value


def write_section(formatter: Any, title: str, records: Iterable[tuple[str, str]]) -> None:
    """Write a titled list of names and their help, in colour if the output is a terminal."""
    with formatter.section(typer.style(title, bold=True)):
        formatter.write_dl([(typer.style(name, fg="cyan"), text) for name, text in records])


# Metavars of file names that Python opens, which may contain any bytes. Indexes and models (INDEX, DIR, -m)
# are excluded, because faiss and tokenizers open only names in UTF-8.
_FILE_NAMES = {"FILE", "JSON", "MAP|MODEL|none", "PAIRS", "PATH", "SET", "TEST", "THING", "VECTORS"}


class GroupedHelp(WithPlainValues, TyperCommand):
    """A command whose help lists options by group; its numbers must be finite, and its texts UTF-8."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Parse the command line; raise UsageError for NaN and infinity, which pass comparisons, and for
        text that is not UTF-8.
        """
        rest = super().parse_args(ctx, with_omitted_values(args, self._optional(ctx)))
        for parameter in self.get_params(ctx):
            argument = parameter.param_type_name == "argument"
            where = (parameter.name or "").upper() if argument else parameter.opts[-1]
            given = ctx.params.get(parameter.name)
            for value in given if isinstance(given, list | tuple) else [given]:
                if isinstance(value, float) and not math.isfinite(value):
                    raise UsageError(f"{value} is not a finite number", where=where)
                if isinstance(value, str | Path) and not _may_be_any_bytes(parameter, value):
                    require_text(str(value), where=where)
        return rest

    def invoke(self, ctx: Any) -> Any:
        """Run the command; from here on, Ctrl-C raises KeyboardInterrupt, so that it can clean up."""
        if signal.getsignal(signal.SIGINT) is signal.SIG_DFL:  # set by `embedkit/__main__.py`
            signal.signal(signal.SIGINT, signal.default_int_handler)
        return super().invoke(ctx)

    def _optional(self, ctx: Any) -> set[str]:
        """Return the options whose value may be omitted: their metavar is in brackets."""
        found = (each.opts for each in self.get_params(ctx) if (each.metavar or "").startswith("["))
        return {name for names in found for name in names if name.startswith("-")}

    def format_options(self, ctx: Any, formatter: Any) -> None:
        """Write the arguments, then the options by group."""
        groups: dict[str, list[tuple[str, str]]] = {"Arguments": []}
        for parameter in self.get_params(ctx):
            record = parameter.get_help_record(ctx)
            if record is not None:
                default = "Options"
                if parameter.param_type_name == "argument":
                    default, record = "Arguments", (record[0].partition(" <")[0], record[1])  # no type
                groups.setdefault(getattr(parameter, "rich_help_panel", None) or default, []).append(record)
        for title, records in groups.items():
            if records:
                write_section(formatter, title, records)


class TakesText(GroupedHelp):
    """A command whose argument is text: an argument that contains a space is never parsed as an option."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Move sentences that begin with a hyphen, such as `-5 degrees`, behind the options."""
        if "--" not in args:
            texts = [arg for arg in args if arg.startswith("-") and " " in arg.partition("=")[0]]
            if texts:
                args = [*(arg for arg in args if arg not in texts), "--", *texts]
        return super().parse_args(ctx, args)


def with_omitted_values(args: list[str], options: set[str]) -> list[str]:
    """Return a command line with `OMITTED` after each of these options that no number follows."""
    completed: list[str] = []
    for place, arg in enumerate(args):
        completed.append(arg)
        if arg == "--":
            return completed + args[place + 1 :]
        if arg in options and not _is_number(args[place + 1 : place + 2]):
            completed.append(OMITTED)
    return completed


def _is_number(args: list[str]) -> bool:
    try:
        return bool([float(arg) for arg in args])
    except ValueError:
        return False


def _may_be_any_bytes(parameter: Any, value: str | Path) -> bool:
    """Return True if a value is the name of a file that Python opens, not a text, an index or a model."""
    return parameter.metavar in _FILE_NAMES or (parameter.metavar is None and isinstance(value, Path))


def require_text(value: str, *, where: str) -> None:
    """Raise UsageError for text of the command line or the environment that is not UTF-8; Python represents
    its invalid bytes as lone surrogates.
    """
    try:
        value.encode()
    except UnicodeEncodeError as error:
        place = len(value[: error.start].encode()) + 1
        hint = "encode it as UTF-8; only names of files may contain other bytes"
        raise UsageError(f"is not UTF-8 (byte {place})", where=where, hint=hint) from None


def command_app(
    function: Callable[..., None], *, epilog: str, cls: type[TyperCommand] = GroupedHelp
) -> typer.Typer:
    """Return a program with one command."""
    app = typer.Typer(rich_markup_mode=None, add_completion=False)
    app.command(cls=cls, context_settings=CONTEXT, epilog=epilog)(spread(function))
    return app
