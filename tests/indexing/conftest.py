"""Small indexes for the tests of what changes them."""

import numpy as np
import pyarrow as pa
import pytest

from embedkit.data.vectors.vector_set import Batch, VectorMeta
from embedkit.embedding.loading import load

HASH = load("hash:dim=16")


def text_of(id, version=0):
    return f"the text {version} of document {id}"


@pytest.fixture
def docs():
    """Documents by id, with their meta: `docs("abc", version=1)`."""

    def make(ids, version=0):
        texts = [text_of(id, version) for id in ids]
        table = pa.table({"id": list(ids), "text": texts, "n": np.arange(len(texts))})
        return VectorMeta(16, HASH.identity), [Batch(table, HASH.encode(texts))]

    return make


@pytest.fixture
def answers():
    """What an index says to the texts of some documents: the id and text of the best hit of each."""

    def ask(index, ids, version=0):
        hits = index.hits(HASH.encode([text_of(id, version) for id in ids]), 1)
        return [(hit.document["id"], hit.document["text"]) for (hit,) in hits]

    return ask
