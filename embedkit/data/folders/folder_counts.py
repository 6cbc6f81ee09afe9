"""Counts of a folder's files: how many were read, and how many were passed over for which reason."""

from __future__ import annotations

from dataclasses import dataclass, field

from embedkit.data.folders.file_states import BINARY, GENERATED, LARGE, LARGEST, FileState
from embedkit.data.folders.walking import WalkCounts
from embedkit.data.names import readable_name
from embedkit.data.text.display import counted, printable

_LISTED = 20  # files that could not be read and are named in a warning


@dataclass
class FolderCounts(WalkCounts):
    """The numbers of files that were read and passed over; `failed` names those that could not be read, and
    `failed_before` those that a run before has named, and that have not changed since.
    """

    files: int = 0  # that were read
    binary: int = 0
    generated: int = 0  # minified code and its maps
    large: int = 0
    failed_before: list[tuple[str, str]] = field(default_factory=list)
    unsupported: list[str] = field(default_factory=list)  # paths whose format needs a missing package

    def add(self, state: FileState, *, before: bool = False) -> None:
        """Count a file by its state, which a run before may have found."""
        if state.passed_over is None:
            self.files += 1
        elif state.passed_over == BINARY:
            self.binary += 1
        elif state.passed_over == GENERATED:
            self.generated += 1
        elif state.passed_over == LARGE:
            self.large += 1
        else:
            (self.failed_before if before else self.failed).append((state.path, state.passed_over))

    def to_json(self) -> dict[str, object]:
        """Return plain JSON values."""
        names = ("files", "hidden", "ignored", "links", "special", "binary", "generated", "large")
        counts: dict[str, object] = {name: getattr(self, name) for name in names}
        failed = [{"path": printable(readable_name(path)), "error": reason} for path, reason in self._unread]
        return {**counts, "unsupported": self.unsupported, "failed": failed}

    def __str__(self) -> str:
        """Return the counts in words: the files, then what was skipped."""
        skipped = {
            "hidden": self.hidden, "ignored": self.ignored, "binary": self.binary,
            "generated": self.generated, "links": self.links,
            "pipes or devices": self.special, f"over {LARGEST >> 20} MB": self.large,
            "PDF": len(self.unsupported), "unreadable": len(self._unread),
        }  # fmt: skip
        parts = [f"{count:,} {what}" for what, count in skipped.items() if count]
        words = f"{counted(self.files, 'file')}"
        return f"{words}, skipped {', '.join(parts)}" if parts else words

    @property
    def _unread(self) -> list[tuple[str, str]]:
        return self.failed + self.failed_before

    def warnings(self) -> list[str]:
        """Return a line per file that could not be read, and one that names a missing package."""
        lines = [
            f"{printable(readable_name(path))}: {reason}; skipped" for path, reason in self.failed[:_LISTED]
        ]
        if (more := len(self.failed) - _LISTED) > 0:
            lines.append(f"{more:,} more files could not be read")
        if self.unsupported:
            count = len(self.unsupported)
            what = f"{counted(count, 'PDF file')} skipped, {self.unsupported[0]} first"
            lines.append(f"{what}; pip install 'embedkit[files]' to read them")
        return lines
