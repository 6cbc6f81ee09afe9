"""Run the work of commands with `--cluster` on a Ray cluster."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from embedkit.cli.closing import close_rows
from embedkit.cli.console import Progress, kept_when_interrupted
from embedkit.cli.encoder_options import EncoderOptions
from embedkit.cli.input_options import Inputs
from embedkit.cli.options import Common
from embedkit.errors import UsageError

if TYPE_CHECKING:
    from embedkit.cli.index.build_options import NewIndex
    from embedkit.cluster.corpus import Corpus
    from embedkit.cluster.encoders import EncoderRecipe
    from embedkit.cluster.sources import MappedShards
    from embedkit.data.affine import AffineMap
    from embedkit.data.vectors.vector_set import VectorSet
    from embedkit.indexing.lexical.lexical_settings import LexicalSettings
    from embedkit.indexing.store import Index


def recipe_of(encoding: EncoderOptions) -> EncoderRecipe:
    """Return the recipe by which workers load the encoder; raise the errors of reading its maps here."""
    from embedkit.cluster.encoders import EncoderRecipe

    return EncoderRecipe(encoding.settings(), tuple(encoding.maps()))


def encode_spread(address: str, output: Path, inputs: Inputs, common: Common, how: dict[str, Any]) -> None:
    """Encode files into an output, and print the closing line of `encode`; `how` is passed to the library."""
    from embedkit.cluster.connection import connected
    from embedkit.cluster.encoding_workers import encode_on, survey_texts
    from embedkit.data.vectors.vector_set import VectorSet

    _no_pipe(inputs.names)
    recipe = recipe_of(inputs.encoding)
    dimension = recipe.load().identity.dimension
    with connected(address) as cluster:
        texts = survey_texts(cluster, inputs.names, inputs.format())
        progress = Progress(common.quiet, total=texts.corpus.records)
        with kept_when_interrupted(output, common.quiet):
            progress.run(encode_on(cluster, output, recipe, texts, **how))
    rows = VectorSet.open(output).rows if output.is_dir() else texts.corpus.records
    close_rows(common, progress, output, rows=rows, dimension=dimension, reader=texts.corpus)


def fit_spread(
    address: str, settings: Any, output: Path, inputs: Inputs, common: Common
) -> tuple[AffineMap, Progress, object]:
    """Fit a map and write it; return the map, the progress, and the source that it was fitted on."""
    from embedkit.cluster.connection import connected
    from embedkit.cluster.encoding_workers import survey_texts
    from embedkit.cluster.fitting_workers import fit_on
    from embedkit.cluster.sources import of_texts, of_vectors

    shards = _shards(inputs)
    source: VectorSet | Corpus
    with connected(address) as cluster:
        if shards is not None:
            spread, source, total = of_vectors(cluster, shards), shards.source, shards.source.rows
        else:
            texts = survey_texts(cluster, inputs.names, inputs.format())
            spread, source = of_texts(cluster, recipe_of(inputs.encoding), texts), texts.corpus
            total = texts.corpus.records
        with Progress(common.quiet, total=total) as progress:
            fitted = fit_on(cluster, settings, spread, on_batch=progress.add)
    fitted.save(output)
    return fitted, progress, source


def build_spread(
    address: str, target: NewIndex, lexical: LexicalSettings | None, inputs: Inputs, common: Common
) -> None:
    """Build an index of a vector set, and print the closing line of `index build`."""
    from embedkit.cluster.connection import connected
    from embedkit.cluster.index_workers import build_on
    from embedkit.indexing.building import takes_codes

    shards = _shards(inputs)
    if shards is None:
        hint = "make one with embedkit encode --cluster ADDRESS -o docs.vec"
        raise UsageError("builds from a vector set, not from text", where="--cluster", hint=hint)
    coded = takes_codes(shards.known(), target.kind, target.metric)
    with connected(address) as cluster, Progress(common.quiet, total=shards.source.rows) as progress:
        index = build_on(
            cluster,
            target.output,
            shards,
            kind=target.kind,
            metric=target.metric,
            coded=coded,
            lexical=lexical,
            on_batch=progress.add,
        )
    close_rows(
        common, progress, target.output, rows=index.rows, dimension=index.dimension, reader=shards.source
    )


@contextmanager
def spread_indexes(address: str | None, indexes: Sequence[Index]) -> Iterator[Sequence[Index]]:
    """Yield indexes that the workers of a cluster search, or the given indexes if there is no address."""
    if address is None:
        yield indexes
        return
    from embedkit.cluster.connection import connected
    from embedkit.cluster.search_workers import spread_index

    with connected(address) as cluster:
        yield [spread_index(cluster, index) for index in indexes]


def _no_pipe(names: list[str]) -> None:
    from embedkit.data.folders.folder_source import is_folder

    if "-" in names:
        raise UsageError("standard input can be read by only one process", where="-", hint="name files")
    for name in filter(is_folder, names):
        hint = f"omit --cluster, or encode {name} first: embedkit encode {name} -o docs.vec"
        raise UsageError("a folder is read by one process", where=name, hint=hint)


def _shards(inputs: Inputs) -> MappedShards | None:
    """Return the named vector set with the maps applied, or None for texts.

    Raises UsageError for vectors in a single file, which only one process can read.
    """
    from embedkit.cluster.sources import MappedShards
    from embedkit.data.inputs import open_input
    from embedkit.data.text.records import RecordReader
    from embedkit.data.vectors.vector_set import VectorSet

    names, encoding = inputs.names, inputs.encoding
    _no_pipe(names)
    with open_input(names, inputs.format()) as source:
        if isinstance(source, RecordReader):
            return None
        if not isinstance(source, VectorSet):
            hint = "name a vector set, which is a folder, or omit --cluster"
            raise UsageError("is a single file, which only one process can read", where=names[0], hint=hint)
        return MappedShards(source, tuple(encoding.maps()), encoding.declared())
