"""Read the labelled texts of `embedkit eval labels`, choose the labels to measure, and describe them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from embedkit.cli.closing import after_semicolon, passed_over
from embedkit.cli.eval.protocol import Facts
from embedkit.cli.eval.systems import System
from embedkit.cli.input_options import TextOptions
from embedkit.data.text.display import counted
from embedkit.errors import DataError, UsageError

if TYPE_CHECKING:
    from embedkit.data.text.labelled import Labelled

HITS = "share a label with the query; ranked by cosine, figures expected over all orders of ties"


Choose = Callable[["Labelled"], "Labelled"]


class LabelledSet(NamedTuple):
    """Labelled texts and the files they come from: the queries, or the gallery."""

    files: list[str]
    texts: Labelled


def read_sets(
    queries: list[str], gallery: list[str], label_field: str | None, reading: TextOptions
) -> list[LabelledSet]:
    """Read the queries, and the gallery if there is one; raises UsageError for files that cannot be read
    together.
    """
    from embedkit.data.text.labelled import read_labelled

    if [*queries, *gallery].count("-") > 1:
        raise UsageError("standard input can be read only once", where="--gallery")
    if reading.id_field is not None:
        raise UsageError(
            "does not apply, because labelled texts are measured without ids", where="--id-field"
        )
    files = [names for names in (queries, gallery) if names]
    return [LabelledSet(names, read_labelled(names, reading.format(), label_field)) for names in files]


def choose_labels(systems: Sequence[System], *, holdout: bool, seen: bool) -> tuple[Choose, Facts]:
    """Return the function that chooses the texts to measure, and the fact that describes it.

    Raises UsageError when no model tells the labels that `seen` asks for.
    """
    from embedkit.evaluation.labels.label_retrieval import held_out, seen_only

    if not holdout and not seen:
        return (lambda texts: texts), {}
    trained = _trained(systems)
    named_models = " and ".join(
        f"{model} ({counted(len(names), 'label')})" for model, names in trained.items()
    )
    if holdout:
        names = frozenset[str]().union(*trained.values())
        words = (
            f"not trained on by {named_models}"
            if named_models
            else "that no model was trained on; no model lists its labels, so these are all"
        )
        return (lambda texts: held_out(texts, names)), {"holdout": f"only texts of labels {words}"}
    if not trained:
        models = ", ".join(dict.fromkeys(system.settings.model for system in systems))
        what = f"the training labels of {models} are unknown"
        raise UsageError(what, where="--seen", hint="name a folder with labels.safetensors")
    names = frozenset.intersection(*trained.values())
    return (lambda texts: seen_only(texts, names)), {
        "seen": f"only texts of labels trained on by {named_models}"
    }


def _trained(systems: Sequence[System]) -> dict[str, frozenset[str]]:
    """Return the labels that models were trained on, of those that tell."""
    from embedkit.data.vectors.label_vectors import read_names

    models = dict.fromkeys(system.settings.model for system in systems)
    names = {model: read_names(Path(model)) for model in models}
    return {model: frozenset(known) for model, known in names.items() if known is not None}


def chosen_texts(each: LabelledSet, choose: Choose) -> LabelledSet:
    """Return the texts of a set that are measured; raises DataError if there are none."""
    texts = choose(each.texts)
    if not len(texts):
        what = f"none of the {counted(len(each.texts), 'text')} has a label that is measured"
        raise DataError(what, where=", ".join(each.files), hint="omit --holdout or --seen")
    return each._replace(texts=texts)


def label_protocol(sets: Sequence[LabelledSet], left_out: int) -> Facts:
    """Return what was ranked for what, and what counts as a hit."""
    queries = sets[0].texts
    found = _named(sets[1]) if len(sets) > 1 else "each text queries all others"
    names = {name for each in sets for name in each.texts.names()}
    multiple = any(each.texts.multiple for each in sets)
    return {
        "files": _named(sets[0]),
        "gallery": found,
        "labels": f"{len(names):,}, {'lists of them' if multiple else 'one per text'}",
        "queries": f"{len(queries) - left_out:,}; {left_out:,} left out, because no text shares their labels",
        "hits": HITS,
    }


def _named(each: LabelledSet) -> str:
    over = after_semicolon(passed_over(each.texts))
    return f"{', '.join(each.files)} ({counted(len(each.texts), 'text')}{over})"
