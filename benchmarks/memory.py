"""Peak memory of encode and index as the input grows: flat.

Claim: ten times the lines cost less than 10 % more memory.
"""

from __future__ import annotations

import math
import tempfile
from pathlib import Path

from measure import embedkit, emit, run

SIZES = (10_000, 100_000, 1_000_000)


def main() -> None:
    """Write numbered lines, encode and index them at three sizes, print peaks and the exponent of time."""
    with tempfile.TemporaryDirectory() as folder:
        for command in ("encode", "index"):
            runs = []
            for size in SIZES:
                text = Path(folder) / f"{size}.txt"
                text.write_text(
                    "".join(f"a short line about the number {number}\n" for number in range(size))
                )
                runs.append(
                    run(embedkit(command, str(text), "-m", "hash:dim=64", "-o", f"{text}.{command}", "-q"))
                )
            emit(
                what=f"{command}, hash:dim=64",
                rows=SIZES,
                seconds=[round(run.seconds, 2) for run in runs],
                peak_mb=[round(run.peak_mb, 1) for run in runs],
                growth=round(runs[2].peak_mb / runs[1].peak_mb - 1, 3),
                exponent=round(math.log10(runs[2].seconds / runs[1].seconds), 2),
                goal={"growth": 0.1, "exponent": 1},
            )


if __name__ == "__main__":
    main()
