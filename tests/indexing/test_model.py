"""An index after any changes against a plain Python model of what it holds."""

import os
import random

import numpy as np
import pyarrow as pa
import pytest

from embedkit.data.vectors.vector_set import Batch, VectorMeta
from embedkit.indexing.building import build_index
from embedkit.indexing.edit import add, compact, delete
from embedkit.indexing.merging import merge
from embedkit.indexing.query import Query, hits
from embedkit.indexing.store import Index
from embedkit.indexing.where import rows_where

COLUMNS = 5


class Model:
    """Vectors and years of documents by id, in plain Python and numpy."""

    def __init__(self, chance):
        self.chance, self.vectors, self.years = chance, {}, {}

    def fresh(self, names):
        """Put new documents under some names, and return them as a batch."""
        for name in names:
            self.vectors[name] = self.chance.normal(size=COLUMNS) * self.chance.uniform(0.1, 9)
            self.years[name] = int(self.chance.integers(2000, 2010))
        table = pa.table({"id": names, "year": [self.years[name] for name in names]})
        return Batch(table, np.array([self.vectors[name] for name in names], np.float32))

    def search(self, query, k, metric, since=0):
        """Ids and similarities of the documents from a year on, best first."""
        names = [name for name in self.vectors if self.years[name] >= since]
        rows = np.array([self.vectors[name] for name in names], np.float32).reshape(-1, COLUMNS).astype(float)
        scores = rows @ query
        if metric == "cosine":
            scores = scores / (np.linalg.norm(rows, axis=1) * np.linalg.norm(query))
        order = np.argsort(-scores)[:k]
        return [names[place] for place in order], scores[order]


def require_same_hits(index, model, chance, *, filtered):
    query = (chance.normal(size=COLUMNS) * 3).astype(np.float32)
    k, since = int(chance.integers(1, 12)), int(chance.integers(2000, 2012)) if filtered else 0
    passing = rows_where(index, f"year >= {since}") if filtered else None
    (found,) = hits(index, query[None], Query(k, passing))
    names, scores = model.search(query.astype(float), k, index.metric, since)
    assert [hit.document["id"] for hit in found] == names
    assert all(hit.document["year"] == model.years[hit.document["id"]] for hit in found)
    np.testing.assert_allclose([hit.score for hit in found], scores, rtol=1e-5, atol=1e-5)
    assert index.rows == len(model.vectors)


SOME = [("flat", "cosine", 80), ("int8", "dot", 60)]
MANY = [("flat", "cosine", 2000), ("flat", "dot", 2000), ("int8", "cosine", 2000)]


@pytest.mark.parametrize(
    ("kind", "metric", "operations"), [*SOME, *[pytest.param(*many, marks=pytest.mark.slow) for many in MANY]]
)
def test_random_operations_give_the_hits_of_the_model(folder, monkeypatch, kind, metric, operations):
    monkeypatch.setattr(os, "fsync", lambda _: None)  # nobody pulls the plug
    chance, choose = np.random.default_rng(operations), random.Random(operations)
    model, meta, done = Model(chance), VectorMeta(COLUMNS), set()
    path = build_index("x.idx", meta, [model.fresh(["first"])], kind=kind, metric=metric).path
    for _ in range(operations):
        weights = {"add": 5, "delete": 3, "compact": 0.4, "merge": 0.8, "search": 4, "filter": 4}
        doing = choose.choices(list(weights), list(weights.values()))[0]
        some = [str(number) for number in choose.sample(range(40), choose.randint(1, 4))]
        there = [name for name in some if name in model.vectors]
        if doing == "add":
            assert add(path, meta, [model.fresh(some)]).replaced == len(there)
        elif doing == "delete":
            assert delete(path, some).deleted == len(there)
            for name in there:
                del model.vectors[name]
        elif doing == "compact":
            assert len(compact(path).segments) <= 1
        elif doing == "merge":
            build_index("other.idx", meta, [model.fresh(some)], kind=kind, metric=metric)
            merge([path, "other.idx"], path, replaces=True)
        done |= {doing, f"{doing} replaces" if there else doing}
        require_same_hits(Index.open(path), model, chance, filtered=doing == "filter")
    assert done >= {"add replaces", "delete", "compact", "merge replaces", "filter"}
    Index.open(path).verify()
