"""`embedkit eval labels`: does a text find others of its label before it finds the rest?"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated

import typer

from embedkit.cli.console import input_names, relay_warnings
from embedkit.cli.encoder_options import EncoderOptions
from embedkit.cli.eval.label_sets import choose_labels, chosen_texts, label_protocol, read_sets
from embedkit.cli.eval.protocol import interval_facts, version_facts
from embedkit.cli.eval.result_tables import mean_facts, print_means, print_results
from embedkit.cli.eval.systems import Comparison, encode_once, system_facts
from embedkit.cli.input_options import TextOptions
from embedkit.cli.options import Common
from embedkit.errors import UsageError

if TYPE_CHECKING:
    from embedkit.evaluation.means import Result

DRAWN = "texts, each as a query and as a hit of others (jackknife pseudo-values, on the scale of the logit)"


@dataclass(frozen=True)
class LabelledFiles:
    """Options that name labelled texts, and choose the labels to measure."""

    files: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="TEST", help="Files of texts with labels: each text is a query.", show_default=False
        ),
    ] = None
    gallery: Annotated[
        list[str] | None,
        typer.Option(
            metavar="FILE", help="Texts with labels to find [each query the others]. May be repeated."
        ),
    ] = None
    label_field: Annotated[
        str | None, typer.Option(help="Field with the label or the labels [label, category, intent, ...].")
    ] = None
    holdout: Annotated[
        bool, typer.Option("--holdout", help="Use only labels that none of the models was trained on.")
    ] = False
    seen: Annotated[
        bool, typer.Option("--seen", help="Use only labels that all models trained on labels know.")
    ] = False


def labels(
    *,
    labelled: LabelledFiles,
    comparison: Comparison,
    encoding: EncoderOptions,
    reading: TextOptions,
    common: Common,
) -> None:
    """See whether the nearest texts share a text's label: top-1, top-5, top-10 and MAP, times 100."""
    from embedkit.evaluation.labels.label_retrieval import evaluate_labels
    from embedkit.evaluation.labels.text_retrieval import measure_labels

    relay_warnings(common.quiet)
    if labelled.holdout and labelled.seen:
        raise UsageError("cannot be used with --seen", where="--holdout", hint="omit one of them")
    gallery = labelled.gallery or []
    inputs = read_sets(input_names(labelled.files), gallery, labelled.label_field, reading)
    systems = comparison.systems(encoding)
    choose, choice = choose_labels(systems, holdout=labelled.holdout, seen=labelled.seen)
    sets = [chosen_texts(each, choose) for each in inputs]
    texts = [text for each in sets for text in each.texts.texts()]
    encoders = encode_once(systems, texts, common, no_cache=comparison.no_cache)
    figures = [measure_labels(encoder, *(each.texts for each in sets)) for encoder in encoders]
    results = evaluate_labels(figures, resamples=comparison.resamples, seed=common.seed)
    left_out = len(figures[0].left_out)
    protocol = label_protocol(sets, left_out) | choice | system_facts(systems, encoders)
    protocol |= interval_facts(comparison.resamples, common.seed, over="queries" if gallery else DRAWN)
    protocol |= version_facts(system.settings.model for system in systems)
    names = [system.name for system in systems]
    counts = {"queries": len(sets[0].texts) - left_out, "left_out": left_out}
    facts = [{"system": name, **counts, **_facts(results, system)} for system, name in enumerate(names)]
    print_results(common, lambda: print_means("figure", results, names), facts, protocol)


def _facts(results: Sequence[Result], system: int) -> dict[str, object]:
    return mean_facts(results, system, lambda name: name.replace("-", "").lower())
