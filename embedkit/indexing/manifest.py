"""The manifest: the one small file that describes an index; replacing it changes the index."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import orjson

from embedkit import spec
from embedkit.data.atomic import write_whole
from embedkit.data.formats import require_format
from embedkit.data.identity import Identity
from embedkit.errors import FormatError, UsageError
from embedkit.indexing.kind import IndexKind, Metric
from embedkit.indexing.lexical.lexical_settings import LexicalSettings
from embedkit.indexing.segment import Segment
from embedkit.indexing.stored_files import StoredFile

if TYPE_CHECKING:
    from embedkit.indexing.lexical.tuned_weight import TunedWeight
    from embedkit.indexing.operating_points import Tuning

FORMAT, VERSION = "embedkit-index", 4
READS = (1, 2, 3, 4)  # 1 has one file per segment; 2 no tombstones, no checksum of itself; 3 no lexical part
SUMMED = 3  # the first version with a checksum of itself
MANIFEST, SEGMENTS = "manifest.json", "segments"


@dataclass(frozen=True)
class Manifest:
    """One generation of an index; `identity` is None if the encoder of the vectors is unknown."""

    settings: IndexKind
    metric: Metric
    dimension: int
    identity: Identity | None
    segments: tuple[Segment, ...]
    map: StoredFile | None = None  # the map applied after the encoder
    generation: int = 0  # increases with every write; at least the number of every segment
    version: int = VERSION
    tuning: Tuning | None = None  # recall and cost of search settings, once measured
    numbered: int = 0  # largest number given as an id, in segments that were deleted since
    lexical: LexicalSettings | None = None  # None if documents are not searched by words
    without_lexical: bool = False  # whether the lexical part was left out on purpose
    weight: TunedWeight | None = None  # of fused searches; None for the default
    files: StoredFile | None = None  # states of the files whose passages are documents, for `index sync`

    @property
    def rows(self) -> int:
        """Count the documents that are not deleted."""
        return sum(segment.live_rows for segment in self.segments)

    def _lexical_json(self) -> dict[str, object] | bool | None:
        if self.lexical is not None:
            return self.lexical.to_json()
        return False if self.without_lexical else None

    def to_bytes(self) -> bytes:
        """Return the content of the file in the current version."""
        return _rendered(
            {
                "format": FORMAT,
                "version": VERSION,
                "generation": self.generation,
                "kind": spec.render(self.settings),
                "metric": self.metric,
                "dimension": self.dimension,
                "rows": self.rows,
                "encoder": self.identity.to_json() if self.identity else None,
                "map": self.map.to_json() if self.map else None,
                "lexical": self._lexical_json(),
                "segments": [segment.to_json() for segment in self.segments],
                **({"tuning": self.tuning.to_json()} if self.tuning else {}),
                **({"numbered": self.numbered} if self.numbered else {}),
                **({"fusion": self.weight.to_json()} if self.weight else {}),
                **({"files": self.files.to_json()} if self.files else {}),
            }
        )


def write_manifest(path: Path, manifest: Manifest) -> None:
    """Replace the manifest of the index folder `path` in one step; the files it names must be on disk."""
    write_whole(path / MANIFEST, manifest.to_bytes())


def read_manifest(path: Path) -> Manifest:
    """Read the manifest of an index folder; raises FormatError when it is missing, damaged or of another
    version.
    """
    where = str(path)
    if not path.exists():
        raise FormatError("no such index", where=where)
    if not (path / MANIFEST).is_file():
        raise FormatError(f"is not an index: it has no {MANIFEST}", where=where)
    return parse_manifest(path, (path / MANIFEST).read_bytes())


def parse_manifest(path: Path, content: bytes) -> Manifest:
    """Return the manifest of the index folder `path` from the content of its file; raises FormatError when it
    is damaged or of another version.
    """
    where = str(path)
    try:
        value = orjson.loads(content)
        require_format(value, FORMAT, READS, thing="an index", where=where)
        if value["version"] >= SUMMED:
            _require_checksum(value, content, where)
        return _manifest(path, value)
    except UsageError as error:
        raise FormatError(f"its kind is not one this embedkit knows: {error}", where=where) from None
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise FormatError(f"{MANIFEST} is damaged: {error!r}", where=where) from None


def _manifest(path: Path, value: dict[str, Any]) -> Manifest:
    settings = spec.parse("index", value["kind"])
    manifest = Manifest(
        settings,
        value["metric"],
        value["dimension"],
        Identity.from_json(value["encoder"]) if value["encoder"] else None,
        tuple(Segment.from_json(path / SEGMENTS, part, settings) for part in value["segments"]),
        StoredFile(**value["map"]) if value.get("map") else None,
        value.get("generation", 0),
        value["version"],
        _tuning(value["tuning"]) if value.get("tuning") else None,
        value.get("numbered", 0),
        LexicalSettings(**value["lexical"]) if value.get("lexical") else None,
        value.get("lexical") is False,
        _weight(value["fusion"]) if value.get("fusion") else None,
        StoredFile(**value["files"]) if value.get("files") else None,
    )
    if manifest.rows != value["rows"]:
        raise ValueError(f"{manifest.rows} documents in its segments, {value['rows']} in all")
    return manifest


def _tuning(value: dict[str, Any]) -> Tuning:
    from embedkit.indexing.operating_points import Tuning

    return Tuning.from_json(value)


def _weight(value: dict[str, Any]) -> TunedWeight:
    from embedkit.indexing.lexical.tuned_weight import TunedWeight

    return TunedWeight(**value)


def _rendered(value: dict[str, object]) -> bytes:
    """Return the JSON text of a value, with the checksum of that text appended."""
    digest = hashlib.sha256(_dumped(value)).hexdigest()
    return _dumped({**value, "sha256": digest})


def _dumped(value: dict[str, object]) -> bytes:
    return orjson.dumps(value, option=orjson.OPT_INDENT_2) + b"\n"


def _require_checksum(value: dict[str, object], content: bytes, where: str) -> None:
    """Raise FormatError unless the text equals, byte for byte, what was written."""
    if _rendered({name: item for name, item in value.items() if name != "sha256"}) != content:
        raise FormatError(f"{MANIFEST} is damaged: it has another checksum than was written", where=where)
