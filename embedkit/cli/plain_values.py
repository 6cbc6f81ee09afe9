"""Values of options whose types are plain, without the library by which Typer converts values.

Typer 0.29 imports pydantic for the first value of a command, and makes a validator per option. That took a
tenth of the time of a search. A text that is of its option's type as it stands needs neither; all others,
among them all values that are wrong, go to Typer, which reports them.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal, get_args, get_origin

from typer.core import TyperGroup

_NUMBERS = {int: re.compile(r"-?[0-9]{1,18}"), float: re.compile(r"-?[0-9]+(\.[0-9]+)?")}
_UNKNOWN = object()  # what only Typer may convert


class PlainValues:
    """Converts the values of one parameter as Typer would; Typer's own converter is made if it is needed."""

    def __init__(self, annotation: Any, information: Any, make_own: Callable[[], Any]) -> None:
        self.many = get_origin(annotation) is list
        self.annotation = get_args(annotation)[0] if self.many else annotation
        self.information, self.make_own = information, make_own

    def coerce(self, value: Any, param: Any, ctx: Any) -> Any:
        """Return the value of a parameter; Typer's error is raised for a wrong one."""
        if value is None:
            return () if param.multiple or param.nargs == -1 else None
        several = self.many and isinstance(value, list | tuple)
        found = [self._one(each) for each in value] if several else [self._one(value)]
        if several == self.many and not any(each is _UNKNOWN for each in found):
            return found if self.many else found[0]
        return self.make_own().coerce(value, param=param, ctx=ctx)

    def _one(self, value: Any) -> Any:
        annotation, information = self.annotation, self.information
        if information.parser is not None:
            return _UNKNOWN
        if get_origin(annotation) is Literal:
            return value if isinstance(value, str) and value in get_args(annotation) else _UNKNOWN
        if annotation is str:
            return value if isinstance(value, str) else _UNKNOWN
        if annotation in _NUMBERS:
            return _number(value, annotation, information)
        if annotation is Path and isinstance(value, str) and not _has_demands(information):
            return Path(value) if os.access(value, os.R_OK) or not os.path.lexists(value) else _UNKNOWN
        return _UNKNOWN


def _number(value: Any, kind: type[int | float], information: Any) -> Any:
    if isinstance(value, str) and _NUMBERS[kind].fullmatch(value):
        value = kind(value)
    low, high = information.min, information.max
    if type(value) is not kind or (low is not None and value < low) or (high is not None and value > high):
        return _UNKNOWN
    return value


def _has_demands(information: Any) -> bool:
    """Return whether a path must be more than readable."""
    as_they_are = information.file_okay and information.dir_okay and information.path_type is None
    return not as_they_are or information.exists or information.writable or information.resolve_path


class WithPlainValues:
    """A base of commands and groups: their parameters convert plain values without Typer's converters."""

    def get_params(self, ctx: Any) -> list[Any]:
        """Return all parameters, `--help` included."""
        parameters: list[Any] = super().get_params(ctx)  # type: ignore[misc]
        for parameter in parameters:
            use_plain_values(parameter)
        return parameters


class Group(WithPlainValues, TyperGroup):
    """A group of commands."""


def use_plain_values(parameter: Any) -> None:
    """Convert the plain values of a parameter without Typer's converter; the parameters of a Typer that has
    none are left as they are.
    """
    make_own, described = (
        getattr(parameter, name, None) for name in ("get_runtime_param", "type_descriptor")
    )
    if make_own is not None and described is not None and "get_runtime_param" not in vars(parameter):
        plain = PlainValues(described.annotation, described.parameter_info, make_own)
        parameter.get_runtime_param = lambda: plain
