"""Select documents by an SQL condition over their fields, evaluated by DuckDB on memory-mapped Arrow tables.

DuckDB compares names without case, and looks names up in more places than the fields. So the condition is
parsed first and every name in it is resolved to exactly one field; DuckDB then evaluates it over numbered
columns, which do not depend on the names of the fields. It opens no file and no address, calls only the
functions of `where_functions.py`, and is stopped at the limits of `WhereLimits`.
"""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np

from embedkit.data.vectors import schemas
from embedkit.data.vectors.sql_columns import comparable
from embedkit.errors import MissingPackageError
from embedkit.indexing.kind import Mask
from embedkit.indexing.store import Index
from embedkit.indexing.where_names import FieldNames, column_name

_ROW = "row_number"
_SETTINGS: dict[str, str | bool | int | float | list[str]] = {
    # an expression can read the documents, but no file, address or variable
    "enable_external_access": False,
    "temp_directory": "",
    "python_enable_replacements": False,
    "autoinstall_known_extensions": False,
    "autoload_known_extensions": False,
}


@dataclass(frozen=True)
class WhereLimits:
    """The most that the evaluation of a condition may use."""

    characters: int = 1_000_000  # of the condition
    seconds: float = 120
    memory: str = "1GB"  # beside the documents, which are mapped


LIMITS = WhereLimits()


def rows_where(index: Index, condition: str, limits: WhereLimits = LIMITS) -> Mask:
    """Return the mask of rows for which `condition` is true, `(stored_rows,)`; `lang = 'en' and year > 2020`.

    A name means the field with exactly that spelling, or else the only field that differs from it in case
    alone. Fields that are not plain columns (objects, lists of several types) are JSON text; a field of
    several types holds the text of each value. Raises UsageError, naming the fields, for anything but one SQL
    expression over them, for a name that may mean several fields, and for one that exceeds the limits;
    MissingPackageError if DuckDB is not installed.
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
    names = FieldNames(tuple(schema.names))
    if len(condition) > limits.characters:
        raise names.fault(f"has {len(condition):,} characters, more than {limits.characters:,}")
    settings = {**_SETTINGS, "memory_limit": limits.memory, "lock_configuration": True}
    connection: Any = duckdb.connect(":memory:", config=settings)
    with connection, _stopped_after(limits.seconds, connection):
        try:
            query = names.resolved(_parsed(connection, condition, names))
            connection.register("documents", _columns(parts, schema, names.used))
            sql = _answer(connection, "SELECT json_deserialize_sql(?)", json.dumps(query))
            found = connection.execute(sql).fetchnumpy()
        except duckdb.InterruptException:
            raise names.fault(f"takes longer than {limits.seconds:g} seconds") from None
        except MemoryError:
            raise names.fault(f"needs more memory than {limits.memory}") from None
        except duckdb.Error as error:
            if _is_out_of_memory(str(error)):
                raise names.fault(f"needs more memory than {limits.memory}") from None
            raise names.fault(names.in_words(str(error).strip().partition("\n")[0])) from None
        except RecursionError:
            raise names.fault("is nested too deeply") from None
    mask[found[_ROW]] = True
    return mask


def _is_out_of_memory(message: str) -> bool:
    """Return whether an error of DuckDB means that memory ran out, at its own limit or in a library below it.

    DuckDB reports the latter under several names. Values of documents, which it quotes, do not count.
    """
    own_words = re.sub(r"'[^']*'", "", message)
    return re.search(r"^Out of Memory|MemoryError|std::bad_alloc", own_words) is not None


@contextmanager
def _stopped_after(seconds: float, connection: Any) -> Iterator[None]:
    """Interrupt the connection's statement when the block takes longer than `seconds`."""
    timer = threading.Timer(seconds, connection.interrupt)
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()
        timer.join()


def _parsed(connection: object, condition: str, names: FieldNames) -> dict[str, object]:
    """Return the statement that selects row numbers by a condition, as DuckDB parses it.

    A condition must be the same expression with and without parentheses around it: one that closes those
    parentheses, or continues with another clause or statement, is not.
    """
    if not condition.strip():
        raise names.fault("is empty")
    trees: list[dict[str, object]] = []
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


def _columns(parts: Sequence[Any], schema: Any, places: Sequence[int]) -> Any:
    """Return some fields of all documents as one memory-mapped Arrow table, with their row numbers."""
    import pyarrow as pa

    chosen = pa.schema([schema.field(place) for place in places])
    columns = {_ROW: pa.array(np.arange(sum(part.num_rows for part in parts)))}
    joined = comparable(pa.concat_tables([schemas.conform(part, chosen) for part in parts]))
    for number, place in enumerate(places):
        columns[column_name(place)] = joined.column(number)
    return pa.table(columns)
