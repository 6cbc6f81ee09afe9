"""Another encoder's vectors of the training texts, which a loss compares with the model's.

They are computed once per text, before the first step, and lie in a file of the run's folder. A step reads
those of its rows by memory map, so they are in no graph, and the same in both passes and in every process.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import chain
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from embedkit.data.arrays import Float32
from embedkit.data.atomic import whole_file
from embedkit.data.text.record import Record
from embedkit.embedding.batching import encode_records
from embedkit.embedding.encoder import Encoder, Role, require_finite, unit_length
from embedkit.errors import FormatError
from embedkit.training.batch_sampling import Numbers

Rows = Sequence[tuple[str, ...]]  # an anchor, a positive and hard negatives; or a sentence


class TextVectors(NamedTuple):
    """Unit vectors of all texts, and the number of each text in the rows."""

    vectors: Float32  # (texts, dim), by memory map
    numbers: Numbers  # (rows, views); 0 where a row has no text

    def of(self, rows: Tensor, views: int) -> list[Tensor]:
        """Return the vectors of some rows on their device, `(len(rows), dim)` for each of `views` views.

        A lone column is every view.
        """
        numbers = self.numbers[rows.cpu().numpy()]
        columns = [numbers[:, min(view, numbers.shape[1] - 1)] for view in range(views)]
        return [torch.from_numpy(self.vectors[column]).to(rows.device) for column in columns]


class _Texts(NamedTuple):
    """The distinct texts that are encoded as queries and as documents, with their numbers."""

    queries: dict[str, int]
    documents: dict[str, int]


def write_text_vectors(file: Path, encoder: Encoder, rows: Rows) -> None:
    """Write the vectors of the texts of all rows, unless the file exists: anchors as queries, others as
    documents.

    Memory holds two windows of vectors. Raises DataError for a vector that is not finite.
    """
    if file.exists():
        return
    texts = _numbered(rows, one_role=_has_one_prompt(encoder))
    shape = len(texts.queries) + len(texts.documents), encoder.identity.dimension
    with whole_file(file) as out:
        header = {"descr": "<f4", "fortran_order": False, "shape": shape}
        np.lib.format.write_array_header_1_0(out, header)
        for part in chain(
            _encoded(encoder, texts.queries, "query"), _encoded(encoder, texts.documents, "document")
        ):
            out.write(np.ascontiguousarray(part, dtype="<f4").tobytes())


def open_text_vectors(file: Path, encoder: Encoder, rows: Rows) -> TextVectors:
    """Return the vectors that `write_text_vectors` wrote for the same encoder and rows.

    Raises FormatError for a file that has changed since.
    """
    texts = _numbered(rows, one_role=_has_one_prompt(encoder))
    numbers = np.zeros((len(rows), max(map(len, rows))), dtype=np.int64)
    documents = texts.documents or texts.queries
    for place, (anchor, *others) in enumerate(rows):
        numbers[place, : len(others) + 1] = [texts.queries[anchor], *(documents[text] for text in others)]
    try:
        vectors = np.load(file, mmap_mode="r", allow_pickle=False)
    except (ValueError, EOFError):
        vectors = np.empty((0, 0))
    if vectors.shape != (len(texts.queries) + len(texts.documents), encoder.identity.dimension):
        raise FormatError(
            "has changed since it was written", where=str(file), hint="start again with `force=True`"
        )
    return TextVectors(vectors, numbers)


def _has_one_prompt(encoder: Encoder) -> bool:
    return encoder.identity.query_prompt == encoder.identity.document_prompt


def _numbered(rows: Rows, *, one_role: bool) -> _Texts:
    """Return the distinct texts with their numbers; where both roles are one, all are queries."""
    if one_role:
        return _Texts(_places((text for row in rows for text in row), 0), {})
    queries = _places((row[0] for row in rows), 0)
    return _Texts(queries, _places((text for row in rows for text in row[1:]), len(queries)))


def _places(texts: Iterator[str], first: int) -> dict[str, int]:
    return {text: first + place for place, text in enumerate(dict.fromkeys(texts))}


def _encoded(encoder: Encoder, texts: dict[str, int], role: Role) -> Iterator[Float32]:
    """Yield the unit vectors of texts, window by window."""
    for window in encode_records(encoder, (Record("", text, {}) for text in texts), role):
        require_finite(window.vectors, [record.text for record in window.records])
        yield unit_length(window.vectors)
