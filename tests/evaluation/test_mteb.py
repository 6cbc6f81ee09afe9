"""MTEB's own runner on two small tasks of our own: its figures are ours, and prompts and maps arrive."""

import dataclasses
import sys

import ir_measures
import numpy as np
import pytest

from embedkit.data.affine import AffineMap
from embedkit.data.text.scored_pairs import Pair
from embedkit.embedding.encoder import with_maps
from embedkit.embedding.loading import load
from embedkit.errors import DataError, MissingPackageError
from embedkit.evaluation.mteb import MTEBEncoder
from embedkit.evaluation.sts import cosines, pearson, spearman

WORDS = ["red", "green", "blue", "cat", "dog", "house", "tree", "river", "stone", "bread", "milk", "night"]
NUMBERS = np.random.default_rng(1)


def phrase():
    return set(NUMBERS.choice(WORDS, 4, replace=False).tolist())


PHRASES = [(phrase(), phrase()) for _ in range(60)]
PAIRS = [Pair(" ".join(sorted(a)), " ".join(sorted(b)), float(len(a & b))) for a, b in PHRASES]
DOCUMENTS = {f"d{row}": {"title": pair.first, "text": pair.second} for row, pair in enumerate(PAIRS)}
QUERIES = {f"q{row}": " ".join(sorted(phrase())) for row in range(10)}
QRELS = {
    query: {f"d{row}": int(row % 10 == number) for row in range(60)} for number, query in enumerate(QUERIES)
}
ABOUT = {
    "description": "made up",
    "reference": None,
    "dataset": {"path": "none", "revision": "none"},
    "category": "t2t",
    "eval_splits": ["test"],
    "eval_langs": ["eng-Latn"],
    "date": ("2025-01-01", "2025-01-01"),
    "dialect": [],
    "domains": [],
    "task_subtypes": [],
    "license": "cc0-1.0",
    "annotations_creators": "derived",
    "modalities": ["text"],
    "sample_creation": "created",
    "bibtex_citation": "",
}


class Recording:
    """An encoder that remembers what it was asked for, and as what."""

    def __init__(self, encoder):
        self.encoder, self.identity, self.asked = encoder, encoder.identity, []

    def encode(self, texts, role="document"):
        self.asked += [(role, text) for text in texts]
        return self.encoder.encode(texts, role)


@pytest.fixture(scope="module")
def mteb():
    return pytest.importorskip("mteb", reason="mteb is not installed")


@pytest.fixture
def sts(mteb):
    from datasets import Dataset
    from mteb.abstasks.sts import AbsTaskSTS
    from mteb.abstasks.task_metadata import TaskMetadata

    class Words(AbsTaskSTS):
        metadata = TaskMetadata(type="STS", name="Words", main_score="cosine_spearman", **ABOUT)

        def load_data(self, **kwargs):
            columns = {
                name: [pair[place] for pair in PAIRS]
                for place, name in enumerate(("sentence1", "sentence2", "score"))
            }
            self.dataset, self.data_loaded = {"test": Dataset.from_dict(columns)}, True

    return Words()


@pytest.fixture
def retrieval(mteb):
    from datasets import Dataset
    from mteb.abstasks.retrieval import AbsTaskRetrieval
    from mteb.abstasks.retrieval_dataset_loaders import RetrievalSplitData
    from mteb.abstasks.task_metadata import TaskMetadata

    class Phrases(AbsTaskRetrieval):
        metadata = TaskMetadata(type="Retrieval", name="Phrases", main_score="ndcg_at_10", **ABOUT)

        def load_data(self, **kwargs):
            split = RetrievalSplitData(
                corpus=Dataset.from_list([{"id": name, **fields} for name, fields in DOCUMENTS.items()]),
                queries=Dataset.from_list([{"id": name, "text": text} for name, text in QUERIES.items()]),
                relevant_docs=QRELS,
                top_ranked=None,
            )
            self.dataset, self.data_loaded = {"default": {"test": split}}, True

    return Phrases()


@pytest.fixture
def judge(mteb):
    """Return the function that has MTEB judge an encoder on a task, and gives its scores."""

    def call(encoder, task):
        result = mteb.evaluate(
            MTEBEncoder(encoder), task, cache=None, co2_tracker=False, show_progress_bar=False
        )
        return result.task_results[0].scores["test"][0]

    return call


TURN = AffineMap(NUMBERS.normal(size=(20, 64)), NUMBERS.normal(size=20), {})


@pytest.mark.parametrize("maps", [[], [TURN]])
def test_sts_has_the_figures_of_eval_sts(judge, sts, maps):
    encoder = with_maps(load("hash:dim=64"), maps)
    found = judge(encoder, sts)
    predicted, gold = cosines(encoder, PAIRS), [pair.score for pair in PAIRS]
    assert found["cosine_spearman"] == pytest.approx(spearman(predicted, gold), abs=1e-6)
    assert found["spearman"] == pytest.approx(spearman(predicted, gold), abs=1e-6)
    assert found["cosine_pearson"] == pytest.approx(pearson(predicted, gold), abs=1e-6)
    assert found["main_score"] == found["cosine_spearman"]


def test_retrieval_has_the_figures_of_ir_measures(judge, retrieval):
    encoder = load("hash:dim=64")
    found = judge(encoder, retrieval)
    texts = [f"{each['title']} {each['text']}" for each in DOCUMENTS.values()]
    scores = encoder.encode(list(QUERIES.values()), "query") @ encoder.encode(texts).T
    run = {
        query: dict(zip(DOCUMENTS, row.tolist(), strict=True))
        for query, row in zip(QUERIES, scores, strict=True)
    }
    expected = ir_measures.calc_aggregate([ir_measures.nDCG @ 10, ir_measures.R @ 10], QRELS, run)
    assert found["ndcg_at_10"] == pytest.approx(expected[ir_measures.nDCG @ 10], abs=1e-5)
    assert found["recall_at_10"] == pytest.approx(expected[ir_measures.R @ 10], abs=1e-5)


def test_queries_are_asked_as_queries_and_all_else_as_documents(judge, retrieval, sts):
    encoder = Recording(load("hash:dim=64"))
    judge(encoder, retrieval)
    assert {text for role, text in encoder.asked if role == "query"} == set(QUERIES.values())
    assert len([text for role, text in encoder.asked if role == "document"]) == len(DOCUMENTS)
    encoder.asked.clear()
    judge(encoder, sts)
    assert {role for role, _ in encoder.asked} == {"document"}
    assert len(encoder.asked) == sum(len({pair[side] for pair in PAIRS}) for side in (0, 1))


def test_what_decides_vectors_decides_the_revision(mteb):
    plain = load("hash:dim=64")
    mapped = with_maps(plain, [TURN])
    asking = Recording(plain)
    asking.identity = dataclasses.replace(plain.identity, query_prompt="query: ", model="/a/folder/of mine/")
    metas = [MTEBEncoder(each).mteb_model_meta for each in (plain, mapped, asking)]
    assert [meta.embed_dim for meta in metas] == [64, 20, 64]
    assert [meta.name for meta in metas] == ["embedkit/hash-dim-64"] * 2 + ["embedkit/of-mine"]
    assert len({meta.revision for meta in metas}) == 3
    assert [meta.use_instructions for meta in metas] == [False, False, True]
    assert metas[1].experiment_kwargs == {"maps": list(mapped.identity.maps)}
    assert MTEBEncoder(load("hash:dim=64")).mteb_model_meta.revision == metas[0].revision


def test_it_is_what_mteb_calls_an_encoder(mteb):
    from mteb.models import EncoderProtocol

    encoder = MTEBEncoder(load("hash:dim=8"))
    assert isinstance(encoder, EncoderProtocol)
    X, Y = NUMBERS.normal(size=(2, 5, 8)).astype(np.float32)
    unit = [rows / np.linalg.norm(rows, axis=1, keepdims=True) for rows in (X, Y)]
    np.testing.assert_allclose(np.asarray(encoder.similarity(X, Y)), unit[0] @ unit[1].T, atol=1e-6)
    expected = np.sum(unit[0] * unit[1], axis=1)
    np.testing.assert_allclose(np.asarray(encoder.similarity_pairwise(X, Y)), expected, atol=1e-6)


def test_a_task_without_text_is_refused(mteb, sts):
    with pytest.raises(
        DataError, match=r"^Words: has image where texts are expected; embedkit encodes text$"
    ):
        MTEBEncoder(load("hash:dim=8")).encode(
            [{"image": [1]}], task_metadata=sts.metadata, hf_split="test", hf_subset="default"
        )


def test_without_mteb_the_extra_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "mteb", None)
    with pytest.raises(MissingPackageError, match=r"needs the package mteb; pip install 'embedkit\[mteb\]'$"):
        MTEBEncoder(load("hash:dim=8"))
