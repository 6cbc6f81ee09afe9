"""`embedkit info`: what any of embedkit's things is, how it was made, and what it fits."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from embedkit.cli.options import Common
from embedkit.cli.spread import command_app
from embedkit.errors import DataError, FormatError, UnknownNameError

if TYPE_CHECKING:
    from embedkit.data.label_vectors import Calibration

_FIRST_LABELS = 5  # of many that are shown


def info(
    path: Annotated[
        str, typer.Argument(metavar="THING", help="An index, a vector set, a map, label vectors, or a model.")
    ],
    *,
    common: Common,
) -> None:
    """Say what something is: an index, a vector set, a map, label vectors, or a model."""
    show(Path(path), as_json=common.json, name=path)


def show(path: Path, *, as_json: bool, name: str | None = None) -> None:
    """Print what `path` (or the model `name`) is, a line a fact, or as JSON."""
    facts = describe(path, name or str(path))
    if as_json:
        import orjson

        print(orjson.dumps(facts, option=orjson.OPT_INDENT_2).decode())
        return
    width = max(len(key) for key in facts)
    for key, value in facts.items():
        print(f"{key:<{width}}  {_plain(value)}")


def describe(path: Path, name: str) -> dict[str, Any]:
    """Return the facts of an index, a vector set, a map file, label vectors, or a model; raises DataError
    when it is none of them.
    """
    from embedkit.data.label_vectors import LABELS, holds_labels

    if (path / "manifest.json").is_file():
        return _index(path)
    if (path / "meta.json").is_file():
        return _vectors(path)
    if path.is_file() and holds_labels(path):
        return _labels(path)
    if path.is_file():
        try:
            return _map(path)
        except FormatError as error:
            if path.suffix == ".safetensors":  # named like a map: say what is wrong with it
                raise
            raise DataError("is no index, vector set, map or model", where=name) from error
    try:
        labels = _labels(path) if (path / LABELS).is_file() else {}
        return {**_model(name), **labels, **({"type": "model with label vectors"} if labels else {})}
    except UnknownNameError:
        raise DataError("no such file, folder or model", where=name) from None


def _index(path: Path) -> dict[str, Any]:
    from embedkit.indexing.store import Index

    index = Index.open(path)
    return {
        "type": f"index, format version {index.manifest.version}",
        "documents": index.rows,
        "deleted": index.stored_rows - index.rows,
        "dimension": index.dimension,
        "kind": index.kind,
        "metric": index.metric,
        "segments": len(index.segments),
        "generation": index.manifest.generation,
        **_bytes_a_vector(index),
        "bytes": _bytes(path),
        **_identity(index.identity),
    }


def _vectors(path: Path) -> dict[str, Any]:
    from embedkit.data.vectors import VectorSet

    vectors = VectorSet.open(path)
    fields = [field.name for field in vectors.schema if field.name != "id"]
    return {
        "type": f"vector set, format version {vectors.meta.version}",
        "rows": vectors.rows,
        "dimension": vectors.meta.dimension,
        "stored as": vectors.meta.dtype,
        **_codes(vectors.meta),
        "unit length": vectors.meta.normalized,
        "fields": fields,
        "shards": len(vectors.shards),
        "bytes": _bytes(path),
        **_identity(vectors.meta.identity),
    }


def _codes(meta: Any) -> dict[str, Any]:
    if not meta.holds_codes:
        return {}
    what = {"binary": "signs, a bit a column", "int8": "a byte a column, in its range"}[meta.dtype]
    return {"codes": what, "bytes a vector": meta.vector_bytes}


def _map(path: Path) -> dict[str, Any]:
    from embedkit.transforms.affine import VERSION, Affine

    affine = Affine.load(path)
    return {
        "type": f"map, format version {VERSION}",
        "takes": affine.input_dimension,
        "gives": affine.output_dimension,
        "fingerprint": affine.fingerprint,
        **({"leads to": str(affine.target.identity or "unknown")} if affine.target else {}),
        **affine.story,
    }


def _labels(path: Path) -> dict[str, Any]:
    from embedkit.data.label_vectors import VERSION, LabelVectors

    labels = LabelVectors.load(path)
    return {
        "type": f"label vectors, format version {VERSION}",
        "classes": len(labels.names),
        "first classes": list(labels.names[:_FIRST_LABELS]),
        "labels a text": "any number" if labels.multiple else "one",
        "centres a class": labels.centres,
        "dimension": labels.dimension,
        "loss": labels.loss or None,
        "scale": round(labels.scale, 4),
        "offset": round(labels.offset, 4),
        **_calibration(labels.calibration),
        "held-out labels": len(labels.held_out),
        **({"first held-out labels": list(labels.held_out[:_FIRST_LABELS])} if labels.held_out else {}),
        "labels of encoder": labels.fingerprint or None,
    }


def _calibration(found: Calibration | None) -> dict[str, Any]:
    if found is None:
        return {"calibrated": False}
    facts = {
        "calibrated on texts": found.rows,
        "and texts of other labels": found.unseen,
        "temperature": found.temperature,
        "threshold on the cosine": "none" if found.threshold is None else round(found.threshold, 4),
        "accuracy": found.accuracy,
        "calibration error": found.ece,
        "calibration error before": found.ece_before,
        "given a label": found.kept,
        "other labels given none": found.rejected,
    }
    return {
        name: round(fact, 4) if isinstance(fact, float) else fact
        for name, fact in facts.items()
        if fact is not None
    }


def _model(name: str) -> dict[str, Any]:
    from embedkit.embedding.encoder import load

    identity = load(name).identity
    facts = _identity(identity)
    return {"type": "model", "model": facts.pop("encoder"), "dimension": identity.dimension, **facts}


def _identity(identity: Any) -> dict[str, Any]:
    if identity is None:
        return {"encoder": None}
    facts = {
        "encoder": identity.model,
        "fingerprint": identity.fingerprint,
        "pooling": identity.pooling,
        "max length": identity.max_length,
        "truncated to": identity.truncate_dim,
        "query prompt": identity.query_prompt or None,
        "document prompt": identity.document_prompt or None,
        "maps": list(identity.maps) or None,
    }
    return {key: value for key, value in facts.items() if value is not None}


def _bytes_a_vector(index: Any) -> dict[str, Any]:
    """Return what a vector takes in each file of the index kind, rounded."""
    sizes: dict[str, int] = {}
    for file in (file for segment in index.segments for file in segment.files):
        sizes[file.name] = sizes.get(file.name, 0) + file.bytes
    return {f"bytes a vector, {name}": round(size / index.stored_rows) for name, size in sizes.items()}


def _bytes(folder: Path) -> int:
    return sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())


def _plain(value: Any) -> str:
    if value is None:
        return "unknown"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int):
        return f"{value:,}"
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value)


app = command_app(info, epilog="Example: embedkit info docs.idx")
