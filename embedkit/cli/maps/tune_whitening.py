"""Run `embedkit whiten --tune`: choose settings on scored pairs, and report the choice."""

from __future__ import annotations

import dataclasses
import json
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from embedkit import spec
from embedkit.cli.console import Progress, relay_warnings, say
from embedkit.cli.encoder_options import EncoderOptions
from embedkit.cli.eval.systems import load_cached, load_cached_for
from embedkit.cli.input_options import Inputs
from embedkit.cli.maps.tuning_options import TuningOptions
from embedkit.cli.options import Common
from embedkit.cli.pair_options import read_columns
from embedkit.cli.printed_tables import print_facts, print_table
from embedkit.cli.vector_input import VectorInput, open_as_vectors
from embedkit.data.arrays import Float64
from embedkit.data.atomic import refuse_existing
from embedkit.data.names import readable_name
from embedkit.data.text.display import counted
from embedkit.data.text.scored_pairs import read_pairs
from embedkit.errors import UsageError
from embedkit.evaluation.sts import remember, texts_of
from embedkit.evaluation.whitening_grid import Grid
from embedkit.evaluation.whitening_tuning import FOLDS, SURE, require_scores, standard_error, tune, tuned_map
from embedkit.transforms.streaming import fourth_moments_of

if TYPE_CHECKING:
    from embedkit.data.affine import AffineMap
    from embedkit.embedding.encoder import Encoder
    from embedkit.evaluation.whitening_tuning import TunedWhitening, WhiteningCandidate

SHOWN = 12  # best candidates to show, in addition to the chosen one and no map


def tune_to(
    output: Path, tuning: TuningOptions, given: dict[str, Any], inputs: Inputs, common: Common
) -> None:
    """Choose a whitening, or no map, on scored pairs, write it, and report the reason; `given` settings are
    fixed.
    """
    pairs_name, columns, no_cache = tuning.pairs or "", read_columns(tuning.columns), tuning.no_cache
    relay_warnings(common.quiet)
    names = inputs.names
    if "-" in names and pairs_name == "-":
        raise UsageError("standard input can be read only once", where="--tune -")
    refuse_existing(output, force=common.force)
    pairs = read_pairs(pairs_name, columns)
    gold = np.array([pair.score for pair in pairs])
    require_scores(gold, seed=common.seed, where=pairs_name)  # raises before the work starts
    load = partial(load_cached, inputs.encoding, no_cache=no_cache)
    with open_as_vectors(inputs, common, with_text=False, load=load) as vectors:
        encoder = _encoder(vectors, inputs.encoding, where=names[0], no_cache=no_cache)
        moments = fourth_moments_of(batch.vectors for batch in vectors.batches)
    with Progress(common.quiet, total=len(set(texts_of(pairs)))) as progress:
        encoded = remember(encoder, texts_of(pairs), progress.add)
    X, Y = encoded.encode([pair.first for pair in pairs]), encoded.encode([pair.second for pair in pairs])
    grid = Grid(**{name: (value,) for name, value in given.items()})
    tuned = tune(moments, X, Y, gold, grid=grid, seed=common.seed, where=pairs_name)
    fitted = tuned_map(tuned, moments, vectors.meta.identity, pairs=pairs_name)
    fitted.save(output)
    _tell(tuned, fitted, output, f"{pairs_name} ({counted(len(pairs), 'pair')})", common)


def _encoder(vectors: VectorInput, encoding: EncoderOptions, *, where: str, no_cache: bool) -> Encoder:
    """Load the encoder that made the vectors, with their map."""
    meta = vectors.meta
    own = dataclasses.replace(encoding, transform=None)
    encoder = load_cached_for(own, meta.identity, meta.map, where=where, no_cache=no_cache)
    if meta.identity is not None:
        meta.identity.require_same_space(
            encoder.identity, where=where, mine="it", others="the pairs' encoder"
        )
    return encoder


def _tell(tuning: TunedWhitening, fitted: AffineMap, output: Path, pairs: str, common: Common) -> None:
    story = fitted.story
    protocol = {
        "chosen": _named(tuning.chosen),
        "why": _reason(tuning),
        "held out": f"Spearman {_figure(tuning.held_out)}, gain {_figure(tuning.held_out_gains, '+')}: "
        f"each fold is scored by the choice on the {FOLDS - 1} others",
        "pairs": f"{pairs}, {FOLDS} folds, seed {common.seed}; figures are means over folds, times 100",
        "fitted on": f"{counted(story['rows'], 'row')}",
    }
    if common.json:
        facts = {"output": readable_name(output), "spec": story["spec"], "dimension": fitted.output_dimension}
        candidates = [_facts(candidate) for candidate in tuning.candidates]
        print(json.dumps({**facts, **protocol, "candidates": candidates}))
        return
    rows = [_row(each, tuning) for each in _shown(tuning)]
    print_table(["candidate", "", "Spearman", "gain", "+-"], rows, texts=2)
    print(f"({len(rows)} of {len(tuning.candidates)} candidates)\n")
    print_facts(protocol)
    if not common.quiet:
        width = f"{fitted.input_dimension} -> {fitted.output_dimension} dimensions"
        say(f"{story['spec']}: {width} -> {output}")


def _shown(tuning: TunedWhitening) -> list[WhiteningCandidate]:
    """Return the best candidates, including the chosen one and no map, best first."""
    return [
        each
        for place, each in enumerate(tuning.candidates)
        if place < SHOWN or each is tuning.chosen or each.settings is None
    ]


def _row(candidate: WhiteningCandidate, tuning: TunedWhitening) -> list[str]:
    mark = "chosen" if candidate is tuning.chosen else ""
    figures = [f"{100 * candidate.score:.2f}", f"{100 * candidate.gain:+.2f}"]
    return [_named(candidate), mark, *figures, f"{100 * candidate.gain_error:.2f}"]


def _named(candidate: WhiteningCandidate) -> str:
    return spec.render(candidate.settings) if candidate.settings else "no map"


def _reason(tuning: TunedWhitening) -> str:
    asked = f"a sure gain exceeds {SURE} standard errors"
    if tuning.chosen.settings is None:
        gains = _figure(tuning.best_gains, "+")
        return f"no gain is sure: the best of {FOLDS - 1} folds gains {gains} on the remaining one; {asked}"
    gains = _figure(tuning.chosen.gains, "+")
    return f"gains {gains}; {asked}, and this is the simplest map within one error of the best"


def _figure(values: Float64, sign: str = "") -> str:
    return f"{100 * values.mean():{sign}.2f} +- {100 * float(standard_error(values)):.2f}"


def _facts(candidate: WhiteningCandidate) -> dict[str, object]:
    return {
        "candidate": _named(candidate),
        "spearman": round(100 * candidate.score, 4),
        "gain": round(100 * candidate.gain, 4),
        "gain_error": round(100 * candidate.gain_error, 4),
    }
