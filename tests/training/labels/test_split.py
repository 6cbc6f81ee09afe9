"""Labelled texts cut in three: nothing is lost, nothing is twice, no label trained on loses its last text."""

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from embedkit.data.text.labelled import LabelledText
from embedkit.errors import UsageError
from embedkit.training.labels.split import split


def rows(labels):
    lists = [(label,) if isinstance(label, str) else tuple(label) for label in labels]
    return [LabelledText(f"text {n}", names, (1.0,) * len(names)) for n, names in enumerate(lists)]


SOME = rows("aaaaaaaaaabbbbbbbbbbccccccccccddddddddddef")


@given(
    st.lists(st.sampled_from("abcdefgh"), min_size=10, max_size=80),
    st.floats(0, 0.9),
    st.integers(0, 5),
)
def test_every_text_has_one_place(labels, calibrate, seed):
    parts = split(rows(labels), calibrate=calibrate, seed=seed)
    assert Counter(parts.train + parts.calibrate + parts.unseen) == Counter(rows(labels))
    assert parts.names == sorted(set(labels))
    train, kept = (Counter(row.labels[0] for row in part) for part in (parts.train, parts.calibrate))
    for name in parts.names:
        assert int(calibrate * labels.count(name)) - kept[name] in (0, -1)
        assert train[name] >= 1


def test_small_labels_give_their_share_on_average():
    many = rows([f"label {n}" for n in range(200) for _ in range(3)])
    assert len(split(many, calibrate=0.1).calibrate) == pytest.approx(60, abs=20)


@pytest.mark.parametrize(("holdout", "count"), [(0.5, 3), (0.2, 1), (2, 2), (0, 0)])
def test_held_out_labels_keep_all_their_texts(holdout, count):
    parts = split(SOME, holdout=holdout, calibrate=0.3, seed=1)
    assert len(parts.held_out) == count
    assert {row.labels[0] for row in parts.unseen} == set(parts.held_out)
    assert not {row.labels[0] for row in parts.train + parts.calibrate} & set(parts.held_out)
    assert sorted(parts.names + parts.held_out) == list("abcdef")


def test_the_seed_decides():
    assert split(SOME, holdout=2, seed=1) == split(SOME, holdout=2, seed=1)
    assert len({tuple(split(SOME, holdout=2, seed=seed).held_out) for seed in range(8)}) > 3


def test_a_text_with_a_held_out_label_among_others_is_not_trained_on():
    lists = rows([["a", "b"], ["a"], ["b"], ["c"], ["a", "c"], []] * 3)
    for seed in range(6):
        parts = split(lists, holdout=1, seed=seed)
        (held,) = parts.held_out
        assert all(held in row.labels for row in parts.unseen)
        assert not any(held in row.labels for row in parts.train)
        assert len(parts.train) + len(parts.unseen) == len(lists)


def test_of_lists_no_label_loses_its_last_text():
    lists = rows([["a", "b"], ["c"], ["d"], ["a"], ["b"], ["a", "c"]])
    for seed in range(10):
        parts = split(lists, calibrate=0.9, seed=seed)
        assert parts.names == list("abcd")
        assert parts.calibrate


@pytest.mark.parametrize(
    ("holdout", "message"),
    [
        (0.01, "0.01 of 6 labels leave 0 held out and 6 to train on"),
        (5, "5 of 6 labels leave 5 held out and 1 to train on"),
        (9, "9 of 6 labels leave 9 held out and 0 to train on"),
        (0.9, "0.9 of 6 labels leave 5 held out and 1 to train on"),
    ],
)
def test_a_hold_out_that_leaves_too_little_is_refused(holdout, message):
    with pytest.raises(UsageError, match=message):
        split(SOME, holdout=holdout)


def test_labels_held_out_with_every_text_are_refused():
    texts = rows([("all", name) for name in "abcabc"])
    found = Counter(_held_out(texts, seed) for seed in range(20))
    line = "`holdout_labels`: all 6 texts have a held-out label, which leaves none to train on"
    assert set(found) == {"a", "b", "c", line}  # some seeds hold out the label that all texts have


def _held_out(texts, seed):
    try:
        return split(texts, holdout=1, seed=seed).held_out[0]
    except UsageError as error:
        return str(error)
