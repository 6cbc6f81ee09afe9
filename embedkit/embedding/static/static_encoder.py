"""The static encoder: the mean of the vectors of a text's tokens. It needs neither torch nor OpenVINO."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import repeat

import numpy as np

from embedkit.data.identity import Identity
from embedkit.embedding.encoder import EncoderSettings, Role, Vectors, thread_count, unit_length
from embedkit.embedding.model_folder import ModelFolder
from embedkit.embedding.model_reading import identify
from embedkit.embedding.static.bags import BagReader, Bags
from embedkit.embedding.static.static_table import StaticTable, dimension, read_table
from embedkit.errors import ModelError, UsageError

_FEW_TEXTS = 8  # for fewer, finding out how the tokenizer reads takes longer than reading
_FEW = 2048  # tokens; for fewer, importing scipy takes longer than the sum
_BLOCK = 1024  # texts that one thread reads and sums
_CHARACTERS = 1 << 20  # of a block, as finding its words takes many times the memory of its texts
_RUN = 256  # tokens that are summed in float32
_STEPS = ("StaticEmbedding", "Normalize")


class StaticEncoder:
    """A folder of sentence-transformers' StaticEmbedding, or of model2vec, as an encoder.

    The table is read at the first text. Prompts are put before the text; `max_length` counts tokens without
    special ones, which a static encoder does not use. A text without tokens has a zero vector.
    """

    def __init__(self, folder: ModelFolder, settings: EncoderSettings) -> None:
        _check(folder, settings)
        self.folder = folder
        self._identity = identify(folder, settings, dimension(folder))
        self._loading = threading.Lock()
        self._loaded: tuple[BagReader, StaticTable] | None = None

    @property
    def identity(self) -> Identity:
        """The identity: the files of the folder and the settings decide the vectors."""
        return self._identity

    def encode(self, texts: Sequence[str], role: Role = "document") -> Vectors:
        """Return `(len(texts), dimension)` vectors: sums in float32 over the tokens of each text."""
        reader, table = self._load()
        identity = self._identity
        prompt = identity.query_prompt if role == "query" else identity.document_prompt
        if prompt:
            texts = [prompt + text for text in texts]
        if table.characters is not None:
            texts = [text[: table.characters] for text in texts]
        if len(blocks := _blocks(texts)) == 1:
            return self._vectors(texts, reader, table)
        with ThreadPoolExecutor(thread_count()) as pool:  # most of the work releases the interpreter's lock
            return np.concatenate(list(pool.map(self._vectors, blocks, repeat(reader), repeat(table))))

    def _bags(self, texts: Sequence[str], reader: BagReader, table: StaticTable) -> Bags:
        """Return the bags of the tokens that count; raises ModelError for a token without a vector."""
        bags = reader.read_whole(texts) if len(texts) < _FEW_TEXTS else reader.read(texts)
        if bags.ids.max(initial=-1) >= len(table.vectors):
            raise ModelError(
                f"its tokenizer gives the token {bags.ids.max()}, its table has {len(table.vectors)} vectors",
                where=self.folder.name,
            )
        most = self._identity.max_length
        if most is not None and bags.lengths.max(initial=0) > most:
            bags = bags.first(most)
        return bags if table.skipped is None else bags.without(table.skipped)

    def _vectors(self, texts: Sequence[str], reader: BagReader, table: StaticTable) -> Vectors:
        vectors = means(self._bags(texts, reader, table), table.vectors)
        return unit_length(vectors) if self._identity.normalized else vectors

    def _load(self) -> tuple[BagReader, StaticTable]:
        with self._loading:
            if self._loaded is None:
                table = read_table(self.folder)
                kept = np.ascontiguousarray(table.vectors[:, : self._identity.dimension])
                self._loaded = BagReader(table.tokenizer), table._replace(vectors=kept)
            return self._loaded


def _blocks(texts: Sequence[str]) -> list[Sequence[str]]:
    """Return the texts in blocks of limited texts and characters; a longer text is a block by itself."""
    borders, characters = [0], 0
    for place, text in enumerate(texts):
        characters += len(text)
        if place - borders[-1] == _BLOCK or (characters > _CHARACTERS and place > borders[-1]):
            borders.append(place)
            characters = len(text)
    return [texts[start:end] for start, end in zip(borders, [*borders[1:], len(texts)], strict=True)]


def means(bags: Bags, table: Vectors) -> Vectors:
    """Return the mean of the rows of `table` (tokens, dim) per bag, `(texts, dim)`; zeros without tokens.

    Float32 sums of 256 tokens are added in float64, so that the mean of a long text is as exact as that of a
    short one.
    """
    runs, firsts = bags.runs(_RUN)
    sums = _sum_few(runs, table) if len(runs.ids) <= _FEW else _sum_many(runs, table)
    lengths = np.maximum(bags.lengths, 1)[:, None]
    if len(sums) > len(lengths):
        return (np.add.reduceat(sums, firsts, axis=0, dtype=np.float64) / lengths).astype(np.float32)
    sums /= lengths.astype(np.float32)
    return sums


def _sum_few(bags: Bags, table: Vectors) -> Vectors:
    sums = np.zeros((len(bags.lengths), table.shape[1]), dtype=np.float32)
    for row, (start, end) in enumerate(zip(bags.offsets[:-1], bags.offsets[1:], strict=True)):
        table[bags.ids[start:end]].sum(axis=0, out=sums[row])
    return sums


def _sum_many(bags: Bags, table: Vectors) -> Vectors:
    """Sum by a sparse product, which releases the interpreter's lock."""
    from scipy.sparse import csr_array

    ones = np.ones(len(bags.ids), dtype=np.float32)
    rows = csr_array((ones, bags.ids, bags.offsets), shape=(len(bags.lengths), len(table)))
    return np.asarray(rows @ table)


def _check(folder: ModelFolder, settings: EncoderSettings) -> None:
    """Raise ModelError for a step, or UsageError for a setting, that a static encoder does not have."""
    for module in folder.modules:
        if module.type not in _STEPS:
            raise ModelError(
                f"has a {module.type} step after its static vectors, which embedkit does not support",
                where=folder.name,
            )
    given = {
        "pooling": settings.pooling,
        "runtime": None if settings.runtime == "auto" else settings.runtime,
        "precision": "bf16" if settings.precision == "bf16" else None,
        "device": None if settings.device in (None, "cpu") else settings.device,
    }
    for field, value in given.items():
        if value is not None:
            raise UsageError("a static encoder has no such setting", where=f"`{field}={value}`")
