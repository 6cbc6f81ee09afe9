"""The properties of a set of vectors, and the `meta.json` that stores them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, get_args

import numpy as np
import orjson
from numpy.typing import NDArray

from embedkit.data.affine import AffineMap
from embedkit.data.atomic import write_whole
from embedkit.data.formats import require_format
from embedkit.data.identity import Identity
from embedkit.data.vectors.codes import CodeName, Codes, Int8Codes, SignCodes
from embedkit.data.vectors.columns import DType, FloatName
from embedkit.data.vectors.shards import Shard
from embedkit.errors import FormatError

if TYPE_CHECKING:
    import pyarrow as pa

FORMAT = "embedkit-vectors"
VERSIONS = (1, 2)  # a set states the lowest version that its reader must support: 2 with codes, else 1
META = "meta.json"
MAP = "map.safetensors"

CODES: tuple[CodeName, ...] = get_args(CodeName)
DTYPES: tuple[DType, ...] = (*get_args(FloatName), *CODES)


class Batch(NamedTuple):
    """Rows in order: an Arrow table (`id`, `text` if kept, other fields) and its vectors `(rows,
    dimension)`.
    """

    table: pa.Table
    vectors: NDArray[np.float32]

    @property
    def rows(self) -> int:
        """Return the number of rows."""
        return len(self.vectors)


@dataclass(frozen=True)
class VectorMeta:
    """The properties of a set of vectors; `identity` is None when the encoder is unknown."""

    dimension: int
    identity: Identity | None = None
    dtype: DType = "float32"
    has_text: bool = True
    map: AffineMap | None = field(default=None, repr=False)  # the map applied after the encoder
    part: str | None = None  # "2/4": the second of four slices of one corpus, to be merged
    ranges: Int8Codes | None = field(default=None, repr=False)  # ranges of int8 codes, once known

    @property
    def normalized(self) -> bool:
        """Return True when the vectors are known to have unit length."""
        return self.identity is not None and self.identity.normalized

    @property
    def holds_codes(self) -> bool:
        """Return True when vectors are stored as codes, False when as floats."""
        return self.dtype in CODES

    @property
    def codes(self) -> Codes | None:
        """Return the Codes that decode the vectors; None for floats, and for int8 codes until their ranges
        are known.
        """
        return SignCodes(self.dimension) if self.dtype == "binary" else self.ranges

    @property
    def version(self) -> int:
        """Return the lowest format version that a reader must support."""
        return VERSIONS[self.holds_codes]

    @property
    def vector_bytes(self) -> int:
        """Return the bytes per stored vector."""
        if self.holds_codes:
            return SignCodes(self.dimension).width if self.dtype == "binary" else self.dimension
        return self.dimension * np.dtype(self.dtype).itemsize

    def decoded(self) -> VectorMeta:
        """Return the properties of the vectors once codes are decoded to float32; floats stay as they are."""
        return replace(self, dtype="float32", ranges=None) if self.holds_codes else self

    def to_json(self) -> dict[str, object]:
        """Return the properties as plain JSON values."""
        return {
            "dimension": self.dimension,
            "dtype": self.dtype,
            "normalized": self.normalized,
            "text": self.has_text,
            "encoder": self.identity.to_json() if self.identity else None,
            "part": self.part,
            **({"codes": self.codes.to_json()} if self.codes is not None else {}),
        }

    @classmethod
    def from_json(cls, value: dict[str, Any], map: AffineMap | None = None, *, where: str) -> VectorMeta:
        """Return the properties that `to_json` wrote; the map is stored separately. Raises FormatError for an
        unknown dtype.
        """
        dtype = value["dtype"]
        if dtype not in DTYPES:
            raise FormatError(f"stores {dtype}, this embedkit reads {', '.join(DTYPES)}", where=where)
        identity = Identity.from_json(value["encoder"]) if value.get("encoder") else None
        if type(value["dimension"]) is not int or value["dimension"] < 1:
            raise ValueError(f"{value['dimension']!r} dimensions")
        ranges = Int8Codes.from_json(value["codes"]) if dtype == "int8" else None
        if ranges is not None and ranges.width != value["dimension"]:
            raise ValueError(f"{ranges.width} ranges for {value['dimension']} dimensions")
        return cls(value["dimension"], identity, dtype, value["text"], map, value.get("part"), ranges)


def read_meta(folder: Path) -> tuple[VectorMeta, tuple[Shard, ...]]:
    """Read a vector set's meta file; raises FormatError when it is missing, damaged, or of another format or
    version.
    """
    where = str(folder)
    if not (folder / META).is_file():
        raise FormatError(f"is not a vector set: it has no {META}", where=where)
    try:
        value = orjson.loads((folder / META).read_bytes())
        require_format(value, FORMAT, VERSIONS, thing="a vector set", where=where)
        map = AffineMap.load(folder / MAP) if (folder / MAP).is_file() else None
        meta = VectorMeta.from_json(value, map, where=where)
        shards = tuple(Shard(**shard) for shard in value["shards"])
        if (rows := sum(shard.rows for shard in shards)) != value["rows"]:
            raise ValueError(f"{rows} rows in its shards, {value['rows']} in all")
        return meta, shards
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise FormatError(f"{META} is damaged: {error!r}", where=where) from None


def write_meta(folder: Path, meta: VectorMeta, shards: Iterable[Shard]) -> None:
    """Write a vector set's meta file; two runs over the same input write the same content."""
    shards = list(shards)
    value = {
        "format": FORMAT,
        "version": meta.version,
        "rows": sum(shard.rows for shard in shards),
        **meta.to_json(),
        "shards": [asdict(shard) for shard in shards],
    }
    if meta.map is not None:
        meta.map.save(folder / MAP)
    write_whole(folder / META, orjson.dumps(value, option=orjson.OPT_INDENT_2) + b"\n")
