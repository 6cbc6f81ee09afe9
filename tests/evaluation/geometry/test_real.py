"""The geometry of real vectors, static ones of Chinese characters, is what other libraries find."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from scipy.stats import entropy, skew
from sklearn.neighbors import NearestNeighbors

from embedkit.data.vectors.vector_set import Batch
from embedkit.evaluation.geometry.survey import survey
from embedkit.evaluation.geometry.vector_measures import GeometryProtocol, agree, geometry
from embedkit.transforms.kinds.whitening import Whitening

DATA = Path(__file__).resolve().parents[4] / "shared" / "data" / "vectors" / "tencent-char-zh"

pytestmark = [
    pytest.mark.data,
    pytest.mark.skipif(not DATA.is_dir(), reason="the measurement data is not beside the project"),
]


@pytest.fixture(scope="module")
def rows():
    """4762 vectors of 200 dimensions."""
    archive = np.load(next(DATA.glob("*.npz")))
    return archive[archive.files[0]].astype(np.float32)


def surveyed(rows):
    ids = [str(place) for place in range(len(rows))]
    starts = range(0, len(rows), 1000)
    batches = [Batch(pa.table({"id": ids[at : at + 1000]}), rows[at : at + 1000]) for at in starts]
    return survey(batches, GeometryProtocol().sample)


def test_the_figures_are_those_of_everyone_else(rows):
    found = geometry(surveyed(rows), GeometryProtocol())
    exact = rows.astype(np.float64)
    lengths = np.linalg.norm(exact, axis=1)
    unit = exact[lengths > 0] / lengths[lengths > 0, None]
    total = unit.sum(axis=0)
    mean_cosine = (total @ total - len(unit)) / (len(rows) * (len(rows) - 1))  # of all pairs
    assert found.mean_cosine.low < mean_cosine < found.mean_cosine.high
    kernel = np.exp(4 * (unit @ unit.T) - 4)
    np.fill_diagonal(kernel, 0)
    uniformity = np.log(kernel.sum() / len(unit) / (len(unit) - 1))
    assert found.uniformity.low < uniformity < found.uniformity.high
    variances = np.linalg.eigvalsh(np.cov(exact.T))
    assert found.spectrum.effective_rank == pytest.approx(np.exp(entropy(np.maximum(variances, 0))))
    model = NearestNeighbors(n_neighbors=11, metric="cosine").fit(unit)
    near = model.kneighbors(unit, return_distance=False)
    counts = np.bincount([other for row, line in enumerate(near) for other in line if other != row])
    assert found.hubness.skewness == pytest.approx(skew(counts), rel=0.01)
    assert found.hubness.antihubs == pytest.approx(np.mean(counts == 0), abs=0.002)


def test_whitening_evens_them_out_and_moves_neighbours(rows):
    first = surveyed(rows)
    second = surveyed(Whitening().fit([rows]).apply(rows))
    before, after = geometry(first, GeometryProtocol()), geometry(second, GeometryProtocol())
    assert before.spectrum.isoscore < 0.5
    assert after.spectrum.isoscore > 0.99
    assert abs(after.mean_cosine.value) < 0.01 < before.mean_cosine.value
    assert after.uniformity.high < before.uniformity.low
    assert 0.2 < agree(first, second, GeometryProtocol()).overlap.value < 0.95
