"""Encoders: the protocol, the settings to load one, and an encoder followed by a map."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache, reduce
from typing import TYPE_CHECKING, Literal, Protocol, get_args

import numpy as np
from numpy.typing import NDArray

from embedkit.data.identity import Identity
from embedkit.data.text.display import shown
from embedkit.errors import DataError, MismatchError, UnknownNameError, UsageError

if TYPE_CHECKING:
    from embedkit.data.affine import AffineMap

Vectors = NDArray[np.float32]
Role = Literal["document", "query"]
PoolingName = Literal["mean", "cls", "max", "first-last", "last2", "embedding", "pooler"]
RuntimeName = Literal["auto", "torch", "openvino"]
Precision = Literal["auto", "fp32", "bf16"]

DEFAULT_MODEL = "minilm"
STATIC = "static"  # the pooling of static encoders: the mean of their token vectors
_SHORT, _LONG = 1e-15, 1e15  # squares of lengths outside this range become 0 or infinity in float32


class Encoder(Protocol):
    """An object that turns texts into vectors and has an identity."""

    @property
    def identity(self) -> Identity:
        """The identity: everything that decides the vectors."""

    def encode(self, texts: Sequence[str], role: Role = "document") -> Vectors:
        """Return one row per text, `(len(texts), identity.dimension)`, in order.

        Two threads may call it at once.
        """


@dataclass(frozen=True)
class EncoderSettings:
    """The encoder, how it reads texts, and where it runs; None takes the model's own setting."""

    model: str = DEFAULT_MODEL
    pooling: PoolingName | None = None
    max_length: int | None = None  # tokens, special ones included
    query_prompt: str | None = None
    document_prompt: str | None = None
    truncate_dim: int | None = None  # keep only the first dimensions
    normalize: bool | None = None  # True: unit length even if the model has no such step
    device: str | None = None  # "cpu", "cuda", "cuda:1", "mps"
    runtime: RuntimeName = "auto"
    precision: Precision = "auto"
    allow_pickle: bool = False  # also read weights from pickle files, which can run code

    def __post_init__(self) -> None:
        for name, value, known in (
            ("pooling", self.pooling, get_args(PoolingName)),
            ("runtime", self.runtime, get_args(RuntimeName)),
            ("precision", self.precision, get_args(Precision)),
        ):
            if value is not None and value not in known:
                raise UnknownNameError(value, known, what=name, where=f"`{name}`")
        for name, number in (("max_length", self.max_length), ("truncate_dim", self.truncate_dim)):
            if number is not None and number < 1:
                raise UsageError(f"must be at least 1, got {number}", where=f"`{name}`")


def is_hashed(model: str) -> bool:
    """Return whether a name such as `hash:dim=512` means hashed n-grams, which need no model."""
    return model.partition(":")[0] == "hash"


def with_maps(encoder: Encoder, transforms: Sequence[AffineMap]) -> Encoder:
    """Return the encoder followed by all of the maps, which are composed into one."""
    if not transforms:
        return encoder
    return Mapped(encoder, reduce(lambda first, after: first.then(after), transforms))


class Mapped:
    """An encoder followed by a map, itself an encoder; it keeps unit length if its identity has it.

    `map` is kept with the vectors because queries need it: `transform`, or the map of the space to which
    `transform` leads.
    """

    def __init__(self, encoder: Encoder, transform: AffineMap) -> None:
        self.encoder, self.transform = encoder, transform
        identity, self.map = transform.place(encoder.identity)
        if identity is None:
            raise MismatchError(
                f"the map takes vectors of {encoder.identity} to those of an unknown encoder",
                hint="fit it towards a vector set that embedkit encode made",
            )
        self._identity = identity

    @property
    def identity(self) -> Identity:
        """The encoder's identity with the map added, or the identity of the map's target."""
        return self._identity

    def encode(self, texts: Sequence[str], role: Role = "document") -> Vectors:
        """Return the mapped vectors, `(len(texts), transform.output_dimension)`."""
        mapped = self.transform.apply(self.encoder.encode(texts, role))
        return unit_length(mapped) if self._identity.normalized else mapped


def unit_length(vectors: Vectors) -> Vectors:
    """Scale rows to length one, also very short and very long ones; a zero row stays zero."""
    with np.errstate(over="ignore"):
        lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    unit = np.asarray(vectors / np.maximum(lengths, np.finfo(np.float32).tiny), dtype=np.float32)
    extreme = ~((lengths > _SHORT) & (lengths < _LONG))[:, 0]
    if extreme.any():
        rows = vectors[extreme].astype(np.float64)
        rows /= np.maximum(np.abs(rows).max(axis=1, keepdims=True), np.finfo(np.float64).tiny)
        unit[extreme] = rows / np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1)
    return unit


def thread_count() -> int:
    """Return the number of threads to add vectors with: EMBEDKIT_THREADS, or else one per processor."""
    given = os.environ.get("EMBEDKIT_THREADS")
    if given is None:
        return _processors()
    if not given.isdecimal() or int(given) < 1:
        raise UsageError(f"must be a number of threads, got {given!r}", where="EMBEDKIT_THREADS")
    return int(given)


@cache
def _processors() -> int:
    return os.cpu_count() or 1  # asks the system each time, which takes longer than a small search


def require_finite(vectors: Vectors, texts: Sequence[str]) -> None:
    """Raise DataError, naming the text, for a row of `(len(texts), dimension)` with NaN or infinity."""
    finite = np.isfinite(vectors).all(axis=1)
    if not finite.all():
        text = texts[int(np.argmin(finite))]
        raise DataError(f"the vector of {shown(text)} has a number that is not finite")
