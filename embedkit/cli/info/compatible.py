"""Decide which things fit together, by their encoders and by the input and output spaces of maps."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from embedkit.cli.info.recognise import Thing
from embedkit.errors import MismatchError

if TYPE_CHECKING:
    from embedkit.data.affine import AffineMap
    from embedkit.data.identity import Identity


class Fit(NamedTuple):
    """Whether two things fit together (None: unknown), and the reason."""

    one: str
    other: str
    together: bool | None
    reason: str

    def to_json(self) -> dict[str, object]:
        """Return plain JSON values."""
        return {"things": [self.one, self.other], "fit": self.together, "reason": self.reason}


def fit(one: Thing, other: Thing) -> Fit:
    """Return whether two things fit together, by the checks of the commands that use both."""
    together, reason = _fit(one, other)
    return Fit(one.name, other.name, together, reason)


def _fit(one: Thing, other: Thing) -> tuple[bool | None, str]:
    if one.transform is not None and other.transform is not None:
        return _chain(one.transform, other.transform, one.name, other.name)
    for thing, beside in ((one, other), (other, one)):
        if thing.transform is not None and beside.identity is not None:
            return _takes(thing.transform, beside.identity, beside.name)
        if thing.transform is not None and beside.dimension is not None:
            return _width(thing.transform, beside.dimension)
    for thing in (one, other):
        if thing.identity is None and thing.transform is None:
            return None, f"{thing.name} does not state its encoder"
    assert one.identity is not None
    assert other.identity is not None
    return _same_space(one.identity, other.identity, one.name, other.name)


def _same_space(one: Identity, other: Identity, mine: str, others: str) -> tuple[bool, str]:
    """Return whether vectors can be compared: those of one encoder, or of a student and its teacher."""
    if one.is_student_of(other) or other.is_student_of(one):
        student, teacher = (mine, others) if one.is_student_of(other) else (others, mine)
        return True, f"queries of {student} can search {teacher}, whose encoder taught it"
    try:
        one.require_same_space(other, where="", mine=mine, others=others)
    except MismatchError as error:
        return False, error.what
    return True, f"both come from {one}"


def _takes(transform: AffineMap, identity: Identity, name: str) -> tuple[bool, str]:
    """Return whether a map fits vectors of an encoder: it takes them, made them, or leads to their space."""
    if identity.maps[-len(transform.fingerprints) :] == transform.fingerprints:
        return True, f"{name} was made with the map"
    target = transform.target.identity if transform.target is not None else None
    if target is not None and _same_space(identity, target, "", "")[0]:
        return True, f"the map leads to the space of {name}"
    try:
        transform.require_input(identity)
    except MismatchError as error:
        return False, error.what
    return True, f"the map takes vectors of {identity}"


def _width(transform: AffineMap, dimension: int) -> tuple[bool | None, str]:
    """Return whether a map takes vectors of which only the dimension is known."""
    wants = f"the map expects {transform.input_dimension} dimensions, the vectors have {dimension}"
    if transform.input_dimension != dimension:
        return False, wants
    return None, f"{wants}, but their encoder is unknown"


def _chain(first: AffineMap, second: AffineMap, mine: str, others: str) -> tuple[bool, str]:
    """Return whether two maps can be chained, and in which order."""
    reason = ""
    for before, after, words in ((first, second, f"{mine}, then {others}"), (second, first, "")):
        try:
            before.then(after)
        except MismatchError as error:
            reason = reason or error.what
        else:
            return True, f"they can be chained: {words or f'{others}, then {mine}'}"
    return False, reason
