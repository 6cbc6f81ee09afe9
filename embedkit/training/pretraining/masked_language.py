"""The objective of masked language modelling: the mean loss of the tokens that a batch hides."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from embedkit.training.gather import processes
from embedkit.training.gradcache import Features, cut, wide
from embedkit.training.objective import Objective
from embedkit.training.pretraining.gradient_penalty import embedded_tokens, half_squared_gradients
from embedkit.training.pretraining.joined_pairs import joined
from embedkit.training.pretraining.masking import NO_TARGET, Masking, uniform
from embedkit.training.pretraining.prediction_head import PredictionHead

TARGETS = "targets"  # the feature with the ids of hidden tokens, `(rows, tokens)`
HELD_OUT = 0  # the draw of masks for held-out texts, always the same; training draws from 1 on


class MaskedLanguage(Objective):
    """Cross-entropy of hidden tokens, averaged over all of a batch, in all processes.

    `model` is a SentenceTransformer; only vectors of hidden tokens reach the `prediction` head. Two columns
    of text are joined to one sequence in a random order. The labels of a batch, `(rows,)`, are the rows'
    numbers, which decide its masks together with the number of batches drawn so far. With a `penalty` above
    0, the mean over texts of their gradient penalties, times `penalty`, is added.
    """

    def __init__(
        self,
        model: Any,
        prediction: PredictionHead,
        masking: Masking,
        *,
        max_length: int | None,
        penalty: float = 0.0,
        **how: Any,
    ) -> None:
        super().__init__(model, **how)
        self.prediction, self.masking, self.penalty = prediction, masking, penalty
        self.max_length: int = max_length or model.max_seq_length or 512
        self.register_buffer("draws", torch.zeros((), dtype=torch.int64))
        self.outcome: dict[str, float] = {}  # values that the run reports

    def forward(self, sentence_features: Iterable[Features], labels: Tensor | None = None) -> Tensor:
        """Return the mean loss of the hidden tokens of this process's rows, over all processes' number, and
        the penalty.
        """
        columns = [dict(features) for features in sentence_features]
        rows = torch.arange(len(columns[0]["input_ids"])) if labels is None else labels
        self.draws += 1
        features = self.hidden(columns, rows, int(self.draws))
        count = (features[TARGETS] != NO_TARGET).sum().to(torch.float32)
        if processes() > 1:
            torch.distributed.all_reduce(count)
        scale = processes() / count.clamp(min=1)

        def loss(values: Tensor) -> Tensor:
            """Return the loss of rows of losses, and of penalties if there are any."""
            return values[:, 0].sum() * scale + self.penalty * values[:, 1:].sum() / len(values)

        return self.value(cut(features, self.plan.chunk_tokens), loss)

    def views(self, columns: Sequence[Features]) -> list[Features]:
        """Return the one column to encode for the columns of text, with its tokens hidden."""
        return [self.hidden(columns, torch.arange(len(columns[0]["input_ids"])), HELD_OUT)]

    def hidden(self, columns: Sequence[Features], rows: Tensor, draw: int) -> Features:
        """Return the rows with tokens hidden, and their targets; two columns are joined first."""
        numbers = rows.cpu().numpy()
        features = columns[0]
        if len(columns) > 1:
            swapped = uniform(self.masking.seed, draw, numbers, numbers[:, None] * 0, stream=3)[:, 0] < 0.5
            padding = int(inner(self.model).tokenizer.pad_token_id)
            features = joined(
                columns[0], columns[1], torch.from_numpy(swapped), padding=padding, limit=self.max_length
            )
        ids = features["input_ids"]
        real = features["attention_mask"].bool().cpu().numpy()
        read, targets = self.masking.masked(ids.cpu().numpy(), real, numbers, draw)
        found = {"input_ids": torch.from_numpy(read), TARGETS: torch.from_numpy(targets)}
        return {**features, **{name: value.to(ids.device) for name, value in found.items()}}

    def encode(self, features: Features) -> Tensor:
        """Return the loss per row, summed over its hidden tokens, `(rows, 1)`.

        With a penalty, a second column has the gradient penalty of the mean over the row's hidden tokens.
        """
        if not self.penalty:
            return self.losses(self.model, features)
        learning, model = torch.is_grad_enabled(), inner(self.model)
        with torch.enable_grad(), embedded_tokens(model[0].auto_model.get_input_embeddings()) as embedded:
            # the wrapper of several processes expects a backward pass of all that it computes with a graph
            losses = self.losses(self.model if learning else model, features)
            count = (features[TARGETS] != NO_TARGET).sum(dim=1).clamp(min=1)
            penalties = half_squared_gradients(losses[:, 0] / count, embedded, differentiable=learning)
            return torch.stack((losses[:, 0], penalties), dim=1)

    def losses(self, model: nn.Module, features: Features) -> Tensor:
        """Return the loss per row with `model`, which may be without the wrapper of several processes."""
        features = dict(features)
        targets = features.pop(TARGETS)
        vectors = model(features)["token_embeddings"]
        row, place = (targets != NO_TARGET).nonzero(as_tuple=True)
        embeddings = inner(model)[0].auto_model.get_input_embeddings().weight
        scores = self.prediction(vectors[row, place], embeddings)
        losses = nn.functional.cross_entropy(wide(scores), targets[row, place], reduction="none")
        return losses.new_zeros(len(targets)).index_add(0, row, losses)[:, None]

    def _encode_a_chunk(self, features: Features) -> Tensor:
        return self.encode(features)  # the head reads all embeddings, so their gradient is dense

    def figures(self) -> dict[str, float]:
        """Return the values of the run before and after, by name."""
        return self.outcome


def inner(model: Any) -> Any:
    """Return the SentenceTransformer inside the wrapper of several processes, or itself."""
    return getattr(model, "module", model)
