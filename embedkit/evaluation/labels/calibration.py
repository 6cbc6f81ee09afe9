"""Calibrate on texts outside the training data: the temperature of label probabilities, and the cosine below
which no label applies.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from embedkit.data.arrays import Array, Float32, Float64
from embedkit.data.vectors.label_vectors import Calibration, LabelVectors
from embedkit.embedding.encoder import Vectors
from embedkit.embedding.labelling import LIST_THRESHOLD, class_cosines, logits, probabilities, row_blocks
from embedkit.errors import DataError, MismatchError

BINS = 15  # bins of the expected calibration error
KEPT = 0.95  # share of texts that the threshold keeps when no texts of other labels are given
LIMITS = (0.05, 20.0)  # bounds of the temperature
_CELLS = 1 << 26  # largest rows x classes held in memory


class Judged(NamedTuple):
    """Cosines `(rows, classes)` of texts with known labels, and the labels as targets: class numbers
    `(rows,)`, or weights `(rows, classes)` for lists of labels.
    """

    cosines: Float32
    targets: Array


def calibrate(
    vectors: Vectors, labels: Array, unseen: Vectors | None, label_vectors: LabelVectors
) -> Calibration:
    """Return the temperature and the threshold for texts outside the training data.

    `vectors` `(rows, dim)` have class numbers `labels` `(rows,)`; for lists of labels, weights from 0 to 1
    `(rows, classes)`. `unseen` `(rows, dim)` are vectors of texts whose labels were held out of training.
    When rows x classes exceeds the memory limit, evenly spaced rows are used. Raises DataError when there is
    no row and for a vector that is not finite, and MismatchError when shapes do not match.
    """
    _check(vectors, labels, unseen, label_vectors)
    judged = _judged(vectors, labels, label_vectors)
    others = _best(unseen, label_vectors) if unseen is not None and len(unseen) else None
    best, right = judged.cosines.max(axis=1), _right(judged, label_vectors)
    threshold = None if label_vectors.multiple else _threshold(best, right, others)
    temperature = fit_temperature(judged, label_vectors)
    return Calibration(
        temperature=temperature,
        threshold=threshold,
        rows=len(best),
        unseen=0 if others is None else len(others),
        accuracy=float(right.mean()),
        nll_before=negative_log_likelihood(judged, label_vectors, 1.0),
        nll=negative_log_likelihood(judged, label_vectors, temperature),
        ece_before=expected_calibration_error(_believed(judged, label_vectors, 1.0)),
        ece=expected_calibration_error(_believed(judged, label_vectors, temperature)),
        kept=float(_labelled(best, label_vectors, threshold).mean()),
        rejected=None if others is None else float(1 - _labelled(others, label_vectors, threshold).mean()),
    )


def fit_temperature(judged: Judged, labels: LabelVectors) -> float:
    """Return the temperature with the least negative log-likelihood (Guo et al. 2017, arXiv 1706.04599, 4.2).

    The negative log-likelihood is convex in 1 / temperature, so it has one minimum. The result is 1 when no
    temperature has a lower one, and when every text is right: the minimum would then be at 0, where every
    probability is 1.
    """
    from scipy.optimize import minimize_scalar

    if _right(judged, labels).all():
        return 1.0

    def loss(log_temperature: float) -> float:
        """Return the negative log-likelihood at a temperature."""
        return negative_log_likelihood(judged, labels, float(np.exp(log_temperature)))

    found = minimize_scalar(loss, bounds=np.log(LIMITS), method="bounded", options={"xatol": 1e-4})
    return float(np.exp(found.x)) if found.fun < loss(0.0) else 1.0


def negative_log_likelihood(judged: Judged, labels: LabelVectors, temperature: float) -> float:
    """Return the mean over texts of -log p(label), in nats; for lists of labels, the binary cross-entropy,
    averaged over every label of every text.
    """
    from scipy.special import logsumexp

    total = 0.0
    for cosines, targets in _blocks(judged):
        scores = logits(cosines, labels, temperature)
        if labels.multiple:
            total += float((np.logaddexp(0, scores) - targets * scores).mean(axis=1).sum())
        else:
            own = scores[np.arange(len(scores)), targets]
            total += float((logsumexp(scores, axis=1) - own).sum())
    return total / len(judged.cosines)


def expected_calibration_error(believed: Iterable[tuple[Float64, Float64]]) -> float:
    """Return the mean absolute difference of mean probability and mean truth over bins of equal width,
    weighted by the number of rows per bin (Guo et al. 2017, section 2).

    `believed` yields blocks of probabilities `(rows,)` and of truths `(rows,)`, numbers from 0 to 1.
    """
    gaps, rows = np.zeros(BINS), 0
    for probability, truth in believed:
        place = np.clip(np.ceil(probability * BINS).astype(np.intp) - 1, 0, BINS - 1)
        gaps += np.bincount(place, probability - truth, minlength=BINS)
        rows += len(place)
    return float(abs(gaps).sum() / rows)


def separating_threshold(seen: Float32, unseen: Float32) -> float:
    """Return the cosine threshold that best separates seen from unseen texts.

    It has the largest balanced accuracy (Youden 1950); of several such thresholds it is the lowest, moved
    halfway to the next lower cosine.
    """
    from sklearn.metrics import roc_curve

    cosines = np.concatenate([seen, unseen]).astype(np.float64)
    truth = np.repeat([1, 0], [len(seen), len(unseen)])
    rejected, kept, thresholds = roc_curve(truth, cosines, drop_intermediate=False)
    gain = (kept - rejected)[1:]  # the first threshold keeps no text
    lowest = thresholds[1:][np.flatnonzero(gain >= gain.max() - 1e-12)[-1]]
    below = cosines[cosines < lowest]
    return float((lowest + below.max()) / 2) if len(below) else float(lowest)


def keeping_threshold(seen: Float32) -> float:
    """Return the largest cosine of a text that, as a threshold, keeps at least the share KEPT of texts."""
    return -float(np.quantile(-seen.astype(np.float64), KEPT, method="inverted_cdf"))


def _threshold(best: Float32, right: NDArray[np.bool_], unseen: Float32 | None) -> float | None:
    if unseen is None:
        return keeping_threshold(best)
    return separating_threshold(best[right], unseen) if right.any() else None


def _check(vectors: Vectors, labels: Array, unseen: Vectors | None, label_vectors: LabelVectors) -> None:
    if not len(vectors):
        raise DataError("calibration needs at least 1 text that was not trained on, got 0")
    wanted = (len(vectors), len(label_vectors.names)) if label_vectors.multiple else (len(vectors),)
    if labels.shape != wanted:
        raise MismatchError(f"calibration expects labels of shape {wanted}, got {labels.shape}")
    for X in (vectors, unseen):
        if X is not None and not np.isfinite(X).all():
            row = int(np.argmin(np.isfinite(X).all(axis=1))) + 1
            raise DataError(f"calibration needs finite numbers, and the vector of row {row:,} has others")


def _judged(vectors: Vectors, labels: Array, label_vectors: LabelVectors) -> Judged:
    classes = len(label_vectors.names)
    most = max(1, min(len(vectors), _CELLS // classes))
    rows = np.linspace(0, len(vectors) - 1, most).round().astype(np.intp)
    cosines = np.empty((most, classes), dtype=np.float32)
    for block in row_blocks(most, len(label_vectors.vectors)):
        cosines[block] = class_cosines(vectors[rows[block]], label_vectors)
    return Judged(cosines, labels[rows])


def _best(vectors: Vectors, labels: LabelVectors) -> Float32:
    blocks = row_blocks(len(vectors), len(labels.vectors))
    return np.concatenate([class_cosines(vectors[block], labels).max(axis=1) for block in blocks])


def _blocks(judged: Judged) -> Iterator[Judged]:
    for block in row_blocks(*judged.cosines.shape):
        yield Judged(judged.cosines[block], judged.targets[block])


def _right(judged: Judged, labels: LabelVectors) -> NDArray[np.bool_]:
    """Return a mask `(rows,)` of the texts that get the right label; for lists of labels, of the texts that
    get all of their labels and no other.
    """
    if not labels.multiple:
        return np.asarray(judged.cosines.argmax(axis=1) == judged.targets)
    return np.asarray(((judged.cosines > labels.offset) == (judged.targets >= LIST_THRESHOLD)).all(axis=1))


def _labelled(best: Float32, labels: LabelVectors, threshold: float | None) -> NDArray[np.bool_]:
    """Return a mask of the texts that get a label, from their best cosines `(rows,)`."""
    if labels.multiple:
        return best > labels.offset
    return best >= (-np.inf if threshold is None else threshold)


def _believed(judged: Judged, labels: LabelVectors, temperature: float) -> Iterator[tuple[Float64, Float64]]:
    """Yield probabilities with their truths: for the best label per text, or for lists, for every label."""
    for block in _blocks(judged):
        probability = probabilities(block.cosines, labels, temperature)
        if labels.multiple:
            yield probability.ravel(), np.asarray(block.targets, dtype=np.float64).ravel()
        else:
            right = block.cosines.argmax(axis=1) == block.targets
            yield probability.max(axis=1), right.astype(np.float64)
