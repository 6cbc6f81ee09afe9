"""Specs: `whitening:dim=256` <-> `Whitening(dim=256)`, and the kinds of each family, listed without importing
them.

A kind is a frozen dataclass of settings in its own file; the kind's name is the file's name with hyphens for
underscores. To add a kind, add a file to the family's `kinds/` folder. A kind whose settings have their own
syntax, such as `factory:IVF256,SQ8`, names in `verbatim` the field that receives everything after the colon.
"""

import dataclasses
import types
import typing
from functools import lru_cache
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

from embedkit.errors import UnknownNameError, UsageError

FAMILIES: dict[str, str] = {  # family: the package whose files are its kinds
    "transform": "embedkit.transforms.kinds",
    "loss": "embedkit.losses.kinds",
    "index": "embedkit.indexing.kinds",
    "pair": "embedkit.adaptation.kinds",
    "architecture": "embedkit.embedding.architectures.kinds",
}

Settings = TypeVar("Settings")


@lru_cache
def kinds(family: str) -> tuple[str, ...]:
    """Return the sorted names of a family's kinds, read from its folder; only the parent package is
    imported.
    """
    found = find_spec(FAMILIES[family])
    assert found is not None
    assert found.submodule_search_locations is not None
    files = (file.stem for folder in found.submodule_search_locations for file in Path(folder).glob("*.py"))
    return tuple(sorted(stem.replace("_", "-") for stem in files if stem[0] != "_"))


def kind_class(family: str, name: str) -> type[Any]:
    """Import one kind's file and return its settings class (the dataclass defined there).

    Raises UnknownNameError with the nearest name when the file does not exist.
    """
    stem = name.replace("-", "_")
    if stem.replace("_", "-") not in kinds(family):
        raise UnknownNameError(name, kinds(family), what=f"{family} kind")
    module = import_module(f"{FAMILIES[family]}.{stem}")
    classes = [
        value
        for value in vars(module).values()
        if dataclasses.is_dataclass(value) and isinstance(value, type) and value.__module__ == module.__name__
    ]
    assert len(classes) == 1, f"{module.__name__} must define exactly one dataclass"
    return classes[0]


def parse(family: str, text: str) -> Any:
    """Parse `kind:key=value,...` into that kind's settings.

    >>> parse("transform", "truncate:dim=64")
    Truncate(dim=64)
    """
    name, _, settings = text.partition(":")
    cls = kind_class(family, name.strip())
    if whole := getattr(cls, "verbatim", None):  # its syntax may contain commas
        return cls(**{whole: _present(settings, whole, where=text)})
    return parse_settings(cls, settings, where=text)


def _present(text: str, field: str, *, where: str) -> str:
    if not text.strip():
        raise UsageError(f"needs {field}", where=where, hint=f"write it after {where.rstrip(':')}:")
    return text.strip()


def parse_settings(cls: type[Settings], settings: str, *, where: str) -> Settings:
    """Parse `key=value,...` into the frozen dataclass `cls`; raises UsageError naming the wrong key."""
    hints = get_type_hints(cls)
    fields = {field.name: field for field in dataclasses.fields(cls)}  # type: ignore[arg-type]
    values: dict[str, Any] = {}
    for item in filter(None, (part.strip() for part in settings.split(","))):
        key, equals, value = item.partition("=")
        key = key.strip().replace("-", "_")
        if key not in fields:
            raise UnknownNameError(key, fields, what="setting", where=where)
        if not equals:
            raise UsageError(f"{key} has no value", where=where, hint=f"write {key}=VALUE")
        if key in values:
            raise UsageError(f"{key} is given twice", where=where)
        values[key] = _read_value(hints[key], value.strip(), where=where, key=key)
    required = [
        name
        for name, field in fields.items()
        if field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING
    ]
    if missing := [name for name in required if name not in values]:
        raise UsageError(f"needs {', '.join(missing)}", where=where, hint=f"write {missing[0]}=VALUE")
    try:
        return cls(**values)
    except ValueError as error:  # a kind checks its ranges in __post_init__
        raise UsageError(str(error), where=where) from None


def render(settings: Any) -> str:
    """Return settings as a spec, without the settings at their defaults.

    >>> render(parse("transform", "truncate:dim=64"))
    'truncate:dim=64'
    """
    name = type(settings).__module__.rpartition(".")[2].replace("_", "-")
    if whole := getattr(settings, "verbatim", None):
        return f"{name}:{getattr(settings, whole)}"
    changed = [
        f"{field.name}={_write_value(getattr(settings, field.name))}"
        for field in dataclasses.fields(settings)
        if getattr(settings, field.name) != field.default
    ]
    return f"{name}:{','.join(changed)}" if changed else name


def _read_value(kind: Any, text: str, *, where: str, key: str) -> Any:
    origin = get_origin(kind)
    if origin in (Union, types.UnionType):
        if text.lower() == "none":
            return None
        options = [option for option in get_args(kind) if option is not type(None)]
        named = [option for option in options if get_origin(option) is Literal and text in get_args(option)]
        return _read_value((named or options)[0], text, where=where, key=key)
    if origin is Literal:
        choices = {str(choice): choice for choice in get_args(kind)}
        if text not in choices:
            raise UnknownNameError(text, choices, what=key, where=where)
        return choices[text]
    if kind is bool:
        words = {"true": True, "yes": True, "1": True, "false": False, "no": False, "0": False}
        if text.lower() not in words:
            raise UsageError(f"{key}={text} is not true or false", where=where)
        return words[text.lower()]
    if kind not in (int, float, str):
        raise TypeError(f"{typing.cast(object, kind)} cannot be written in a spec")
    try:
        return kind(text)
    except ValueError:
        raise UsageError(
            f"{key}={text} is not {'a whole number' if kind is int else 'a number'}", where=where
        ) from None


def _write_value(value: Any) -> str:
    if value is None or isinstance(value, bool):
        return {None: "none", True: "true", False: "false"}[value]
    return repr(value) if isinstance(value, float) else str(value)
