"""Get the queries for measuring an index: vectors or text that the user names, or documents drawn from it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from embedkit.cli.encoder_options import EncoderOptions
from embedkit.cli.input_options import TextOptions
from embedkit.data.names import readable_name
from embedkit.errors import MismatchError, UsageError
from embedkit.evaluation.index.tuning import QuerySet, drawn_queries

if TYPE_CHECKING:
    from embedkit.indexing.kind import Floats
    from embedkit.indexing.operating_points import OperatingPoint, Tuning
    from embedkit.indexing.store import Index


Queries = Annotated[
    Path | None,
    typer.Option(metavar="FILE", help="Typical queries, or their vectors. [drawn from the documents]"),
]


def asked_queries(
    index: Index, queries: Path | None, reading: TextOptions, encoding: EncoderOptions, seed: int
) -> QuerySet:
    """Return the queries of a file, or queries drawn from the documents; raise MismatchError for vectors of
    another dimension.
    """
    from embedkit.evaluation.index.document_queries import stored

    if queries is None:
        return drawn_queries(stored(index), index.rows, seed)
    vectors = _read_vectors(index, str(queries), reading, encoding)
    return QuerySet(index.prepared(vectors), readable_name(queries))


def tuned_line(path: Path, found: Tuning, point: OperatingPoint) -> str:
    """Return the closing line, which states how the index is searched from now on."""
    return f"{path}: searched with {point}, recall@{found.k}, {point.milliseconds:.3g} ms per query"


def _read_vectors(index: Index, name: str, reading: TextOptions, encoding: EncoderOptions) -> Floats:
    import numpy as np

    from embedkit.data.inputs import open_input
    from embedkit.data.text.records import RecordReader
    from embedkit.embedding.encoder import require_finite

    with open_input([name], reading.format()) as source:
        if not isinstance(source, RecordReader):
            blocks = [batch.vectors for batch in source if len(batch.vectors)]
            if not blocks:
                raise UsageError("contains no query", where=name)
            if blocks[0].shape[1] != index.dimension:
                what = f"has vectors of {blocks[0].shape[1]} dimensions, the index has {index.dimension}"
                raise MismatchError(what, where=name)
            return np.concatenate(blocks)
        texts = [record.text for record in source]
        if not texts:
            raise UsageError("contains no query", where=name)
    encoder = encoding.load_for(index.identity, index.map, where=str(index.path))
    index.require_encoder(encoder)
    vectors = encoder.encode(texts, "query")
    require_finite(vectors, texts)
    return vectors
