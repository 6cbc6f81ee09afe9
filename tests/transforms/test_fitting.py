"""A fitted map knows its story, and fits only behind what it was fitted on."""

from dataclasses import replace

import numpy as np
import pytest

from embedkit.data.affine import Space
from embedkit.data.identity import Identity
from embedkit.data.text.record import Record
from embedkit.data.vectors import tables
from embedkit.data.vectors.vector_set import Batch, VectorMeta
from embedkit.embedding.encoder import with_maps
from embedkit.embedding.loading import load
from embedkit.errors import MismatchError
from embedkit.transforms.fitting import Source, fit_map, fit_towards
from embedkit.transforms.kinds.centre import Centre
from embedkit.transforms.kinds.gaussian import Gaussian
from embedkit.transforms.kinds.householder import Householder
from embedkit.transforms.kinds.pca import PCA
from embedkit.transforms.kinds.procrustes import Procrustes
from embedkit.transforms.kinds.whitening import Whitening
from embedkit.version import __version__

ROWS = np.random.default_rng(0).normal(size=(70, 8)).astype(np.float32)
HASH = load("hash:dim=8")
OTHER = load("hash:dim=8,seed=1")


def fit(kind, identity=HASH.identity, rows=ROWS):
    return fit_map(kind, np.split(rows, [30]), dimension=rows.shape[1], identity=identity)


def behind(identity: Identity, *maps):
    return replace(identity, dimension=maps[-1].output_dimension, maps=tuple(map.fingerprint for map in maps))


def test_the_story_is_whole():
    assert fit(Whitening(dim=5)).story == {
        "spec": "whitening:dim=5",
        "rows": 70,
        "rank": 8,
        "versions": {"embedkit": __version__, "numpy": np.__version__},
        "encoder": HASH.identity.fingerprint,
        "maps": [],
    }


def test_a_kind_that_needs_the_width_alone_reads_no_row():
    def never():
        pytest.fail("a row was read")
        yield ROWS

    fitted = fit_map(Gaussian(3), never(), dimension=8, identity=HASH.identity)
    assert (fitted.input_dimension, fitted.story["rows"], "maps" in fitted.story) == (8, 0, False)


def test_vectors_of_nobody_make_a_map_for_everybody():
    fitted = fit(Centre(), identity=None)
    assert "encoder" not in fitted.story
    with_maps(OTHER, [fitted])


@pytest.mark.parametrize("kind", [Centre(), Gaussian(3)])
def test_another_encoder_is_refused(kind):
    fitted = fit(kind)
    with_maps(HASH, [fitted])
    with pytest.raises(
        MismatchError, match=rf"^the map was fitted on vectors of encoder {HASH.identity.fingerprint}"
    ):
        with_maps(OTHER, [fitted])


def test_a_map_is_not_applied_twice():
    fitted = fit(Centre())
    with pytest.raises(
        MismatchError, match=r"^the map was fitted on vectors of encoder \w+ with no map applied"
    ):
        fitted.require_input(behind(HASH.identity, fitted))
    with pytest.raises(
        MismatchError, match=r"^the next map was fitted on vectors with no map applied, not with maps "
    ):
        fitted.then(fitted)


def test_a_map_fitted_behind_another_follows_it():
    first = fit(Whitening(dim=5))
    second = fit(PCA(dim=3), identity=behind(HASH.identity, first), rows=first.apply(ROWS))
    chain = first.then(second)
    assert (chain.story["encoder"], chain.story["maps"]) == (HASH.identity.fingerprint, [])
    np.testing.assert_allclose(chain.apply(ROWS), second.apply(first.apply(ROWS)), atol=1e-6)
    with pytest.raises(MismatchError, match=f"with maps {first.fingerprint}, these come from"):
        second.require_input(replace(HASH.identity, dimension=5))
    third = fit(Centre(), identity=behind(HASH.identity, first, second), rows=chain.apply(ROWS))
    assert chain.then(third).fingerprints == first.then(second.then(third)).fingerprints


def test_a_projection_follows_whatever_map_of_its_encoder():
    first, second = fit(Centre()), fit(Gaussian(3))
    assert first.then(second).story["maps"] == []
    second.require_input(behind(HASH.identity, first))


def test_a_map_fitted_behind_a_projection_settles_what_comes_before():
    first = fit(Gaussian(5))
    second = fit(Centre(), identity=behind(HASH.identity, first), rows=first.apply(ROWS))
    assert first.then(second).story["maps"] == []


def test_maps_of_two_encoders_make_no_chain():
    one, other = fit(Gaussian(8)), fit(Gaussian(8), identity=OTHER.identity)
    with pytest.raises(MismatchError, match=r"^the maps were fitted on two encoders, "):
        one.then(other)


def source(encoder, rows=ROWS, cut=30):
    """Rows as an encoder's vectors, in two batches."""
    records = [Record(str(number), "", {}) for number in range(len(rows))]
    parts = zip((records[:cut], records[cut:]), np.split(rows, [cut]), strict=True)
    identity = encoder.identity if encoder else None
    meta = VectorMeta(rows.shape[1], identity, map=getattr(encoder, "map", None))
    return Source(meta, [Batch(tables.to_table(part), vectors) for part, vectors in parts])


WIDE = load("hash:dim=9")
TARGETS = np.random.default_rng(1).normal(size=(70, 9)).astype(np.float32)


@pytest.mark.parametrize("kind", [Procrustes(), Householder()])
def test_a_map_fitted_towards_a_target_leads_to_it(kind):
    target = source(OTHER, np.flip(ROWS), cut=50)
    fitted = fit_towards(kind, source(HASH), target)
    assert (fitted.story["rows"], fitted.story["encoder"]) == (70, HASH.identity.fingerprint)
    assert fitted.target == Space(OTHER.identity)
    mapped = with_maps(HASH, [fitted])
    assert (mapped.identity, mapped.map) == (OTHER.identity, None)
    expected = (
        kind.fit([(ROWS, np.flip(ROWS))]) if kind == Procrustes() else kind.fit([ROWS], [np.flip(ROWS)])
    )
    np.testing.assert_allclose(fitted.A, expected.A, atol=1e-12)


def test_the_map_behind_the_target_is_the_one_that_queries_need():
    centred = with_maps(WIDE, [fit_map(Centre(), [TARGETS], dimension=9, identity=WIDE.identity)])
    fitted = fit_towards(Procrustes(), source(HASH), source(centred, TARGETS))
    mapped = with_maps(HASH, [fitted])
    assert (mapped.identity, mapped.map) == (centred.identity, centred.map)


def test_pairs_must_have_the_same_ids_and_other_targets_need_not():
    few = source(OTHER, ROWS[:40])
    with pytest.raises(MismatchError, match=r"^the input has 70 rows, the target 40; "):
        fit_towards(Procrustes(), source(HASH), few)
    assert fit_towards(Householder(), source(HASH), few).story["rows"] == 70


def test_an_encoder_is_not_led_to_vectors_of_nobody():
    fitted = fit_towards(Procrustes(), source(HASH), source(None, TARGETS))
    with pytest.raises(
        MismatchError, match=r"^the map takes vectors of hash:dim=8 \w+ to those of an unknown encoder"
    ):
        with_maps(HASH, [fitted])
