"""Sentences by punctuation: nothing is lost, and the usual cases are divided where a reader would."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from embedkit.data.text.record import Record
from embedkit.data.text.sentences import in_sentences, sentences


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (
            "The heart pumps blood. The lungs take in the air.",
            ["The heart pumps blood.", "The lungs take in the air."],
        ),
        (
            'She said "it is a rather long day." Then she left us there alone.',
            ['She said "it is a rather long day."', "Then she left us there alone."],
        ),
        (
            "Values of 3.5 mg vs. 4.5 mg were given to the mice.",
            ["Values of 3.5 mg vs. 4.5 mg were given to the mice."],
        ),
        (
            "It was given (as e.g. in the first trial). Both groups of mice died!",
            ["It was given (as e.g. in the first trial).", "Both groups of mice died!"],
        ),
        (
            "No. The heart pumps the blood through the body.",
            ["No.", "The heart pumps the blood through the body."],
        ),
        (
            "A first line without an end\n\nA second line, also without",
            ["A first line without an end", "A second line, also without"],
        ),
        (
            "心脏把血液输送到全身的各个器官里去。肺部从空气里吸收氧气并排出二氧化碳！",
            ["心脏把血液输送到全身的各个器官里去。", "肺部从空气里吸收氧气并排出二氧化碳！"],
        ),
        (
            "他说：“今天的天气真的非常非常好，我们走吧。”然后他就离开了这个地方，再也没有回来。",
            ["他说：“今天的天气真的非常非常好，我们走吧。”", "然后他就离开了这个地方，再也没有回来。"],
        ),
        (
            "The whole heart pumps the blood. Yes. It does so all day long.",
            ["The whole heart pumps the blood. Yes.", "It does so all day long."],
        ),
        (
            "the wing's span was measured . 4 values, cf. fig. 2, were found ? the flow over it is fast .",
            [
                "the wing's span was measured .",
                "4 values, cf. fig. 2, were found ?",
                "the flow over it is fast .",
            ],
        ),
        ("one sentence", ["one sentence"]),
        ("  \n ", []),
        ("", []),
    ],
)
def test_sentences(text, expected):
    assert list(sentences(text)) == expected


@given(st.text(st.one_of(st.sampled_from(' .!?。！？\n"”)」aB中'), st.characters(codec="utf-8"))))
def test_nothing_but_space_is_lost(text):
    parts = list(sentences(text))
    assert "".join("".join(parts).split()) == "".join(text.split())
    assert all(part and part == part.strip() for part in parts)
    assert all(len(part.encode()) >= 20 for part in parts[1:])


def test_records_are_numbered():
    record = Record("7", "The heart pumps the blood. The lungs take in the air.", {"lang": "en"})
    found = list(in_sentences([record, Record("8", "One.", {})]))
    assert [(each.id, each.text) for each in found] == [
        ("7#1", "The heart pumps the blood."), ("7#2", "The lungs take in the air."), ("8#1", "One."),
    ]  # fmt: skip
