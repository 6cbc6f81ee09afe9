"""`embedkit export`: a model with its maps as a sentence-transformers folder, or a map alone."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, cast

import typer

from embedkit.cli.command import command_app
from embedkit.cli.console import relay_warnings, say
from embedkit.cli.encoder_options import EncoderOptions
from embedkit.cli.options import Common
from embedkit.data.names import readable_name
from embedkit.data.text.display import counted
from embedkit.errors import UsageError

if TYPE_CHECKING:
    from embedkit.embedding.export.map_file import MapFormat

Format = Literal["folder", "faiss", "safetensors"]
OUTPUT = "A new folder for a model; FILE.faiss or FILE.safetensors for the map alone."

_RUNNING = {"device": None, "runtime": "auto", "precision": "auto"}
_BAKED = {
    "pooling": None, "max_length": None, "query_prompt": None, "document_prompt": None, "truncate_dim": None,
    "normalize": None,
}  # fmt: skip


def export(
    output: Annotated[Path, typer.Option("-o", "--output", metavar="PATH", help=OUTPUT)],
    format: Annotated[
        Format | None,
        typer.Option(
            "--format",
            help="folder: a sentence-transformers model; faiss: a LinearTransform; "
            "safetensors: weight and bias of a torch.nn.Linear [by the output's name].",
        ),
    ] = None,
    layers: Annotated[
        str | None,
        typer.Option(
            metavar="A,B,C",
            help="Keep these layers of the transformer alone, counted from 0: a student to distil into.",
        ),
    ] = None,
    *,
    encoding: EncoderOptions,
    common: Common,
) -> None:
    """Write a model with its maps baked in as a sentence-transformers folder, or a map alone."""
    relay_warnings(common.quiet)
    _refuse(encoding, _RUNNING, "is set where the exported model is used, and is not part of it")
    kind = format or _format_of(output)
    if kind == "folder":
        _export_folder(output, encoding, _numbers(layers), common)
    elif layers is not None:
        raise UsageError(f"does not apply to a {kind} file, which contains only the map", where="--layers")
    else:
        _export_map(output, kind, encoding, common)


def _numbers(layers: str | None) -> list[int] | None:
    if layers is None:
        return None
    parts = layers.split(",")
    if not all(part.strip().isdecimal() for part in parts):
        raise UsageError(f"{layers!r} is not a list of numbers", where="--layers", hint="--layers 0,2,5")
    return [int(part) for part in parts]


def _export_folder(output: Path, encoding: EncoderOptions, layers: list[int] | None, common: Common) -> None:
    from embedkit.embedding.export.sentence_transformers import export_model

    maps = encoding.maps()
    made = export_model(output, encoding.settings(), maps, layers=layers, force=common.force)
    facts = {"output": readable_name(output), "format": "folder", **made.to_json()}
    facts |= {} if layers is None else {"layers": layers}
    kept = "" if layers is None else f" with layers {', '.join(map(str, layers))}"
    mapped = f" and {counted(len(maps), 'map')}" if maps else ""
    _report(
        facts,
        f"the model{kept}{mapped}: {made.dimension} dimensions, fingerprint {made.fingerprint}",
        output,
        common,
    )


def _export_map(output: Path, kind: Format, encoding: EncoderOptions, common: Common) -> None:
    from functools import reduce

    from embedkit.data.affine import AffineMap
    from embedkit.embedding.export.map_file import export_map

    _refuse(encoding, _BAKED, f"does not apply to a {kind} file, which contains only the map")
    if not encoding.transform:
        raise UsageError("is missing", where="--transform", hint="name a map with -t")
    if output.resolve() in [path.resolve() for path in encoding.transform]:
        raise UsageError("is the map to export", where=str(output), hint="choose another name")
    transform = reduce(AffineMap.then, encoding.maps())
    if (identity := encoding.declared()) is not None:
        transform.require_input(identity)
    export_map(output, transform, cast("MapFormat", kind), force=common.force)
    size = {"input_dimension": transform.input_dimension, "dimension": transform.output_dimension}
    facts = {"output": readable_name(output), "format": kind, **size, "maps": list(transform.fingerprints)}
    width = f"{transform.input_dimension} -> {transform.output_dimension} dimensions"
    _report(facts, f"the map alone: {width}; it does not scale to unit length", output, common)


def _format_of(output: Path) -> Format:
    """Return what the output's name says: a map's file by its extension, else a folder."""
    return cast("Format", output.suffix[1:]) if output.suffix in (".faiss", ".safetensors") else "folder"


def _refuse(encoding: EncoderOptions, unset: dict[str, Any], why: str) -> None:
    """Raise UsageError for the first option that was given and cannot be honoured."""
    for name, value in unset.items():
        if getattr(encoding, name) != value:
            raise UsageError(why, where=f"--{name.replace('_', '-')}")


def _report(facts: dict[str, object], line: str, output: Path, common: Common) -> None:
    if common.json:
        print(json.dumps(facts, ensure_ascii=False))
    elif not common.quiet:
        say(f"{line} -> {output}")


app = command_app(
    export, epilog="Example: embedkit export -m minilm -t whiten.safetensors -o minilm-whitened/"
)
