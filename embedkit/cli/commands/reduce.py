"""`embedkit reduce`: a map to fewer dimensions, or a vector set in fewer bits."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from embedkit import spec
from embedkit.cli.command import command_app
from embedkit.cli.console import input_names, relay_warnings, report
from embedkit.cli.maps.fit import fit_to, with_seed
from embedkit.cli.options import ClusterOptions, Common, EncoderOptions, Files, TextOptions
from embedkit.cli.vector_input import VectorInput, open_as_vectors
from embedkit.data.vectors.vector_files import write_to
from embedkit.errors import UsageError

if TYPE_CHECKING:
    from embedkit.data.affine import AffineMap
    from embedkit.data.vectors.codes import CodeName

CODES: dict[str, CodeName] = {"sign": "binary", "int8": "int8"}  # methods that code, and how it is stored


def reduce(
    files: Files = None,
    output: Annotated[
        Path,
        typer.Option(
            "-o", "--output", metavar="PATH", help="File of the map; for codes, folder of a vector set."
        ),
    ] = ...,  # type: ignore[assignment]
    dim: Annotated[
        int | None,
        typer.Option(help="Dimensions to keep; for sign, the number of bits, which may be larger."),
    ] = None,
    method: Annotated[
        Literal["pca", "gaussian", "sparse", "srht", "truncate", "sign", "int8"],
        typer.Option(
            help="Maps: pca is fitted on the vectors, the next four depend on their dimension "
            "only. Codes: sign keeps one bit per dimension, int8 one byte."
        ),
    ] = "pca",
    centre: Annotated[bool, typer.Option("--centre", help="For sign: subtract the mean first.")] = False,
    *,
    clustering: ClusterOptions,
    reading: TextOptions,
    encoding: EncoderOptions,
    common: Common,
) -> None:
    """Make a map to fewer dimensions, random or fitted, or codes of fewer bits."""
    _check(output, method, dim, centre)
    if method in CODES:
        clustering.refuse(f"--method {method}")
        _code(output, method, dim, centre, files, reading, encoding, common)
    else:
        cluster = clustering.cluster
        fit_to(output, f"{method}:dim={dim}", files, reading, encoding, common, cluster=cluster)


def _check(output: Path, method: str, dim: int | None, centre: bool) -> None:
    where = f"--method {method}"
    if centre and method != "sign":
        raise UsageError(
            "applies only to --method sign", where="--centre", hint="centre by a map: embedkit fit centre"
        )
    if method in CODES and output.suffix in (".safetensors", ".npy", ".parquet", ".arrow", ".jsonl"):
        raise UsageError(
            f"codes are neither an affine map nor plain numbers and cannot be written as {output.suffix}",
            where=str(output),
            hint="name a folder, such as docs.codes.vec",
        )
    if method not in CODES and dim is None:
        raise UsageError("needs a number of dimensions", where=where, hint="set it with --dim")
    if method not in CODES and output.suffix == ".vec":
        raise UsageError(
            f"{method} makes a map, not vectors",
            where=str(output),
            hint="name a file such as map.safetensors",
        )
    if method == "int8" and dim is not None:
        raise UsageError(
            "keeps every dimension", where=where, hint="omit --dim, or apply a map first with -t"
        )


def _code(
    output: Path,
    method: str,
    dim: int | None,
    centre: bool,
    files: list[str] | None,
    reading: TextOptions,
    encoding: EncoderOptions,
    common: Common,
) -> None:
    """Write what is named as a vector set of codes, in constant memory."""
    from embedkit.embedding.encoding import map_batches, refuse_output

    relay_warnings(common.quiet)
    names = input_names(files)
    refuse_output(output, resume=False, force=common.force)
    with open_as_vectors(names, reading, encoding, common) as vectors:
        maps = _maps(vectors, encoding, dim, centre, common.seed)
        meta, batches = map_batches(vectors.meta, vectors.batches, maps, None)
        coded = replace(meta.decoded(), dtype=CODES[method])
        write_to(output, coded, batches, force=common.force)
        rows, dimension = vectors.progress.rows, meta.dimension
        report(common, vectors.progress, output, rows=rows, dimension=dimension, reader=vectors.source)


def _maps(
    vectors: VectorInput, encoding: EncoderOptions, dim: int | None, centre: bool, seed: int
) -> list[AffineMap]:
    """Return what comes before the signs: the mean taken away, and the projection, each where asked for."""
    from embedkit.transforms.fitting import fit_map

    meta = vectors.meta
    maps = [_centred(vectors, encoding)] if centre else []
    if dim is not None:
        settings = with_seed(spec.parse("transform", f"hyperplanes:dim={dim}"), seed)
        maps.append(fit_map(settings, [], dimension=meta.dimension, identity=meta.identity))
    return maps


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


app = command_app(
    reduce,
    epilog="Examples: embedkit reduce docs.vec --method gaussian --dim 128 -o jl.safetensors; "
    "embedkit reduce docs.vec --method sign -o docs.sign.vec",
)
