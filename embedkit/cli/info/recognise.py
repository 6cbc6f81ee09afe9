"""Recognise what a path or a name is, and return its facts, its encoder, or the map that it contains."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from embedkit.cli.info.details import identity_facts, label_facts, story_facts, unfinished_facts
from embedkit.data.text.display import counted
from embedkit.errors import DataError, FormatError, UnknownNameError

if TYPE_CHECKING:
    from embedkit.data.affine import AffineMap
    from embedkit.data.identity import Identity

_NONE = "is not an index, vectors, a map, label vectors, a model, a run of hits or an evaluation"


class Thing(NamedTuple):
    """A thing that embedkit recognises: its facts by name, and the data that decide which things it fits.

    `identity` is the encoder of its vectors, or the encoder itself; `transform` is the map, if it is one.
    """

    name: str
    facts: dict[str, Any]
    identity: Identity | None = None
    transform: AffineMap | None = None
    dimension: int | None = None  # of its vectors, even if their encoder is unknown


def read_thing(path: Path, name: str) -> Thing:
    """Return the thing at a path, or the model of a name; raise DataError if embedkit does not recognise it,
    and FormatError if it is damaged.
    """
    if (path / "manifest.json").is_file():
        return _index(path, name)
    if (path / "meta.json").is_file():
        return _vector_set(path, name)
    if path.is_file():
        return _file(path, name)
    if (path / "train.toml").is_file() and (path / "base").is_dir():
        return Thing(name, unfinished_facts(path))
    try:
        return _model(path, name)
    except UnknownNameError:
        raise DataError("no such file, folder or model", where=name) from None


def _index(path: Path, name: str) -> Thing:
    from embedkit.indexing.store import Index

    index = Index.open(path)
    facts = {
        "type": f"index, format version {index.manifest.version}",
        "documents": index.rows,
        "deleted": index.stored_rows - index.rows,
        "dimension": index.dimension,
        "kind": index.kind,
        "metric": index.metric,
        "lexical part": str(index.manifest.lexical or "none"),
        "segments": len(index.segments),
        "generation": index.manifest.generation,
        **_followed(index),
        **_tuning(index),
        **({"weight of vectors": str(index.manifest.weight)} if index.manifest.weight else {}),
        **_bytes_a_vector(index),
        "bytes": _bytes(path),
        **identity_facts(index.identity),
    }
    return Thing(name, facts, index.identity, dimension=index.dimension)


def _vector_set(path: Path, name: str) -> Thing:
    from embedkit.data.vectors.vector_set import VectorSet

    vectors = VectorSet.open(path)
    meta, fields = vectors.meta, [field.name for field in vectors.schema if field.name != "id"]
    facts = {
        "type": f"vector set, format version {meta.version}",
        "rows": vectors.rows,
        "dimension": meta.dimension,
        "stored as": meta.dtype,
        **_codes(meta),
        "unit length": meta.normalized,
        "fields": fields,
        "shards": len(vectors.shards),
        "bytes": _bytes(path),
        **identity_facts(meta.identity),
    }
    return Thing(name, facts, meta.identity, dimension=meta.dimension)


def _file(path: Path, name: str) -> Thing:
    from embedkit.data.vectors.label_vectors import holds_labels

    if holds_labels(path):
        facts, identity = label_facts(path)
        return Thing(name, facts, identity)
    try:
        return _map(path, name)
    except FormatError:
        if path.suffix == ".safetensors":  # named like a map: report what is wrong with it
            raise
    for read in (_evaluation, _vector_file, _hits):
        with suppress(DataError, FormatError):
            if (found := read(path, name)) is not None:
                return found
    raise DataError(_NONE, where=name)


def _map(path: Path, name: str) -> Thing:
    from embedkit.data.affine import VERSION, AffineMap

    affine = AffineMap.load(path)
    facts = {
        "type": f"map, format version {VERSION}",
        "takes": affine.input_dimension,
        "gives": affine.output_dimension,
        "fingerprint": affine.fingerprint,
        **({"leads to": str(affine.target.identity or "unknown")} if affine.target else {}),
        **affine.story,
    }
    return Thing(name, facts, transform=affine)


def _evaluation(path: Path, name: str) -> Thing | None:
    from embedkit.evaluation.report.section_reading import read_section

    if path.suffix != ".json":
        return None
    section = read_section(name, path.read_bytes())
    return Thing(name, {"type": "evaluation", "of": section.title, "bytes": path.stat().st_size})


def _vector_file(path: Path, name: str) -> Thing | None:
    from embedkit.data.text.streams import open_stream
    from embedkit.data.vectors.vector_files import holds_vectors, read_vectors

    with open_stream(str(path)) as stream:
        if not holds_vectors(stream):
            return None
        vectors = read_vectors(stream)
        meta, rows = vectors.meta, sum(len(batch.vectors) for batch in vectors)
        facts = {"type": f"vectors in a file ({stream.kind})", "rows": rows, "dimension": meta.dimension}
        return Thing(name, facts | identity_facts(meta.identity), meta.identity, dimension=meta.dimension)


def _hits(path: Path, name: str) -> Thing:
    from embedkit.data.text.runs import read_run

    run = read_run(path)
    counts = [len(documents) for documents in run.values()]
    return Thing(
        name,
        {
            "type": "run of hits",
            "queries": len(run),
            "hits": sum(counts),
            "hits a query": f"{min(counts):,} to {max(counts):,}",
        },
    )


def _model(path: Path, name: str) -> Thing:
    from embedkit.data.vectors.label_vectors import LABELS
    from embedkit.embedding.loading import load
    from embedkit.embedding.model_finding import HUB_IDS

    identity = load(name).identity
    facts = identity_facts(identity)
    facts = {"type": "model", "model": facts.pop("encoder"), "dimension": identity.dimension, **facts}
    if identity.model in HUB_IDS:
        facts["hub id"] = HUB_IDS[identity.model]
    facts |= story_facts(path)
    if (path / LABELS).is_file():
        facts |= {**label_facts(path)[0], "type": "model with label vectors"}
    return Thing(name, facts, identity)


def _codes(meta: Any) -> dict[str, Any]:
    if not meta.holds_codes:
        return {}
    what = {"binary": "signs, one bit per dimension", "int8": "one byte per dimension, in its range"}[
        meta.dtype
    ]
    return {"codes": what, "bytes a vector": meta.vector_bytes}


def _followed(index: Any) -> dict[str, Any]:
    """Return the folders that an index follows, and how their files are divided; empty if it follows none."""
    if (states := index.states) is None:
        return {}
    settings, passed_over = states.settings.to_json(), sum(1 for _ in states.passed_over())
    return {
        "folders": [root.path for root in states.roots],
        "files": len(states) - passed_over,
        **({"files passed over": passed_over} if passed_over else {}),
        **{
            name: list(value) if isinstance(value, tuple) else value
            for name, value in settings.items()
            if value
        },
    }


def _tuning(index: Any) -> dict[str, Any]:
    """Return the measured recall, the numbers of documents then and now, and the operating points."""
    tuning = index.manifest.tuning
    if tuning is None:
        return {}
    rows = f"{counted(tuning.rows, 'document')} then, {index.rows:,} now"
    facts = {"recall measured": f"recall@{tuning.k} of {tuning.queries:,} {tuning.source}; {rows}"}
    return facts | {"operating points": [str(point) for point in tuning.points]}


def _bytes_a_vector(index: Any) -> dict[str, Any]:
    """Return the rounded bytes per vector in each file of the index."""
    sizes: dict[str, int] = {}
    for file in (file for segment in index.segments for file in segment.files):
        sizes[file.name] = sizes.get(file.name, 0) + file.bytes
    return {f"bytes a vector, {name}": round(size / index.stored_rows) for name, size in sizes.items()}


def _bytes(folder: Path) -> int:
    return sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())
