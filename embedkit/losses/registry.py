"""Find loss kinds by the data that they compare."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from inspect import Parameter, signature
from typing import Any, Literal

from embedkit import spec

Compared = Literal["views", "scores", "similarities", "vectors", "labels", "label sets"]


def losses_comparing(*compared: Compared) -> tuple[str, ...]:
    """Return the names of the losses that compare any of `compared`: views of a text, a teacher's scores of
    each query's own candidates, its similarities of all texts of a batch, its vectors, texts with one label
    each, or texts with sets of labels.
    """
    return tuple(name for name in spec.kinds("loss") if _class(name).compares in compared)


def settings_of(name: str) -> frozenset[str]:
    """Return the names of a loss's settings."""
    return frozenset(field.name for field in fields(_class(name)))


def has_cosine_margin(name: str) -> bool:
    """Return True for a loss whose margin is subtracted from a cosine; a measured diameter can set it."""
    return bool(getattr(_class(name), "margin_is_cosine", False))


def takes(name: str, argument: str) -> bool:
    """Return True for a loss whose call has an argument of that name."""
    return argument in signature(_class(name).__call__).parameters


def accepted(loss: Any, known: Mapping[str, Any]) -> dict[str, Any]:
    """Return the arguments among `known` that a loss takes, by name."""
    parameters = signature(loss).parameters
    open_ended = any(each.kind is Parameter.VAR_KEYWORD for each in parameters.values())
    return {name: value for name, value in known.items() if open_ended or name in parameters}


def _class(name: str) -> Any:
    return spec.kind_class("loss", name)
