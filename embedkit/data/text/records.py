"""Text records: every kind of input is read as records, one at a time, with their places for errors."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from types import NoneType
from typing import TYPE_CHECKING, Literal, Protocol

from embedkit.data.folders.folder_settings import FolderSettings
from embedkit.data.folders.token_places import TokenPlaces, rule_places
from embedkit.data.names import readable_name
from embedkit.data.text.csv_headers import require_header
from embedkit.data.text.display import it_has
from embedkit.data.text.input_kinds import InputKind
from embedkit.data.text.json_lines import Row, json_type
from embedkit.data.text.read_errors import readable
from embedkit.data.text.record import Record
from embedkit.data.text.rows import has_vectors_beside, row_parsers
from embedkit.data.text.streams import Stream
from embedkit.data.vectors.columns import VECTOR
from embedkit.errors import DataError

if TYPE_CHECKING:
    from embedkit.data.folders.file_states import FileStates
    from embedkit.data.folders.folder_counts import FolderCounts

ID_FIELDS = ("_id", "id")


class RecordSource(Protocol):
    """An input that yields records by itself, such as a folder of files."""

    name: str
    size: int | None

    def records(self, token_places: TokenPlaces) -> Iterator[Record]:
        """Yield the records; `token_places` counts the tokens by which texts are divided."""

    def tell(self) -> int:
        """Return how many of the `size` bytes have been read."""


@dataclass(frozen=True)
class TextFormat:
    """The options for reading inputs; None means that the input decides."""

    input_format: InputKind | None = None
    id_field: str | None = None
    text_field: str | None = None
    on_error: Literal["stop", "skip"] = "stop"
    folders: FolderSettings = field(default_factory=FolderSettings)


class ReadFolders(Protocol):
    """The folders among the inputs, as far as they have been read; `Folders` implements it."""

    states: FileStates
    counts: FolderCounts


class RecordReader:
    """The records of one or more open inputs, in order, with counts of the records passed over.

    Ids come from the id field. Without one, the id is the line (or row) number, after the input's name when
    there are several inputs; after a call of `number_from`, it is a number that continues through all inputs.
    """

    def __init__(
        self,
        streams: Iterable[Stream | RecordSource],
        format: TextFormat,
        *,
        names: Sequence[str] = (),
        size: int | None = None,
        folders: ReadFolders | None = None,
    ) -> None:
        self.format, self.name, self.folders = format, ", ".join(names) or None, folders
        self.read = self.blank = self.skipped = 0
        self.bytes_read, self.size = 0, size  # bytes as stored; size is None when unknown
        self._streams, self._several = streams, len(names) > 1
        self._first: int | None = None
        self._numbered = 0
        self._token_places: TokenPlaces = rule_places

    def count_tokens_by(self, token_places: TokenPlaces) -> None:
        """Divide the files of folders into passages by these tokens, those of an encoder."""
        self._token_places = token_places

    def number_from(self, first: int) -> None:
        """Number records without ids from `first` on."""
        self._first = first

    @property
    def first_number(self) -> int | None:
        """Return the number of the first record without an id; None when no record was numbered."""
        return self._first if self._numbered else None

    def __iter__(self) -> Iterator[Record]:
        done = 0
        for stream in self._streams:
            name = readable_name(stream.name)
            prefix = f"{name}:" if self._several else ""
            with readable(stream.name):
                for record in self._records(stream, prefix):
                    self.read += 1
                    if self.read & 255 == 0:
                        self.bytes_read = done + stream.tell()
                    yield record
            done += stream.size or 0
            self.bytes_read = done

    def _records(self, stream: Stream | RecordSource, prefix: str) -> Iterator[Record]:
        if not isinstance(stream, Stream):
            yield from stream.records(self._token_places)
            return
        if stream.kind in ("csv", "tsv") and self.format.text_field is None:
            require_header(stream)
        composed = has_vectors_beside(stream)
        for number, (place, parse) in enumerate(row_parsers(stream), stream.rows_before + 1):
            try:
                row = parse()
                if row is None:
                    self.blank += 1
                    continue
                record = self._record(row, f"{prefix}{number}", composed)
            except (DataError, ValueError, OverflowError) as error:
                if self.format.on_error == "skip":
                    self.skipped += 1
                    continue
                what = error.what if isinstance(error, DataError) else str(error)
                hint = getattr(error, "hint", None) or "pass over such records with `on_error=skip`"
                raise DataError(what, where=place, hint=hint) from None
            yield record

    def _record(self, row: Row, default_id: str, composed: bool) -> Record:
        """Return a row as a record; the text of a `composed` row, which comes with a vector, includes its
        title already.
        """
        fields = dict(row)
        if (vector := fields.get(VECTOR)) is not None:
            if not isinstance(vector, list) or not {int, float, NoneType} >= set(map(type, vector)):
                kind = json_type(vector) if not isinstance(vector, list) else "a list of other values"
                what = f"field {VECTOR!r} is {kind}, expected a list of numbers"
                raise DataError(what, hint="convert it, or rename it to have the text encoded")
            if not composed:
                hint = f"remove the field {VECTOR!r} to have the text encoded"
                raise DataError("has a vector, and the first record has none", hint=hint)
            del fields[VECTOR]
        return Record(self._take_id(fields, default_id), self._take_text(fields, composed), fields)

    def _take_id(self, fields: Row, default: str) -> str:
        candidates = (name for name in ID_FIELDS if name in fields and name != self.format.text_field)
        name = self.format.id_field or next(candidates, None)
        if name is None:
            return self._number(default)
        if name not in fields:
            raise DataError(f"has no id field {name!r}", hint=it_has(list(fields)))
        value = fields.pop(name)
        if not isinstance(value, str | int) or isinstance(value, bool):
            raise DataError(
                f"field {name!r} is {json_type(value)}",
                hint="write an id as text or a whole number of 64 bits",
            )
        return str(value)

    def _number(self, default: str) -> str:
        if self._first is None:
            return default
        self._numbered += 1
        return str(self._first + self._numbered - 1)

    def _take_text(self, fields: Row, composed: bool) -> str:
        """Remove the text from the fields and return it; BEIR's title goes before the text and stays a
        field.
        """
        name = self.format.text_field
        if name is None:
            name = "text" if "text" in fields or len(fields) != 1 else next(iter(fields))
        if name not in fields:
            raise DataError(
                f"has no text field {name!r}", hint=f"{it_has(list(fields))}; name one as `text_field`"
            )
        text = fields.pop(name)
        if not isinstance(text, str):
            raise DataError(f"field {name!r} is not text but {json_type(text)}")
        title = None if composed or self.format.text_field else fields.get("title")
        return f"{title} {text}".strip() if isinstance(title, str) and title else text
