"""A run's checkpoints and base model: marked when they are complete, and checked before a run resumes."""

from __future__ import annotations

import zlib
from pathlib import Path

import orjson

from embedkit.data.atomic import write_whole
from embedkit.errors import FormatError
from embedkit.training.input_digests import SOURCES

WHOLE = "whole"  # this file marks a complete checkpoint: sizes and checksums of its files
_RUN = f"../../{SOURCES}"  # path from a checkpoint to its run's sources


def mark_whole(folder: Path) -> None:
    """Write the sizes and checksums of a folder's files."""
    write_whole(folder / WHOLE, orjson.dumps(_summaries(folder)))


def mark_checkpoint(checkpoint: Path) -> None:
    """Write the sizes and checksums of a checkpoint's files, and of its run's sources.json."""
    files = _summaries(checkpoint)
    if (checkpoint / _RUN).is_file():
        files[_RUN] = _summary(checkpoint / _RUN)
    write_whole(checkpoint / WHOLE, orjson.dumps(files))


def last_checkpoint(folder: Path) -> Path | None:
    """Return the latest complete checkpoint of a run, or None."""
    return max(_checkpoints(folder), key=_step, default=None)


def require_whole_base(base: Path) -> None:
    """Raise FormatError, naming the file, when a run's base model has changed since it was written.

    A model without a marker, as earlier versions wrote it, is not checked.
    """
    if (base / WHOLE).is_file() and (fault := _fault(base)):
        raise FormatError(
            f"the run cannot continue from this model: {fault}",
            where=str(base),
            hint="start again with `force=True`",
        )


def require_whole(folder: Path) -> None:
    """Raise FormatError, naming the file, when a checkpoint of a run has changed since it was written."""
    checkpoints = sorted(_checkpoints(folder), key=_step)
    for checkpoint in checkpoints:
        if fault := _fault(checkpoint):
            earlier = [path.name for path in checkpoints if _step(path) < _step(checkpoint)]
            on = f"delete it and continue from {earlier[-1]} with `resume=True`, or " if earlier else ""
            raise FormatError(
                f"the run cannot resume from this checkpoint: {fault}",
                where=str(checkpoint),
                hint=f"{on}start again with `force=True`",
            )


def processes_of(checkpoint: Path) -> int:
    """Return the number of processes that wrote a checkpoint; each of several writes its random state."""
    return max(1, len(list(checkpoint.glob("rng_state_*.pth"))))


def _checkpoints(folder: Path) -> list[Path]:
    return [marker.parent for marker in (folder / "checkpoints").glob(f"checkpoint-*/{WHOLE}")]


def _step(checkpoint: Path) -> int:
    number = checkpoint.name.rpartition("-")[2]
    return int(number) if number.isdecimal() else -1


def _fault(folder: Path) -> str | None:
    try:
        files = orjson.loads((folder / WHOLE).read_bytes())
    except ValueError:
        files = None
    if not isinstance(files, dict) or not files:
        return f"{WHOLE} has no checksums"
    for name, summary in files.items():
        if not (folder / name).is_file():
            return f"{name} is missing"
        if _summary(folder / name) != summary:
            return "it belongs to another run" if name == _RUN else f"{name} has changed since it was written"
    return None


def _summaries(folder: Path) -> dict[str, list[int]]:
    """Return the size and checksum of each file below a folder, by its path in the folder."""
    found = (path for path in sorted(folder.rglob("*")) if path.is_file() and path.name != WHOLE)
    return {path.relative_to(folder).as_posix(): _summary(path) for path in found}


def _summary(file: Path) -> list[int]:
    """Return the size of a file and the CRC-32 of its bytes."""
    size = checksum = 0
    with open(file, "rb", buffering=0) as stream:
        while block := stream.read(1 << 20):
            size, checksum = size + len(block), zlib.crc32(block, checksum)
    return [size, checksum]
