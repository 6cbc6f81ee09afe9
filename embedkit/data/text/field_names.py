"""Fields by their usual names: capitals, spaces, hyphens and underscores are ignored."""

from __future__ import annotations

import re
from collections.abc import Iterable


def plain(name: str) -> str:
    """Return a name in lower case, without spaces, hyphens and underscores.

    >>> plain("Hard_Neg 1")
    'hardneg1'
    """
    return re.sub(r"[\s_-]", "", name.lower())


def usual(names: Iterable[str], known: Iterable[str]) -> str | None:
    """Return the name in `names` that matches the earliest of the `known` plain names; None when none
    matches.
    """
    by_plain = {plain(name): name for name in reversed(list(names))}
    return next((by_plain[name] for name in known if name in by_plain), None)


def usual_pair(names: Iterable[str], known: Iterable[tuple[str, str]]) -> tuple[str, str] | None:
    """Return the two names in `names` that match the earliest of the `known` pairs of plain names, or
    None.
    """
    by_plain = {plain(name): name for name in reversed(list(names))}
    return next(((by_plain[a], by_plain[b]) for a, b in known if a in by_plain and b in by_plain), None)
