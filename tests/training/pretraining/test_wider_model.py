"""A wider start: the vectors of the model stay, twice, and training goes on from there."""

from dataclasses import replace

import numpy as np
import pytest

from embedkit.embedding.loading import load
from embedkit.errors import ModelError, UsageError
from embedkit.training.pretraining.continued_model import ContinuedModel
from embedkit.training.pretraining.held_out_score import PERPLEXITY
from embedkit.training.pretraining.pretrain_settings import PretrainSettings
from embedkit.training.pretraining.pretraining import pretrain
from tests.embedding.conftest import BUILDERS
from tests.training.pretraining.conftest import TEXTS
from tests.training.running import log

SENTENCES = [text for (text,) in TEXTS.rows[:12]]


def vectors(name):
    return load(str(name), runtime="torch").encode(SENTENCES)


@pytest.mark.parametrize("arch", ["bert", "pre-norm", "deepnorm", "linear"])
@pytest.mark.parametrize("times", [2, 4])
def test_the_wider_model_has_the_same_vectors_repeated(folder, settings, arch, times):
    trained = replace(settings, arch=f"{arch}:layers=1,width=16,heads=2")
    pretrain("narrow", trained, TEXTS)
    wider = PretrainSettings(model="narrow", widen=times)
    ContinuedModel(wider, TEXTS.rows).make(folder / "wide")
    expected = np.tile(vectors("narrow"), times) / times**0.5
    np.testing.assert_allclose(vectors("wide"), expected, atol=1e-5)
    assert load("wide").identity.dimension == 16 * times


def test_training_goes_on_from_the_perplexity_of_the_narrow_model(folder, settings):
    pretrain("narrow", settings, TEXTS)
    narrow = [line[f"eval_{PERPLEXITY}"] for line in log("narrow") if f"eval_{PERPLEXITY}" in line]
    wider = replace(settings, model="narrow", arch=None, vocabulary_size=None, widen=2, learning_rate=1e-3)
    trained = pretrain("wide", wider, TEXTS)
    assert trained.before == pytest.approx(min(narrow), rel=1e-5)
    assert trained.best < trained.before
    assert load("wide").identity.dimension == 32


def test_what_cannot_be_widened_is_refused(folder, settings):
    pretrain("mixed", replace(settings, arch="mlp:layers=1,width=16"), TEXTS)
    with pytest.raises(ModelError, match="with token-mlp, which cannot be widened"):
        ContinuedModel(PretrainSettings(model="mixed", widen=2), TEXTS.rows).make(folder / "wide")
    dense = BUILDERS["dense"](folder / "dense")
    with pytest.raises(ModelError, match="has a Dense step, which has a width of its own"):
        ContinuedModel(PretrainSettings(model=str(dense), widen=2), TEXTS.rows).make(folder / "wide2")
    with pytest.raises(UsageError, match="`widen`: must be 2, 4 or 8, got 3"):
        PretrainSettings(model="narrow", widen=3)
    with pytest.raises(UsageError, match="`widen`: is for a trained model; name a `model`, or set `arch`"):
        PretrainSettings(widen=2)
