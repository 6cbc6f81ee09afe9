"""Mined examples as a file of JSON lines, which `train-simcse` reads as it is."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import asdict
from itertools import chain, islice
from pathlib import Path
from typing import NamedTuple

from embedkit.adaptation.mining import WINDOW, Mined, MiningSettings, mine
from embedkit.adaptation.questions import Question
from embedkit.adaptation.resumable_lines import ResumableLines
from embedkit.data.atomic import refuse_existing
from embedkit.embedding.encoder import Encoder
from embedkit.embedding.fingerprint import fingerprint
from embedkit.errors import DataError
from embedkit.indexing.lexical.fusion import Fusion
from embedkit.indexing.store import Index


class MinedExamples(NamedTuple):
    """Counts of a run, without those of an earlier run that it continued."""

    queries: int
    without: int  # queries without any example
    examples: int
    negatives: int


def write_examples(
    path: Path,
    index: Index,
    encoder: Encoder,
    questions: Iterable[Question],
    settings: MiningSettings,
    *,
    resume: bool = False,
    force: bool = False,
    on_window: Callable[[int], None] = lambda rows: None,
) -> MinedExamples:
    """Write a line per positive: `query`, `positive` and `negatives`, with ids and similarities, and with
    `score` and `scores` after a search by words or by both.

    Memory holds one window of questions. A killed run keeps its lines in `PATH.partial`, and `resume`
    continues it to the same bytes, from the same questions. Raises DataError without questions; ExistsError,
    FormatError and UsageError as `ResumableLines` and `mine` do.
    """
    refuse_existing(path, force=force)
    remaining = iter(questions)
    if (first := next(remaining, None)) is None:  # an input that cannot be read fails before a run is begun
        raise DataError("the input has no query with a known answer")
    queries = without = examples = negatives = 0
    with ResumableLines(path, _run_settings(index, encoder, settings), resume=resume, force=force) as lines:
        remaining = chain([first], remaining)
        for _ in islice(remaining, lines.done):
            pass
        found = mine(index, encoder, remaining, settings)
        while window := list(islice(found, WINDOW)):
            mined = [each for _, several in window for each in several]
            lines.append([_line(each) for each in mined], inputs=len(window))
            queries, examples = queries + len(window), examples + len(mined)
            without += sum(not several for _, several in window)
            negatives += sum(len(each.negatives) for each in mined)
            on_window(len(window))
        lines.finish()
    return MinedExamples(queries, without, examples, negatives)


def _line(mined: Mined) -> dict[str, object]:
    """Return an example with the names by which training finds its columns."""
    return {name: value for name, value in mined._asdict().items() if value is not None}


def _run_settings(index: Index, encoder: Encoder, settings: MiningSettings) -> dict[str, object]:
    """Return the settings that decide the lines, apart from the questions."""
    words = asdict(settings.words) if isinstance(settings.words, Fusion) else settings.words
    segments = [segment.to_json() for segment in index.segments]
    return {
        "index": fingerprint(segments),
        "encoder": encoder.identity.fingerprint,
        **{name: value for name, value in vars(settings).items() if name != "words"},
        "words": words,
    }
