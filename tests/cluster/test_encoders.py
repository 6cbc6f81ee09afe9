"""A worker loads its encoder once, whatever comes with its tasks."""

import pickle

import numpy as np
import pytest

from embedkit.cluster.encoders import EncoderRecipe, encoder_of
from embedkit.cluster.session import WorkerResources
from embedkit.data.affine import AffineMap
from embedkit.embedding.encoder import EncoderSettings


@pytest.mark.parametrize("maps", [(), (AffineMap(np.eye(4, 8), np.zeros(4), {}),)])
def test_every_task_brings_the_same_encoder(maps, monkeypatch):
    monkeypatch.setenv("EMBEDKIT_THREADS", "1")
    recipe = EncoderRecipe(EncoderSettings("hash:dim=8"), maps)
    first, again = (encoder_of(pickle.loads(pickle.dumps(recipe)), WorkerResources(1)) for _ in range(2))
    assert first is again
    assert first.identity.dimension == (4 if maps else 8)
    assert encoder_of(EncoderRecipe(EncoderSettings("hash:dim=9")), WorkerResources(1)) is not first
