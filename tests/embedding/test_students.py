"""The note of a student's teacher holds for the vectors that it was written for, and no others."""

import json
from dataclasses import replace

import pytest

from embedkit.data.identity import Identity
from embedkit.embedding.students import STORY, mark_student, teacher_of

OWN, TEACHER = (
    Identity(name, digit * 16, 8, normalized=True) for name, digit in (("own", "1"), ("big", "2"))
)


@pytest.fixture
def story(tmp_path):
    """The story of a folder."""
    (tmp_path / STORY).write_text('{"format": "embedkit-model", "version": 1}')
    return tmp_path / STORY


def test_the_note_comes_back_for_its_own_vectors_only(story):
    mark_student(story.parent, OWN, TEACHER)
    assert teacher_of(story.parent, OWN.fingerprint) == TEACHER.fingerprint
    assert teacher_of(story.parent, "3" * 16) is None
    assert json.loads(story.read_text())["format"] == "embedkit-model"


@pytest.mark.parametrize("change", [{"maps": ("aa",)}, {"normalized": False}])
@pytest.mark.parametrize("side", ["own", "teacher"])
def test_vectors_in_another_space_are_not_noted(story, change, side):
    own, teacher = (replace(OWN, **change), TEACHER) if side == "own" else (OWN, replace(TEACHER, **change))
    mark_student(story.parent, own, teacher)
    assert teacher_of(story.parent, OWN.fingerprint) is None


@pytest.mark.parametrize(
    "content", [None, "", "[]", "{}", '{"student": 1}', '{"student": {"teacher": "22"}}']
)
def test_a_story_without_a_note_names_no_teacher(story, content):
    story.unlink() if content is None else story.write_text(content)
    assert teacher_of(story.parent, OWN.fingerprint) is None
