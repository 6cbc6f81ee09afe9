"""`embedkit eval sts`: does the cosine of two texts agree with what people say of them?"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NamedTuple

import typer

from embedkit.cli.console import Progress, input_names, relay_warnings
from embedkit.cli.figures import print_facts, print_table
from embedkit.cli.options import Common, EncoderOptions
from embedkit.cli.pairs import PairColumns, read_columns
from embedkit.cli.protocol import encoder_facts, interval_facts, version_facts

if TYPE_CHECKING:
    from embedkit.data.pairs import Pair
    from embedkit.embedding.encoder import Encoder, EncoderSettings
    from embedkit.evaluation.bootstrap import Difference, Estimate
    from embedkit.evaluation.sts import Remembered, Result
    from embedkit.transforms.affine import Affine

AGGREGATION = "all: all pairs as one file; mean: of the files' figures; wmean: the same, weighted by pairs"


class System(NamedTuple):
    """What is measured: an encoder with its maps, under a name for the table."""

    name: str
    settings: EncoderSettings
    maps: list[Affine]


def sts(
    files: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="PAIRS", help="Files of pairs: two texts, and a score or a label.", show_default=False
        ),
    ] = None,
    compare: Annotated[
        list[str] | None,
        typer.Option(
            "--compare",
            metavar="MAP|MODEL|none",
            help="Measure beside it: a map instead of -t, another model, or none: no map. May be repeated.",
        ),
    ] = None,
    columns: PairColumns = None,
    resamples: Annotated[int, typer.Option(help="Of the bootstrap, for intervals.", min=100)] = 1000,
    *,
    encoding: EncoderOptions,
    common: Common,
) -> None:
    """Correlate the cosines of pairs with people's scores: Spearman and Pearson, times 100."""
    from embedkit.data.pairs import read_pairs
    from embedkit.embedding.encoder import load, with_maps
    from embedkit.evaluation.sts import evaluate, score, texts_of

    relay_warnings(common.quiet)
    fields = read_columns(columns)
    sets = [(name, read_pairs(name, fields)) for name in input_names(files)]
    systems = [_first(encoding), *(_compared(name, encoding) for name in compare or [])]
    loaded = {system.settings: load(system.settings) for system in systems}
    for system in systems:
        with_maps(loaded[system.settings], system.maps)  # a map that does not fit is refused before the work
    texts = [text for _, pairs in sets for text in texts_of(pairs)]
    remembered = {settings: _remember(encoder, texts, common) for settings, encoder in loaded.items()}
    encoders = [with_maps(remembered[system.settings], system.maps) for system in systems]
    scored = [score(name, pairs, encoders) for name, pairs in sets]
    results = evaluate(scored, resamples=resamples, seed=common.seed)
    protocol = _protocol(sets, systems, encoders) | interval_facts(resamples, common.seed)
    protocol |= version_facts(system.settings.model for system in systems)
    if common.json:
        print(json.dumps({"results": [_facts(each, systems) for each in results], "protocol": protocol}))
        return
    _print(results, [system.name for system in systems])
    print()
    print_facts(protocol)


def _first(encoding: EncoderOptions) -> System:
    settings = encoding.settings()
    return System(
        _named(settings, [path.name for path in encoding.transform or []]), settings, encoding.maps()
    )


def _compared(name: str, encoding: EncoderOptions) -> System:
    """Read one `--compare`: no map, a map's file, or else a model, which is read as it says itself."""
    from embedkit.embedding.encoder import EncoderSettings
    from embedkit.transforms.affine import Affine

    settings = encoding.settings()
    if name == "none":
        return System(_named(settings, []), settings, [])
    if name.endswith(".safetensors") or Path(name).is_file():
        return System(_named(settings, [Path(name).name]), settings, [Affine.load(name)])
    if name.startswith("hash:"):
        return System(name, EncoderSettings(name), [])
    run = {key: getattr(settings, key) for key in ("device", "runtime", "precision", "allow_pickle")}
    return System(name, EncoderSettings(name, **run), [])


def _named(settings: EncoderSettings, maps: Sequence[str]) -> str:
    pooling = f" ({settings.pooling})" if settings.pooling else ""
    return " + ".join([f"{settings.model}{pooling}", *maps])


def _remember(encoder: Encoder, texts: Sequence[str], common: Common) -> Remembered:
    from embedkit.evaluation.sts import remember

    return remember(encoder, texts, Progress(common.quiet, total=len(set(texts))).track)


def _print(results: Sequence[Result], names: Sequence[str]) -> None:
    several = len(names) > 1
    heads = ["file", *(["system"] if several else []), "pairs", "Spearman", "95 %", "Pearson", "95 %"]
    heads += ["difference", "95 %", "p"] if several else []
    paths = list(dict.fromkeys(each.name for each in results))
    short = {path: Path(path).name for path in paths}
    shown = short if len(set(short.values())) == len(paths) else dict(zip(paths, paths, strict=True))
    rows = []
    for each in results:
        row = [shown[each.name], *([names[each.system]] if several else [])]
        row += [f"{each.rows:,}", *_estimate(each.spearman), *_estimate(each.pearson)]
        rows.append(row + (_difference(each.gain) if several else []))
    print_table(heads, rows, texts=1 + several)


def _estimate(figure: Estimate) -> list[str]:
    return [f"{100 * figure.value:.2f}", f"{100 * figure.low:.1f} to {100 * figure.high:.1f}"]


def _difference(gain: Difference | None) -> list[str]:
    if gain is None:
        return ["-", "-", "-"]
    interval = f"{100 * gain.low:+.2f} to {100 * gain.high:+.2f}"
    return [f"{100 * gain.value:+.2f}", interval, f"{gain.p:.3f}"]


def _facts(result: Result, systems: Sequence[System]) -> dict[str, Any]:
    """Return a result as JSON values, correlations times 100."""
    facts: dict[str, Any] = {"file": result.name, "system": systems[result.system].name}
    facts["pairs"] = result.rows
    figures = {"spearman": result.spearman, "pearson": result.pearson, "difference": result.gain}
    for name, figure in figures.items():
        if figure is not None:
            values = figure._asdict()
            facts[name] = {key: round(value * (1 if key == "p" else 100), 6) for key, value in values.items()}
    return facts


def _protocol(
    sets: Sequence[tuple[str, list[Pair]]], systems: Sequence[System], encoders: Sequence[Encoder]
) -> dict[str, str]:
    """Return what must be known to make the figures again, intervals and versions apart."""
    facts = {"files": ", ".join(f"{name} ({len(pairs):,} pairs)" for name, pairs in sets)}
    if len(sets) > 1:
        facts["aggregation"] = AGGREGATION
    for number, (system, encoder) in enumerate(zip(systems, encoders, strict=True), 1):
        told = encoder_facts(encoder.identity, system.settings, system.maps)
        facts |= {f"{name} {number}" if len(systems) > 1 else name: fact for name, fact in told.items()}
    return facts
