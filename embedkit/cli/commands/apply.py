"""`embedkit apply`: maps put behind vectors that are there already, or behind an encoder."""

from __future__ import annotations

from embedkit.cli.closing import say_passed_over
from embedkit.cli.command import command_app
from embedkit.cli.console import relay_warnings
from embedkit.cli.input_options import Inputs
from embedkit.cli.options import Common
from embedkit.cli.vector_input import open_as_vectors
from embedkit.cli.vector_output import DestinationOptions
from embedkit.data.vectors.vector_files import write_to
from embedkit.errors import UsageError


def apply(*, destination: DestinationOptions, inputs: Inputs, common: Common) -> None:
    """Apply maps to vectors, one after the other, in constant memory.

    Text is encoded first.
    """
    from embedkit.embedding.encoding import refuse_output

    relay_warnings(common.quiet)
    if not inputs.encoding.transform:
        raise UsageError("is missing", where="--transform", hint="name a map with -t")
    output = destination.output
    if output is not None:
        refuse_output(output, resume=False, force=common.force)
    with open_as_vectors(inputs, common) as vectors:
        if output is None:
            destination.write_to_standard_output(vectors.meta, vectors.batches)
            say_passed_over(vectors.source, common)
            return
        write_to(output, vectors.meta, vectors.batches, force=common.force)
        vectors.close(output, common)


app = command_app(apply, epilog="Example: embedkit apply -t whiten.safetensors docs.vec -o docs.w.vec")
