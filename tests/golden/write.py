"""Writes the golden files of today's format versions: `python tests/golden/write.py FOLDER`.

Run once when a version is new, and commit what it wrote as `NAME-vN` beside this file. Golden files are never
written again: that they can still be read is what they are there for.
"""

import sys
from pathlib import Path

import numpy as np

from embedkit.data.affine import AffineMap
from embedkit.data.folders.file_states import FileState, FileStates, Root, write_states
from embedkit.data.folders.folder_settings import FolderSettings
from embedkit.data.text.record import Record
from embedkit.data.vectors import tables
from embedkit.data.vectors.label_vectors import Calibration, LabelVectors
from embedkit.data.vectors.vector_set import Batch, VectorMeta
from embedkit.data.vectors.vector_set_writing import VectorSetWriter
from embedkit.embedding.loading import load
from embedkit.indexing.building import build_index
from embedkit.indexing.edit import delete

RECORDS = [Record("a", "one", {"n": 1}), Record("b", "二", {"n": 2, "tags": ["x", 1]})]


def write_all(folder: Path) -> None:
    """Write a vector set, a map, an index, states of files and label vectors into `folder`."""
    encoder = load("hash:dim=2")
    vectors = encoder.encode([record.text for record in RECORDS])
    writer = VectorSetWriter(folder / "vectors", VectorMeta(2, encoder.identity))
    writer.append(Batch(tables.to_table(RECORDS), vectors))
    made = writer.finish()
    codes = np.array([[0.5, -0.25], [-0.25, 1]], dtype=np.float32)
    for dtype in ("binary", "int8"):
        writer = VectorSetWriter(folder / dtype, VectorMeta(2, dtype=dtype))
        writer.append(Batch(tables.to_table(RECORDS), codes))
        writer.finish()
    AffineMap(np.array([[1.0, 2.0]]), np.array([0.5]), {"spec": "example"}).save(folder / "map.safetensors")
    for name in ("index", "deleted"):
        build_index(folder / name, made.meta, made)
    delete(folder / "deleted", ["a"])
    states = FileStates(FolderSettings(chunk=9, include=("*.md",)), (Root("docs", "/docs"),))
    states.add(FileState("docs/二.md", 0, 7, 5, "ab", ("docs/二.md:1", "docs/二.md:3")))
    states.add(FileState("docs/b.png", 0, 9, -1, "", (), "binary"))
    write_states(folder / "files.arrow", states)
    LabelVectors(
        ("one", "二"),
        np.array([[1, 0], [0.6, 0.8], [0, 1], [0, -1]], dtype=np.float32),
        centres=2,
        scale=20.0,
        calibration=Calibration(1.5, 0.25, 8, 4, 0.75, 0.5, 0.375, 0.25, 0.125, 0.875, 0.5),
        held_out=("three",),
        loss="sub-centre:centres=2",
        fingerprint=encoder.identity.fingerprint,
    ).save(folder / "labels.safetensors")


if __name__ == "__main__":
    write_all(Path(sys.argv[1]))
