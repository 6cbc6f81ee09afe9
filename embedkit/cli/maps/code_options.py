"""Define the options of `embedkit reduce`, and write a vector set of codes."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from embedkit import spec
from embedkit.cli.closing import close_rows
from embedkit.cli.console import relay_warnings
from embedkit.cli.input_options import Inputs
from embedkit.cli.maps.fit_map import with_seed
from embedkit.cli.options import Common
from embedkit.cli.vector_input import VectorInput, open_as_vectors
from embedkit.data.vectors.vector_files import write_to
from embedkit.errors import UsageError

if TYPE_CHECKING:
    from embedkit.cli.encoder_options import EncoderOptions
    from embedkit.data.affine import AffineMap
    from embedkit.data.vectors.codes import CodeName

CODES: dict[str, CodeName] = {"sign": "binary", "int8": "int8"}  # methods that code, and how it is stored


@dataclass(frozen=True)
class ReductionOptions:
    """Options for a map to fewer dimensions, or codes of fewer bits."""

    output: Annotated[
        Path,
        typer.Option(
            "-o", "--output", metavar="PATH", help="File of the map; for codes, folder of a vector set."
        ),
    ]
    dim: Annotated[
        int | None,
        typer.Option(help="Dimensions to keep; for sign, the number of bits, which may be larger."),
    ] = None
    method: Annotated[
        Literal["pca", "gaussian", "sparse", "srht", "truncate", "sign", "int8"],
        typer.Option(
            help="Maps: pca is fitted on the vectors, the next four depend on their dimension "
            "only. Codes: sign keeps one bit per dimension, int8 one byte."
        ),
    ] = "pca"
    centre: Annotated[bool, typer.Option("--centre", help="For sign: subtract the mean first.")] = False

    def check(self) -> None:
        """Raise UsageError for options that do not apply to the method."""
        method, suffix = self.method, self.output.suffix
        if self.centre and method != "sign":
            hint = "centre by a map: embedkit fit centre"
            raise UsageError("applies only to --method sign", where="--centre", hint=hint)
        if method in CODES and suffix in (".safetensors", ".npy", ".parquet", ".arrow", ".jsonl"):
            what = f"codes are neither an affine map nor plain numbers and cannot be written as {suffix}"
            raise UsageError(what, where=str(self.output), hint="name a folder, such as docs.codes.vec")
        if method not in CODES and self.dim is None:
            where = f"--method {method}"
            raise UsageError("needs a number of dimensions", where=where, hint="set it with --dim")
        if method not in CODES and suffix == ".vec":
            what, hint = f"{method} makes a map, not vectors", "name a file such as map.safetensors"
            raise UsageError(what, where=str(self.output), hint=hint)
        if method == "int8" and self.dim is not None:
            hint = "omit --dim, or apply a map first with -t"
            raise UsageError("keeps every dimension", where="--method int8", hint=hint)


def write_codes(reduction: ReductionOptions, inputs: Inputs, common: Common) -> None:
    """Write the named vectors as a vector set of codes, in constant memory, and print the closing line."""
    from embedkit.embedding.encoding import map_batches, refuse_output

    relay_warnings(common.quiet)
    refuse_output(reduction.output, resume=False, force=common.force)
    with open_as_vectors(inputs, common) as vectors:
        maps = [_centred(vectors, inputs.encoding)] if reduction.centre else []
        if reduction.dim is not None:
            maps.append(_projection(vectors, reduction.dim, common.seed))
        meta, batches = map_batches(vectors.meta, vectors.batches, maps, None)
        coded = replace(meta.decoded(), dtype=CODES[reduction.method])
        write_to(reduction.output, coded, batches, force=common.force)
        rows, dimension = vectors.progress.rows, meta.dimension
        close_rows(
            common, vectors.progress, reduction.output, rows=rows, dimension=dimension, reader=vectors.source
        )


def _projection(vectors: VectorInput, dim: int, seed: int) -> AffineMap:
    """Return the random projection whose signs are the bits."""
    from embedkit.transforms.fitting import fit_map

    settings = with_seed(spec.parse("transform", f"hyperplanes:dim={dim}"), seed)
    return fit_map(settings, [], dimension=vectors.meta.dimension, identity=vectors.meta.identity)


def _centred(vectors: VectorInput, encoding: EncoderOptions) -> AffineMap:
    """Fit the mean on a pass of its own; raises UsageError for what can be read only once."""
    from embedkit.data.vectors.vector_set import VectorSet
    from embedkit.embedding.encoding import map_batches
    from embedkit.transforms.fitting import fit_map
    from embedkit.transforms.kinds.centre import Centre

    source, meta = vectors.source, vectors.meta
    if not isinstance(source, VectorSet):
        raise UsageError(
            "needs to read the vectors twice, for their mean and for the signs",
            where="--centre",
            hint="make a vector set first, with embedkit encode -o",
        )
    _, batches = map_batches(source.meta, source, encoding.maps(), encoding.declared())
    rows = (batch.vectors for batch in batches)
    return fit_map(Centre(), rows, dimension=meta.dimension, identity=meta.identity)
