"""An index that is served, and followed as it changes on disk."""

from __future__ import annotations

import logging
import os
import threading
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from embedkit.errors import EmbedkitError, UsageError
from embedkit.indexing.manifest import MANIFEST
from embedkit.indexing.store import Index
from embedkit.serving.query_encoding import Encoding, Encodings

_log = logging.getLogger("embedkit")


@dataclass(frozen=True, eq=False)
class Generation:
    """An index as it was opened, with the encoder of its queries; a request keeps it until it is answered."""

    index: Index
    encoding: Encoding
    stamp: tuple[int, ...]  # tells whether the manifest on disk is still the same file

    @property
    def number(self) -> int:
        """The number of the generation, which every change increases."""
        return self.index.manifest.generation


class ServedIndex:
    """An index folder under a name; `current` is its newest generation that could be opened.

    Raises the errors of opening the index and of loading its encoder.
    """

    def __init__(self, name: str, path: Path, encodings: Encodings) -> None:
        self.name, self.path = name, path
        self.failure: str | None = None  # why a newer generation could not be opened
        self._encodings, self._opening = encodings, threading.Lock()
        self._newest: Generation | None = None
        self._newest = self._opened()

    @property
    def current(self) -> Generation:
        """The newest generation that could be opened."""
        assert self._newest is not None
        return self._newest

    def refresh(self) -> bool:
        """Open the index again if it has changed on disk, and return whether it has.

        If it cannot be opened, the last generation is kept and `failure` says why; this is tried again.
        """
        with self._opening:
            if _stamp(self.path) == self.current.stamp:
                self.failure = None
                return False
            try:
                self._newest = self._opened()
            except Exception as error:  # a fault of a library must not end the following either
                known = isinstance(error, EmbedkitError | OSError)
                self._fail(str(error) if known else repr(error))
                return False
            self.failure = None
            return True

    def _fail(self, why: str) -> None:
        """Keep the reason, and log it once."""
        if self.failure != why:
            _log.warning("%s; the last state of %s keeps answering", why, self.name)
        self.failure = why

    def _opened(self) -> Generation:
        stamp = _stamp(self.path)
        index = Index.open(self.path)
        if self._newest is not None:
            index = _with_open_segments(index, self._newest.index)
        encoding = self._encodings.of(index)
        index.warm()
        if has_words(index):
            _ = index.sampled_vectors  # read by every hybrid search
        return Generation(index, encoding, stamp)


def _with_open_segments(index: Index, before: Index) -> Index:
    """Return an index with the segments that it shares with an earlier generation, which are open already."""
    known = {segment: segment for segment in before.segments}
    segments = tuple(known.get(segment, segment) for segment in index.segments)
    return replace(index, manifest=replace(index.manifest, segments=segments))


def has_words(index: Index) -> bool:
    """Return whether an index can be searched by words."""
    try:
        return index.lexical is not None
    except UsageError:
        return False


def index_names(paths: list[Path]) -> dict[str, Path]:
    """Return the indexes by their names, which are those of their folders without `.idx`.

    Raises UsageError for two indexes of one name.
    """
    named: dict[str, Path] = {}
    for path in paths:
        name = path.resolve().name.removesuffix(".idx")
        if name in named:
            what = f"{named[name]} and {path} would both be served as {name!r}"
            raise UsageError(what, hint="rename one of them, or make a link with another name")
        named[name] = path
    return named


def _stamp(path: Path) -> tuple[int, ...]:
    try:
        found: Any = os.stat(path / MANIFEST)
    except OSError:
        return ()
    return (found.st_dev, found.st_ino, found.st_mtime_ns, found.st_size)
