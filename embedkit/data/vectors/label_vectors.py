"""Label vectors: the vectors that training on labels writes next to its encoder, in one safetensors file with
their provenance.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import orjson
from numpy.typing import NDArray

from embedkit.data.atomic import write_whole
from embedkit.data.formats import require_format
from embedkit.data.identity import Identity
from embedkit.data.tensors import metadata_in, metadata_of, tensor_bytes
from embedkit.errors import FormatError, MismatchError, foreign

FORMAT, VERSION = "embedkit-labels", 1
LABELS = "labels.safetensors"  # its name in a model's folder
_THING = "a file of label vectors"
_UNIT_TOLERANCE = 1e-3  # deviation from length 1; rounding to bf16 changes a length by less


class Calibration(NamedTuple):
    """The temperature and threshold of labels, from texts that were not trained on, and measures of both."""

    temperature: float  # logits are divided by it
    threshold: float | None  # lowest cosine of a label; None for lists, where each label is decided by itself
    rows: int  # texts of trained labels in the calibration
    unseen: int  # texts of other labels
    accuracy: float  # share of rows with the correct label; for lists, with exactly the correct labels
    nll_before: float  # negative log-likelihood at temperature 1, nats per text; lists: per text and label
    nll: float
    ece_before: float  # expected calibration error at temperature 1, 15 bins
    ece: float
    kept: float  # share of rows that get a label
    rejected: float | None  # share of unseen texts that get no label; None without unseen texts


@dataclass(frozen=True)
class LabelVectors:
    """The label vectors of an encoder, the settings that turn cosines into probabilities, and their
    provenance.

    Raises MismatchError or FormatError when names and vectors do not fit together.
    """

    names: tuple[str, ...]  # class names
    vectors: NDArray[np.float32]  # (classes * centres, dim), unit length; a class's centres are adjacent
    centres: int = 1  # per class
    multiple: bool = False  # texts have lists of labels, each decided by itself (ZLPR)
    scale: float = 30.0  # logits are scale * (cosine - offset)
    offset: float = 0.0  # learnt for lists of labels, else 0
    calibration: Calibration | None = None
    held_out: tuple[str, ...] = ()  # labels excluded from training
    loss: str = ""  # spec of the loss
    fingerprint: str = ""  # fingerprint of the encoder that they belong to

    def __post_init__(self) -> None:
        rows = len(self.names) * self.centres
        if self.vectors.ndim != 2 or len(self.vectors) != rows or rows == 0:
            raise MismatchError(
                f"{len(self.names)} labels of {self.centres} centres need {rows} vectors, these have shape "
                f"{self.vectors.shape}"
            )
        lengths = np.linalg.norm(self.vectors, axis=1)
        if not (abs(lengths - 1) <= _UNIT_TOLERANCE).all():
            row = int(np.argmax(~(abs(lengths - 1) <= _UNIT_TOLERANCE)))
            name = self.names[row // self.centres]
            raise FormatError(f"the vector of label {name!r} has length {lengths[row]:.4g}, not 1")
        name, times = Counter(self.names).most_common(1)[0]
        if times > 1:
            raise FormatError(f"label {name!r} occurs {times} times")

    @property
    def dimension(self) -> int:
        """Return the dimension of the vectors."""
        return int(self.vectors.shape[1])

    @property
    def ids(self) -> list[str]:
        """Return a name per vector: the label, or with several centres per label, `label#1`, `label#2` and so
        on.
        """
        if self.centres == 1:
            return list(self.names)
        return [f"{name}#{centre}" for name in self.names for centre in range(1, self.centres + 1)]

    def require_encoder(self, identity: Identity, *, where: str) -> None:
        """Raise MismatchError, naming both sides, unless this encoder's vectors can be compared with
        these.
        """
        if self.dimension != identity.dimension:
            raise MismatchError(
                f"label vectors have {self.dimension} dimensions, "
                f"{identity.model} gives {identity.dimension}",
                where=where,
            )
        if self.fingerprint not in ("", identity.fingerprint) or identity.maps:
            raise MismatchError(
                f"label vectors belong to encoder {self.fingerprint}, texts are encoded by {identity}",
                where=where,
                hint="use them with the model that they were trained with, unchanged",
            )

    def to_bytes(self) -> bytes:
        """Return the content of a safetensors file, the same bytes every time."""
        story = {
            field.name: getattr(self, field.name) for field in fields(self) if field.name not in _APART
        } | {"calibration": self.calibration._asdict() if self.calibration else None}
        metadata = {
            "format": FORMAT,
            "version": str(VERSION),
            "names": orjson.dumps(self.names).decode(),
            "story": orjson.dumps(story).decode(),
        }
        return tensor_bytes({"vectors": self.vectors.astype(np.float32)}, metadata)

    def save(self, path: str | Path) -> None:
        """Write the file, or `labels.safetensors` in a folder, whole or not at all."""
        write_whole(label_file(Path(path)), self.to_bytes())

    @classmethod
    def load(cls, path: str | Path) -> LabelVectors:
        """Read the file, or the one in a model's folder; raises FormatError when it is missing, damaged, or
        of another format or version.
        """
        file = label_file(Path(path))
        try:
            return cls.from_bytes(file.read_bytes(), where=str(file))
        except FileNotFoundError:
            raise no_labels(str(path)) from None

    @classmethod
    def from_bytes(cls, content: bytes, *, where: str) -> LabelVectors:
        """Return the label vectors that `to_bytes` serialised."""
        from safetensors import SafetensorError
        from safetensors.numpy import load

        try:
            metadata = metadata_in(content)
            require_format(metadata, FORMAT, VERSION, thing=_THING, where=where)
            story: dict[str, Any] = orjson.loads(metadata["story"])
            story["calibration"] = Calibration(**story["calibration"]) if story["calibration"] else None
            story["held_out"] = tuple(story["held_out"])
            return cls(tuple(orjson.loads(metadata["names"])), load(content)["vectors"], **story)
        except (FormatError, MismatchError) as error:
            raise type(error)(error.what, where=where) from None
        except (SafetensorError, OverflowError, LookupError, TypeError, ValueError) as error:
            what = f"is truncated, or not a file of label vectors: {foreign(error)}"
            raise FormatError(what, where=where) from None


_APART = ("names", "vectors", "calibration")  # fields that are not plain values of the story


def label_file(path: Path) -> Path:
    """Return the file of label vectors for a path: the path itself, or the file in that folder."""
    return path / LABELS if path.is_dir() else path


def no_labels(where: str) -> FormatError:
    """Return the error for a model, or a file, without label vectors."""
    hint = f"train a model with {LABELS} by embedkit train-amsoftmax"
    return FormatError("has no label vectors", where=where, hint=hint)


def holds_labels(path: Path) -> bool:
    """Return whether a file's metadata marks it as label vectors; only its beginning is read."""
    try:
        return metadata_of(path).get("format") == FORMAT
    except (OSError, ValueError):
        return False


def read_names(model_folder: Path) -> list[str] | None:
    """Return the labels that a model was trained on, or None when its folder has no label vectors.

    The vectors are not read. Raises FormatError when the file is damaged or of another version.
    """
    file = Path(model_folder) / LABELS
    if not file.is_file():
        return None
    try:
        metadata = metadata_of(file)
        require_format(metadata, FORMAT, VERSION, thing=_THING, where=str(file))
        names: list[str] = orjson.loads(metadata["names"])
    except (ValueError, LookupError) as error:
        raise FormatError(f"is truncated, or not a file of label vectors: {error}", where=str(file)) from None
    return names
