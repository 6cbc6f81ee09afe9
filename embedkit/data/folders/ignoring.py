"""Patterns of `.gitignore` files: which files and folders below a folder Git would ignore."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from embedkit.data.folders.regular_files import read_start
from embedkit.data.text.lines import BOM

if TYPE_CHECKING:
    from pathspec import GitIgnoreSpec

GITIGNORE = ".gitignore"
_FOLDER_MARK = "ps_d"  # the group in which pathspec matches the slash behind a folder
Patterns = tuple[
    tuple[bool, re.Pattern[str]], ...
]  # whether each ignores what it matches, the last one first
_LARGEST = 1 << 20  # bytes of a file of patterns


@dataclass(frozen=True)
class IgnoreRules:
    """The patterns that apply in one folder: pairs of a folder and its patterns, the innermost first.

    Folders and paths are relative to the top of the repository, in which `here` is the place of the walk.
    Both `here` and the folders end in a slash, unless they are empty.
    """

    here: str
    patterns: tuple[tuple[str, Patterns], ...] = ()

    def ignores(self, path: str, *, folder: bool) -> bool:
        """Return whether the patterns ignore a path relative to the place of the walk; the last pattern that
        matches decides, in the innermost folder that has one.
        """
        whole = self.here + path + "/" * folder
        for base, patterns in self.patterns:
            verdict = _verdict(patterns, _bytewise(whole[len(base) :]))
            if verdict is not None:
                return verdict
        return False

    def inside(self, path: str, folder: Path) -> IgnoreRules:
        """Return the rules inside a folder, whose own `.gitignore` comes first."""
        patterns = read_patterns(folder / GITIGNORE)
        if not patterns:
            return self
        return IgnoreRules(self.here, ((self.here + path, patterns), *self.patterns))


def rules_above(root: Path) -> IgnoreRules:
    """Return the rules of the repository around a folder: of the folders above it, and of the repository's
    `info/exclude`. A folder that the repository ignores was named on purpose: it has no rules from above.
    """
    top = next((place for place in (root, *root.parents) if (place / ".git").exists()), root)
    rules = IgnoreRules("")
    if patterns := read_patterns(top / ".git" / "info" / "exclude"):
        rules = IgnoreRules("", (("", patterns),))
    path = ""
    for place in _between(top, root):
        rules = rules.inside(path, top / path)
        path += f"{place}/"
        if rules.ignores(path.rstrip("/"), folder=True):
            return IgnoreRules("")
    return IgnoreRules(path, rules.patterns)


def spec_of(lines: Iterable[str]) -> GitIgnoreSpec:
    """Return the compiled patterns; an invalid one is passed over, as Git does."""
    from pathspec import GitIgnoreSpec

    try:
        return GitIgnoreSpec.from_lines(lines)
    except ValueError:
        return GitIgnoreSpec.from_lines(_valid(lines))


def read_patterns(file: Path) -> Patterns:
    """Return the patterns in a file, the last one first; none if there is no such file."""
    try:
        content = read_start(file, _LARGEST)
    except OSError:
        return ()
    patterns = spec_of(content.removeprefix(BOM).decode("latin-1").splitlines()).patterns
    return tuple((bool(one.include), one.regex) for one in patterns if one.regex is not None)[::-1]


def _verdict(patterns: Patterns, path: str) -> bool | None:
    """Return whether the last pattern that matches a path ignores it; None if no pattern matches.

    A pattern that matches only a folder around the path does not count: the walk does not enter a folder that
    is ignored, and one that is not ignored says nothing of its files.
    """
    for ignores, regex in patterns:
        if regex.search(path) and any(
            not match.groupdict().get(_FOLDER_MARK) or match.end(_FOLDER_MARK) == len(path)
            for match in regex.finditer(path)
        ):
            return ignores
    return None


def _bytewise(path: str) -> str:
    """Return a path with a character per byte, as Git matches it."""
    return path if path.isascii() else os.fsencode(path).decode("latin-1")


def _valid(lines: Iterable[str]) -> Iterator[str]:
    from pathspec import GitIgnoreSpec

    for line in lines:
        try:
            GitIgnoreSpec.from_lines([line])
        except ValueError:
            continue
        yield line


def _between(top: Path, root: Path) -> tuple[str, ...]:
    return root.relative_to(top).parts
