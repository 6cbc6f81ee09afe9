"""Exact search of a corpus that passes by, against plain numpy, by several encoders and maps."""

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest

from embedkit.data.affine import AffineMap
from embedkit.data.text.record import Record
from embedkit.embedding.encoder import unit_length, with_maps
from embedkit.embedding.loading import load
from embedkit.errors import DataError
from embedkit.evaluation.exact_search import search_corpus

WORDS = ["cat", "dog", "river", "stone", "bread", "moon", "tree", "song", "night", "door"]


def records(rows=300, seed=0):
    numbers = np.random.default_rng(seed)
    return [Record(f"d{row}", " ".join(numbers.choice(WORDS, 4)), {}) for row in range(rows)]


QUERIES = [" ".join(pair) for pair in pairwise(WORDS)]
TURN = AffineMap(np.random.default_rng(1).normal(size=(5, 16)), np.ones(5), {})


class Counting:
    """An encoder that remembers what it was asked for; `scale` leaves unit length."""

    def __init__(self, dim=16, scale=3.0):
        self.encoder, self.scale, self.asked = load(f"hash:dim={dim}"), scale, []
        self.identity = replace(self.encoder.identity, normalized=False)

    def encode(self, texts, role="document"):
        self.asked += [(role, text) for text in texts]
        return self.encoder.encode(texts) * np.float32(self.scale if role == "query" else 2)


def oracle(encoder, corpus, k):
    """Return the best `k` scores of each query."""
    cosines = (
        unit_length(encoder.encode(QUERIES, "query"))
        @ unit_length(encoder.encode([r.text for r in corpus])).T
    )
    return cosines, -np.sort(-cosines, axis=1)[:, :k]


@pytest.mark.parametrize("k", [1, 7, 300, 1000])
@pytest.mark.parametrize("window", [50, 4096])
def test_hits_are_those_of_numpy(k, window, monkeypatch):
    monkeypatch.setattr("embedkit.embedding.batching.WINDOW_ROWS", window)
    corpus, plain = records(), Counting()
    encoders = [plain, with_maps(plain, [TURN]), Counting(dim=8)]
    searched = search_corpus(encoders, QUERIES, iter(corpus), k)
    assert searched.ids == [record.id for record in corpus]
    for encoder, found in zip(encoders, searched.found, strict=True):
        cosines, best = oracle(encoder, corpus, k)
        np.testing.assert_allclose(found.scores, best, atol=1e-6)
        np.testing.assert_allclose(found.scores, np.take_along_axis(cosines, found.rows, axis=1), atol=1e-6)
        assert all(len(set(rows)) == min(k, 300) for rows in found.rows.tolist())


def test_hits_by_id():
    searched = search_corpus([load("hash:dim=16")], QUERIES[:2], records(), 3)
    found = searched.found[0]
    expected = [
        {f"d{row}": score for row, score in zip(*line, strict=True)}
        for line in zip(found.rows.tolist(), found.scores.tolist(), strict=True)
    ]
    assert list(searched.by_id(found)) == expected


def test_a_text_is_encoded_once_for_all_maps_and_queries_as_queries():
    plain, corpus = Counting(), records()
    search_corpus(
        [plain, with_maps(plain, [TURN]), with_maps(plain, [TURN, AffineMap(np.eye(5), np.ones(5), {})])],
        QUERIES,
        corpus,
        5,
    )
    assert sorted(plain.asked) == sorted(
        [("query", text) for text in QUERIES] + [("document", r.text) for r in corpus]
    )


def test_the_windows_can_be_followed():
    seen = []
    search_corpus([load("hash:dim=8")], QUERIES, records(), 5, seen.append)
    assert sum(seen) == 300


class Broken(Counting):
    def encode(self, texts, role="document"):
        bad = np.array([text == "bad" for text in texts])
        return np.where(bad[:, None], np.nan, super().encode(texts, role)).astype(np.float32)


@pytest.mark.parametrize(
    ("encoder", "queries", "corpus", "message"),
    [
        (Counting(), QUERIES, [*records(5), Record("d3", "again", {})], "id 'd3' occurs twice"),
        (Counting(), QUERIES, [], "the input contains no text"),
        (
            Broken(),
            QUERIES,
            [*records(5), Record("x", "bad", {})],
            "the vector of 'bad' has a number that is ",
        ),
        (Broken(), ["good", "bad"], records(5), "the vector of 'bad' has a number that is not finite"),
    ],
)
def test_what_cannot_be_searched_is_refused(encoder, queries, corpus, message):
    with pytest.raises(DataError, match=message):
        search_corpus([encoder], queries, corpus, 5)
