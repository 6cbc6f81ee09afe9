"""Students: encoders that learnt the vectors of a teacher, and so put a text where the teacher puts it. Their
queries can search what the teacher has encoded (LEAF: Vujanic and Rueckstiess 2025, arXiv 2509.12539).

A student's folder names its teacher in `embedkit.json`, for the vectors that it has as it was written: with
other weights or settings it is a student no more.
"""

from __future__ import annotations

from pathlib import Path

import orjson

from embedkit.data.atomic import write_whole
from embedkit.data.identity import Identity

STORY = "embedkit.json"
_KEY = "student"


def mark_student(folder: Path, own: Identity, teacher: Identity) -> None:
    """Note in an encoder's folder, which has a story, that it learnt the vectors of `teacher`.

    Vectors behind a map are in a space that no encoder has by itself, and are not noted.
    """
    if own.maps or teacher.maps or not (own.normalized and teacher.normalized):
        return
    story = orjson.loads((folder / STORY).read_bytes())
    story[_KEY] = {"fingerprint": own.fingerprint, "teacher": teacher.fingerprint}
    write_whole(folder / STORY, orjson.dumps(story, option=orjson.OPT_INDENT_2) + b"\n")


def teacher_of(folder: Path, fingerprint: str) -> str | None:
    """Return the fingerprint of the teacher of an encoder with this fingerprint; None if it has none."""
    try:
        noted = orjson.loads((folder / STORY).read_bytes())[_KEY]
        return str(noted["teacher"]) if noted["fingerprint"] == fingerprint else None
    except (OSError, ValueError, LookupError, TypeError):
        return None
