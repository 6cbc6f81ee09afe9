"""`embedkit eval sts` on real pairs: the hash encoder as the floor, minilm, and scipy by hand."""

import json
from pathlib import Path

import numpy as np
import pytest
from scipy import stats

from embedkit.embedding.loading import load

DATA = Path(__file__).resolve().parents[3] / "shared" / "data" / "sts"

pytestmark = [
    pytest.mark.slow,
    pytest.mark.data,
    pytest.mark.skipif(not DATA.is_dir(), reason="the measurement data is not beside the project"),
]

FLOOR = "hash:dim=512"
FIGURES = [  # model, file, pairs, Spearman and Pearson x 100, and how exactly
    (FLOOR, "stsb-zh/STS-B.test.data", 1361, 54.24, 55.01, 0.005),
    (FLOOR, "atec-zh/ATEC.test.data", 20_000, 19.50, 22.19, 0.005),
    (FLOOR, "pawsx-zh/PAWSX.test.data", 2000, 12.25, 12.59, 0.005),
    ("minilm", "stsb-en/sts-test.csv", 1379, 82.03, None, 0.02),
]


def rows_of(path):
    """Return both texts and the score of each line, which stand last but in the English set."""
    lines = [line.split("\t") for line in path.read_text(encoding="utf-8").split("\n") if line]
    if path.suffix == ".csv":
        return [(line[5], line[6], float(line[4])) for line in lines]
    return [(line[0], line[1], float(line[2])) for line in lines]


def by_hand(model, path):
    """Return scipy's correlations of cosines taken in float64, and of pairs' scores, times 100."""
    first, second, gold = zip(*rows_of(path), strict=True)
    encoder = load(model, precision="fp32")
    texts = sorted({*first, *second})
    vectors = dict(zip(texts, encoder.encode(texts).astype(np.float64), strict=True))
    cosines = [
        vectors[one] @ vectors[other] / np.linalg.norm(vectors[one]) / np.linalg.norm(vectors[other])
        for one, other in zip(first, second, strict=True)
    ]
    cosines = np.round(cosines, 12)  # so that texts that are the same tie, whatever the rounding
    return [100 * measure(cosines, gold).statistic for measure in (stats.spearmanr, stats.pearsonr)]


@pytest.mark.parametrize(("model", "name", "pairs", "spearman", "pearson", "within"), FIGURES)
def test_real_pairs_have_the_known_figures_and_those_of_scipy(
    run, model, name, pairs, spearman, pearson, within
):
    arguments = (DATA / name, "-m", model, "--precision", "fp32", "--resamples", 100, "--json")
    (found,) = json.loads(run("eval", "sts", *arguments).out)["results"]
    figures = [found[measure]["value"] for measure in ("spearman", "pearson")]
    assert found["pairs"] == pairs
    assert figures[0] == pytest.approx(spearman, abs=within)
    assert pearson is None or figures[1] == pytest.approx(pearson, abs=within)
    assert figures == pytest.approx(by_hand(model, DATA / name), abs=1e-3)
