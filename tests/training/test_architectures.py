"""Networks of embedkit's own in a run of training: it resumes to the same weights, and its folder encodes."""

import json
import random
from pathlib import Path

import numpy as np
import pytest

from embedkit.data.text.examples import Examples
from embedkit.embedding.loading import load
from embedkit.training.simcse import train_simcse
from embedkit.training.simcse_settings import SimCSESettings
from tests.embedding.architectures.examples import saved
from tests.embedding.conftest import WORDS
from tests.training.running import Killed, killed_at, same, weights

SENTENCES = Examples(
    ("text",), [(" ".join(random.Random(n).choices(WORDS, k=3 + n % 5)),) for n in range(25)]
)


@pytest.mark.parametrize(
    "text", ["gau:layers=1,width=8,key_size=4", "linear:layers=1,width=8,heads=2,features=performer"]
)
def test_a_run_resumes_to_the_same_weights(text, folder):
    settings = SimCSESettings(
        inputs=("a.txt",), model=str(saved(text, Path("base"))), batch_size=8, learning_rate=1e-3,
        precision="fp32", eval_steps=1, log_steps=1,
    )  # fmt: skip
    train_simcse("whole", settings, SENTENCES)
    with pytest.raises(Killed):
        train_simcse("out", settings, SENTENCES, watch=killed_at(2))
    train_simcse("out", settings, SENTENCES, resume=True)
    assert same(weights("out"), weights("whole"))
    assert not same(weights("out"), weights("base"))
    assert json.loads(Path("out/config.json").read_text())["model_type"] == "embedkit-encoder"
    card = Path("out/README.md").read_text()
    assert 'model = embedkit.load("path/to/this/folder")' in card
    assert "SentenceTransformer" not in card
    found = load("out", runtime="torch", device="cpu").encode(["hello there", "hello"])
    assert np.isfinite(found).all()
    assert np.abs(found[0] - found[1]).max() > 1e-6
