"""Every format says its name and version, and is refused when it is another."""

from collections.abc import Mapping
from typing import Any

from embedkit.errors import FormatError


def require_format(said: Mapping[str, Any], name: str, version: int, *, thing: str, where: str) -> None:
    """Raise FormatError unless `said` holds this format's name and version; `thing` is what it would be."""
    if said.get("format") != name:
        raise FormatError(f"is not {thing}", where=where)
    if str(said.get("version")) != str(version):
        other = said.get("version")
        raise FormatError(
            f"is {thing} of version {other}, this embedkit reads version {version}", where=where
        )
