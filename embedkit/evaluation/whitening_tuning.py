"""Choose the settings of whitening on labelled pairs by cross-validation; "no map" is one of the candidates.

Maps are not fitted on the pairs, so each candidate has one fixed score per fold. Every choice is made on some
folds and judged on the others.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from embedkit.data.affine import AffineMap
from embedkit.data.arrays import Float64
from embedkit.data.identity import Identity
from embedkit.embedding.encoder import Vectors
from embedkit.errors import DataError
from embedkit.evaluation.sts import quotients, require_order
from embedkit.evaluation.whitening_grid import ALL, Grid, grid_cosines, plain_cosines
from embedkit.transforms.fitting import with_story
from embedkit.transforms.kinds.identity import IdentityMap
from embedkit.transforms.kinds.whitening import Whitening
from embedkit.transforms.moments import Moments

FOLDS = 10
SURE = 2.5  # standard errors by which a gain over no map must exceed zero: 98 % sure with ten folds


class WhiteningCandidate(NamedTuple):
    """The settings of a map that was tried (None: no map), its Spearman correlation per fold, and its gains
    over no map.
    """

    settings: Whitening | None
    scores: Float64  # (folds,)
    gains: Float64  # (folds,)

    @property
    def score(self) -> float:
        """The mean score over the folds."""
        return float(self.scores.mean())

    @property
    def gain(self) -> float:
        """The mean gain over the folds."""
        return float(self.gains.mean())

    @property
    def gain_error(self) -> float:
        """The standard error of the mean gain."""
        return float(standard_error(self.gains))


@dataclass(frozen=True)
class TunedWhitening:
    """All candidates, best first, the chosen one, and the cross-validated value of the selection rule."""

    candidates: list[WhiteningCandidate]
    chosen: WhiteningCandidate
    best_gains: Float64  # (folds,): gain on each fold of the candidate that is best on the other folds
    held_out: Float64  # (folds,): Spearman on each fold of the candidate chosen on the other folds
    held_out_gains: Float64  # (folds,): held_out minus the Spearman of no map


def tune(
    moments: Moments,
    X: Vectors,
    Y: Vectors,
    gold: Float64,
    *,
    grid: Grid = ALL,
    seed: int = 0,
    where: str | None = None,
) -> TunedWhitening:
    """Choose a whitening, or no map, for pairs of rows X and Y, `(pairs, dim)`, with people's scores `gold`.

    `where` names the pairs in errors. Raises DataError for fewer than two pairs per fold, and when all
    scores or all cosines of a fold are equal, so that it has no correlation; raises MismatchError for a
    dimension above the rank.
    """
    require_scores(gold, seed=seed, where=where)
    folds = _folds(len(gold), seed)
    tried: list[Whitening | None] = [None]
    plain = plain_cosines(X, Y)
    require_order(plain[:, 0], "cosines", where=where)
    _require_order_in_folds(plain[:, 0], folds, "cosines", where)
    scores = [_fold_scores(plain, gold, folds)]
    for settings, values in grid_cosines(moments, X, Y, grid):
        tried += settings
        scores.append(_fold_scores(values, gold, folds))
    return _decide(tried, np.concatenate(scores))


def tuned_map(
    tuning: TunedWhitening, moments: Moments, identity: Identity | None, *, pairs: str
) -> AffineMap:
    """Return the chosen map, or the identity for "no map", with the tuning on `pairs` in its provenance."""
    settings = tuning.chosen.settings
    dim = len(moments.mean)
    fitted = settings.fit_moments(moments) if settings else AffineMap(np.eye(dim), np.zeros(dim), {})
    tuned = {
        "pairs": pairs,
        "candidates": len(tuning.candidates),
        "folds": FOLDS,
        "held_out_spearman": round(100 * float(tuning.held_out.mean()), 4),
        "held_out_gain": round(100 * float(tuning.held_out_gains.mean()), 4),
    }
    fitted = replace(fitted, story={**fitted.story, "tuned": tuned})
    return with_story(fitted, settings or IdentityMap(), rows=moments.rows, identity=identity)


def choose(scores: Float64, simplicity: Sequence[tuple[float, ...]]) -> int:
    """Return the number of the candidate to choose by scores `(candidates, folds)`; the first is no map.

    The choice is no map unless a gain is certain: both the gain of the best candidate, measured on folds that
    were not used to find it, and the gain of the chosen candidate must exceed SURE standard errors. Among the
    candidates within one standard error of the best, the simplest is chosen (Breiman et al. 1984, section
    3.4.3); among equally simple ones, the first. The grid begins with plain whitening.
    """
    gains, behind = scores - scores[0], scores[scores.mean(axis=1).argmax()] - scores
    if not _sure(_best_gains(scores)):
        return 0
    near = behind.mean(axis=1) <= standard_error(behind)
    return min(np.flatnonzero(near & _sure(gains)).tolist(), key=simplicity.__getitem__, default=0)


def _best_gains(scores: Float64) -> Float64:
    """Return, per fold, the gain over no map of the best candidate on the other folds, `(folds,)`."""
    every = range(scores.shape[1])
    best = [np.delete(scores, fold, axis=1).mean(axis=1).argmax() for fold in every]
    return np.asarray(scores[best, every] - scores[0])


def standard_error(values: Float64) -> Float64:
    """Return the standard error of the mean over the last axis, the folds."""
    return np.asarray(values.std(axis=-1, ddof=1) / math.sqrt(values.shape[-1]))


def _sure(gains: Float64) -> NDArray[np.bool_]:
    return np.asarray(gains.mean(axis=-1) > SURE * standard_error(gains))


def _decide(tried: list[Whitening | None], scores: Float64) -> TunedWhitening:
    """Choose a candidate on all folds, and judge the rule: choose on all folds but one, score on that one."""
    simplicity = [_simplicity(settings) for settings in tried]
    every = range(scores.shape[1])
    chosen = [choose(np.delete(scores, fold, axis=1), simplicity) for fold in every]
    held_out = scores[chosen, every]
    candidates = [WhiteningCandidate(*each) for each in zip(tried, scores, scores - scores[0], strict=True)]
    choice = candidates[choose(scores, simplicity)]
    candidates.sort(key=lambda candidate: -candidate.score)
    return TunedWhitening(candidates, choice, _best_gains(scores), held_out, held_out - scores[0])


def _simplicity(settings: Whitening | None) -> tuple[float, ...]:
    """Return a sort key: fewest settings first, then fewest dimensions."""
    if settings is None:
        return (-1.0,)
    set_at_all = (settings.beta != 1, settings.gamma != 1, settings.shrinkage is not None)
    return (sum(set_at_all), settings.dim or math.inf)


def require_scores(gold: Float64, *, seed: int = 0, where: str | None = None) -> None:
    """Raise DataError for scores `(pairs,)` that do not allow tuning: too few, or all equal in total or in a
    fold, which then has no correlation. `where` names the pairs in the error.
    """
    if len(gold) < 2 * FOLDS:
        raise DataError(f"tuning needs at least {2 * FOLDS} pairs, got {len(gold)}", where=where)
    require_order(gold, where=where)
    _require_order_in_folds(gold, _folds(len(gold), seed), "scores", where)


def _require_order_in_folds(
    values: Float64, folds: Sequence[NDArray[np.intp]], what: str, where: str | None
) -> None:
    if any(np.ptp(values[fold]) == 0 for fold in folds):
        kinds, counts = np.unique(values, return_counts=True)
        most = f"{counts.max():,} of {len(values):,} pairs have the {what[:-1]} {kinds[counts.argmax()]:.6g}"
        found = f"all {what} are equal in one of {len(folds)} folds, so there is no correlation in it"
        hint = f"{most}; add pairs with other {what}, or try another `seed`"
        raise DataError(found, where=where, hint=hint)


def _fold_scores(values: Float64, gold: Float64, folds: Sequence[NDArray[np.intp]]) -> Float64:
    """Return the Spearman correlation of each column of `values` `(pairs, candidates)` on each fold,
    `(candidates, folds)`.
    """
    return np.stack([_spearman_columns(values[fold], gold[fold]) for fold in folds], axis=1)


def _spearman_columns(values: Float64, gold: Float64) -> Float64:
    """Return `sts.spearman` per column, `(candidates,)`."""
    from scipy.stats import rankdata

    R, r = (rankdata(side, axis=0) - (len(gold) + 1) / 2 for side in (values, gold))  # ranks minus their mean
    return quotients(r @ R, (R * R).sum(axis=0), np.full(R.shape[1], r @ r))


def _folds(rows: int, seed: int) -> list[NDArray[np.intp]]:
    from sklearn.model_selection import KFold

    return [fold for _, fold in KFold(FOLDS, shuffle=True, random_state=seed).split(np.empty(rows))]
