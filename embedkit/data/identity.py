"""The identity of an encoder: the settings that determine its vectors. Vectors, maps and indexes store it,
and it is compared when they are used together.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Any

from embedkit.errors import MismatchError


@dataclass(frozen=True)
class Identity:
    """The identity of an encoder; equal fingerprints and maps mean equal vectors."""

    model: str  # a name that loads the model again: "minilm", a hub id, an absolute folder, "hash:dim=512"
    fingerprint: str  # 16 hex digits over weights, tokenizer, modules and the settings that change vectors
    dimension: int  # vector size after the maps
    normalized: bool  # True when the vectors have unit length
    pooling: str | None = None
    max_length: int | None = None  # tokens, special ones included
    truncate_dim: int | None = None
    document_prompt: str = ""
    query_prompt: str = ""  # changes queries only, and is therefore not part of the fingerprint
    maps: tuple[str, ...] = ()  # fingerprints of the maps applied after the encoder, in order
    teacher: str | None = None  # fingerprint of the encoder whose vectors it has learnt

    def __str__(self) -> str:
        details = [self.pooling] if self.pooling else []
        details += [f"max length {self.max_length}"] if self.max_length else []
        details += [f"truncated to {self.truncate_dim}"] if self.truncate_dim else []
        details += [f"maps {' '.join(self.maps)}"] if self.maps else []
        settings = f" ({', '.join(details)})" if details else ""
        return f"{self.model}{settings} {self.fingerprint}"

    def to_json(self) -> dict[str, object]:
        """Return the fields as plain JSON values; a teacher only where there is one."""
        values = {**dataclasses.asdict(self), "maps": list(self.maps)}
        if self.teacher is None:
            del values["teacher"]
        return values

    @classmethod
    def from_json(cls, value: dict[str, Any]) -> Identity:
        """Return the identity that `to_json` wrote; unknown fields (of a later minor version) are ignored."""
        names = {field.name for field in dataclasses.fields(cls)}
        known = {name: item for name, item in value.items() if name in names}
        return cls(**{**known, "maps": tuple(known.get("maps", ()))})

    def is_student_of(self, other: Identity) -> bool:
        """Return True for an encoder that has learnt the vectors of the other, so that its queries can be
        compared with them.
        """
        return self.teacher is not None and (self.teacher, self.maps) == (other.fingerprint, other.maps)

    def require_same_space(self, other: Identity, *, where: str, mine: str, others: str) -> None:
        """Raise MismatchError, naming both sides, unless vectors of the two encoders can be compared."""
        if (self.fingerprint, self.maps) != (other.fingerprint, other.maps):
            raise MismatchError(
                f"{mine} comes from {self}, {others} from {other}",
                where=where,
                hint="their vectors cannot be compared",
            )
