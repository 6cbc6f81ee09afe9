"""The settings by which a folder becomes passages; an index remembers them."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from embedkit.errors import UsageError


@dataclass(frozen=True)
class FolderSettings:
    """Which files of a folder are read, and how they are divided into passages.

    `include` and `exclude` are patterns as in `.gitignore`; without any `include`, every file is read.
    """

    chunk: int = 200  # most tokens per passage, the overlap included, the headings not
    overlap: int = 0  # tokens that a passage repeats from the end of the passage before it
    headings: bool = True  # whether the headings above a passage are embedded with it
    include: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if self.chunk < 1:
            raise UsageError(f"must be at least 1, got {self.chunk}", where="`chunk`")
        if not 0 <= self.overlap <= self.chunk // 2:
            what = f"must be between 0 and half of the chunk of {self.chunk} tokens, got {self.overlap}"
            raise UsageError(what, where="`overlap`")

    @classmethod
    def from_json(cls, value: dict[str, Any]) -> FolderSettings:
        """Read the JSON values of `to_json`."""
        lists = {name: tuple(value[name]) for name in ("include", "exclude")}
        return cls(**{**value, **lists})

    def to_json(self) -> dict[str, object]:
        """Return plain JSON values."""
        return asdict(self)

    def differences(self, other: FolderSettings) -> list[str]:
        """Return the names of the settings in which the other ones differ."""
        return [name for name, value in asdict(self).items() if value != getattr(other, name)]
