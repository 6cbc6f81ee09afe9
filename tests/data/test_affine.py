"""Maps chain, travel as files, and are refused where they do not fit."""

import pickle
from dataclasses import replace

import numpy as np
import pytest

from embedkit.data.affine import AffineMap, Space
from embedkit.data.identity import Identity
from embedkit.errors import DataError, FormatError, MismatchError


def random_map(rows, columns, **story):
    numbers = np.random.default_rng(rows)
    return AffineMap(numbers.normal(size=(rows, columns)), numbers.normal(size=rows), story)


ROWS = np.random.default_rng(0).normal(size=(5, 4)).astype(np.float32)


def test_it_is_the_formula():
    transform = random_map(3, 4)
    np.testing.assert_allclose(transform.apply(ROWS), ROWS @ transform.A.T + transform.b, atol=1e-5)


@pytest.mark.parametrize("where", ["A", "b"])
def test_a_map_beyond_float32_is_refused_and_not_applied_as_infinities(where, capfd):
    vast = replace(random_map(3, 4), **{where: getattr(random_map(3, 4), where) * 1e40})
    with pytest.raises(DataError, match=r"^the map has numbers that are too large for float32; "):
        vast.apply(ROWS)
    assert capfd.readouterr() == ("", "")


def test_a_chain_is_one_after_the_other():
    one, two, three = random_map(6, 4), random_map(5, 6), random_map(2, 5)
    expected = ROWS.astype(np.float64)
    for step in (one, two, three):
        expected = expected @ step.A.T + step.b
    for chain in (one.then(two).then(three), one.then(two.then(three))):
        np.testing.assert_allclose(chain.apply(ROWS), expected, atol=1e-6 * np.abs(expected).max())
        assert chain.fingerprints == (one.fingerprint, two.fingerprint, three.fingerprint)


def test_a_chain_read_back_still_knows_its_parts():
    chain = random_map(6, 4).then(random_map(5, 6))
    assert AffineMap.from_bytes(chain.to_bytes(), where="").fingerprints == chain.fingerprints


def test_a_file_gives_the_same_map(folder):
    transform = random_map(3, 4, spec="identity", seen=7)
    transform.save(folder / "map.safetensors")
    again = AffineMap.load(folder / "map.safetensors")
    np.testing.assert_array_equal(again.apply(ROWS), transform.apply(ROWS))
    assert (again.fingerprint, again.story) == (transform.fingerprint, transform.story)


@pytest.mark.parametrize(
    "transform",
    [
        random_map(3, 4),
        AffineMap(np.array([[1e-310, -0.0], [1 / 3, 1e300]]), np.zeros(2), {"ä": None, "x": [0.1, 2**62]}),
        random_map(6, 4, encoder="aa").then(random_map(5, 6)),
        replace(random_map(3, 4), target=Space(None)),
        replace(random_map(3, 4), target=Space(Identity("ü", "ff", 3, True, "mean", maps=("aa",)))),
        replace(random_map(3, 4), target=Space(Identity("new", "ff", 3, True), random_map(3, 7, spec="pca"))),
    ],
)
def test_a_map_that_was_read_is_written_as_the_same_bytes(transform):
    content = transform.to_bytes()
    assert AffineMap.from_bytes(content, where="").to_bytes() == content


def test_equal_maps_are_one_key_and_survive_a_trip_to_a_worker():
    transform = random_map(3, 4, spec="identity")
    there = pickle.loads(pickle.dumps(transform))
    assert {transform: "loaded"}[there] == "loaded"
    assert there != random_map(3, 4, spec="centre")
    assert there != transform.to_bytes()
    np.testing.assert_array_equal(there.apply(ROWS), transform.apply(ROWS))


def test_the_same_map_is_the_same_bytes():
    assert len({random_map(3, 4, spec="identity").to_bytes() for _ in range(20)}) == 1


def test_safetensors_reads_the_file_as_it_is(folder):
    from safetensors.numpy import load_file

    random_map(3, 4).save(folder / "map.safetensors")
    assert {name: value.shape for name, value in load_file("map.safetensors").items()} == {
        "A": (3, 4),
        "b": (3,),
    }


@pytest.mark.parametrize("length", [0, 7, 8, 40, -1])
def test_a_file_cut_short_is_refused(length):
    with pytest.raises(FormatError, match=r"^m: is truncated, or not a map file: "):
        AffineMap.from_bytes(random_map(3, 4).to_bytes()[:length], where="m")


def test_another_version_or_format_is_refused():
    content = random_map(3, 4).to_bytes()
    with pytest.raises(FormatError, match=r"^m: is a map of version 2, this embedkit reads version 1$"):
        AffineMap.from_bytes(content.replace(b'"version":"1"', b'"version":"2"'), where="m")
    with pytest.raises(FormatError, match=r"^m: is not a map$"):
        AffineMap.from_bytes(content.replace(b"embedkit-map", b"embedkit-mop"), where="m")


def test_no_file_is_refused(folder):
    with pytest.raises(FormatError, match=r"^m: no such map$"):
        AffineMap.load(folder.relative_to(folder) / "m")


@pytest.mark.parametrize(("b", "error"), [(np.zeros(2), MismatchError), (np.full(3, np.nan), FormatError)])
def test_numbers_that_make_no_map_are_refused(b, error):
    with pytest.raises(error):
        AffineMap(np.eye(3), b, {})


def test_widths_that_do_not_meet_are_refused():
    with pytest.raises(MismatchError, match=r"^the map expects 3 dimensions, the vectors have 4$"):
        random_map(2, 3).apply(ROWS)
    with pytest.raises(MismatchError, match=r"^the next map expects 3 dimensions, this one gives 2$"):
        random_map(2, 4).then(random_map(2, 3))


def space(dimension, transform=None):
    maps = transform.fingerprints if transform else ()
    return Space(Identity("new", "ff", dimension, True, maps=maps), transform)


def test_without_a_target_vectors_stay_with_their_encoder_and_one_map_more():
    first, second = random_map(6, 4), random_map(5, 6)
    old = Identity("old", "aa", 6, True, maps=first.fingerprints)
    identity, kept = second.place(old, first)
    assert identity == Identity("old", "aa", 5, True, maps=(*first.fingerprints, *second.fingerprints))
    np.testing.assert_allclose(kept.A, second.A @ first.A)
    assert second.place(None).identity is None


@pytest.mark.parametrize("behind", [None, random_map(3, 7)])
def test_a_target_is_where_vectors_lie_and_goes_with_the_file(behind):
    transform = replace(random_map(3, 4, encoder="aa"), target=space(3, behind))
    again = AffineMap.from_bytes(transform.to_bytes(), where="")
    for map in (transform, again):
        identity, kept = map.place(Identity("old", "aa", 4, False), random_map(4, 9))
        assert identity == transform.target.identity
        assert (kept and kept.fingerprint) == (behind and behind.fingerprint)
    with pytest.raises(MismatchError, match=r"^the map was fitted on vectors of encoder aa"):
        again.place(Identity("old", "bb", 4, False))


def test_a_target_that_nobody_made_stays_nobody():
    transform = replace(random_map(3, 4), target=Space(None))
    again = AffineMap.from_bytes(transform.to_bytes(), where="")
    assert again.target == again.place(Identity("old", "aa", 4, False)) == Space(None)


def test_a_chain_leads_where_its_last_target_is_and_on():
    first, second = random_map(4, 5), random_map(2, 3)
    towards = replace(random_map(3, 4, encoder="aa"), target=space(3))
    assert first.then(towards).target == towards.target
    assert towards.then(replace(second, target=space(2))).target == space(2)
    identity, kept = towards.then(second).target
    assert (identity, kept) == (replace(space(2).identity, maps=second.fingerprints), second)
    for chain in (first.then(towards).then(second), first.then(towards.then(second))):
        assert (chain.target.identity, chain.story["encoder"]) == (identity, "aa")


def test_a_map_behind_a_target_must_be_one_of_the_target():
    towards = replace(random_map(3, 4, encoder="aa"), target=space(3))
    assert towards.then(random_map(2, 3, encoder="ff", maps=[])).story["encoder"] == "aa"
    with pytest.raises(
        MismatchError, match=r"^the map was fitted on vectors of encoder aa, these come from new"
    ):
        towards.then(random_map(2, 3, encoder="aa"))


@pytest.mark.parametrize("name", [b"target.A", b'encoder\\"'])
def test_a_damaged_target_is_refused(name):
    content = replace(random_map(3, 4), target=space(3, random_map(3, 7))).to_bytes()
    assert name in content
    with pytest.raises(FormatError, match=r"^m: is truncated, or not a map file: "):
        AffineMap.from_bytes(content.replace(name, name.replace(b"e", b"o")), where="m")
