"""Vectors by key in one SQLite file of bounded size, shared by threads and processes."""

from __future__ import annotations

import logging
import os
import sqlite3
import threading
import time
import weakref
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

Vector = NDArray[np.float32]
Found = TypeVar("Found")

LIMIT = 2**31  # bytes of the file: about 1.3 million vectors of dimension 384
_KEPT = 0.9  # share of the limit that stays when entries are removed
_APPLICATION, _VERSION = 0x656D6276, 1  # SQLite's application_id and user_version
_AT_ONCE = 500  # keys per SQL query
_OVERHEAD = 120  # approximate bytes per entry in addition to its vector
_PATIENCE = 30  # seconds to wait for another process's lock
_SCHEMA = (
    "CREATE TABLE entries (key BLOB PRIMARY KEY, used INTEGER, place INTEGER) WITHOUT ROWID",
    "CREATE TABLE vectors (place INTEGER PRIMARY KEY, content BLOB)",
)
_OLDEST = "SELECT place, key FROM entries WHERE used < ? ORDER BY used LIMIT ?"

logger = logging.getLogger("embedkit")


class _FullError(Exception):
    """The file is full of entries that this process used."""


class VectorCache:
    """A cache of float32 vectors by keys of bytes; every entry can be computed again.

    When the file is full, the least recently used entries are removed. Entries that this process used stay,
    and new vectors are then not stored, so that a corpus beyond the limit finds the same entries each time. A
    damaged entry counts as missing. A damaged file is replaced, and a file that cannot be used causes a
    warning.
    """

    def __init__(self, path: str | Path, limit: int = LIMIT) -> None:
        self.path, self.limit = Path(path), limit
        self._started = time.time_ns()
        self._lock = threading.Lock()
        self._connection: sqlite3.Connection | None = None
        self._usable, self._full = True, False

    def get(self, keys: Sequence[bytes], width: int) -> dict[bytes, Vector]:
        """Return the cached vectors of dimension `width`, by key."""
        return self._attempt(lambda: self._get(keys, width), {})

    def put(self, vectors: Mapping[bytes, Vector]) -> None:
        """Store vectors, replacing others under their keys; either all of them or none."""
        if vectors and not self._full:
            try:
                self._attempt(lambda: self._put(vectors), None)
            except _FullError:
                self._full = True

    def close(self) -> None:
        """Close the file; it reopens when it is needed."""
        with self._lock:
            self._close()

    def _attempt(self, work: Callable[[], Found], otherwise: Found) -> Found:
        """Run work on the file, and once more on a new file when it turns out to be damaged."""
        with self._lock:
            try:
                return work() if self._usable else otherwise
            except sqlite3.OperationalError as error:
                self._give_up(str(error))
            except sqlite3.ProgrammingError:
                raise
            except sqlite3.DatabaseError:  # "malformed", "not a database"
                try:
                    self._begin_anew()
                    return work()
                except (sqlite3.Error, OSError) as error:
                    self._give_up(str(error))
            except OSError as error:
                self._give_up(error.strerror or str(error))
            return otherwise

    def _get(self, keys: Sequence[bytes], width: int) -> dict[bytes, Vector]:
        found: dict[bytes, Vector] = {}
        touched = []
        for start in range(0, len(keys), _AT_ONCE):
            some = keys[start : start + _AT_ONCE]
            marks = ",".join("?" * len(some))
            query = (
                f"SELECT key, used, content FROM entries JOIN vectors USING (place) WHERE key IN ({marks})"
            )
            for key, used, content in self._open().execute(query, some):
                if (vector := _unpacked(key, content, width)) is not None:
                    found[key] = vector
                    touched += [(self._started, key)] * (used < self._started)
        if touched:
            with self._writing() as connection:
                connection.executemany("UPDATE entries SET used = ? WHERE key = ?", touched)
        return found

    def _put(self, vectors: Mapping[bytes, Vector]) -> None:
        with self._writing() as connection:
            keys = [(key,) for key in vectors]
            old = "DELETE FROM vectors WHERE place = (SELECT place FROM entries WHERE key = ?)"
            connection.executemany(old, keys)
            connection.executemany("DELETE FROM entries WHERE key = ?", keys)
            self._make_room(sum(vector.nbytes + _OVERHEAD for vector in vectors.values()))
            last = connection.execute("SELECT COALESCE(MAX(place), 0) FROM vectors").fetchone()[0]
            places = range(last + 1, last + 1 + len(vectors))
            contents = [_packed(key, vector) for key, vector in vectors.items()]
            connection.executemany("INSERT INTO vectors VALUES (?, ?)", zip(places, contents, strict=True))
            entries = ((key, self._started, place) for key, place in zip(vectors, places, strict=True))
            connection.executemany("INSERT INTO entries VALUES (?, ?, ?)", entries)

    def _make_room(self, size: int) -> None:
        """Remove the least recently used entries until `size` bytes fit; raises _FullError when they do
        not.
        """
        connection = self._open()
        excess = self._bytes() + size - self.limit
        if excess <= 0:
            return
        rows = connection.execute("SELECT COUNT(*) FROM entries").fetchone()[0]
        share = (excess + (1 - _KEPT) * self.limit) / max(self._bytes(), 1)
        oldest = connection.execute(_OLDEST, (self._started, int(share * rows) + 1)).fetchall()
        connection.executemany("DELETE FROM vectors WHERE place = ?", [(place,) for place, _ in oldest])
        connection.executemany("DELETE FROM entries WHERE key = ?", [(key,) for _, key in oldest])
        if self._bytes() + size > self.limit:
            raise _FullError

    def _bytes(self) -> int:
        """Return the number of bytes in use in the file."""
        pages, free, size = (
            self._open().execute(f"PRAGMA {name}").fetchone()[0]
            for name in ("page_count", "freelist_count", "page_size")
        )
        return int((pages - free) * size)

    @contextmanager
    def _writing(self) -> Iterator[sqlite3.Connection]:
        connection = self._open()
        connection.execute("BEGIN IMMEDIATE")
        try:
            yield connection
            connection.execute("COMMIT")
        except BaseException:
            with suppress(sqlite3.Error):
                connection.execute("ROLLBACK")
            raise

    def _open(self) -> sqlite3.Connection:
        if self._connection is None:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self._connection = sqlite3.connect(
                self.path, timeout=_PATIENCE, isolation_level=None, check_same_thread=False
            )
            self._closing = weakref.finalize(self, self._connection.close)  # closes with this object
            self._connection.execute("PRAGMA journal_mode = WAL")  # readers continue during a write
            self._connection.execute("PRAGMA synchronous = OFF")  # checksums detect damage from a power cut
            self._settle(self._connection)
        return self._connection

    def _settle(self, connection: sqlite3.Connection) -> None:
        """Initialise a new file; raises DatabaseError for a file of another application or version."""
        if self._is_ours(connection):
            return
        connection.execute("BEGIN IMMEDIATE")
        if not self._is_ours(connection):  # another process may have been first
            for statement in _SCHEMA:
                connection.execute(statement)
            connection.execute(f"PRAGMA application_id = {_APPLICATION}")
            connection.execute(f"PRAGMA user_version = {_VERSION}")
        connection.execute("COMMIT")

    def _is_ours(self, connection: sqlite3.Connection) -> bool:
        """Return True for a file of this cache, False for an empty one; raises DatabaseError for any
        other.
        """
        tables = connection.execute("SELECT COUNT(*) FROM sqlite_master").fetchone()[0]
        names = ("application_id", "user_version")  # both are set along with the tables
        told = [connection.execute(f"PRAGMA {name}").fetchone()[0] for name in names]
        if tables and told != [_APPLICATION, _VERSION]:
            raise sqlite3.DatabaseError("of another application or version")
        return bool(tables)

    def _begin_anew(self) -> None:
        self._close()
        for ending in ("", "-wal", "-shm"):
            Path(f"{self.path}{ending}").unlink(missing_ok=True)

    def _give_up(self, reason: str) -> None:
        self._usable = False
        self._close()
        logger.warning("%s: cannot be used (%s); texts are encoded again", os.fspath(self.path), reason)

    def _close(self) -> None:
        if self._connection is not None:
            with suppress(sqlite3.Error):
                self._closing()
            self._connection = None


def _packed(key: bytes, vector: Vector) -> bytes:
    content = np.ascontiguousarray(vector, dtype="<f4").tobytes()
    return zlib.crc32(content, zlib.crc32(key)).to_bytes(4, "little") + content


def _unpacked(key: bytes, content: object, width: int) -> Vector | None:
    """Return the vector that `_packed` wrote; None when it is damaged or of another dimension."""
    if not isinstance(content, bytes) or len(content) != 4 + 4 * width:
        return None
    if zlib.crc32(content[4:], zlib.crc32(key)).to_bytes(4, "little") != content[:4]:
        return None
    return np.frombuffer(content, dtype="<f4", offset=4)
