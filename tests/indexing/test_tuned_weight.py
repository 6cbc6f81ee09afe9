"""The tuned weight of fused search: kept in the manifest for as long as BM25 scores stay the same."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from embedkit.errors import FormatError
from embedkit.indexing.building import build_index
from embedkit.indexing.edit import add, compact, delete, keep_weight
from embedkit.indexing.lexical.fusion import HASHED_WEIGHT, WEIGHT
from embedkit.indexing.lexical.lexical_settings import LexicalSettings
from embedkit.indexing.lexical.tuned_weight import TunedWeight
from embedkit.indexing.manifest import _rendered
from embedkit.indexing.merging import merge
from embedkit.indexing.store import Index

KEPT = TunedWeight(0.35, "nDCG@10", 120, 0.71, 0.69, 0.011, 0.03)


@pytest.fixture
def index(folder, docs):
    build_index("x.idx", *docs("abcd"))
    return keep_weight("x.idx", KEPT)


def test_the_weight_is_written_and_read(index, docs):
    assert (index.manifest.weight, index.weight) == (KEPT, 0.35)
    assert Index.open("x.idx").manifest.generation == 1
    assert json.loads(Path("x.idx/manifest.json").read_bytes())["fusion"] == {
        "weight": 0.35,
        "measure": "nDCG@10",
        "queries": 120,
        "value": 0.71,
        "default_value": 0.69,
        "low": 0.011,
        "high": 0.03,
    }
    assert str(KEPT) == "0.35 (nDCG@10 +2.00 on 120 held-out queries, 95 % +1.10 to +3.00)"


def test_without_a_tuned_weight_the_default_counts_and_nothing_is_written(index):
    index = keep_weight("x.idx", None)
    assert (index.manifest.weight, index.weight) == (None, HASHED_WEIGHT)
    assert "fusion" not in json.loads(Path("x.idx/manifest.json").read_bytes())


def test_vectors_of_words_have_a_smaller_default_than_those_of_a_model(index, docs):
    """BM25 ranks better than hashed n-grams, so their vectors weigh less."""
    meta, batches = docs("ab")
    unknown = build_index("y.idx", replace(meta, identity=None), batches)
    model = build_index("z.idx", replace(meta, identity=replace(meta.identity, model="minilm")), batches)
    assert unknown.weight == unknown.default_weight == model.default_weight == WEIGHT == 0.7
    assert index.default_weight == HASHED_WEIGHT == 0.15


def test_changes_of_the_documents_keep_it(index, docs):
    add("x.idx", *docs("ef"))
    delete("x.idx", ["a"])
    assert compact("x.idx").manifest.weight == KEPT


def test_other_settings_of_the_words_drop_it(index):
    assert compact("x.idx", LexicalSettings("none")).manifest.weight is None
    assert Index.open("x.idx").rows == 4


def test_a_merged_index_has_the_default(index, docs):
    build_index("y.idx", *docs("efg"))
    assert merge(["x.idx", "y.idx"], "z.idx").manifest.weight is None


def test_a_fused_search_without_a_weight_uses_it(index):
    vector, text = np.ones((1, 16), np.float32), ["document c"]
    tuned = index.hits(vector, 4, texts=text, hybrid=index.weight)
    assert tuned == index.hits(vector, 4, texts=text, hybrid=0.35)
    assert tuned != index.hits(vector, 4, texts=text, hybrid=WEIGHT)


@pytest.mark.parametrize("changed", [{"weight": 1.5}, {"wait": 1}, {"weight": None}])
def test_a_damaged_weight_is_noticed(index, changed):
    value = json.loads(Path("x.idx/manifest.json").read_bytes())
    value.pop("sha256")
    value["fusion"] |= changed
    Path("x.idx/manifest.json").write_bytes(_rendered(value))
    with pytest.raises(FormatError, match=r"^x\.idx: manifest\.json is damaged: "):
        Index.open("x.idx")
