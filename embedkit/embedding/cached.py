"""An encoder with a cache: it looks up each text before encoding it, and stores new vectors."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from importlib.metadata import version

import numpy as np

from embedkit.data.cache_folder import cache_folder
from embedkit.data.identity import Identity
from embedkit.data.vectors.vector_cache import VectorCache
from embedkit.embedding.encoder import Encoder, EncoderSettings, Mapped, Role, Vectors
from embedkit.embedding.fingerprint import fingerprint
from embedkit.version import __version__

FILE = "vectors.sqlite"
_COMPUTING = ("openvino", "tokenizers", "torch", "transformers")  # versions decide a vector's last digits


def open_cache() -> VectorCache:
    """Return the cache of vectors, in `EMBEDKIT_CACHE` or the platform's cache folder."""
    return VectorCache(cache_folder("vectors") / FILE)


class Cached:
    """`encoder`, loaded with `settings`, which takes the vectors of known texts from a cache.

    An entry's key is made of the encoder's fingerprint, the prompt of the role, the computation (precision,
    runtime and device as requested, and versions) and the SHA-256 of the text. Maps are applied after the
    cache.
    """

    def __init__(self, encoder: Encoder, settings: EncoderSettings, cache: VectorCache) -> None:
        self.encoder, self.cache = encoder, cache
        computing = {name: version(name) for name in _COMPUTING} | {"embedkit": __version__}
        computing |= {name: getattr(settings, name) for name in ("precision", "runtime", "device")}
        self._computing = computing

    @property
    def identity(self) -> Identity:
        """The encoder's own identity: cached vectors equal newly encoded ones."""
        return self.encoder.identity

    def encode(self, texts: Sequence[str], role: Role = "document") -> Vectors:
        """Return `(len(texts), dimension)` vectors; equal texts are encoded once."""
        identity = self.identity
        keys = self._keys(texts, identity.query_prompt if role == "query" else identity.document_prompt)
        known = self.cache.get(list(dict.fromkeys(keys)), identity.dimension)
        missing = {key: text for key, text in zip(keys, texts, strict=True) if key not in known}
        if missing:
            made = dict(zip(missing, self.encoder.encode(list(missing.values()), role), strict=True))
            self.cache.put({key: vector for key, vector in made.items() if np.isfinite(vector).all()})
            known |= made
        vectors = np.empty((len(texts), identity.dimension), dtype=np.float32)
        for row, key in enumerate(keys):
            vectors[row] = known[key]
        return vectors

    def _keys(self, texts: Sequence[str], prompt: str) -> list[bytes]:
        deciding = {"encoder": self.identity.fingerprint, "prompt": prompt, **self._computing}
        space = fingerprint(deciding).encode()
        return [hashlib.sha256(space + hashlib.sha256(text.encode()).digest()).digest() for text in texts]


def cached(encoder: Encoder, settings: EncoderSettings, cache: VectorCache) -> Encoder:
    """Return the encoder with a cache in front of it; a map is applied after the cache.

    Encoders without a network are returned unchanged: computing their vectors again is faster than a look-up.
    """
    from embedkit.embedding.hashed_encoder import HashedEncoder
    from embedkit.embedding.static.static_encoder import StaticEncoder

    if isinstance(encoder, Mapped):
        return Mapped(cached(encoder.encoder, settings, cache), encoder.transform)
    if isinstance(encoder, HashedEncoder | StaticEncoder):
        return encoder
    return Cached(encoder, settings, cache)
