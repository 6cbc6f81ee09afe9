"""The label vectors of a trained objective, with scores calibrated on texts that were not trained on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from embedkit import spec
from embedkit.data.text.labelled import LabelledText
from embedkit.data.vectors.label_vectors import LabelVectors
from embedkit.evaluation.labels.calibration import calibrate
from embedkit.training.labels.objectives import Tagged
from embedkit.training.labels.split import Split
from embedkit.training.scoring import encode
from embedkit.training.start import Start


def trained_labels(start: Start, parts: Split, fingerprint: str) -> LabelVectors:
    """Return the class vectors of a run's objective with their names, for the encoder of `fingerprint`.

    Scores are calibrated if some of `parts` were kept back for it.
    """
    objective: Any = start.objective
    tagged = isinstance(objective, Tagged)
    vectors = torch.nn.functional.normalize(objective.class_vectors.detach(), dim=1)
    labels = LabelVectors(
        names=tuple(parts.names),
        vectors=vectors.float().cpu().numpy(),
        centres=1 if tagged else int(objective.loss.centres),
        multiple=tagged,
        scale=objective.scale if tagged else objective.loss.scale,
        offset=float(objective.offset.detach()) if tagged else 0.0,
        held_out=tuple(parts.held_out),
        loss=spec.render(objective.loss if tagged else objective.current_loss()),
        fingerprint=fingerprint,
    )
    if not parts.calibrate:
        return labels

    def vectors_of(rows: Sequence[LabelledText]) -> Any:
        """Return the vectors of the rows' texts."""
        chunk_tokens = objective.plan.chunk_tokens
        return encode(start.model, [row.text for row in rows], chunk_tokens=chunk_tokens, bf16=start.bf16)

    unseen = vectors_of(parts.unseen) if parts.unseen else None
    targets = _weights(parts) if tagged else _classes(parts)
    return replace(labels, calibration=calibrate(vectors_of(parts.calibrate), targets, unseen, labels))


def _classes(parts: Split) -> NDArray[np.int64]:
    """Return the class number of each text kept back, `(rows,)`."""
    return np.array([place for (place,) in parts.classes_of(parts.calibrate)], dtype=np.int64)


def _weights(parts: Split) -> NDArray[np.float32]:
    """Return the weight of each class for each text kept back, `(rows, classes)`."""
    weights = np.zeros((len(parts.calibrate), len(parts.names)), dtype=np.float32)
    for values, row, places in zip(weights, parts.calibrate, parts.classes_of(parts.calibrate), strict=True):
        values[places] = row.weights
    return weights
