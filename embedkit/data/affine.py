"""The affine map `x -> A x + b`: every fitted map is one, and only this module applies, chains, saves and
checks it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import orjson
from numpy.typing import NDArray

from embedkit.data.atomic import write_whole
from embedkit.data.formats import require_format
from embedkit.data.identity import Identity
from embedkit.data.tensors import metadata_in, tensor_bytes
from embedkit.errors import DataError, FormatError, MismatchError, foreign

FORMAT, VERSION = "embedkit-map", 1


class Space(NamedTuple):
    """The space that vectors lie in: the identity of the encoder for queries to them, and its maps as one
    map.

    `identity` is None when the encoder is unknown; `transform` is None when there is no map.
    """

    identity: Identity | None
    transform: AffineMap | None = None


@dataclass(frozen=True, eq=False)
class AffineMap:
    """The map `y = A x + b` with A `(out, in)` and b `(out,)`, fitted in float64, and its provenance.

    `story` is the provenance: the kind and settings (`spec`), the number of rows (`rows`), the fingerprint of
    the encoder that made them (`encoder`) and of the maps after that encoder (`maps`), all optional. A chain
    keeps the provenance of its parts under `parts`. `target` is the space that a map fitted towards other
    vectors leads to; None means the input's space with one more map. Maps are equal when their files are.
    """

    A: NDArray[np.float64]
    b: NDArray[np.float64]
    story: dict[str, Any]
    target: Space | None = None

    def __post_init__(self) -> None:
        if self.A.ndim != 2 or self.b.shape != self.A.shape[:1]:
            raise MismatchError(
                f"the A of a map has shape {self.A.shape}, which does not fit its b of shape {self.b.shape}"
            )
        if not (np.isfinite(self.A).all() and np.isfinite(self.b).all()):
            raise FormatError("the map has values that are not finite numbers")

    def __eq__(self, other: object) -> bool:
        return isinstance(other, AffineMap) and self.to_bytes() == other.to_bytes()

    def __hash__(self) -> int:
        return hash(self.fingerprint)

    @property
    def input_dimension(self) -> int:
        """Return the dimension of the vectors that the map takes."""
        return int(self.A.shape[1])

    @property
    def output_dimension(self) -> int:
        """Return the dimension of the vectors that the map returns."""
        return int(self.A.shape[0])

    @cached_property
    def fingerprint(self) -> str:
        """Return 16 hex digits of a hash of A and b."""
        digest = hashlib.sha256(np.asarray(self.A.shape, dtype="<i8").tobytes())
        digest.update(np.ascontiguousarray(self.A, dtype="<f8").tobytes())
        digest.update(np.ascontiguousarray(self.b, dtype="<f8").tobytes())
        return digest.hexdigest()[:16]

    @property
    def fingerprints(self) -> tuple[str, ...]:
        """Return the fingerprints of a chain's parts in order of application, or of a single map."""
        parts = self.story.get("parts")
        return tuple(part["fingerprint"] for part in parts) if parts else (self.fingerprint,)

    def apply(self, vectors: NDArray[np.float32]) -> NDArray[np.float32]:
        """Map rows `(rows, in)` to `(rows, out)` in float32; values beyond its range become infinity or
        NaN.
        """
        if vectors.shape[1] != self.input_dimension:
            raise MismatchError(
                f"the map expects {self.input_dimension} dimensions, the vectors have {vectors.shape[1]}"
            )
        A, b = self._single
        with np.errstate(over="ignore", invalid="ignore"):
            return np.asarray(vectors @ A.T + b, dtype=np.float32)

    def then(self, after: AffineMap) -> AffineMap:
        """Return one map that applies this map and then `after`."""
        if after.input_dimension != self.output_dimension:
            raise MismatchError(
                f"the next map expects {after.input_dimension} dimensions, "
                f"this one gives {self.output_dimension}"
            )
        if self.target is None:
            target = after.target
            known = {"encoder": self._common_encoder(after), "maps": self._maps_before(after)}
        else:
            target = after.place(*self.target)
            known = {key: self.story.get(key) for key in ("encoder", "maps")}
        story: dict[str, Any] = {"parts": [*self._parts, *after._parts]}
        story |= {key: value for key, value in known.items() if value is not None}
        return AffineMap(after.A @ self.A, after.A @ self.b + after.b, story, target)

    def place(self, identity: Identity | None, before: AffineMap | None = None) -> Space:
        """Return the space of the mapped vectors of `identity`, whose earlier maps are `before`.

        Raises MismatchError, naming both sides, when the map does not accept them.
        """
        if identity is not None:
            self.require_input(identity)
            maps = (*identity.maps, *self.fingerprints)
            identity = replace(identity, dimension=self.output_dimension, maps=maps)
        return self.target or Space(identity, self if before is None else before.then(self))

    def require_input(self, identity: Identity, *, where: str | None = None) -> None:
        """Raise MismatchError, naming both sides, unless the map accepts this encoder's vectors: it must have
        been fitted on them, or on those of its teacher.
        """
        if self.input_dimension != identity.dimension:
            raise MismatchError(
                f"the map expects {self.input_dimension} dimensions, "
                f"{identity.model} gives {identity.dimension}",
                where=where,
            )
        encoder, maps = self.story.get("encoder"), self.story.get("maps")
        known = encoder in (None, identity.fingerprint, identity.teacher)
        if not known or (maps is not None and tuple(maps) != identity.maps):
            behind = f" with {_listed(maps)}" if maps is not None else ""
            raise MismatchError(
                f"the map was fitted on vectors of encoder {encoder}{behind}, these come from {identity}",
                where=where,
            )

    def _common_encoder(self, after: AffineMap) -> str | None:
        """Return the encoder of a chain; raises MismatchError when its parts name different encoders."""
        known = {part.story["encoder"] for part in (self, after) if part.story.get("encoder") is not None}
        if len(known) > 1:
            raise MismatchError(f"the maps were fitted on two encoders, {' and '.join(sorted(known))}")
        return known.pop() if known else None

    def _maps_before(self, after: AffineMap) -> list[str] | None:
        """Return the maps before a chain; raises MismatchError when `after` was not fitted after this map."""
        mine, wanted = self.story.get("maps"), after.story.get("maps")
        if wanted is None:
            return mine
        before = wanted[: -len(self.fingerprints)]
        if tuple(wanted) != (*(before if mine is None else mine), *self.fingerprints):
            raise MismatchError(
                f"the next map was fitted on vectors with {_listed(wanted)}, not with "
                f"{_listed((*(mine or ()), *self.fingerprints))}"
            )
        return list(before)

    def to_bytes(self) -> bytes:
        """Return the content of a safetensors file with the provenance in its metadata, the same bytes every
        time.
        """
        metadata = {"format": FORMAT, "version": str(VERSION), "story": orjson.dumps(self.story).decode()}
        tensors = {"A": self.A, "b": self.b}
        if self.target is not None:
            identity, transform = self.target
            encoder = identity.to_json() if identity else None
            told = {"encoder": encoder, "story": transform.story if transform else None}
            metadata["target"] = orjson.dumps(told).decode()
            tensors |= {"target.A": transform.A, "target.b": transform.b} if transform else {}
        return tensor_bytes(tensors, metadata)

    def save(self, path: Path) -> None:
        """Write one safetensors file, whole or not at all."""
        write_whole(path, self.to_bytes())

    @classmethod
    def load(cls, path: str | Path) -> AffineMap:
        """Read a map file; raises FormatError when it is missing, damaged, or of another format or
        version.
        """
        path = Path(path)
        try:
            return cls.from_bytes(path.read_bytes(), where=str(path))
        except FileNotFoundError:
            raise FormatError("no such map", where=str(path)) from None

    @classmethod
    def from_bytes(cls, content: bytes, *, where: str) -> AffineMap:
        """Return the map that `to_bytes` serialised; raises FormatError as `load` does."""
        from safetensors import SafetensorError
        from safetensors.numpy import load

        try:
            metadata = metadata_in(content)
            require_format(metadata, FORMAT, VERSION, thing="a map", where=where)
            tensors = load(content)
            target = _target(orjson.loads(metadata["target"]), tensors) if "target" in metadata else None
            return cls(tensors["A"], tensors["b"], orjson.loads(metadata["story"]), target)
        except (SafetensorError, OverflowError, LookupError, AttributeError, TypeError, ValueError) as error:
            raise FormatError(f"is truncated, or not a map file: {foreign(error)}", where=where) from None

    @property
    def _parts(self) -> list[dict[str, Any]]:
        return self.story.get("parts") or [{**self.story, "fingerprint": self.fingerprint}]

    @cached_property
    def _single(self) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        with np.errstate(over="ignore"):
            A, b = np.asarray(self.A, dtype=np.float32), np.asarray(self.b, dtype=np.float32)
        if not (np.isfinite(A).all() and np.isfinite(b).all()):
            hint = "scale the vectors before it is fitted on them"
            raise DataError("the map has numbers that are too large for float32", hint=hint)
        return A, b


def _target(told: dict[str, Any], tensors: dict[str, NDArray[np.float64]]) -> Space:
    identity = Identity.from_json(told["encoder"]) if told["encoder"] else None
    if told["story"] is None:
        return Space(identity)
    return Space(identity, AffineMap(tensors["target.A"], tensors["target.b"], told["story"]))


def _listed(maps: Sequence[str]) -> str:
    return f"maps {' '.join(maps)}" if maps else "no map applied"
