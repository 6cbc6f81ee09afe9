"""The facts that several of embedkit's things have: encoders, how a model was made, labels and what they
were calibrated on.
"""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from embedkit.data.identity import Identity
from embedkit.errors import FormatError

if TYPE_CHECKING:
    from embedkit.data.vectors.label_vectors import Calibration

_FIRST_LABELS = 5  # of many that are shown
_STORY = ("made by", "examples", "columns", "labels", "calibrated_on")  # of embedkit.json, where they are


def identity_facts(identity: Identity | None) -> dict[str, Any]:
    """Return what an encoder is known by; its name is None when nobody said which."""
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


def story_facts(folder: Path) -> dict[str, Any]:
    """Return how a model was trained or exported, when embedkit did it; else nothing.

    Raises FormatError when the file that says so is damaged.
    """
    from embedkit.embedding.export.sentence_transformers import FORMAT, STORY
    from embedkit.embedding.foreign_json import read_object

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
            hint="remove the file, which only says how the model was made, or make the model again",
        ) from None


def _facts_of(story: dict[str, Any]) -> dict[str, Any]:
    """Return the facts in a story of this format."""
    facts: dict[str, Any] = {name.replace("_", " "): story[name] for name in _STORY if name in story}
    facts["made from"] = str(Identity.from_json(story["base"]))
    facts["made with"] = f"embedkit {story['embedkit']}"
    if transform := story.get("map"):
        facts["map baked in"] = f"{transform.get('spec', 'a chain')} {transform['fingerprint']}"
    return facts | _figures(story.get("figures", {}))


def _figures(figures: dict[str, Any]) -> dict[str, Any]:
    """Return how long a run was and what it was judged by."""
    facts: dict[str, Any] = {name: figures[name] for name in ("steps", "seconds") if name in figures}
    if figures.get("best") is None:
        return facts
    before, best = (f"{100 * figures[name]:.2f}" for name in ("before", "best"))
    return facts | {figures["measure"]: f"{before} before, {best} at step {figures['best_step']:,}"}


def unfinished_facts(folder: Path) -> dict[str, Any]:
    """Return how far a training run has come that was killed, or is still under way."""
    checkpoints = [path.name for path in (folder / "checkpoints").glob("checkpoint-*")]
    return {
        "type": "training run that is not finished",
        **{f"last {name.replace('_', ' ')}": value for name, value in _last_line(folder).items()},
        "checkpoints": sorted(checkpoints, key=lambda name: (len(name), name)),  # by their steps
        "goes on with": f"the command that made it, and --resume -o {folder.with_suffix('').name}",
    }


def _last_line(folder: Path) -> dict[str, Any]:
    """Return the last line of a run's log that was written whole; a killed run may cut the last one short."""
    import orjson

    lines = (folder / "log.jsonl").read_bytes().splitlines() if (folder / "log.jsonl").is_file() else []
    for line in reversed(lines):
        with suppress(orjson.JSONDecodeError):
            if isinstance(figures := orjson.loads(line), dict):
                return figures
    return {}


def label_facts(path: Path) -> tuple[dict[str, Any], Identity | None]:
    """Return the facts of a file of label vectors, or of a model's, and the encoder they belong to."""
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
