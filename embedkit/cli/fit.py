"""`embedkit fit`: a map of any kind, fitted on vectors; `whiten` and `reduce` are short for some."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from embedkit import spec
from embedkit.cli.batches import Vectors, open_as_vectors
from embedkit.cli.console import input_names, passed_over, relay_warnings, say
from embedkit.cli.options import Common, EncoderOptions, Files, TextOptions, complete_kinds
from embedkit.cli.spread import command_app
from embedkit.errors import UsageError

if TYPE_CHECKING:
    from embedkit.transforms.affine import Affine

MapOutput = Annotated[
    Path, typer.Option("-o", "--output", metavar="FILE", help="The map's file, such as map.safetensors.")
]


def fit(
    kind: Annotated[
        str,
        typer.Argument(
            metavar="KIND:KEY=VALUE,...",
            help=f"{', '.join(spec.kinds('transform'))}, and its settings.",
            autocompletion=complete_kinds("transform"),
        ),
    ],
    files: Files = None,
    output: MapOutput = ...,  # type: ignore[assignment]
    *,
    reading: TextOptions,
    encoding: EncoderOptions,
    common: Common,
) -> None:
    """Fit a map of any kind on vectors, or on text, which is encoded first."""
    fit_to(output, kind, files, reading, encoding, common)


def fit_to(
    output: Path,
    kind: str,
    files: list[str] | None,
    reading: TextOptions,
    encoding: EncoderOptions,
    common: Common,
) -> None:
    """Fit the kind that a spec says on what is named, write the map, and say what it is."""
    from embedkit.data.atomic import refuse_existing
    from embedkit.transforms.fitting import fit_map

    relay_warnings(common.quiet)
    settings = with_seed(spec.parse("transform", kind), common.seed)
    names = input_names(files)
    refuse_existing(output, force=common.force)
    with open_as_vectors(names, reading, encoding, common, with_text=False) as vectors:
        rows = (batch.vectors for batch in vectors.batches)
        fitted = fit_map(settings, rows, dimension=vectors.meta.dimension, identity=vectors.meta.identity)
        fitted.save(output)
        _report(fitted, output, vectors, common)


def with_seed(settings: Any, seed: int) -> Any:
    """Return a kind's settings with the seed of `--seed`, where it leaves anything to chance.

    Raises UsageError when the spec names another one.
    """
    given = getattr(settings, "seed", None)
    if given is None or seed in (0, given):
        return settings
    if given:
        raise UsageError(f"{seed} is not the seed={given} of {spec.render(settings)}", where="--seed")
    return spec.parse("transform", f"{spec.render(settings)},seed={seed}")


def _report(fitted: Affine, output: Path, vectors: Vectors, common: Common) -> None:
    story, seconds = fitted.story, vectors.progress.seconds
    facts = {
        "output": str(output),
        "spec": story["spec"],
        "rows": story["rows"],
        "input_dimension": fitted.input_dimension,
        "dimension": fitted.output_dimension,
        "rank": story.get("rank"),
        "fingerprint": fitted.fingerprint,
        "seconds": round(seconds, 3),
        "blank": getattr(vectors.source, "blank", 0),
        "skipped": getattr(vectors.source, "skipped", 0),
    }
    if common.json:
        print(json.dumps(facts))
    elif not common.quiet:
        rank = f", rank {story['rank']}" if "rank" in story else ""
        seen = f"{story['rows']:,} rows{rank}, in {seconds:.1f} s" if story["rows"] else "no rows needed"
        over = f"; {line}" if (line := passed_over(vectors.source)) else ""
        width = f"{fitted.input_dimension} -> {fitted.output_dimension} dimensions"
        say(f"{story['spec']}: {width}, {seen} -> {output}{over}")


app = command_app(fit, epilog="Example: embedkit fit top-components:components=3 docs.vec -o map.safetensors")
