"""`train.toml`: every setting of a run, so that it can be repeated."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Any, Literal, get_args, get_origin, get_type_hints

from embedkit.errors import FormatError, UnknownNameError
from embedkit.training.run_settings import RunSettings


def to_toml(settings: RunSettings, comment: str) -> bytes:
    """Return settings as TOML under a comment; settings of None are left out."""
    import tomli_w

    values = {name: value for name, value in asdict(settings).items() if value is not None}
    return f"# {comment}\n{tomli_w.dumps(values)}".encode()


def read_toml(path: str | Path, kind: type[RunSettings]) -> dict[str, Any]:
    """Read some or all settings from TOML; raises FormatError, or UnknownNameError for an unknown name."""
    hints, values = get_type_hints(kind), {}
    for name, value in _load(Path(path)).items():
        if name not in hints:
            raise UnknownNameError(name, hints, what="setting", where=str(path))
        plain = tuple(value) if isinstance(value, list) else value
        fitting = [option for option in (plain, _as_float(plain)) if _fits(option, hints[name])]
        if not fitting:
            raise FormatError(f"{name} = {value!r} has another type than expected", where=str(path))
        values[name] = fitting[0]
    return values


def _load(path: Path) -> dict[str, object]:
    try:
        import tomllib
    except ModuleNotFoundError:  # Python 3.10
        import tomli as tomllib  # type: ignore[no-redef, import-not-found, unused-ignore]
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise FormatError("no such file", where=str(path)) from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise FormatError(f"is not TOML: {error}", where=str(path)) from None


def _as_float(value: Any) -> Any:
    """Return a whole number as a decimal one, also within a tuple."""
    if isinstance(value, tuple):
        return tuple(map(_as_float, value))
    return float(value) if type(value) is int else value


def _fits(value: object, hint: object) -> bool:
    """Return whether a value has a type: a plain one, a Literal, a tuple of one type, or a union of these."""
    origin = get_origin(hint)
    if origin is Literal:
        return value in get_args(hint)
    if origin is tuple:
        return isinstance(value, tuple) and all(_fits(part, get_args(hint)[0]) for part in value)
    if origin is not None:
        return any(_fits(value, option) for option in get_args(hint))
    return type(value) is hint
