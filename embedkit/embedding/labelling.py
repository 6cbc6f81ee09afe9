"""Prediction of labels: cosines of vectors to label vectors, probabilities, and the decision."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from embedkit.data.arrays import Float32, Float64
from embedkit.data.text.record import Record
from embedkit.data.vectors.label_vectors import LABELS, LabelVectors, no_labels
from embedkit.embedding.batching import WINDOW_ROWS, encode_records
from embedkit.embedding.encoder import Encoder, Vectors, is_hashed, unit_length
from embedkit.errors import DataError

LIST_THRESHOLD = 0.5  # a label with a higher probability is on the list; ZLPR's score is 0 here
_CELLS = 1 << 22  # rows x label vectors computed together


class Prediction(NamedTuple):
    """The label chosen for a text, and the nearest labels."""

    label: str | None  # None: no label applies
    score: float  # probability of the nearest label
    cosine: float  # cosine to the nearest label
    ranked: list[tuple[str, float]]  # labels and probabilities, best first; for lists, only labels that apply


@dataclass(frozen=True)
class Labeller:
    """Settings of prediction: the label vectors, the number of labels per text, and the threshold.

    `threshold` is the lowest cosine of a label; for lists of labels, the probability that each must exceed.
    None applies no threshold.
    """

    labels: LabelVectors
    k: int | None = None  # None: one label, or for lists all labels that apply
    threshold: float | None = None

    def predict(self, vectors: Vectors) -> list[Prediction]:
        """Return one prediction per text vector `(rows, dim)`."""
        rows = row_blocks(len(vectors), len(self.labels.vectors))
        return [prediction for block in rows for prediction in self._block(vectors[block])]

    def _block(self, vectors: Vectors) -> Iterator[Prediction]:
        cosines = class_cosines(vectors, self.labels)
        probability = probabilities(cosines, self.labels, temperature_of(self.labels))
        order = nearest(cosines, self._width(probability))
        return map(self._decide, cosines, probability, order)

    def _width(self, probability: Float64) -> int:
        """Return the number of nearest labels to rank."""
        if not self.labels.multiple:
            return self.k or 1
        most = int(self._apply(probability).sum(axis=1).max(initial=1))
        return max(1, min(most, self.k or most))

    def _decide(self, cosines: Float32, probability: Float64, order: NDArray[np.intp]) -> Prediction:
        best = order[0]
        if self.labels.multiple:
            order = order[self._apply(probability[order])]
            found = len(order) > 0
        else:
            found = self.threshold is None or bool(cosines[best] >= self.threshold)
        ranked = [(self.labels.names[place], float(probability[place])) for place in order]
        label = self.labels.names[best] if found else None
        return Prediction(label, float(probability[best]), float(cosines[best]), ranked)

    def _apply(self, probability: Float64) -> NDArray[np.bool_]:
        """Return which labels apply; each is judged independently."""
        return probability > (-1.0 if self.threshold is None else self.threshold)


def load_labels(model: str) -> LabelVectors:
    """Return the label vectors in a model's folder, given its name; raises FormatError when it has none."""
    if is_hashed(model):
        raise no_labels(model)
    from embedkit.embedding.model_finding import find_model

    file = find_model(model).path / LABELS
    if not file.is_file():
        raise no_labels(model)
    return LabelVectors.load(file)


def usual_threshold(labels: LabelVectors) -> float | None:
    """Return the threshold calibrated on held-out texts; for lists, LIST_THRESHOLD."""
    if labels.multiple:
        return LIST_THRESHOLD
    return labels.calibration.threshold if labels.calibration else None


def label_records(
    encoder: Encoder, records: Iterable[Record], labeller: Labeller, *, first: int = WINDOW_ROWS
) -> Iterator[tuple[list[Record], list[Prediction]]]:
    """Yield windows of records and their predictions, in order, in constant memory.

    `first` is passed to `batching.windows`. Raises MismatchError when the label vectors belong to another
    encoder, and DataError, naming the id, when the encoder returns NaN or infinity.
    """
    labeller.labels.require_encoder(encoder.identity, where=encoder.identity.model)
    for window, vectors in encode_records(encoder, records, first=first):
        finite = np.isfinite(vectors).all(axis=1)
        if not finite.all():
            raise DataError(f"the vector of id {window[int(np.argmin(finite))].id!r} is not finite")
        yield window, labeller.predict(vectors)


def class_cosines(vectors: Vectors, labels: LabelVectors) -> Float32:
    """Return the cosine of each vector `(rows, dim)` to each label, `(rows, classes)`: to the nearest of the
    label's centres (sub-centre ArcFace, Deng et al. 2020, section 3.2).
    """
    products = unit_length(vectors) @ labels.vectors.T
    return np.asarray(products.reshape(len(vectors), len(labels.names), labels.centres).max(axis=2))


def logits(cosines: Float32, labels: LabelVectors, temperature: float) -> Float64:
    """Return scale * (cosine - offset) / temperature in float64; for lists twice this value, which is the
    log-odds of a label under ZLPR (arXiv 2208.02955).
    """
    slope = labels.scale / temperature * (2 if labels.multiple else 1)
    return slope * (cosines.astype(np.float64) - labels.offset)


def probabilities(cosines: Float32, labels: LabelVectors, temperature: float) -> Float64:
    """Return the probability of each label from cosines `(rows, classes)`: rows sum to 1; for lists, each
    value is between 0 and 1 independently.
    """
    from scipy.special import expit, softmax

    scores = logits(cosines, labels, temperature)
    return np.asarray(expit(scores) if labels.multiple else softmax(scores, axis=1))


def temperature_of(labels: LabelVectors) -> float:
    """Return the temperature calibrated on held-out texts, or 1 without calibration."""
    return labels.calibration.temperature if labels.calibration else 1.0


def nearest(cosines: Float32, k: int) -> NDArray[np.intp]:
    """Return the classes of the `k` largest cosines per row, best first, `(rows, min(k, classes))`."""
    k = min(k, cosines.shape[1])
    if k == 1:
        return np.asarray(cosines.argmax(axis=1)[:, None])
    found = np.argpartition(-cosines, k - 1, axis=1)[:, :k]
    order = np.lexsort(
        (found, -np.take_along_axis(cosines, found, axis=1)), axis=1
    )  # ties: the first label wins
    return np.asarray(np.take_along_axis(found, order, axis=1))


def row_blocks(rows: int, width: int) -> Iterator[slice]:
    """Yield slices of rows so small that a matrix of `width` columns per slice fits in memory several
    times.
    """
    step = max(1, _CELLS // width)
    return (slice(start, start + step) for start in range(0, rows, step))
