"""Select documents by an SQL condition over their fields, evaluated by DuckDB on memory-mapped Arrow tables.

DuckDB compares names without case, and looks names up in more places than the fields. So the condition is
parsed first and every name in it is resolved to exactly one field; DuckDB then evaluates it over numbered
columns, which do not depend on the names of the fields.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from embedkit.data.vectors import schemas
from embedkit.data.vectors.sql_columns import comparable
from embedkit.errors import MissingPackageError, UsageError
from embedkit.indexing.kind import Mask
from embedkit.indexing.store import Index

_ROW = "row_number"
_SETTINGS: dict[str, str | bool | int | float | list[str]] = {
    # an expression can read the documents, but no file, address or variable
    "enable_external_access": False,
    "python_enable_replacements": False,
    "autoinstall_known_extensions": False,
    "autoload_known_extensions": False,
}
_VALUES = {"current_date", "current_time", "current_timestamp", "localtime", "localtimestamp"}
_TAKE_FUNCTIONS = {
    f"{of}{how}" for of in ("", "list_", "array_") for how in ("apply", "filter", "reduce")
} | {
    "list_transform",
    "array_transform",
}  # with other functions, an arrow reads from JSON
_REFUSED = {
    "STAR": "a star or COLUMNS(...)",
    "POSITIONAL_REFERENCE": "the number of a column",
    "PARAMETER": "a parameter",
    "WINDOW": "a window function",
}


def rows_where(index: Index, condition: str) -> Mask:
    """Return the mask of rows for which `condition` is true, `(stored_rows,)`; `lang = 'en' and year > 2020`.

    A name means the field with exactly that spelling, or else the only field that differs from it in case
    alone. Fields that are not plain columns (objects, lists of several types) are JSON text; a field of
    several types holds the text of each value. Raises UsageError, naming the fields, for anything but one SQL
    expression over them, and for a name that may mean several fields; MissingPackageError if DuckDB is not
    installed.
    """
    try:
        import duckdb
    except ImportError:
        raise MissingPackageError("duckdb", needed_for="`where`", extra="where") from None
    mask = np.zeros(index.stored_rows, dtype=bool)
    if not index.rows:
        return mask
    parts = [table for segment in index.segments for table in segment.documents()]
    schema = schemas.unify(part.schema for part in parts)
    names = _Names(tuple(schema.names))
    connection: Any = duckdb.connect(":memory:", config=_SETTINGS)
    with connection:
        try:
            query = names.resolved(_parsed(connection, condition, names))
            connection.register("documents", _columns(parts, schema, names.used))
            sql = _answer(connection, "SELECT json_deserialize_sql(?)", json.dumps(query))
            found = connection.execute(sql).fetchnumpy()
        except duckdb.Error as error:
            raise names.fault(names.in_words(str(error).strip().partition("\n")[0])) from None
        except RecursionError:
            raise names.fault("is nested too deeply") from None
    mask[found[_ROW]] = True
    return mask


def _parsed(connection: Any, condition: str, names: _Names) -> dict[str, Any]:
    """Return the statement that selects row numbers by a condition, as DuckDB parses it.

    A condition must be the same expression with and without parentheses around it: one that closes those
    parentheses, or continues with another clause or statement, is not.
    """
    if not condition.strip():
        raise names.fault("is empty")
    trees: list[dict[str, Any]] = []
    for text in (f"(\n{condition}\n)", condition):
        sql = f"SELECT {_ROW} FROM documents WHERE {text}"
        tree = json.loads(_answer(connection, "SELECT json_serialize_sql(?)", sql))
        if tree["error"]:
            raise names.fault(f"is not one expression: {tree['error_message'].partition(chr(10))[0]}")
        trees.append(tree)
    if _without_places(trees[0]) != _without_places(trees[1]):
        raise names.fault("is not one expression")
    return trees[0]


def _answer(connection: Any, sql: str, parameter: str) -> str:
    """Execute a statement with one parameter, and return the one value of its result."""
    ((value,),) = connection.execute(sql, [parameter]).fetchall()
    return str(value)


def _without_places(tree: Any) -> Any:
    """Return a parsed statement without the positions of its parts in the text."""
    if isinstance(tree, list):
        return [_without_places(part) for part in tree]
    if not isinstance(tree, dict):
        return tree
    return {name: _without_places(part) for name, part in tree.items() if not name.startswith("query_loc")}


@dataclass
class _Names:
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
        if kind == "SUBQUERY" and tree["subquery"]["node"].get("from_table", {}).get("type") != "EMPTY":
            raise self.fault("contains a query of its own, where only fields are allowed")
        if kind == "COLUMN_REF":
            return self._reference(tree, bound)
        if kind == "FUNCTION" and tree["function_name"].lower() in _TAKE_FUNCTIONS:
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
        return {**tree, "column_names": [_column(place), *inside]}

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


def _names_in(tree: Any) -> list[str]:
    """Return the names in a list of function parameters, in lower case."""
    if isinstance(tree, list):
        return [name for part in tree for name in _names_in(part)]
    if not isinstance(tree, dict):
        return []
    if tree.get("class") == "COLUMN_REF":
        return [name.lower() for name in tree["column_names"]]
    return [name for part in tree.values() for name in _names_in(part)]


def _column(place: int) -> str:
    return f"field_{place}"


def _columns(parts: Sequence[Any], schema: Any, places: Sequence[int]) -> Any:
    """Return some fields of all documents as one memory-mapped Arrow table, with their row numbers."""
    import pyarrow as pa

    chosen = pa.schema([schema.field(place) for place in places])
    columns = {_ROW: pa.array(np.arange(sum(part.num_rows for part in parts)))}
    joined = comparable(pa.concat_tables([schemas.conform(part, chosen) for part in parts]))
    for number, place in enumerate(places):
        columns[_column(place)] = joined.column(number)
    return pa.table(columns)
