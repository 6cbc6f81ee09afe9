"""A map fitted by many is the map of one process, whatever the parts."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from embedkit import spec
from embedkit.cluster.encoders import EncoderRecipe
from embedkit.cluster.encoding_workers import survey_texts
from embedkit.cluster.fitting_workers import fit_on, merged_in_pairs
from embedkit.cluster.sources import MappedShards, of_texts, of_vectors
from embedkit.data.affine import AffineMap
from embedkit.data.inputs import open_text
from embedkit.data.text.records import TextFormat
from embedkit.data.vectors.vector_set import VectorSet
from embedkit.embedding.encoder import EncoderSettings
from embedkit.embedding.encoding import encode_batches, encode_to
from embedkit.errors import DataError, MismatchError
from embedkit.transforms.fitting import fit_map

RECIPE = EncoderRecipe(EncoderSettings("hash:dim=12"))
KINDS = [
    "whitening:dim=5", "whitening:dim=5,shrinkage=ledoit-wolf,beta=0.5", "pca:dim=4", "zca", "centre",
    "top-components:components=2", "householder", "gaussian:dim=3", "truncate:dim=4", "sparse:dim=3",
    "srht:dim=4",
]  # fmt: skip


@pytest.fixture(autouse=True)
def text(folder):
    numbers = np.random.default_rng(1)
    lines = ["".join(numbers.choice(list("abcdefg "), 30)) for _ in range(400)]
    (folder / "a.txt").write_text("\n".join(lines))


@pytest.fixture
def vectors(folder):
    """A vector set of 400 rows in 8 shards."""
    with open_text(["a.txt"], TextFormat()) as reader:
        list(encode_to("a.vec", RECIPE.load(), reader, shard_rows=53))
    return VectorSet.open("a.vec")


def same(one, other):
    np.testing.assert_allclose(one.A, other.A, rtol=0, atol=1e-10 * np.abs(other.A).max())
    np.testing.assert_allclose(one.b, other.b, rtol=0, atol=1e-10 * max(np.abs(other.b).max(), 1))
    assert one.story == other.story


def of_one(kind, vectors, maps=()):
    rows = (batch.vectors for batch in vectors)
    return fit_map(
        spec.parse("transform", kind), rows, dimension=vectors.meta.dimension, identity=vectors.meta.identity
    )


@pytest.mark.parametrize("kind", KINDS)
def test_it_is_the_map_of_one_process(here, vectors, kind):
    spread = of_vectors(here, MappedShards(vectors))
    fitted = fit_on(here, spec.parse("transform", kind), spread)
    same(fitted, of_one(kind, vectors))
    assert here.done == ["_sum"] * (8 if fitted.story["rows"] else 0)


def test_text_is_encoded_where_it_is_read(here, monkeypatch):
    monkeypatch.setattr("embedkit.cluster.sources.SHARD_ROWS", 53)
    spread = of_texts(here, RECIPE, survey_texts(here, ["a.txt"], TextFormat()))
    fitted = fit_on(here, spec.parse("transform", "pca:dim=4"), spread)
    with open_text(["a.txt"], TextFormat()) as reader:
        rows = [batch.vectors for batch in encode_batches(RECIPE.load(), reader)]
    identity = RECIPE.load().identity
    same(fitted, fit_map(spec.parse("transform", "pca:dim=4"), rows, dimension=12, identity=identity))
    assert here.done[1:] == ["_sum"] * 8


def test_maps_are_put_behind_the_vectors(here, vectors):
    turn = AffineMap(np.random.default_rng(2).normal(size=(6, 12)), np.ones(6), {})
    spread = of_vectors(here, MappedShards(vectors, (turn,)))
    fitted = fit_on(here, spec.parse("transform", "centre"), spread)
    mapped = turn.apply(np.concatenate([batch.vectors for batch in vectors]))
    mapped = mapped / np.linalg.norm(mapped, axis=1, keepdims=True)
    np.testing.assert_allclose(-fitted.b, mapped.mean(axis=0, dtype=np.float64), rtol=1e-6)
    assert fitted.story["maps"] == [turn.fingerprint]
    with pytest.raises(MismatchError, match="expects 13 dimensions"):
        of_vectors(here, MappedShards(vectors, (AffineMap(np.eye(13), np.zeros(13), {}),)))


def test_what_is_not_finite_is_named_with_its_shard(here, vectors, monkeypatch):
    good = VectorSet.vectors

    def spoiled(table, dimension, *, where, before):
        found = np.array(good_vectors(table, dimension, where=where, before=before))
        found[2, 1] = np.nan
        return found

    import embedkit.data.vectors.vector_set as module

    assert good is VectorSet.vectors
    good_vectors = module.vectors_of
    monkeypatch.setattr(module, "vectors_of", spoiled)
    spread = of_vectors(here, MappedShards(vectors))
    with pytest.raises(DataError, match=r"row 3: the vector is not finite"):
        fit_on(here, spec.parse("transform", "centre"), spread)


def test_progress_passes_by(here, vectors):
    passed = []
    spread = of_vectors(here, MappedShards(vectors))
    fit_on(here, spec.parse("transform", "centre"), spread, on_batch=passed.append)
    assert passed == [53] * 7 + [29]


@given(st.lists(st.text(max_size=2), min_size=1, max_size=40))
def test_sums_are_merged_in_order(parts):
    assert merged_in_pairs(parts, str.__add__) == "".join(parts)


def test_few_sums_are_in_memory_and_pairs_are_balanced():
    depth = merged_in_pairs([0] * 1000, lambda one, other: max(one, other) + 1)
    assert depth == 10  # the logarithm of 1000
