"""Expand the groups of options that a command takes into single options, and build the groups for a call."""

from __future__ import annotations

import copy
import dataclasses
import functools
import inspect
from collections.abc import Callable, Iterator
from typing import Annotated, Any, Union, get_args, get_origin, get_type_hints


def spread(function: Callable[..., None]) -> Callable[..., None]:
    """Return a function that takes single options instead of option groups, and builds the groups for the
    call.

    A group is a dataclass of options, and of other groups. Help lists its options under its class attribute
    `panel`, if it has one.
    """
    hints = {name: declared(hint) for name, hint in get_type_hints(function, include_extras=True).items()}
    signature = inspect.signature(function)
    groups: dict[str, Any] = {name: hint for name, hint in hints.items() if dataclasses.is_dataclass(hint)}
    parameters: list[inspect.Parameter] = []
    for name, parameter in signature.parameters.items():
        if name in groups:
            parameters += _options(groups[name])
        else:
            single = parameter.replace(kind=inspect.Parameter.KEYWORD_ONLY, annotation=hints[name])
            parameters.append(single)

    @functools.wraps(function)
    def call(**given: Any) -> None:
        """Call the function with groups that are built of single options."""
        built = {name: _built(group, given) for name, group in groups.items()}
        others = {name: given[name] for name in signature.parameters if name not in groups}
        function(**others, **built)

    call.__signature__ = signature.replace(parameters=parameters)  # type: ignore[attr-defined]
    call.__annotations__ = {parameter.name: parameter.annotation for parameter in parameters}
    return call


def declared(hint: Any) -> Any:
    """Return a parameter's hint as declared; Python 3.10 wraps it in Optional if the default is None."""
    inside = [option for option in get_args(hint) if get_origin(option) is Annotated]
    return inside[0] if get_origin(hint) is Union and inside else hint


def _fields(group: Any) -> Iterator[tuple[dataclasses.Field[Any], Any]]:
    hints = get_type_hints(group, include_extras=True)
    return ((field, declared(hints[field.name])) for field in dataclasses.fields(group))


def _options(group: Any) -> Iterator[inspect.Parameter]:
    for field, hint in _fields(group):
        if dataclasses.is_dataclass(hint):
            yield from _options(hint)
            continue
        default = inspect.Parameter.empty if field.default is dataclasses.MISSING else field.default
        listed = _in_panel(hint, getattr(group, "panel", None))
        yield inspect.Parameter(
            field.name, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=listed
        )


def _in_panel(hint: Any, panel: str | None) -> Any:
    """Return the hint of an option, with the panel of its group."""
    if panel is None:
        return hint
    kind, option = get_args(hint)
    option = copy.copy(option)
    option.rich_help_panel = panel
    return Annotated[kind, option]


def _built(group: Any, given: dict[str, Any]) -> Any:
    """Return a group with the values of its options."""
    return group(
        **{
            field.name: _built(hint, given) if dataclasses.is_dataclass(hint) else given[field.name]
            for field, hint in _fields(group)
        }
    )
