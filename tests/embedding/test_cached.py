"""An encoder behind a cache: the same vectors, nothing encoded twice, and nothing taken for another's."""

from dataclasses import replace

import numpy as np
import pytest

from embedkit.data.affine import AffineMap
from embedkit.data.vectors.vector_cache import VectorCache
from embedkit.embedding.cached import Cached, cached, open_cache
from embedkit.embedding.encoder import EncoderSettings, Mapped
from embedkit.embedding.loading import load

SETTINGS = EncoderSettings("model", precision="fp32")


class Counting:
    """The hash encoder with prompts, under another name, which remembers what it was asked for."""

    def __init__(self, **identity):
        self.encoder, self.asked = load("hash:dim=16"), []
        self.identity = replace(self.encoder.identity, model="model", **identity)

    def encode(self, texts, role="document"):
        self.asked += texts
        prompt = self.identity.query_prompt if role == "query" else self.identity.document_prompt
        return self.encoder.encode([prompt + text for text in texts])


@pytest.fixture
def path(tmp_path):
    return tmp_path / "vectors.sqlite"


def behind(encoder, path, settings=SETTINGS):
    return Cached(encoder, settings, VectorCache(path))


def test_a_second_encoder_encodes_nothing_and_gives_the_same(path):
    texts = ["one", "two", "one", "", "词", "two"]
    first, second = Counting(), Counting()
    vectors = behind(first, path).encode(texts)
    np.testing.assert_array_equal(vectors, first.encoder.encode(texts))
    assert first.asked == ["one", "two", "", "词"]
    np.testing.assert_array_equal(behind(second, path).encode(texts), vectors)
    assert second.asked == []
    np.testing.assert_array_equal(behind(second, path).encode(["three", "two"])[1], vectors[1])
    assert second.asked == ["three"]


def test_nothing_of_nothing(path):
    assert behind(Counting(), path).encode([]).shape == (0, 16)


@pytest.mark.parametrize(
    "other",
    [
        {"identity": {"fingerprint": "another"}},
        {"identity": {"document_prompt": "a text: "}},
        {"settings": {"precision": "bf16"}},
        {"settings": {"runtime": "torch"}},
        {"settings": {"device": "cuda"}},
        {"version": "99"},
    ],
)
def test_another_encoder_finds_nothing(path, other, monkeypatch):
    behind(Counting(), path).encode(["one"])
    if "version" in other:
        monkeypatch.setattr("embedkit.embedding.cached.version", lambda name: other["version"])
    encoder = Counting(**other.get("identity", {}))
    vectors = behind(encoder, path, replace(SETTINGS, **other.get("settings", {}))).encode(["one"])
    assert encoder.asked == ["one"]
    expected = encoder.identity.document_prompt + "one"
    np.testing.assert_array_equal(vectors, encoder.encoder.encode([expected]))


def test_roles_are_told_apart_by_their_prompts(path):
    encoder = Counting(query_prompt="a question: ")
    once = behind(encoder, path)
    document, query = once.encode(["one"]), once.encode(["one"], "query")
    np.testing.assert_array_equal(query, encoder.encoder.encode(["a question: one"]))
    assert (document != query).any()
    alike = behind(Counting(), path)
    np.testing.assert_array_equal(alike.encode(["one"], "query"), alike.encode(["one"]))
    assert len(alike.encoder.asked) == 0 or alike.encoder.asked == ["one"]


def test_a_vector_that_is_not_finite_is_not_kept(path):
    class Broken(Counting):
        def encode(self, texts, role="document"):
            bad = np.array([text == "bad" for text in texts])
            return np.where(bad[:, None], np.nan, super().encode(texts, role)).astype(np.float32)

    behind(Broken(), path).encode(["bad", "good"])
    healed = Counting()
    behind(healed, path).encode(["bad", "good"])
    assert healed.asked == ["bad"]


def test_a_map_comes_after_the_cache(path):
    maps = [AffineMap(np.eye(3, 16) * factor, np.ones(3), {}) for factor in (1, 2)]
    encoder, cache = Counting(), VectorCache(path)
    for transform in maps:
        mapped = cached(Mapped(encoder, transform), SETTINGS, cache)
        expected = Mapped(encoder.encoder, transform).encode(["one", "two"])
        np.testing.assert_array_equal(mapped.encode(["one", "two"]), expected)
        assert mapped.identity.maps == (transform.fingerprint,)
    assert encoder.asked == ["one", "two"]


def test_the_hash_encoder_stays_as_it_is(path):
    encoder = load("hash:dim=8")
    assert cached(encoder, EncoderSettings("hash:dim=8"), VectorCache(path)) is encoder


def test_the_cache_lies_in_the_cache_folder(tmp_path, monkeypatch):
    monkeypatch.setenv("EMBEDKIT_CACHE", str(tmp_path))
    cache = open_cache()
    cache.put({b"key": np.zeros(2, dtype=np.float32)})
    assert (tmp_path / "vectors" / "vectors.sqlite").is_file()
