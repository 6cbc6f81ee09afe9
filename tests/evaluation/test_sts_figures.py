"""The figures on STS-B: the published table of poolings, and that a tuned map is never worse than none."""

from pathlib import Path

import numpy as np
import pytest

from embedkit.data.text.scored_pairs import read_pairs
from embedkit.embedding.encoder import unit_length
from embedkit.embedding.loading import load
from embedkit.evaluation.sts import remember, spearman, texts_of
from embedkit.evaluation.whitening_grid import plain_cosines
from embedkit.evaluation.whitening_tuning import tune, tuned_map
from embedkit.transforms.kinds.gaussian import Gaussian
from embedkit.transforms.kinds.pca import PCA
from embedkit.transforms.kinds.whitening import Whitening
from embedkit.transforms.streaming import moments_of

DATA = Path(__file__).resolve().parents[3] / "shared" / "data" / "sts"

pytestmark = [
    pytest.mark.slow,
    pytest.mark.data,
    pytest.mark.skipif(not DATA.is_dir(), reason="the measurement data is not beside the project"),
]

FIGURES = {  # Spearman x 100 on the test part: raw; whitened, to 256, 128, 64 dimensions; PCA to 128
    "mean": (82.03, 80.28, 80.64, 81.37, 79.72, 81.21),
    "cls": (73.50, 79.27, 79.14, 78.52, 76.54, 77.84),
    "embedding": (55.60, 67.79, 67.13, 65.91, 62.82, 56.78),
    "first-last": (81.55, 78.87, 79.45, 79.37, 77.97, 79.63),
}
PROJECTED = {
    "mean": 80.83,
    "cls": 72.91,
    "embedding": 52.24,
    "first-last": 79.47,
}  # gaussian to 128, one seed


@pytest.fixture(scope="module", params=FIGURES)
def encoded(request):
    """A pooling, and the pairs of each part as `(X, Y, gold)`, not of unit length."""
    parts = {part: read_pairs(DATA / f"stsb-en/sts-{part}.csv") for part in ("train", "dev", "test")}
    encoder = load("minilm", pooling=request.param, normalize=False)
    vectors = remember(encoder, (text for pairs in parts.values() for text in texts_of(pairs)))
    return request.param, {part: sides(vectors, pairs) for part, pairs in parts.items()}


def sides(encoder, pairs):
    X, Y = (encoder.encode([pair[side] for pair in pairs]) for side in (0, 1))
    return X, Y, np.array([pair.score for pair in pairs])


def score(X, Y, gold):
    return 100 * spearman(plain_cosines(X, Y)[:, 0], gold)


def test_the_published_figures(encoded):
    pooling, parts = encoded
    moments = moments_of(parts["train"][:2])
    X, Y, gold = parts["test"]
    maps = [Whitening(dim).fit_moments(moments) for dim in (None, 256, 128, 64)]
    maps.append(PCA(128).fit(parts["train"][:2]))
    found = [score(X, Y, gold), *(score(each.apply(X), each.apply(Y), gold) for each in maps)]
    assert found == pytest.approx(FIGURES[pooling], abs=0.1)


def test_the_published_random_projection_is_one_of_many(encoded):
    pooling, parts = encoded
    X, Y, gold = parts["test"]
    maps = [Gaussian(128, seed).fit([X]) for seed in range(20)]
    found = [score(each.apply(X), each.apply(Y), gold) for each in maps]
    assert abs(PROJECTED[pooling] - np.mean(found)) < 3 * np.std(found, ddof=1)
    assert np.mean(found) < score(X, Y, gold)


@pytest.mark.parametrize("unit", [False, True])
def test_a_map_tuned_on_dev_is_never_worse_than_none_on_test(encoded, unit):
    pooling, parts = encoded
    if unit:
        parts = {name: (unit_length(X), unit_length(Y), gold) for name, (X, Y, gold) in parts.items()}
    moments = moments_of(parts["train"][:2])
    fitted = tuned_map(tune(moments, *parts["dev"]), moments, None, pairs="sts-dev.csv")
    X, Y, gold = parts["test"]
    gain = score(fitted.apply(X), fitted.apply(Y), gold) - score(X, Y, gold)
    assert gain > -0.2
    assert gain >= {"cls": 5.5, "embedding": 11}.get(pooling, -0.2)
