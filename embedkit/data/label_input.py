"""Label vectors as an input: each label vector is a row, and the label's name is its text."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from embedkit.data.text.record import Record
from embedkit.data.vectors import tables
from embedkit.data.vectors.label_vectors import LabelVectors
from embedkit.data.vectors.vector_files import VectorFile
from embedkit.data.vectors.vector_set import Batch, VectorMeta

_ROWS = 4096  # rows per batch


@dataclass
class LabelInput(VectorFile):
    """The label vectors of one file, and the folder that should hold the model they were trained with."""

    labels: LabelVectors
    folder: Path

    @property
    def rows(self) -> int:
        """Return the number of vectors in the file."""
        return len(self.labels.vectors)


def read_labels(path: Path) -> LabelInput:
    """Open a file of label vectors; raises FormatError when it is not one."""
    labels = LabelVectors.load(path)
    return LabelInput(str(path), VectorMeta(labels.dimension), _batches(labels), labels, path.parent)


def _batches(labels: LabelVectors) -> Iterator[Batch]:
    texts = [name for name in labels.names for _ in range(labels.centres)]
    records = [Record(id, text, {}) for id, text in zip(labels.ids, texts, strict=True)]
    for start in range(0, len(records), _ROWS):
        rows = slice(start, start + _ROWS)
        yield Batch(tables.to_table(records[rows]), labels.vectors[rows])
