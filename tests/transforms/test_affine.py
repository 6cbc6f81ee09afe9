"""Maps chain, travel as files, and are refused where they do not fit."""

import numpy as np
import pytest

from embedkit.errors import FormatError, MismatchError
from embedkit.transforms.affine import Affine


def random_map(rows, columns, **story):
    numbers = np.random.default_rng(rows)
    return Affine(numbers.normal(size=(rows, columns)), numbers.normal(size=rows), story)


ROWS = np.random.default_rng(0).normal(size=(5, 4)).astype(np.float32)


def test_it_is_the_formula():
    transform = random_map(3, 4)
    np.testing.assert_allclose(transform.apply(ROWS), ROWS @ transform.A.T + transform.b, atol=1e-5)


def test_a_chain_is_one_after_the_other():
    one, two, three = random_map(6, 4), random_map(5, 6), random_map(2, 5)
    expected = three.apply(two.apply(one.apply(ROWS)))
    for chain in (one.then(two).then(three), one.then(two.then(three))):
        np.testing.assert_allclose(chain.apply(ROWS), expected, atol=1e-3)
        assert chain.fingerprints == (one.fingerprint, two.fingerprint, three.fingerprint)


def test_a_chain_read_back_still_knows_its_parts():
    chain = random_map(6, 4).then(random_map(5, 6))
    assert Affine.from_bytes(chain.to_bytes(), where="").fingerprints == chain.fingerprints


def test_a_file_gives_the_same_map(folder):
    transform = random_map(3, 4, spec="identity", seen=7)
    transform.save(folder / "map.safetensors")
    again = Affine.load(folder / "map.safetensors")
    np.testing.assert_array_equal(again.apply(ROWS), transform.apply(ROWS))
    assert (again.fingerprint, again.story) == (transform.fingerprint, transform.story)


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
    with pytest.raises(FormatError, match=r"^m: is not a whole map file: "):
        Affine.from_bytes(random_map(3, 4).to_bytes()[:length], where="m")


def test_another_version_or_format_is_refused():
    content = random_map(3, 4).to_bytes()
    with pytest.raises(FormatError, match=r"^m: is a map of version 2, this embedkit reads version 1$"):
        Affine.from_bytes(content.replace(b'"version":"1"', b'"version":"2"'), where="m")
    with pytest.raises(FormatError, match=r"^m: is not a map$"):
        Affine.from_bytes(content.replace(b"embedkit-map", b"embedkit-mop"), where="m")


def test_no_file_is_refused(folder):
    with pytest.raises(FormatError, match=r"^m: no such map$"):
        Affine.load(folder.relative_to(folder) / "m")


@pytest.mark.parametrize(("b", "error"), [(np.zeros(2), MismatchError), (np.full(3, np.nan), FormatError)])
def test_numbers_that_make_no_map_are_refused(b, error):
    with pytest.raises(error):
        Affine(np.eye(3), b, {})


def test_widths_that_do_not_meet_are_refused():
    with pytest.raises(MismatchError, match=r"^the map wants 3 columns, the vectors have 4$"):
        random_map(2, 3).apply(ROWS)
    with pytest.raises(MismatchError, match=r"^the next map wants 3 columns, this one gives 2$"):
        random_map(2, 4).then(random_map(2, 3))
