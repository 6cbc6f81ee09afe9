"""`embedkit encode`: text in, vectors out."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from embedkit.cli.closing import close_rows, say_passed_over
from embedkit.cli.command import command_app
from embedkit.cli.console import Progress, kept_when_interrupted, relay_warnings, say
from embedkit.cli.input_options import Inputs
from embedkit.cli.options import ClusterOptions, Common, named
from embedkit.cli.vector_output import DestinationOptions, StorageOptions
from embedkit.data.names import readable_name
from embedkit.data.text.display import counted
from embedkit.errors import UsageError

if TYPE_CHECKING:
    from embedkit.data.text.records import RecordReader
    from embedkit.embedding.encoder import Encoder


def encode(
    *,
    destination: DestinationOptions,
    storage: StorageOptions,
    clustering: ClusterOptions,
    inputs: Inputs,
    common: Common,
) -> None:
    """Turn text into vectors, in order, in constant memory."""
    from embedkit.embedding.encoding import is_complete, refuse_output

    relay_warnings(common.quiet)
    names, output = inputs.names, destination.output
    storage.check(output, cluster=clustering.cluster, force=common.force)
    if output is None:
        _encode_to_standard_output(destination, storage, inputs, common)
        return
    if storage.resume and is_complete(output):
        _tidy(output, common)
        return
    refuse_output(output, resume=storage.resume, force=common.force)
    how: dict[str, Any] = {"dtype": storage.dtype, "with_text": storage.text}
    how |= {"resume": storage.resume, "force": common.force, "settings": _settings(names, inputs)}
    if clustering.cluster is None:
        _encode_to_file(output, storage, inputs, common, how)
        return
    from embedkit.cli.cluster import encode_spread

    clustering.refuse(*named({"--shard": storage.shard, "--reuse": storage.reuse}))
    encode_spread(clustering.cluster, output, inputs, common, how)


def _settings(names: list[str], inputs: Inputs) -> dict[str, object]:
    """Return the settings that the vector set records."""
    return {
        "inputs": [readable_name(name) for name in names],
        "runtime": inputs.encoding.runtime,
        "precision": inputs.encoding.precision,
    }


def _encode_to_file(
    output: Path, storage: StorageOptions, inputs: Inputs, common: Common, how: dict[str, Any]
) -> None:
    from embedkit.data.inputs import open_text
    from embedkit.data.vectors.slices import parse_part, rows_of_part
    from embedkit.data.vectors.vector_set import VectorSet
    from embedkit.embedding.encoding import encode_to
    from embedkit.embedding.reused_vectors import Reusing

    with open_text(inputs.names, inputs.format()) as reader:
        encoder = _load(storage, inputs, reader)
        progress = Progress(common.quiet, reader)
        with kept_when_interrupted(output, common.quiet):
            progress.run(encode_to(output, encoder, reader, part=storage.shard, **how))
        if isinstance(encoder, Reusing) and not common.quiet:
            say(f"{counted(encoder.reused, 'vector')} copied from {storage.reuse}")
        rows = VectorSet.open(output).rows if output.is_dir() else reader.read
        if storage.shard is not None:
            rows = rows_of_part(reader.read, *parse_part(storage.shard))
        close_rows(common, progress, output, rows=rows, dimension=encoder.identity.dimension, reader=reader)


def _encode_to_standard_output(
    destination: DestinationOptions, storage: StorageOptions, inputs: Inputs, common: Common
) -> None:
    from embedkit.data.inputs import open_text
    from embedkit.embedding.encoding import describe, encode_batches, require_some

    with open_text(inputs.names, inputs.format()) as reader:
        encoder = _load(storage, inputs, reader)
        meta = describe(encoder, dtype=storage.dtype, with_text=storage.text)
        batches = encode_batches(encoder, reader, first=256, with_text=storage.text)
        destination.write_to_standard_output(meta, require_some(batches, reader))
        say_passed_over(reader, common)


def _load(storage: StorageOptions, inputs: Inputs, reader: RecordReader) -> Encoder:
    """Load the encoder, by whose tokens the reader divides files; with `--reuse`, it copies the vectors of
    texts that were encoded before.
    """
    from embedkit.data.vectors.vector_set import VectorSet
    from embedkit.embedding.reused_vectors import Reusing
    from embedkit.embedding.tokenizer_places import divide_by_tokens

    encoder = inputs.encoding.load()
    divide_by_tokens(reader, encoder)
    if storage.reuse is None:
        return encoder
    if reader.folders is not None:  # a vector is also of the headings, which the old set does not record
        hint = "index the folder; embedkit index sync keeps its vectors"
        raise UsageError("cannot be used with a folder", where="--reuse", hint=hint)
    return Reusing(encoder, VectorSet.open(storage.reuse), storage.dtype)


def _tidy(output: Path, common: Common) -> None:
    """Answer a resume of what is complete; a kill between the last two steps leaves a journal in it."""
    from embedkit.data.vectors.shard_writing import drop_journal

    drop_journal(output)
    if not common.quiet:
        say(f"{output} is complete; nothing to resume")


app = command_app(encode, epilog="Example: zcat docs.txt.gz | embedkit encode -o docs.vec")
