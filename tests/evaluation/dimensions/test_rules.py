"""The rules of thumb: figures of the articles, and the entropy by plain quadrature."""

import math

import numpy as np
import pytest
from scipy.integrate import quad

from embedkit.errors import UsageError
from embedkit.evaluation.dimensions.rules import (
    ENTROPY_FACTOR,
    entropy_dimensions,
    entropy_excess,
    lemma_dimensions,
    rules_for,
    sharper_lemma_dimensions,
)


def by_quadrature(n):
    """h_n from its definition; integrands are divided by their largest value, so that nothing overflows."""

    def mean(weight, exponent):
        peak = max(exponent(angle) for angle in np.linspace(1e-3, math.pi - 1e-3, 20_001))
        value, _ = quad(
            lambda a: weight(a) * math.exp(exponent(a) - peak), 0, math.pi, points=[1.0], limit=400
        )
        return value, peak

    def density(angle):
        return (n - 2) * math.log(math.sin(angle)) if math.sin(angle) > 0 else -math.inf

    total, base = mean(lambda angle: 1.0, density)
    raised, peak = mean(lambda angle: 1.0, lambda angle: density(angle) + n * math.cos(angle))
    tilted, _ = mean(lambda angle: n * math.cos(angle), lambda angle: density(angle) + n * math.cos(angle))
    return math.log(raised / total) + peak - base - tilted / raised


@pytest.mark.parametrize(
    ("n", "printed"),
    [
        (32, "-7.77471"),
        (64, "-15.4734"),
        (96, "-23.1726"),
        (128, "-30.8718"),
        (256, "-61.6692"),
        (512, "-123.264"),
    ],
)
def test_the_entropy_is_the_table_of_the_article_to_every_digit(n, printed):
    assert f"{entropy_excess(n):.6g}" == printed


@pytest.mark.parametrize("n", [3, 10, 50, 512])
def test_the_entropy_is_the_integral(n):
    assert entropy_excess(n) == pytest.approx(by_quadrature(n), rel=1e-7)


def test_the_factor_is_where_the_entropy_tends_to():
    assert pytest.approx(8.3123, abs=5e-5) == ENTROPY_FACTOR
    slope = (entropy_excess(1024) - entropy_excess(512)) / 512
    assert pytest.approx(-2 / slope, rel=1e-4) == ENTROPY_FACTOR


@pytest.mark.parametrize(("rows", "dim"), [(10**5, 96), (10**6, 115), (5 * 10**6, 129), (512, 52)])
def test_the_entropy_rule_gives_the_known_dimensions(rows, dim):
    assert entropy_dimensions(rows) == dim


def test_the_bounds_of_the_lemma_are_the_known_ones():
    assert lemma_dimensions(100_000, 0.1) == 27_631
    assert sharper_lemma_dimensions(100_000, 0.1) == 9_868
    rules = rules_for(100_000)
    assert (rules.lemma, rules.lemma_sharper, rules.entropy, rules.distortion) == (27_631, 9_868, 96, 0.1)


def test_one_row_has_no_neighbours():
    with pytest.raises(UsageError, match=r"^`rows`: must be at least 2, got 1$"):
        rules_for(1)
