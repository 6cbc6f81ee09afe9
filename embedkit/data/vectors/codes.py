"""Codes: vectors in fewer bits, as a vector set stores them: one bit (binary) or one byte (int8) per
dimension.

Codes are a storage format like float16, not an affine map; they decode to float32.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from typing import Any, ClassVar, Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from embedkit.data.arrays import Array
from embedkit.errors import DataError

Floats = NDArray[np.float32]
CodeName = Literal["binary", "int8"]

_LEVELS = 255  # steps between the 256 values of a byte


class Codes(Protocol):
    """A format that stores each vector in `width` bytes."""

    name: ClassVar[CodeName]

    @property
    def width(self) -> int:
        """Return the bytes per vector."""

    def encode(self, vectors: Floats) -> Array:
        """Return the codes `(rows, width)` of rows `(rows, dimension)`, one byte each."""

    def decode(self, codes: Array) -> Floats:
        """Return the rows `(rows, dimension)` that codes `(rows, width)` decode to."""

    def to_json(self) -> dict[str, object]:
        """Return the parameters that a reader needs, as plain JSON values."""


@dataclass(frozen=True)
class SignCodes:
    """Binary codes: the signs of `dimension` numbers, bit 1 where a number is above zero, the first number
    highest.

    Zero bits after the last number fill up its byte. A row decodes to +-1/sqrt(dimension), which has unit
    length.
    """

    dimension: int
    name: ClassVar[CodeName] = "binary"

    @property
    def width(self) -> int:
        """Return the bytes per vector."""
        return -(-self.dimension // 8)

    def encode(self, vectors: Floats) -> NDArray[np.uint8]:
        """Return packed signs, `(rows, width)`."""
        return np.packbits(vectors > 0, axis=1)

    def decode(self, codes: NDArray[np.uint8]) -> Floats:
        """Return rows of +-1/sqrt(dimension), `(rows, dimension)`."""
        signs = np.unpackbits(codes, axis=1, count=self.dimension).astype(np.float32)
        return np.asarray((2 * signs - 1) * np.float32(self.dimension**-0.5), dtype=np.float32)

    def to_json(self) -> dict[str, object]:
        """Return the number of bits, bytes and padding bits."""
        return {"bits": self.dimension, "bytes": self.width, "padding": 8 * self.width - self.dimension}


@dataclass(frozen=True)
class Int8Codes:
    """int8 codes: 256 evenly spaced values from `low[j]` to `high[j]` for dimension j, as -128 to 127,
    rounded and clipped.

    A number within the range decodes to within half a step, (high - low) / 510.
    """

    low: tuple[float, ...]
    high: tuple[float, ...]
    name: ClassVar[CodeName] = "int8"

    def __post_init__(self) -> None:
        pairs = zip(self.low, self.high, strict=True)
        if not all(-math.inf < low <= high < math.inf for low, high in pairs):
            raise ValueError("a range ends before it begins")

    @property
    def width(self) -> int:
        """Return the bytes per vector."""
        return len(self.low)

    @cached_property
    def start(self) -> NDArray[np.float64]:
        """Return the value of code -128, `(dimension,)`."""
        return np.array(self.low)

    @cached_property
    def step(self) -> NDArray[np.float64]:
        """Return the difference of adjacent codes' values, `(dimension,)`; zero for a constant dimension."""
        return (np.array(self.high) - self.start) / _LEVELS

    def encode(self, vectors: Floats) -> NDArray[np.int8]:
        """Return the nearest codes, `(rows, dimension)`."""
        steps = (vectors - self.start) / np.where(self.step > 0, self.step, 1)
        return (np.clip(np.rint(steps), 0, _LEVELS) - 128).astype(np.int8)

    def decode(self, codes: NDArray[np.int8]) -> Floats:
        """Return `low + (code + 128) * step`, `(rows, dimension)`."""
        return np.asarray(self.start + (codes.astype(np.float64) + 128) * self.step, dtype=np.float32)

    def to_json(self) -> dict[str, object]:
        """Return the ranges; they are float32 numbers, which JSON keeps exactly."""
        return {"low": list(self.low), "high": list(self.high)}

    @classmethod
    def from_json(cls, value: dict[str, Any]) -> Int8Codes:
        """Return the codes that `to_json` wrote; raises ValueError for invalid ranges."""
        return cls(tuple(value["low"]), tuple(value["high"]))


def calibrate(blocks: Iterable[Floats]) -> Int8Codes:
    """Return int8 codes whose ranges cover all rows, given as blocks `(rows, dimension)`; one block is in
    memory at a time.

    Raises DataError when there are no rows.
    """
    low: Floats | None = None
    high: Floats | None = None
    for block in blocks:
        if len(block):
            least, most = block.min(axis=0), block.max(axis=0)
            low = least if low is None else np.minimum(low, least)
            high = most if high is None else np.maximum(high, most)
    if low is None or high is None:
        raise DataError("the input contains no vectors to take ranges from")
    return Int8Codes(tuple(low.tolist()), tuple(high.tolist()))


def cosine_from_agreement(agreement: Any) -> NDArray[np.float64]:
    """Estimate the cosine of two vectors from the cosine c of their binary codes, as sin(pi c / 2).

    For vectors at angle theta, the signs of random directions give E[c] = 1 - 2 theta/pi, which is not the
    cosine (Goemans and Williamson 1995, lemma 3.2; kexue.fm 8679). For codes of n bits at Hamming distance h,
    c is 1 - 2 h/n.
    """
    return np.asarray(np.sin(np.pi * np.asarray(agreement, dtype=np.float64) / 2))


def sign_cosines(one: NDArray[np.uint8], other: NDArray[np.uint8], dimension: int) -> NDArray[np.float64]:
    """Return the cosine estimates of all pairs of binary codes `(rows, width)`, as `(len(one),
    len(other))`.
    """
    bits = [np.unpackbits(codes, axis=1, count=dimension).astype(np.float64) for codes in (one, other)]
    first, second = (2 * signs - 1 for signs in bits)
    return cosine_from_agreement(first @ second.T / dimension)
