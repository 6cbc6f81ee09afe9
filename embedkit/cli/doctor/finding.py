"""What `embedkit doctor` finds: one fact of this machine, and what to do where it is wrong."""

from __future__ import annotations

from typing import NamedTuple


class Finding(NamedTuple):
    """A fact; `wrong` where embedkit, or a part that is used as it is, will not work."""

    group: str
    name: str
    found: str
    advice: str = ""
    wrong: bool = False
