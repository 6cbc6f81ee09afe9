"""Documents chosen by SQL over their fields, evaluated by DuckDB on the Arrow tables as they lie on disk."""

from __future__ import annotations

from typing import Any

import numpy as np

from embedkit.data import tables
from embedkit.errors import MissingPackageError, UsageError
from embedkit.indexing.kind import Mask
from embedkit.indexing.store import Index

_ROW = "__row__"
_SETTINGS: dict[str, str | bool | int | float | list[str]] = {
    # an expression reads the documents, and no file, address or variable
    "enable_external_access": False,
    "python_enable_replacements": False,
    "autoinstall_known_extensions": False,
    "autoload_known_extensions": False,
}


def rows_where(index: Index, condition: str) -> Mask:
    """Return for which rows `condition` is true, `(stored_rows,)`; `lang = 'en' and year > 2020`.

    Fields that are no plain column (objects, lists of several types) are JSON text; of a field of several
    types, the text of each value. Raises UsageError, naming the fields,
    for SQL that cannot be evaluated, MissingPackageError where DuckDB is not installed.
    """
    try:
        import duckdb
    except ImportError:
        raise MissingPackageError("duckdb", needed_for="--where", extra="where") from None
    mask = np.zeros(index.stored_rows, dtype=bool)
    if not index.rows:
        return mask
    documents = _documents(index)
    connection: Any = duckdb.connect(":memory:", config=_SETTINGS)
    with connection:
        connection.register("documents", documents)
        try:
            found = connection.execute(f"SELECT {_ROW} FROM documents WHERE (\n{condition}\n)").fetchnumpy()
        except duckdb.Error as error:
            names = ", ".join(name for name in documents.schema.names if name != _ROW)
            what = str(error).partition("\n")[0]
            raise UsageError(what, where="--where", hint=f"fields: {names}") from None
    mask[found[_ROW]] = True
    return mask


def _documents(index: Index) -> Any:
    """Return all documents as one Arrow table, by memory map, with their row numbers."""
    import pyarrow as pa

    parts = [table for segment in index.segments for table in segment.documents()]
    schema = tables.unify(part.schema for part in parts)
    joined = tables.comparable(pa.concat_tables([tables.conform(part, schema) for part in parts]))
    return joined.append_column(_ROW, pa.array(np.arange(joined.num_rows)))
