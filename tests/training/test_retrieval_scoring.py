"""nDCG@10 while training: the value that the saved model has, the best checkpoint kept, resumed, refused."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from embedkit.data.text.examples import Examples
from embedkit.embedding.loading import load
from embedkit.errors import DataError, MismatchError
from embedkit.evaluation.judged_sets import judged_files, read_judged_set
from embedkit.training.retrieval_scoring import RetrievalScore
from embedkit.training.simcse import train_simcse
from embedkit.training.simcse_settings import SimCSESettings
from tests.embedding.conftest import BUILDERS
from tests.evaluation.test_judged_sets import written
from tests.training.running import Killed, killed_at, log, same, weights
from tests.training.test_simcse import sentence

SENTENCES = Examples(("text",), [(sentence(seed),) for seed in range(41)])


@pytest.fixture(scope="module")
def tiny(tmp_path_factory):
    return str(BUILDERS["bert"](tmp_path_factory.mktemp("models") / "bert"))


@pytest.fixture
def settings(tiny, folder):
    written()
    return SimCSESettings(
        inputs=("a.txt",), model=tiny, batch_size=8, epochs=2.0, learning_rate=1e-3, precision="fp32",
        eval="set", eval_steps=2, log_steps=1,
    )  # fmt: skip


def judged_set():
    return read_judged_set(judged_files("set"))


def test_the_best_checkpoint_by_it_is_kept_and_resumed(settings):
    whole = train_simcse("whole", settings, SENTENCES, judged=judged_set())
    scores = {line["step"]: line["eval_ndcg10"] for line in log("whole") if "eval_ndcg10" in line}
    assert list(scores) == [0, 2, 4, 6, 8, 10]
    assert whole.measure == "nDCG@10"
    assert whole.best == max(value for step, value in scores.items() if step)
    encoder = load("whole", runtime="torch", precision="fp32")
    assert judged_set().value(encoder) == pytest.approx(whole.best, abs=2e-3)  # ties of rounding swap hits
    with pytest.raises(Killed):
        train_simcse("out", settings, SENTENCES, judged=judged_set(), watch=killed_at(5))
    train_simcse("out", settings, SENTENCES, judged=judged_set(), resume=True)
    assert same(weights("out"), weights("whole"))
    assert "nDCG@10 on the retrieval set by which it was chosen" in Path("out/README.md").read_text()


def test_scoring_leaves_the_model_and_the_random_state_as_they_were(settings, tiny):
    from sentence_transformers import SentenceTransformer

    model = SentenceTransformer(tiny, device="cpu").train()
    model.prompts = {"query": "find ", "document": ""}
    score = RetrievalScore(judged_set(), chunk_tokens=512, bf16=False)
    before = torch.get_rng_state()
    values = [score(model)["ndcg10"] for _ in range(2)]
    assert values[0] == values[1]
    assert torch.equal(torch.get_rng_state(), before)
    assert model.training
    prompted = load(tiny, runtime="torch", query_prompt="find ", precision="fp32")
    np.testing.assert_allclose(values[0], judged_set().value(prompted), atol=2e-3)


def test_a_set_that_changed_or_does_not_fit_is_one_line(settings):
    with pytest.raises(Killed):
        train_simcse("out", settings, SENTENCES, judged=judged_set(), watch=killed_at(5))
    corpus = Path("set/corpus.jsonl")
    corpus.write_text(corpus.read_text() + '{"_id": "more", "text": "a door"}\n')
    with pytest.raises(MismatchError, match=r"the retrieval set of `eval` of .*corpus\.jsonl changed after"):
        train_simcse("out", settings, SENTENCES, judged=judged_set(), resume=True)
    corpus.write_text('{"_id": "more", "text": "a door"}\n')
    with pytest.raises(DataError, match="has none of the documents that are relevant"):
        train_simcse("other", replace(settings, model="none"), SENTENCES, judged=judged_set())


def test_memory_holds_a_window_of_documents(settings, monkeypatch):
    """Windows of 16 documents: no more than two of them are encoded before the first is searched."""
    from embedkit.embedding import batching
    from embedkit.evaluation import exact_search

    monkeypatch.setattr(batching, "WINDOW_ROWS", 16)
    read, behind = [], []
    plain = exact_search._Nearest.add

    def documents(self):
        for record in plain_documents(self):
            read.append(record)
            yield record

    def add(self, X, first):
        behind.append(len(read) - first)
        return plain(self, X, first)

    judged = judged_set()
    plain_documents = type(judged).documents
    monkeypatch.setattr(type(judged), "documents", documents)
    monkeypatch.setattr(exact_search._Nearest, "add", add)
    judged.value(load("hash:dim=16"))
    assert len(behind) == 13
    assert max(behind) <= 32
