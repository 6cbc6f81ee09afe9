"""Compute rules of thumb for the dimension of N vectors: a bound on distances, and an order of magnitude."""

from __future__ import annotations

import math
from dataclasses import dataclass

from embedkit.errors import UsageError

ENTROPY_FACTOR = 4 / math.log((1 + math.sqrt(5)) / 2)  # 8.3123; kexue.fm 7695 rounds it to 8.33


@dataclass(frozen=True)
class Rules:
    """The dimensions by each rule; the lemma keeps all squared distances within 1 +- distortion."""

    rows: int
    distortion: float
    lemma: int  # kexue.fm 8679, section 3
    lemma_sharper: int  # Dasgupta and Gupta 2003, by scikit-learn
    entropy: int  # kexue.fm 7695: an order of magnitude


def rules_for(rows: int, distortion: float = 0.1) -> Rules:
    """Return the dimensions by each rule for `rows` vectors; raise UsageError for fewer than 2."""
    if rows < 2:
        raise UsageError(f"must be at least 2, got {rows:,}", where="`rows`")
    return Rules(
        rows,
        distortion,
        lemma_dimensions(rows, distortion),
        sharper_lemma_dimensions(rows, distortion),
        entropy_dimensions(rows),
    )


def lemma_dimensions(rows: int, distortion: float) -> int:
    """Return `24 ln N / eps^2`: at this dimension a Gaussian projection keeps every squared distance within
    1 +- eps, with probability 1 - 1/N or more (Johnson and Lindenstrauss 1984; kexue.fm 8679).
    """
    return int(24 * math.log(rows) / distortion**2)


def sharper_lemma_dimensions(rows: int, distortion: float) -> int:
    """Return `4 ln N / (eps^2/2 - eps^3/3)`, the lemma's bound by Dasgupta and Gupta (2003)."""
    from sklearn.random_projection import johnson_lindenstrauss_min_dim

    return int(johnson_lindenstrauss_min_dim(rows, eps=distortion))


def entropy_dimensions(rows: int) -> int:
    """Return the least n with `n > 8.3123 ln N`: a model of inner products in n dimensions can tell N items
    apart.

    The bound follows from `2 ln N + h_n < 0` with `h_n -> -n ln(phi) / 2`, where phi is the golden ratio
    (kexue.fm 7695).
    """
    return math.ceil(ENTROPY_FACTOR * math.log(rows))


def entropy_excess(dimension: int) -> float:
    """Return `h_n = log E[e^(n cos)] - E[e^(n cos) n cos] / E[e^(n cos)]` in nats (kexue.fm 7695).

    The angle of two random directions in n dimensions has a density proportional to sin^(n-2). The means are
    Bessel functions: `E[e^(n cos)] = Gamma(n/2) (2/n)^(n/2-1) I_(n/2-1)(n)`, computed by their logarithms.
    """
    from scipy.special import gammaln, ive

    n, order = float(dimension), dimension / 2 - 1
    scaled = float(ive(order, n))  # I(n) e^-n
    log_mean = float(gammaln(n / 2)) + order * math.log(2 / n) + math.log(scaled) + n
    return log_mean - n * float(ive(order + 1, n)) / scaled
