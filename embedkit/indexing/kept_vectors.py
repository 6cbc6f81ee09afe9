"""An encoder that copies the vectors of texts that an index has, and encodes only the other texts."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Callable, Iterable, Sequence

import numpy as np
from numpy.typing import NDArray

from embedkit.data.folders.passages import HEADINGS
from embedkit.data.folders.token_places import Places, TokenPlaces
from embedkit.data.identity import Identity
from embedkit.data.text.record import embedded
from embedkit.embedding.encoder import Encoder, Role, Vectors
from embedkit.embedding.tokenizer_places import token_places
from embedkit.indexing.kind import Rows
from embedkit.indexing.store import Index

_BLOCK = 4096  # documents that are read at a time
_DIGEST = 16  # bytes


class KeptVectors:
    """The encoder of an index, loaded at the first text whose vector the index does not have.

    `rows` are the numbers of the rows whose vectors may be copied; per row, 16 bytes are held in memory.
    Passages were embedded with their headings if `headings` is True. Kinds that store vectors rounded keep
    none. `copied` and `encoded` count the texts. Raises MismatchError if another encoder is loaded.
    """

    def __init__(self, index: Index, rows: Rows, load: Callable[[], Encoder], *, headings: bool) -> None:
        assert index.identity is not None
        self._index, self._load, self._identity = index, load, index.identity
        self._encoder: Encoder | None = None
        self._token_places: TokenPlaces | None = None
        self._loading = threading.Lock()
        self.copied = self.encoded = 0
        rows = rows if index.settings.keeps_vectors else rows[:0]
        digests = _digests(_embedded_texts(index, rows, headings=headings))
        order = np.argsort(digests)
        self._rows, self._digests = rows[order], digests[order]

    @property
    def identity(self) -> Identity:
        """The identity that the index states."""
        return self._identity

    def encode(self, texts: Sequence[str], role: Role = "document") -> Vectors:
        """Return `(len(texts), dimension)` vectors, copied where the index has the text."""
        rows = self._find(texts)
        known, missing = np.flatnonzero(rows >= 0), np.flatnonzero(rows < 0).tolist()
        vectors = np.empty((len(texts), self._index.dimension), dtype=np.float32)
        vectors[known] = self._index.vectors(rows[known])
        if missing:
            vectors[missing] = self.loaded().encode([texts[place] for place in missing], role)
        with self._loading:
            self.copied, self.encoded = self.copied + len(known), self.encoded + len(missing)
        return vectors

    def loaded(self) -> Encoder:
        """Return the encoder, which is loaded once."""
        with self._loading:
            if self._encoder is None:
                self._encoder = self._load()
                self._index.require_encoder(self._encoder)
            return self._encoder

    def token_places(self, text: str) -> Places:
        """Return the places of the encoder's tokens in a text."""
        if self._token_places is None:
            self._token_places = token_places(self.loaded())
        return self._token_places(text)

    def _find(self, texts: Sequence[str]) -> Rows:
        """Return the row of each text, -1 for a text that the index lacks."""
        found = np.full(len(texts), -1, dtype=np.int64)
        if len(self._rows):
            wanted = _digests(texts)
            places = np.minimum(np.searchsorted(self._digests, wanted), len(self._rows) - 1)
            same = self._digests[places] == wanted
            found[same] = self._rows[places[same]]
        return found


def _embedded_texts(index: Index, rows: Rows, *, headings: bool) -> Iterable[str]:
    """Yield the texts of some rows as they were embedded."""
    for start in range(0, len(rows), _BLOCK):
        for document in index.take(rows[start : start + _BLOCK], ["text", HEADINGS]):
            context = (document.get(HEADINGS) or "") if headings else ""
            yield embedded(context, document.get("text") or "")


def _digests(texts: Iterable[str]) -> NDArray[np.bytes_]:
    joined = b"".join(hashlib.blake2b(text.encode(), digest_size=_DIGEST).digest() for text in texts)
    return np.frombuffer(joined, dtype=f"S{_DIGEST}")
