"""A finding of `embedkit doctor`: one fact about this machine, and advice if it is wrong."""

from __future__ import annotations

from typing import NamedTuple


class Finding(NamedTuple):
    """A fact; `wrong` means that embedkit, or a part of it that is configured for use, will not work."""

    group: str
    name: str
    found: str
    advice: str = ""
    wrong: bool = False
