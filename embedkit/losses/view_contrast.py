"""What the contrastive losses of views share: their settings, and the masks that they hand to the tiles."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, NamedTuple

from embedkit.losses.contrastive import (
    Contrast,
    Guide,
    Scale,
    Texts,
    absent_columns,
    cross_entropy,
    require_settings,
    unit_rows,
)
from embedkit.losses.registry import Compared

if TYPE_CHECKING:
    from torch import Tensor


class Sides(NamedTuple):
    """Values of the texts in the roles that they have in a loss."""

    queries: Tensor  # (rows, ...)
    positives: Tensor  # (rows, ...): one per query
    candidates: Tensor  # (columns, ...)


class Columns(NamedTuple):
    """The columns of candidates that concern each query."""

    targets: Tensor  # (rows,): its positive
    hidden: Tensor  # (rows,): the one that it is not compared with; -1: none
    queries_per_sentence: int
    views_before: int  # views among the candidates before the hard negatives


@dataclass(frozen=True)
class ViewContrast:
    """A contrastive loss of views; a kind names its queries, and the columns that concern them."""

    temperature: float = 0.05
    hard_negative_weight: float = 1.0  # factor on the exponential of a sentence's own hard negatives
    mask_duplicates: bool = True  # equal texts are not negatives of each other
    scale_with_candidates: int | None = None  # n0: with n candidates, logits times log n / log n0
    guide_margin: float = 0.0  # candidates that a guide scores above the positive minus this are left out
    compares: ClassVar[Compared] = "views"

    def __post_init__(self) -> None:
        require_settings(
            self.temperature, self.hard_negative_weight, self.scale_with_candidates, self.guide_margin
        )

    def sides(self, views: Sequence[Tensor], rows: slice) -> Sides:
        """Return values of each view's texts, `(sentences, ...)`, as those of queries in `rows`, of their
        positives, and of all candidates.
        """
        raise NotImplementedError

    def columns(self, places: Tensor, sentences: int) -> Columns:
        """Return the columns for the queries of the sentences at `places` `(rows,)`."""
        raise NotImplementedError

    def __call__(
        self,
        views: Sequence[Tensor],
        texts: Sequence[Tensor] | None = None,
        rows: slice = slice(None),
        counts: Tensor | None = None,
        guide: Sequence[Tensor] | None = None,
    ) -> Tensor:
        """Return the mean loss over the queries of the sentences in `rows` (default: all).

        `views` are anchors, positives and any number of hard negatives, each `(sentences, dim)`; `texts` are
        numbers, each `(sentences,)`, that are equal where texts are. `counts` `(sentences,)` is the number of
        hard negatives per sentence; the other places hold padding. `guide` are unit vectors of the same texts
        by another encoder, each `(sentences, its dim)`.
        """
        import torch

        unit = [unit_rows(view) for view in views]
        sentences = len(unit[0])
        places = torch.arange(sentences, device=unit[0].device)[rows]
        queries, _, candidates = self.sides(unit, rows)
        columns = self.columns(places, sentences)
        firsts = torch.arange(len(unit) - 2, device=places.device) + columns.views_before
        negatives = firsts * sentences + places[:, None]
        masks = guiding = None
        if texts is not None and self.mask_duplicates:
            masks = Texts(*self.sides(texts, rows))
        if guide is not None:
            guiding = Guide.of(*self.sides(guide, rows), self.guide_margin)
        return cross_entropy(
            Contrast(
                queries=queries,
                candidates=candidates,
                targets=columns.targets,
                hidden=columns.hidden,
                negatives=negatives.repeat(columns.queries_per_sentence, 1),
                texts=masks,
                absent=absent_columns(counts, len(unit) - 2, before=columns.views_before),
                guide=guiding,
            ),
            Scale(self.temperature, self.hard_negative_weight, self.scale_with_candidates),
        )
