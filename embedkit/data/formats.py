"""The check of format name and version: every file states them, and is refused when they differ."""

from collections.abc import Mapping, Sequence

from embedkit.errors import FormatError


def require_format(
    said: Mapping[str, object], name: str, versions: int | Sequence[int], *, thing: str, where: str
) -> None:
    """Raise FormatError unless `said` holds this format's name and a supported version; `thing` names in the
    message what the file should be.
    """
    if said.get("format") != name:
        raise FormatError(f"is not {thing}", where=where)
    known = [str(version) for version in ([versions] if isinstance(versions, int) else versions)]
    if str(said.get("version")) not in known:
        reads = f"version{'s' * (len(known) > 1)} {' and '.join(known)}"
        other = said.get("version")
        raise FormatError(f"is {thing} of version {other}, this embedkit reads {reads}", where=where)
