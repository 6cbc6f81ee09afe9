"""Print details of paths and names for people or as JSON."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from embedkit.cli.info.compatible import Fit


def show(path: Path, *, as_json: bool) -> None:
    """Print the facts about `path`, one per line, or as JSON."""
    from embedkit.cli.info.recognise import read_thing

    print_details(read_thing(path, str(path)).facts, as_json=as_json)


def print_details(facts: dict[str, object], *, as_json: bool) -> None:
    """Print facts, one per line with padded names, or as JSON."""
    if as_json:
        import orjson

        print(orjson.dumps(facts, option=orjson.OPT_INDENT_2).decode())
        return
    width = max(len(key) for key in facts)
    for key, value in facts.items():
        print(f"{key:<{width}}  {_plain(value)}")


def fit_sentence(fit: Fit) -> str:
    """Return the sentence that says whether two things can be used together, and why."""
    word = {True: "go together", False: "do not go together", None: "cannot be compared"}[fit.together]
    return f"{fit.one} and {fit.other} {word}: {fit.reason}"


def _plain(value: object) -> str:
    if value is None:
        return "unknown"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int):
        return f"{value:,}"
    if isinstance(value, dict):
        return ", ".join(f"{key} {item}" for key, item in value.items())
    return (", ".join(map(str, value)) or "none") if isinstance(value, list) else str(value)
