"""Identities travel as JSON and say which vectors may be compared."""

import dataclasses
import json

import pytest

from embedkit.data.identity import Identity
from embedkit.errors import MismatchError

MINILM = Identity("minilm", "0123456789abcdef", 384, True, "mean", 256, maps=("aa", "bb"))
SAME = {"where": "q.vec", "mine": "the query", "others": "the index"}


def test_comes_back_from_json_as_it_went():
    assert Identity.from_json(json.loads(json.dumps(MINILM.to_json()))) == MINILM


def test_a_field_of_a_later_version_is_passed_over():
    assert Identity.from_json({**MINILM.to_json(), "colour": "blue"}) == MINILM


def test_reads_as_model_settings_and_fingerprint():
    assert str(MINILM) == "minilm (mean, max length 256, maps aa bb) 0123456789abcdef"
    assert str(Identity("hash:dim=8", "ff", 8, False)) == "hash:dim=8 ff"


@pytest.mark.parametrize(
    "change", [{"query_prompt": "query: "}, {"model": "/models/minilm"}, {"normalized": False}]
)
def test_what_leaves_the_space_alone_is_accepted(change):
    MINILM.require_same_space(dataclasses.replace(MINILM, **change), **SAME)


@pytest.mark.parametrize(
    ("change", "student"),
    [({}, True), ({"teacher": "ff"}, False), ({"teacher": None}, False), ({"maps": ()}, False)],
)
def test_a_student_has_its_teachers_space_behind_the_same_maps(change, student):
    own = dataclasses.replace(MINILM, model="static", fingerprint="ee", teacher=MINILM.fingerprint)
    own = dataclasses.replace(own, **change)
    assert own.is_student_of(MINILM) is student
    assert not MINILM.is_student_of(own)
    assert Identity.from_json(json.loads(json.dumps(own.to_json()))) == own
    assert ("teacher" in own.to_json()) is (own.teacher is not None)


@pytest.mark.parametrize("change", [{"fingerprint": "ff"}, {"maps": ()}, {"maps": ("bb", "aa")}])
def test_another_encoder_or_other_maps_are_refused_naming_both_sides(change):
    other = dataclasses.replace(MINILM, **change)
    with pytest.raises(MismatchError) as caught:
        MINILM.require_same_space(other, **SAME)
    assert str(caught.value) == (
        f"q.vec: the query comes from {MINILM}, the index from {other}; their vectors cannot be compared"
    )
