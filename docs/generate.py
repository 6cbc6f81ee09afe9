"""The pages of commands and kinds, made from the program itself; `python docs/generate.py` writes them."""

from __future__ import annotations

import dataclasses
import inspect
import sys
from pathlib import Path
from typing import Any

from typer.testing import CliRunner

from embedkit import spec
from embedkit.cli.app import COMMANDS, app

FOLDER = Path(__file__).resolve().parent
WIDTH = 100  # of help, whatever the terminal
GROUPS = {  # commands that have commands of their own
    "index": "embedkit.cli.commands.index",
    "eval": "embedkit.cli.commands.eval",
}
FAMILIES = {
    "transform": ("Maps", "embedkit fit KIND VECTORS -o map.safetensors"),
    "index": ("Indexes", "embedkit index build FILE --kind KIND -o docs.idx"),
    "loss": ("Losses", "embedkit train-simcse --loss KIND or --distill KIND, or train-amsoftmax --loss KIND"),
    "architecture": ("Architectures", "embedkit pretrain CORPUS --arch KIND -o model"),
    "pair": ("Training pairs", "embedkit pairs DOCS --method KIND -o pairs.jsonl"),
}


def main() -> None:
    """Write every page, and remove those of commands that are gone."""
    pages = made()
    for old in FOLDER.glob("commands/*.md"):
        if f"commands/{old.name}" not in pages:
            old.unlink()
    for name, page in pages.items():
        (FOLDER / name).write_text(page, encoding="utf-8")


def made() -> dict[str, str]:
    """Return every page by its name."""
    pages = {f"commands/embedkit-{command}.md": command_page(command) for command in COMMANDS}
    return {"commands/index.md": overview(), **pages, "kinds.md": kinds_page()}


def overview() -> str:
    """Return the page that lists the commands."""
    rows = [f"| [{name}](embedkit-{name}.md) | {line} |" for name, line in COMMANDS.items()]
    return "\n".join(["# Commands", "", "| | |", "|---|---|", *rows, ""])


def command_page(command: str) -> str:
    """Return the page of a command: its help, and that of the commands it has."""
    lines = [f"# embedkit {command}", "", *block(command)]
    for name in subcommands(command):
        lines += [f"## embedkit {command} {name}", "", *block(command, name)]
    return "\n".join(lines)


def block(*command: str) -> list[str]:
    """Return the help of a command as a block of text."""
    return ["```text", shown(*command).rstrip(), "```", ""]


def shown(*command: str) -> str:
    """Return what `--help` prints."""
    options = {"terminal_width": WIDTH, "max_content_width": WIDTH}
    done = CliRunner().invoke(app, [*command, "--help"], prog_name="embedkit", **options)
    assert done.exit_code == 0, done.output
    return done.stdout


def subcommands(command: str) -> list[str]:
    """Return the commands that a command has, in their order."""
    if command not in GROUPS:
        return []
    from importlib import import_module

    import typer

    group: Any = typer.main.get_command(import_module(GROUPS[command]).app)
    return list(group.commands)


def kinds_page() -> str:
    """Return the page of all kinds with their settings and defaults."""
    lines = ["# Kinds and their settings", "", "A spec is a kind and its settings: `whitening:dim=256`.", ""]
    for family, (title, use) in FAMILIES.items():
        lines += [f"## {title}", "", f"`{use}`", "", "| kind | settings | |", "|---|---|---|"]
        lines += [kind_row(family, name) for name in spec.kinds(family)] + [""]
    return "\n".join(lines)


def kind_row(family: str, name: str) -> str:
    """Return a kind's row: its settings with their defaults, and what its file says first of itself."""
    cls = spec.kind_class(family, name)
    settings = [f"`{field.name}{_default(field)}`" for field in dataclasses.fields(cls)]
    about = (inspect.getdoc(sys.modules[cls.__module__]) or "").split("\n\n")[0]
    about = " ".join(about.split()).replace("|", "\\|")
    return f"| `{name}` | {' '.join(settings)} | {about} |"


def _default(field: Any) -> str:
    if field.default is dataclasses.MISSING:
        return "=..."
    words = {None: "none", True: "true", False: "false"}
    value = field.default
    return f"={words[value] if value is None or isinstance(value, bool) else value}"


if __name__ == "__main__":
    sys.exit(main())
