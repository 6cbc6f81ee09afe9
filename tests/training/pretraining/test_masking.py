"""Masks: random numbers as a slow loop gives them, their shares, and what they do not depend on."""

import numpy as np
import pytest

from embedkit.training.pretraining.masking import NO_TARGET, Masking, uniform

TOKENS, MASK = 100, 4
STARTS = np.array([number < 70 for number in range(TOKENS)])  # others continue a word
ORDINARY = np.array([number > 4 for number in range(TOKENS)])
MASKING = Masking(MASK, STARTS, ORDINARY, seed=3)
WRAP = 2**64


def slow(seed, draw, row, place, stream):
    """SplitMix64 of each part in turn, in whole numbers of Python."""

    def mixed(bits):
        bits = (bits ^ bits >> 30) * 0xBF58476D1CE4E5B9 % WRAP
        bits = (bits ^ bits >> 27) * 0x94D049BB133111EB % WRAP
        return bits ^ bits >> 31

    golden, key = 0x9E3779B97F4A7C15, 0
    for part in (seed, draw, stream, row):
        key = mixed((key + part + golden) % WRAP)
    return (mixed((key + place * golden) % WRAP) >> 11) / 2**53


def test_numbers_are_those_of_a_slow_loop():
    rows, places = np.array([0, 7, 10**9]), np.tile(np.arange(4), (3, 1))
    found = uniform(5, 2, rows, places, stream=1)
    assert found.tolist() == [[slow(5, 2, row, place, 1) for place in range(4)] for row in rows.tolist()]


def texts(rows, width, seed=0):
    """Return rows of random tokens, (rows, width), each between special tokens."""
    ids = np.random.default_rng(seed).integers(5, TOKENS, (rows, width))
    ids[:, 0], ids[:, -1] = 2, 3
    ids[:, 1] = 5  # a word begins each text
    return ids


def test_shares_of_tokens_and_what_becomes_of_them():
    ids = texts(2000, 40)
    read, targets = Masking(MASK, np.ones(TOKENS, bool), ORDINARY).masked(
        ids, np.ones_like(ids, bool), np.arange(2000), 1
    )
    chosen = targets != NO_TARGET
    assert (targets[chosen] == ids[chosen]).all()
    assert (read[~chosen] == ids[~chosen]).all()
    assert not chosen[:, [0, -1]].any()
    count = chosen.sum()
    for share, expected, of in [
        (count / (2000 * 38), 0.15, 2000 * 38),
        ((read == MASK)[chosen].mean(), 0.8, count),
        # of the tokens that are drawn at random, one in 95 is the token itself
        ((read == ids)[chosen].mean(), 0.1 + 0.1 / 95, count),
    ]:
        assert abs(share - expected) < 5 * np.sqrt(expected / of) + 1e-4, expected
    assert ORDINARY[read[chosen & (read != MASK)]].all()


def test_all_tokens_of_a_word_are_chosen_together():
    ids = texts(300, 30)
    _, targets = MASKING.masked(ids, np.ones_like(ids, bool), np.arange(300), 1)
    chosen = targets != NO_TARGET
    for row, flags in zip(ids.tolist(), chosen.tolist(), strict=True):
        length = 0
        for place in range(2, 29):
            length = 0 if STARTS[row[place]] else length + 1
            if length % 6:  # longer words are divided
                assert flags[place] == flags[place - 1]


def test_every_text_has_a_target_and_one_of_special_tokens_has_none():
    ids = np.array([[2, 9, 3], [2, 3, 0]])
    real = np.array([[True, True, True], [True, True, False]])
    for draw in range(20):
        _, targets = MASKING.masked(ids, real, np.arange(2), draw)
        assert targets.tolist() == [[NO_TARGET, 9, NO_TARGET], [NO_TARGET] * 3]


@pytest.mark.parametrize("left", [False, True])
def test_masks_do_not_depend_on_the_other_rows_and_on_padding(left):
    ids = texts(50, 12)
    rows = np.arange(100, 150)
    read, targets = MASKING.masked(ids, np.ones_like(ids, bool), rows, 6)
    some = [3, 40, 7]
    pad = ((0, 0), (5, 0) if left else (0, 5))
    alone = MASKING.masked(np.pad(ids[some], pad), np.pad(np.ones((3, 12), bool), pad), rows[some], 6)
    inside = slice(5, None) if left else slice(12)
    np.testing.assert_array_equal(alone[0][:, inside], read[some])
    np.testing.assert_array_equal(alone[1][:, inside], targets[some])


def test_draws_and_seeds_give_other_masks():
    ids = texts(50, 20)
    real = np.ones_like(ids, bool)
    found = [
        Masking(MASK, STARTS, ORDINARY, seed=seed).masked(ids, real, np.arange(50), draw)[1]
        for seed, draw in [(0, 1), (0, 2), (1, 1)]
    ]
    assert not any((found[a] == found[b]).all() for a, b in [(0, 1), (0, 2), (1, 2)])
    assert (found[0] == Masking(MASK, STARTS, ORDINARY, seed=0).masked(ids, real, np.arange(50), 1)[1]).all()
