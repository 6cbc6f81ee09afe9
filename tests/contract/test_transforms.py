"""What every transform must be, whatever its file: an affine map of the asked width, the same every time."""

import numpy as np
import pytest

from embedkit import spec
from embedkit.data.affine import AffineMap
from embedkit.transforms.fitting import need_of_target
from embedkit.transforms.kinds.householder import Householder
from embedkit.transforms.kinds.procrustes import Procrustes

EXAMPLES = {  # a spec of each kind, and the width it gives for 12 columns
    "centre": ("centre", 12),
    "gaussian": ("gaussian:dim=5,seed=3", 5),
    "householder": ("householder:drop=true", 11),
    "hyperplanes": ("hyperplanes:dim=20", 20),
    "identity": ("identity", 12),
    "pca": ("pca:dim=5", 5),
    "procrustes": ("procrustes:scale=false", 7),
    "sparse": ("sparse:dim=5,density=0.3333", 5),
    "srht": ("srht:dim=5", 5),
    "top-components": ("top-components:components=2", 12),
    "truncate": ("truncate:dim=5", 5),
    "whitening": ("whitening:dim=5,beta=0.9,gamma=0.5,shrinkage=ledoit-wolf", 5),
    "zca": ("zca", 12),
}
NUMBERS = np.random.default_rng(7)
ROWS = (NUMBERS.normal(size=(200, 12)) * NUMBERS.uniform(0.5, 2, 12) + 0.3).astype(np.float32)
TARGETS = (ROWS @ NUMBERS.normal(size=(12, 7))).astype(np.float32)


@pytest.fixture(params=spec.kinds("transform"))
def example(request):
    """The spec of a kind, and its width."""
    if request.param not in EXAMPLES:
        pytest.fail(f"{request.param} is a new transform: add a spec of it to EXAMPLES in {__name__}.py")
    return EXAMPLES[request.param]


def fitted(text, *blocks):
    """Fit on ROWS, in the blocks given, or on pairs of them and their targets."""
    settings, blocks = spec.parse("transform", text), blocks or [ROWS]
    if need_of_target(type(settings)) != "required":
        return settings.fit(iter(blocks))
    cuts = np.cumsum([len(block) for block in blocks])[:-1]
    return settings.fit(iter(list(zip(blocks, np.split(TARGETS, cuts), strict=True))))


def test_it_is_finite_and_as_wide_as_asked(example):
    mapped = fitted(example[0]).apply(ROWS)
    assert mapped.shape == (len(ROWS), example[1])
    assert mapped.dtype == np.float32
    assert np.isfinite(mapped).all()


def test_it_is_the_same_every_time(example):
    assert fitted(example[0]).fingerprint == fitted(example[0]).fingerprint


def test_it_is_affine(example):
    transform = fitted(example[0])
    one, other = ROWS[:20], ROWS[20:40]
    mixed = transform.apply(0.3 * one + 0.7 * other)
    np.testing.assert_allclose(mixed, 0.3 * transform.apply(one) + 0.7 * transform.apply(other), atol=1e-4)


def test_it_is_the_same_after_a_round_trip(example):
    transform = fitted(example[0])
    again = AffineMap.from_bytes(transform.to_bytes(), where="")
    np.testing.assert_array_equal(again.apply(ROWS), transform.apply(ROWS))
    assert again.to_bytes() == transform.to_bytes()


@pytest.mark.parametrize("sizes", [[1] * 200, [3, 97, 100], [199, 1]])
def test_rows_may_come_in_any_chunks(example, sizes):
    chunks = np.split(ROWS, np.cumsum(sizes)[:-1])
    at_once, streamed = fitted(example[0]), fitted(example[0], *chunks)
    np.testing.assert_allclose(streamed.apply(ROWS), at_once.apply(ROWS), atol=1e-4)


def test_its_spec_reads_back(example):
    settings = spec.parse("transform", example[0])
    assert spec.parse("transform", spec.render(settings)) == settings


def test_it_says_by_the_signature_of_fit_whether_it_takes_a_target(example):
    cls = type(spec.parse("transform", example[0]))
    need = need_of_target(cls)
    assert need == {Procrustes: "required", Householder: "optional"}.get(cls, "none")
    if need == "optional":
        turned = ROWS * np.tile([1, -1], 6).astype(np.float32)
        alone, towards = cls().fit(iter([ROWS])), cls().fit(iter([ROWS]), iter([turned]))
        again = cls().fit(iter([ROWS]), iter(np.split(turned, [1, 50])))
        assert towards.fingerprint == again.fingerprint != alone.fingerprint
