"""`embedkit eval labels`: does a text find others of its label before it finds the rest?"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NamedTuple

import typer

from embedkit.cli.console import input_names, passed_over, relay_warnings
from embedkit.cli.eval.protocol import Facts, interval_facts, version_facts
from embedkit.cli.eval.results import mean_facts, print_means, print_results
from embedkit.cli.eval.systems import Comparison, System, encode_once, system_facts
from embedkit.cli.options import Common, EncoderOptions, TextOptions
from embedkit.errors import DataError, UsageError

if TYPE_CHECKING:
    from embedkit.data.text.labelled import Labelled
    from embedkit.embedding.encoder import Encoder, Vectors
    from embedkit.evaluation.labels.label_retrieval import LabelFigures
    from embedkit.evaluation.means import Result

HITS = "share a label with the query; ranked by cosine, figures expected over all orders of ties"
DRAWN = "texts, each as a query and as a hit of others (jackknife pseudo-values, on the scale of the logit)"


def labels(
    files: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="TEST", help="Files of texts with labels: each text is a query.", show_default=False
        ),
    ] = None,
    gallery: Annotated[
        list[str] | None,
        typer.Option(
            metavar="FILE", help="Texts with labels to find [each query the others]. May be repeated."
        ),
    ] = None,
    label_field: Annotated[
        str | None, typer.Option(help="Field with the label or the labels [label, category, intent, ...].")
    ] = None,
    holdout: Annotated[
        bool, typer.Option("--holdout", help="Use only labels that none of the models was trained on.")
    ] = False,
    seen: Annotated[
        bool, typer.Option("--seen", help="Use only labels that all models trained on labels know.")
    ] = False,
    *,
    comparison: Comparison,
    encoding: EncoderOptions,
    reading: TextOptions,
    common: Common,
) -> None:
    """See whether the nearest texts share a text's label: top-1, top-5, top-10 and MAP, times 100."""
    from embedkit.evaluation.labels.label_retrieval import evaluate_labels

    relay_warnings(common.quiet)
    if holdout and seen:
        raise UsageError("cannot be used with --seen", where="--holdout", hint="omit one of them")
    inputs = _read(input_names(files), gallery or [], label_field, reading)
    systems = comparison.systems(encoding)
    choose, choice = _choice(systems, holdout=holdout, seen=seen)
    sets = [_kept(each, choose) for each in inputs]
    texts = [text for each in sets for text in each.texts.texts()]
    encoders = encode_once(systems, texts, common, no_cache=comparison.no_cache)
    figures = [_measure(encoder, sets) for encoder in encoders]
    results = evaluate_labels(figures, resamples=comparison.resamples, seed=common.seed)
    left_out = len(figures[0].left_out)
    protocol = _protocol(sets, left_out) | choice | system_facts(systems, encoders)
    protocol |= interval_facts(comparison.resamples, common.seed, over="queries" if gallery else DRAWN)
    protocol |= version_facts(system.settings.model for system in systems)
    names = [system.name for system in systems]
    counts = {"queries": len(sets[0].texts) - left_out, "left_out": left_out}
    facts = [{"system": name, **counts, **_facts(results, system)} for system, name in enumerate(names)]
    print_results(common, lambda: print_means("figure", results, names), facts, protocol)


Choose = Callable[["Labelled"], "Labelled"]


class Set(NamedTuple):
    """Labelled texts and the files they come from: the queries, or the gallery."""

    files: list[str]
    texts: Labelled


def _read(queries: list[str], gallery: list[str], label_field: str | None, reading: TextOptions) -> list[Set]:
    """Read the queries, and the gallery where there is one."""
    from embedkit.data.text.labelled import read_labelled

    if [*queries, *gallery].count("-") > 1:
        raise UsageError("standard input can be read only once", where="--gallery")
    if reading.id_field is not None:
        raise UsageError(
            "does not apply, because labelled texts are measured without ids", where="--id-field"
        )
    files = [names for names in (queries, gallery) if names]
    return [Set(names, read_labelled(names, reading.format(), label_field)) for names in files]


def _choice(systems: Sequence[System], *, holdout: bool, seen: bool) -> tuple[Choose, Facts]:
    """Return which of the texts are measured, and the words for it.

    Raises UsageError when no model tells the labels that `seen` asks for.
    """
    from embedkit.evaluation.labels.label_retrieval import held_out, seen_only

    if not holdout and not seen:
        return (lambda texts: texts), {}
    trained = _trained(systems)
    told = " and ".join(f"{model} ({len(names):,} labels)" for model, names in trained.items())
    if holdout:
        names = frozenset[str]().union(*trained.values())
        words = (
            f"not trained on by {told}"
            if told
            else "that no model was trained on; no model lists its labels, so these are all"
        )
        return (lambda texts: held_out(texts, names)), {"holdout": f"only texts of labels {words}"}
    if not trained:
        models = ", ".join(dict.fromkeys(system.settings.model for system in systems))
        what = f"the training labels of {models} are unknown"
        raise UsageError(what, where="--seen", hint="name a folder with labels.safetensors")
    names = frozenset.intersection(*trained.values())
    return (lambda texts: seen_only(texts, names)), {"seen": f"only texts of labels trained on by {told}"}


def _trained(systems: Sequence[System]) -> dict[str, frozenset[str]]:
    """Return the labels that models were trained on, of those that tell."""
    from embedkit.data.vectors.label_vectors import read_names

    models = dict.fromkeys(system.settings.model for system in systems)
    names = {model: read_names(Path(model)) for model in models}
    return {model: frozenset(known) for model, known in names.items() if known is not None}


def _kept(each: Set, choose: Choose) -> Set:
    texts = choose(each.texts)
    if not len(texts):
        what = f"none of the {len(each.texts):,} texts has a label that is measured"
        raise DataError(what, where=", ".join(each.files), hint="omit --holdout or --seen")
    return each._replace(texts=texts)


def _measure(encoder: Encoder, sets: Sequence[Set]) -> LabelFigures:
    from embedkit.evaluation.labels.influence import among_themselves
    from embedkit.evaluation.labels.label_retrieval import label_figures

    if len(sets) == 1:
        return among_themselves(*_side(encoder, sets[0].texts))
    return label_figures(*_side(encoder, sets[0].texts), *_side(encoder, sets[1].texts))


def _side(encoder: Encoder, texts: Labelled) -> tuple[Vectors, list[tuple[str, ...]]]:
    return encoder.encode(texts.texts()), [row.labels for row in texts.rows]


def _facts(results: Sequence[Result], system: int) -> dict[str, Any]:
    return mean_facts(results, system, lambda name: name.replace("-", "").lower())


def _protocol(sets: Sequence[Set], left_out: int) -> Facts:
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


def _named(each: Set) -> str:
    over = passed_over(each.texts)
    return f"{', '.join(each.files)} ({len(each.texts):,} texts{f'; {over}' if over else ''})"
