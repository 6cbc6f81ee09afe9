"""Many workers encode a corpus, shard by shard; the shards equal those that a single process writes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

from embedkit.cluster.corpus import Corpus, Unit
from embedkit.cluster.corpus_reading import records_of, survey
from embedkit.cluster.encoders import EncoderRecipe, encoder_of
from embedkit.cluster.session import Cluster, WorkerResources, not_shared
from embedkit.data.inputs import text_files
from embedkit.data.text.record import Record
from embedkit.data.text.records import TextFormat
from embedkit.data.vectors import schemas, tables
from embedkit.data.vectors.shard_writing import source_digest
from embedkit.data.vectors.shards import SHARD_ROWS, Shard, read_tables, shard_name, write_shard, write_tables
from embedkit.data.vectors.vector_files import finish_output
from embedkit.data.vectors.vector_set import Batch, DType, VectorMeta, checked
from embedkit.data.vectors.vector_set_writing import VectorSetWriter, kept, stored
from embedkit.embedding.batching import encode_windows, windows
from embedkit.embedding.encoding import describe, refuse_output
from embedkit.errors import DataError

PIECES = 4  # pieces per unit when there are few units
EVEN = 20  # units per worker, from which on whole units keep workers busy until near the end


@dataclass(frozen=True)
class Texts:
    """Surveyed text files and their format; `several` states whether ids contain the file's name."""

    corpus: Corpus
    format: TextFormat
    several: bool
    name: str


@dataclass(frozen=True)
class Work:
    """The settings with which every worker encodes its piece of a unit into the set in `folder`."""

    folder: Path
    meta: VectorMeta
    recipe: EncoderRecipe
    share: WorkerResources
    format: TextFormat
    several: bool
    pieces: int  # number of pieces per unit


def survey_texts(cluster: Cluster, names: Sequence[str], format: TextFormat) -> Texts:
    """Read every file once, one per worker, so that the records can be divided among workers.

    Raises DataError when a record cannot be read, or when the input contains no text.
    """
    files, format = text_files(names, format)
    corpus = Corpus(list(cluster.map(survey, files, format)))
    if not corpus.records:
        raise DataError("the input contains no text", where=", ".join(names))
    return Texts(corpus, format, len(names) > 1, ", ".join(names))


def encode_on(
    cluster: Cluster,
    path: Path,
    recipe: EncoderRecipe,
    texts: Texts,
    *,
    dtype: DType = "float32",
    with_text: bool = True,
    resume: bool = False,
    force: bool = False,
    settings: dict[str, Any] | None = None,
    shard_rows: int = SHARD_ROWS,
) -> Iterator[Shard]:
    """Encode texts into `path` as `encode_to` does, into the same shards, and yield each shard once it is
    sealed.

    All machines must be able to write to `path`. Shards are sealed in order, so that `resume` continues after
    the last one, on a cluster or in a single process. Raises the errors of `encode_to`, and ClusterError.
    """
    refuse_output(path, resume=resume, force=force)
    meta = describe(recipe.load(), dtype=dtype, with_text=with_text)
    share = recipe.share(cluster)
    few = -(-texts.corpus.records // shard_rows) < EVEN * cluster.workers(share)
    with VectorSetWriter(
        path, meta, settings=settings, resume=resume, force=force, shard_rows=shard_rows
    ) as writer:
        work = Work(writer.folder, meta, recipe, share, texts.format, texts.several, PIECES if few else 1)
        shards = cluster.map_pieces(
            _encode, _seal, islice(texts.corpus.units(shard_rows), len(writer.sealed), None),
            work.pieces, work, share=share,
        )  # fmt: skip
        with closing(shards):
            before = islice(texts.corpus.units(shard_rows), len(writer.sealed))
            writer.require_same(cluster.map(_source, before, texts.format, texts.several))
            for shard in shards:
                writer.adopt(shard)
                for piece in range(work.pieces):
                    (writer.folder / piece_name(shard.file, piece)).unlink(missing_ok=True)
                yield shard
        sweep(writer.folder)
        finish_output(writer)


def _encode(task: tuple[Unit, int], work: Work) -> str:
    """Encode one piece of a unit's windows into a file next to its shard.

    Pieces are passed through files: in a cluster's memory, tasks that wait for pieces block each other.
    """
    unit, piece = task
    if not work.folder.is_dir():
        raise not_shared(work.folder)
    records = records_of(unit, work.format, several=work.several)
    cut = list(windows(records))
    _require_rows(sum(map(len, cut)), unit)
    mine = cut[len(cut) * piece // work.pieces : len(cut) * (piece + 1) // work.pieces]
    path = work.folder / piece_name(shard_name(unit.place), piece)
    write_tables(path, _encoded(mine, work))
    return path.name


def _encoded(cut: list[list[Record]], work: Work) -> Iterator[Any]:
    """Encode windows, and yield a table for each, vectors included."""
    for window, vectors in encode_windows(encoder_of(work.recipe, work.share), cut):
        batch = Batch(tables.to_table(window), vectors)
        yield from (stored(*each, work.meta) for each in checked([batch], work.meta.dimension))


def _seal(unit: Unit, pieces: Sequence[str], work: Work) -> Shard:
    """Write the shard of a unit from the tables of its windows."""
    if not work.folder.is_dir():
        raise not_shared(work.folder)
    parts = [table for piece in pieces for table in read_tables(work.folder / piece)]
    return write_shard(work.folder, unit.place, kept(schemas.join(parts), work.meta), source_digest(parts))


def piece_name(shard: str, piece: int) -> str:
    """Return the name of the file of a piece of a shard."""
    return f"{shard}.piece-{piece}"


def sweep(folder: Path) -> None:
    """Remove files that lost workers left unfinished or wrote twice from a set with all its shards."""
    for file in folder.iterdir():
        if file.name.startswith(".part-") or ".piece-" in file.name:
            file.unlink(missing_ok=True)


def _source(unit: Unit, format: TextFormat, several: bool) -> str:
    """Return the digest of a unit's records, in the windows in which they are encoded."""
    return source_digest(map(tables.to_table, windows(records_of(unit, format, several=several))))


def _require_rows(rows: int, unit: Unit) -> None:
    """Raise DataError when the number of records differs from the survey's: a file has changed since."""
    if rows != unit.rows:
        names = ", ".join(dict.fromkeys(span.name for span in unit.spans))
        raise DataError(f"has changed while it was read: {rows} records, {unit.rows} before", where=names)
