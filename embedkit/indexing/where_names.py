"""The names in a condition: each is resolved to exactly one field, and each function must be a known one."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Any

from embedkit.errors import UsageError
from embedkit.indexing.where_functions import FUNCTIONS, TAKE_FUNCTIONS

_VALUES = {"current_date", "current_time", "current_timestamp", "localtime", "localtimestamp"}
_REFUSED = {
    "STAR": "a star or COLUMNS(...)",
    "POSITIONAL_REFERENCE": "the number of a column",
    "PARAMETER": "a parameter",
    "WINDOW": "a window function",
}


@dataclass
class FieldNames:
    """The names of all fields, and the fields that a condition uses."""

    fields: tuple[str, ...]
    used: list[int] = field(default_factory=list)

    def resolved(self, query: dict[str, Any]) -> dict[str, Any]:
        """Return a parsed statement with the fields in its condition replaced by numbered columns."""
        node = query["statements"][0]["node"]
        node["where_clause"] = self._resolved(node["where_clause"], frozenset())
        return query

    def fault(self, what: str) -> UsageError:
        """Return an error that names all fields."""
        return UsageError(what, where="`where`", hint=f"fields: {', '.join(self.fields)}")

    def in_words(self, message: str) -> str:
        """Return a message of DuckDB with numbered columns replaced by the names of their fields."""
        return re.sub(r"\bfield_(\d+)\b", lambda found: self.fields[int(found[1])], message)

    def _resolved(self, tree: Any, bound: frozenset[str]) -> Any:
        """Return a part of the statement with its names resolved; `bound` are parameters of enclosing
        functions.
        """
        if isinstance(tree, list):
            return [self._resolved(part, bound) for part in tree]
        if not isinstance(tree, dict):
            return tree
        kind = tree.get("class")
        if kind in _REFUSED:
            raise self.fault(f"contains {_REFUSED[kind]}, where only fields are allowed")
        if kind == "SUBQUERY" and _has_tables(tree["subquery"]["node"]):
            raise self.fault("contains a query of its own, where only fields are allowed")
        if kind == "FUNCTION" and tree["function_name"].lower() not in FUNCTIONS:
            raise self.fault(f"calls the function {tree['function_name']!r}, which a condition may not call")
        if kind == "COLUMN_REF":
            return self._reference(tree, bound)
        if kind == "FUNCTION" and tree["function_name"].lower() in TAKE_FUNCTIONS:
            return {name: self._with_functions(part, bound) for name, part in tree.items()}
        return {name: self._resolved(part, bound) for name, part in tree.items()}

    def _with_functions(self, tree: Any, bound: frozenset[str]) -> Any:
        """Return arguments with names resolved; some arguments are functions, `x -> x > 1`."""
        if isinstance(tree, list):
            return [self._with_functions(part, bound) for part in tree]
        if isinstance(tree, dict) and "class" not in tree:  # a named argument
            return {name: self._with_functions(part, bound) for name, part in tree.items()}
        if not isinstance(tree, dict) or tree["class"] != "LAMBDA":
            return self._resolved(tree, bound)
        inside = bound | set(_names_in(tree["lhs"]))
        return {**tree, "expr": self._resolved(tree["expr"], inside)}

    def _reference(self, tree: dict[str, Any], bound: frozenset[str]) -> dict[str, Any]:
        """Return a reference to a numbered column, or to a part of its values."""
        name, *inside = tree["column_names"]
        if name.lower() in bound:
            return tree
        if name not in self.fields and name.lower() in _VALUES and not inside:
            return tree
        place = self._place(name)
        if place not in self.used:
            self.used.append(place)
        return {**tree, "column_names": [column_name(place), *inside]}

    def _place(self, name: str) -> int:
        """Return the place of the one field that a name means; raises UsageError if none or several match."""
        if name in self.fields:
            return self.fields.index(name)
        alike = [place for place, other in enumerate(self.fields) if other.lower() == name.lower()]
        if len(alike) > 1:
            could = " or ".join(repr(self.fields[place]) for place in alike)
            raise UsageError(
                f"{name!r} may be the field {could}", where="`where`", hint="spell its name exactly"
            )
        if not alike:
            raise self.fault(f"unknown field {name!r}")
        return alike[0]


def _names_in(tree: object) -> list[str]:
    """Return the names in a list of function parameters, in lower case."""
    if isinstance(tree, list):
        return [name for part in tree for name in _names_in(part)]
    if not isinstance(tree, dict):
        return []
    if tree.get("class") == "COLUMN_REF":
        return [name.lower() for name in tree["column_names"]]
    return [name for part in tree.values() for name in _names_in(part)]


def _has_tables(query: dict[str, Any]) -> bool:
    """Return whether a parsed query may read more than its own values, as that of `'a' = ANY(tags)` does."""
    return query.get("from_table", {}).get("type") != "EMPTY" or bool(query.get("cte_map", {}).get("map"))


def column_name(place: int) -> str:
    """Return the name of a numbered column."""
    return f"field_{place}"
