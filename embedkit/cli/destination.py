"""Where a command writes its lines: a file, which appears as a whole or not at all, or standard output."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from embedkit.data.atomic import whole_file


@contextmanager
def file_or_standard_output(output: Path | None) -> Iterator[IO[bytes]]:
    """Open the file of an output, or standard output where none is named."""
    if output is None:
        yield sys.stdout.buffer
    else:
        with whole_file(output) as file:
            yield file
