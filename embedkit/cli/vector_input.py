"""Open any input of a command as one stream of vectors: encode text, apply maps, show progress."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from embedkit.cli.closing import close_rows
from embedkit.cli.console import Progress
from embedkit.cli.encoder_options import EncoderOptions
from embedkit.cli.input_options import Inputs
from embedkit.cli.options import Common

if TYPE_CHECKING:
    from embedkit.data.folders.file_states import FileStates
    from embedkit.data.text.records import RecordReader
    from embedkit.data.vectors.vector_files import VectorFile
    from embedkit.data.vectors.vector_set import Batch, VectorMeta, VectorSet
    from embedkit.embedding.encoder import Encoder


@dataclass(frozen=True)
class VectorInput:
    """A stream of batches of vectors, with their metadata, progress and source."""

    meta: VectorMeta
    batches: Iterable[Batch]
    progress: Progress
    source: RecordReader | VectorSet | VectorFile

    @property
    def states(self) -> FileStates | None:
        """The states of the files of folders among the inputs, complete once the batches have been read."""
        folders = getattr(self.source, "folders", None)
        return None if folders is None else folders.states

    def close(self, output: Path, common: Common) -> None:
        """Close a command that wrote all the vectors to `output`."""
        rows, dimension = self.progress.rows, self.meta.dimension
        close_rows(common, self.progress, output, rows=rows, dimension=dimension, reader=self.source)


@contextmanager
def open_as_vectors(
    inputs: Inputs, common: Common, *, with_text: bool = True, load: Callable[[], Encoder] | None = None
) -> Iterator[VectorInput]:
    """Open the named inputs and yield their vectors; text is encoded to the same bits as by `encode`.

    `load` returns the encoder to use instead of the encoder that the options name.
    """
    from embedkit.data.inputs import open_input
    from embedkit.data.text.records import RecordReader
    from embedkit.data.vectors.shards import SHARD_ROWS
    from embedkit.embedding.encoding import describe, encode_batches, map_batches, require_some
    from embedkit.embedding.tokenizer_places import divide_by_tokens

    encoding = inputs.encoding
    with open_input(inputs.names, inputs.format()) as source:
        if isinstance(source, RecordReader):
            encoder = (load or encoding.load)()
            divide_by_tokens(source, encoder)
            meta = describe(encoder, with_text=with_text)
            progress = Progress(common.quiet, source)
            batches: Iterable[Batch] = require_some(
                encode_batches(encoder, source, block=SHARD_ROWS, with_text=with_text), source
            )
        else:
            meta = _named(source, encoding)
            meta, batches = map_batches(meta, source, encoding.maps(), encoding.declared())
            progress = Progress(common.quiet, total=getattr(source, "rows", None))
        yield VectorInput(meta, progress.track(batches), progress, source)


def _named(source: VectorSet | VectorFile, encoding: EncoderOptions) -> VectorMeta:
    """Return the metadata of vectors; label vectors get the identity of the named encoder, or else of the
    model in their folder. Raises MismatchError if they belong to another encoder.
    """
    from embedkit.data.label_input import LabelInput
    from embedkit.embedding.loading import load

    if not isinstance(source, LabelInput):
        return source.meta
    own = replace(encoding, model=encoding.model or str(source.folder))
    identity = load(own.settings()).identity
    source.labels.require_encoder(identity, where=source.name)
    return replace(source.meta, identity=identity)
