"""`margin="auto"`: train at margin 0, estimate the diameter of the classes, set the margin, continue."""

from __future__ import annotations

import logging
from collections import defaultdict
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from embedkit.training.distributed import of_first
from embedkit.training.labels.diameter import LARGEST_CLASS, Diameter, class_diameter
from embedkit.training.labels.objectives import Classified
from embedkit.training.run_log import Event, Watch
from embedkit.training.scoring import encode

if TYPE_CHECKING:
    from sentence_transformers import SentenceTransformer

logger = logging.getLogger("embedkit")

_CLASSES = 500  # maximum number of classes to measure


class AutoMargin(TrainerCallback):  # type: ignore[misc]
    """Sets the margin of an objective after a share of the steps, from its training texts `(text, class)`."""

    def __init__(
        self, objective: Any, rows: Sequence[tuple[str, int]], after: float, *, bf16: bool, watch: Watch
    ) -> None:
        self.objective: Classified = objective
        self.rows, self.after, self.bf16, self.watch = rows, after, bf16, watch

    def on_step_begin(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        *,
        model: SentenceTransformer,
        **kwargs: object,
    ) -> None:
        """Set the margin, once, at its step."""
        if state.global_step < round(self.after * state.max_steps) or not self.objective.margin_is_open:
            return
        found = of_first(self.measure(model))
        self.objective.set_margin(found.margin)
        if state.is_world_process_zero:
            _tell(state.global_step, found)
            figures = {"margin": found.margin, "class_diameter": found.diameter}
            self.watch(Event(state.global_step, state.max_steps, figures))

    def measure(self, model: SentenceTransformer) -> Diameter:
        """Encode some texts of some classes, and estimate the diameter."""
        texts: dict[int, list[str]] = defaultdict(list)
        for text, place in self.rows:
            if len(texts[place]) < LARGEST_CLASS:
                texts[place].append(text)
        several = [place for place in sorted(texts) if len(texts[place]) > 1]
        chosen = several[:: max(1, len(several) // _CLASSES)]  # a diameter needs two texts
        labels = np.array([place for place in chosen for _ in texts[place]], dtype=np.int64)
        vectors = encode(
            model, [text for place in chosen for text in texts[place]],
            chunk_tokens=self.objective.plan.chunk_tokens, bf16=self.bf16,
        )  # fmt: skip
        class_vectors = self.objective.class_vectors.detach().double().cpu().numpy()
        return class_diameter(vectors, labels, class_vectors, int(self.objective.loss.centres))


def _tell(step: int, found: Diameter) -> None:
    capped = "" if found.margin == found.wanted else f"; class vectors leave room for {found.bound:.3f}"
    logger.info(
        f"margin {found.margin:.3f} from step {step:,} on: two texts of a label are {found.diameter:.3f} "
        f"apart (sqrt(1 - cosine)), which requires {found.wanted:.3f} on cosines{capped}"
    )
