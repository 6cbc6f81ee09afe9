"""Start-up: how long `embedkit --help` takes, as a whole process.

Claim: at most 0.15 s.
"""

from __future__ import annotations

import statistics

from measure import embedkit, emit, run

RUNS, GOAL = 15, 0.15  # seconds


def main() -> None:
    """Time whole processes, after one that fills the disk's cache."""
    run(embedkit("--help"))
    seconds = [run(embedkit("--help")).seconds for _ in range(RUNS)]
    emit(
        what="embedkit --help, whole process, median",
        seconds=round(statistics.median(seconds), 3),
        least=round(min(seconds), 3),
        runs=RUNS,
        goal=GOAL,
    )


if __name__ == "__main__":
    main()
