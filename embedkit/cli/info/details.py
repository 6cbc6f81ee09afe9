"""Collect facts that several kinds of things share: the encoder, the provenance of a model, labels and their
calibration.
"""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from embedkit.data.identity import Identity
from embedkit.errors import FormatError

if TYPE_CHECKING:
    from embedkit.data.vectors.label_vectors import Calibration

_FIRST_LABELS = 5  # labels to show
_STORY = (
    "made by",
    "examples",
    "columns",
    "dims",
    "layers",
    "labels",
    "calibrated_on",
)  # optional fields of embedkit.json


def identity_facts(identity: Identity | None) -> dict[str, object]:
    """Return the facts that identify an encoder; its name is None if the encoder is unknown."""
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


def story_facts(folder: Path) -> dict[str, object]:
    """Return how embedkit trained or exported a model; empty if it did neither.

    Raises FormatError if the file with these facts is damaged.
    """
    from embedkit.embedding.export.sentence_transformers import FORMAT
    from embedkit.embedding.foreign_json import read_object
    from embedkit.embedding.students import STORY

    if not (folder / STORY).is_file():
        return {}
    story = read_object(folder, STORY, where=str(folder))
    if story.get("format") != FORMAT:
        return {}
    try:
        return _facts_of(story)
    except (LookupError, TypeError, ValueError, AttributeError) as error:
        raise FormatError(
            f"{STORY} is damaged ({type(error).__name__}: {error})",
            where=str(folder),
            hint="remove the file, which only records how the model was made, or make the model again",
        ) from None


def _facts_of(story: dict[str, Any]) -> dict[str, Any]:
    """Return the facts in the provenance of a model."""
    facts: dict[str, Any] = {name.replace("_", " "): story[name] for name in _STORY if name in story}
    facts["made from"] = str(Identity.from_json(story["base"]))
    facts["made with"] = f"embedkit {story['embedkit']}"
    if transform := story.get("map"):
        facts["map baked in"] = f"{transform.get('spec', 'a chain')} {transform['fingerprint']}"
    return facts | _figures(story.get("figures", {}))


def _figures(figures: dict[str, Any]) -> dict[str, Any]:
    """Return the length of a run, and its best value of the measure that it was evaluated by."""
    facts: dict[str, Any] = {name: figures[name] for name in ("steps", "seconds") if name in figures}
    if figures.get("best") is None:
        return facts
    factor = figures.get("factor", 100)
    before, best = (f"{factor * figures[name]:.2f}" for name in ("before", "best"))
    return facts | {figures["measure"]: f"{before} before, {best} at step {figures['best_step']:,}"}


def unfinished_facts(folder: Path) -> dict[str, object]:
    """Return the progress of a training run that was killed or is still running."""
    checkpoints = [path.name for path in (folder / "checkpoints").glob("checkpoint-*")]
    return {
        "type": "unfinished training run",
        **{f"last {name.replace('_', ' ')}": value for name, value in _last_line(folder).items()},
        "checkpoints": sorted(checkpoints, key=lambda name: (len(name), name)),  # ordered by step
        "goes on with": f"the command that began it, with --resume -o {folder.with_suffix('').name}",
    }


def _last_line(folder: Path) -> dict[str, object]:
    """Return the last complete line of a run's log; a killed run may leave an incomplete last line."""
    import orjson

    lines = (folder / "log.jsonl").read_bytes().splitlines() if (folder / "log.jsonl").is_file() else []
    for line in reversed(lines):
        with suppress(orjson.JSONDecodeError):
            if isinstance(figures := orjson.loads(line), dict):
                return figures
    return {}


def label_facts(path: Path) -> tuple[dict[str, object], Identity | None]:
    """Return the facts of a file of label vectors, which may belong to a model, and the identity of their
    encoder, if known.
    """
    from embedkit.data.vectors.label_vectors import VERSION, LabelVectors

    labels = LabelVectors.load(path)
    facts = {
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
    if not labels.fingerprint:
        return facts, None
    return facts, Identity("an encoder with labels", labels.fingerprint, labels.dimension, normalized=True)


def _calibration(found: Calibration | None) -> dict[str, object]:
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
