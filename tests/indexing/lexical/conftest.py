"""Documents with texts and vectors that depend on nothing but these, and BM25 as its formula is written."""

import zlib
from math import log

import numpy as np
import pyarrow as pa
import pytest

from embedkit.data.vectors.vector_set import Batch

DIMENSION = 8


def vector_of(id, text):
    """A random vector, the same for the same document."""
    return np.random.default_rng(zlib.crc32(f"{id}\n{text}".encode())).normal(size=DIMENSION)


@pytest.fixture(scope="session")
def vectors_of():
    """The vectors of documents: `{id: text}` -> `(documents, 8)`."""
    return lambda documents: np.array([vector_of(*pair) for pair in documents.items()], np.float32)


@pytest.fixture(scope="session")
def batch(vectors_of):
    """Make a batch of documents, `{id: text}`; a text may be None."""

    def make(documents):
        texts = pa.array(documents.values(), pa.string())
        table = pa.table({"id": pa.array(documents, pa.string()), "text": texts})
        return Batch(table, vectors_of(documents).reshape(-1, DIMENSION))

    return make


def occurrences(terms, term):
    """How often a query's term occurs; a single Chinese character stands for all pairs that begin with it."""
    if len(term) == 1 and "\u3400" <= term <= "\u9fff":
        return sum(each[0] == term for each in terms)
    return terms.count(term)


@pytest.fixture(scope="session")
def slow_bm25():
    """Compute BM25 scores: `{id: text}`, a query's text and settings -> `{id: score}`."""

    def compute(documents, query, settings):
        held = {id: settings.document_terms(text or "") for id, text in documents.items()}
        mean = sum(map(len, held.values())) / max(len(held), 1)
        scores = dict.fromkeys(held, 0.0)
        for term in settings.query_terms(query):
            counts = {id: occurrences(terms, term) for id, terms in held.items()}
            n = sum(count > 0 for count in counts.values())
            idf = log(1 + (len(held) - n + 0.5) / (n + 0.5))
            for id, f in counts.items():
                if f:
                    length = 1 - settings.b + settings.b * len(held[id]) / mean
                    scores[id] += idf * f / (f + settings.k1 * length)
        return scores

    return compute
