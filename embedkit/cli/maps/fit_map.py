"""Fit a map in a command: handle its output, target and seed, and print the closing line."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from embedkit import spec
from embedkit.cli.closing import after_semicolon, close, passed_over, skipped_counts
from embedkit.cli.console import relay_warnings
from embedkit.cli.input_options import Inputs
from embedkit.cli.options import ClusterOptions, Common, named
from embedkit.cli.vector_input import VectorInput, open_as_vectors
from embedkit.data.names import readable_name
from embedkit.data.text.display import counted
from embedkit.errors import UsageError

if TYPE_CHECKING:
    from embedkit.cli.console import Progress
    from embedkit.data.affine import AffineMap


MapOutput = Annotated[
    Path, typer.Option("-o", "--output", metavar="FILE", help="File of the map, such as map.safetensors.")
]


def fit_to(
    output: Path,
    kind: str,
    inputs: Inputs,
    common: Common,
    *,
    target: str | None = None,
    cluster: str | None = None,
) -> None:
    """Fit the transform kind of a spec on the named inputs, here or on a cluster, write the map, and print
    the closing line.
    """
    from embedkit.data.atomic import refuse_existing

    relay_warnings(common.quiet)
    settings = with_seed(spec.parse("transform", kind), common.seed)
    _check_target(settings, target)
    names = inputs.names
    if target == "-" and "-" in names:
        raise UsageError("standard input can be read only once", where="--target -")
    refuse_existing(output, force=common.force)
    if cluster is not None:
        from embedkit.cli.cluster import fit_spread

        ClusterOptions(cluster).refuse(*named({"--target": target}))
        close_map(*fit_spread(cluster, settings, output, inputs, common), output, common)
        return
    with open_as_vectors(inputs, common, with_text=False) as vectors:
        fitted = _fit(settings, vectors, target)
        fitted.save(output)
        close_map(fitted, vectors.progress, vectors.source, output, common)


def _fit(settings: Any, vectors: VectorInput, target: str | None) -> AffineMap:
    from embedkit.data.inputs import open_vectors
    from embedkit.transforms.fitting import Source, fit_map, fit_towards

    meta, batches = vectors.meta, vectors.batches
    if target is None:
        rows = (batch.vectors for batch in batches)
        return fit_map(settings, rows, dimension=meta.dimension, identity=meta.identity)
    with open_vectors(target) as others:
        return fit_towards(settings, Source(meta, batches), Source(others.meta, others))


def _check_target(settings: Any, target: str | None) -> None:
    """Raise UsageError for a target that the kind does not take, or for a missing target that it requires."""
    from embedkit.transforms.fitting import need_of_target

    need, kind = need_of_target(type(settings)), spec.render(settings)
    if target is None and need == "required":
        raise UsageError(
            "needs the vectors of the same texts by the other encoder",
            where=kind,
            hint="name them with --target",
        )
    if target is not None and need == "none":
        classes = {name: spec.kind_class("transform", name) for name in spec.kinds("transform")}
        able = [name for name, cls in classes.items() if need_of_target(cls) != "none"]
        raise UsageError(
            f"does not apply to {kind}", where="--target", hint=f"only {' and '.join(able)} take one"
        )


def with_seed(settings: Any, seed: int) -> Any:
    """Return a kind's settings with the seed of `--seed`, if the kind is random.

    Raises UsageError if the spec names another seed.
    """
    given = getattr(settings, "seed", None)
    if given is None or seed in (0, given):
        return settings
    if given:
        raise UsageError(f"{seed} contradicts the seed={given} of {spec.render(settings)}", where="--seed")
    return spec.parse("transform", f"{spec.render(settings)},seed={seed}")


def close_map(fitted: AffineMap, progress: Progress, source: object, output: Path, common: Common) -> None:
    """Close a command that fitted a map: print a line to standard error, or JSON to standard output."""
    story, seconds = fitted.story, progress.seconds
    facts = {
        "output": readable_name(output),
        "spec": story["spec"],
        "rows": story["rows"],
        "input_dimension": fitted.input_dimension,
        "dimension": fitted.output_dimension,
        "rank": story.get("rank"),
        "fingerprint": fitted.fingerprint,
        "seconds": round(seconds, 3),
        **skipped_counts(source),
    }
    rank = f", rank {story['rank']}" if "rank" in story else ""
    seen = f"{counted(story['rows'], 'row')}{rank}, in {seconds:.1f} s" if story["rows"] else "no rows needed"
    width = f"{fitted.input_dimension} -> {fitted.output_dimension} dimensions"
    over = after_semicolon(passed_over(source))
    close(common, facts, f"{story['spec']}: {width}, {seen} -> {output}{over}")
