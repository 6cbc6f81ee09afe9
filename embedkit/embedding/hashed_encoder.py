"""The hashed encoder: character n-grams through a fixed random projection; it needs no model and reads any
language.

Every n-gram (1 to 4 characters of the NFKC-normalised, lower-cased text) is hashed to 64 bits, which choose
one dimension and a sign. This is a sparse random projection of the n-gram counts (Weinberger et al. 2009,
arXiv 0902.2206) whose matrix is never stored. The sums are whole numbers, so the vectors are equal on every
machine.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from embedkit.data.identity import Identity
from embedkit.embedding.encoder import EncoderSettings, Role, Vectors
from embedkit.embedding.fingerprint import fingerprint
from embedkit.errors import UsageError
from embedkit.spec import parse_settings

NGRAMS = (1, 2, 3, 4)
_VERSION = 1  # version of the scheme: raise it when the vectors change
_BLOCK_CHARACTERS = 100_000  # characters hashed at a time, which bounds memory
_BLOCK_NUMBERS = 1 << 22  # float64 sums held at a time

Hashes = NDArray[np.uint64]
Counts = NDArray[np.float64]


@dataclass(frozen=True)
class Hashed:
    """Settings of `hash:dim=...,seed=...`."""

    dim: int = 256
    seed: int = 0

    def __post_init__(self) -> None:
        if not 1 <= self.dim <= 65536:
            raise ValueError(f"dim={self.dim} is not between 1 and 65536")
        if not 0 <= self.seed < 2**32:
            raise ValueError(f"seed={self.seed} is not between 0 and 4294967295")


class HashedEncoder:
    """Unit-length vectors of hashed character n-grams; a text without characters gives a zero vector."""

    def __init__(self, settings: Hashed) -> None:
        self.settings = settings
        extra = f",seed={settings.seed}" if settings.seed else ""
        self._identity = Identity(
            model=f"hash:dim={settings.dim}{extra}",
            fingerprint=fingerprint({"hash": _VERSION, "dim": settings.dim, "seed": settings.seed}),
            dimension=settings.dim,
            normalized=True,
        )

    @property
    def identity(self) -> Identity:
        """The identity: dimension, seed and version of the scheme decide the vectors."""
        return self._identity

    def encode(self, texts: Sequence[str], role: Role = "document") -> Vectors:
        """Return `(len(texts), dim)` unit vectors; documents and queries are treated alike."""
        vectors = np.empty((len(texts), self.settings.dim), dtype=np.float32)
        for start, block in _blocks(texts, _BLOCK_NUMBERS // self.settings.dim):
            counts = self._counts(block)
            norms = np.sqrt((counts**2).sum(axis=1, keepdims=True))
            vectors[start : start + len(block)] = counts / np.maximum(1.0, norms)
        return vectors

    def _counts(self, block: list[str]) -> Counts:
        """Return the projected counts of a block of short texts, or of one long text, which is read piece by
        piece.
        """
        if len(block[0]) <= _BLOCK_CHARACTERS:
            return self._project(["".join(_cleaned(text)) for text in block])
        counts, before = np.zeros((1, self.settings.dim)), ""
        for part in _cleaned(block[0]):
            counts += self._project([before + part]) - self._project([before])  # n-grams across the border
            before = (before + part)[1 - max(NGRAMS) :]
        return counts

    def _project(self, texts: list[str]) -> Counts:
        dim = self.settings.dim
        lengths = np.array([len(text) for text in texts])
        rows = np.repeat(np.arange(len(texts)), lengths)
        codes = np.frombuffer("".join(texts).encode("utf-32-le", "surrogatepass"), dtype="<u4").astype(
            np.uint64
        )
        sums = np.zeros(len(texts) * dim)
        for size in NGRAMS:
            hashes = _rolling(codes, size)
            whole = (
                rows[: len(hashes)] == rows[len(rows) - len(hashes) :]
            )  # the n-gram ends in the row in which it starts
            row, bits = (
                rows[: len(hashes)][whole],
                _mix(hashes[whole] + np.uint64(self.settings.seed * 8 + size)),
            )
            column = (bits >> np.uint64(32)) * np.uint64(dim) >> np.uint64(32)
            sign = 1.0 - 2.0 * (bits & np.uint64(1)).astype(np.float64)
            sums += np.bincount(row * dim + column.astype(np.int64), weights=sign, minlength=len(sums))
        return sums.reshape(len(texts), dim)


def load_hashed(settings: EncoderSettings) -> HashedEncoder:
    """Return the encoder of a spec like `hash:dim=512`; raises UsageError for settings that only models
    have.
    """
    given = {
        "pooling": settings.pooling,
        "max_length": settings.max_length,
        "truncate_dim": settings.truncate_dim,
        "query_prompt": settings.query_prompt or None,
        "document_prompt": settings.document_prompt or None,
        "runtime": None if settings.runtime == "auto" else settings.runtime,
        "precision": "bf16" if settings.precision == "bf16" else None,
        "device": None if settings.device in (None, "cpu") else settings.device,
        "normalize": False if settings.normalize is False else None,
    }
    for field, value in given.items():
        if value is not None:
            raise UsageError("the hash encoder has no such setting", where=f"`{field}={value}`")
    return HashedEncoder(parse_settings(Hashed, settings.model.partition(":")[2], where=settings.model))


def _blocks(texts: Sequence[str], rows: int) -> Iterator[tuple[int, list[str]]]:
    """Yield blocks of at most `rows` texts, each with the index of its first; a long text is a block."""
    start, size = 0, 0
    block: list[str] = []
    for place, text in enumerate(texts):
        if block and (size + len(text) > _BLOCK_CHARACTERS or len(block) == rows):
            yield start, block
            start, size, block = place, 0, []
        block.append(text)
        size += len(text)
    if block:
        yield start, block


def _cleaned(text: str) -> Iterator[str]:
    """Yield a text normalised and lower-cased, piece by piece, with a space before and after each word."""
    whole = unicodedata.normalize("NFKC", text).lower()
    inside = found = False  # inside: the last piece may end within a word
    for start in range(0, len(whole), _BLOCK_CHARACTERS):
        part = whole[start : start + _BLOCK_CHARACTERS]
        if words := part.split():
            found = True
            yield ("" if inside and not part[0].isspace() else " ") + " ".join(words)
        inside = not part[-1].isspace()
    if found:
        yield " "


def _rolling(codes: Hashes, size: int) -> Hashes:
    """Return the hash of every window of `size` characters, a polynomial of them: `(len(codes) - size +
    1,)`.
    """
    count = max(0, len(codes) - size + 1)
    hashes = np.zeros(count, dtype=np.uint64)
    for offset in range(size):
        hashes = hashes * np.uint64(0x9E3779B97F4A7C15) + codes[offset : offset + count]
    return hashes


def _mix(bits: Hashes) -> Hashes:
    """Return 64 bits with every input bit spread over all of them (the finaliser of SplitMix64)."""
    bits = (bits ^ (bits >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    bits = (bits ^ (bits >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return bits ^ (bits >> np.uint64(31))
