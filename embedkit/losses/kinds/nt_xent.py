"""NT-Xent: all views of all sentences in one batch; each view is the other's positive (kexue.fm 8348; SimCLR,
arXiv 2002.05709, section 2.1).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

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


@dataclass(frozen=True)
class NTXent:
    """Settings of `nt-xent`: logits are cosines divided by `temperature`, in both directions; a row is never
    compared with itself.
    """

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

    def __call__(
        self,
        views: Sequence[Tensor],
        texts: Sequence[Tensor] | None = None,
        rows: slice = slice(None),
        counts: Tensor | None = None,
        guide: Sequence[Tensor] | None = None,
    ) -> Tensor:
        """Return the mean loss over both views of the sentences in `rows` (default: all).

        `views` are two views and any number of hard negatives, each `(sentences, dim)`; `texts` are numbers,
        each `(sentences,)`, that are equal where texts are. `counts` `(sentences,)` is the number of hard
        negatives per sentence; the other places hold padding. `guide` are unit vectors of the same texts by
        another encoder, each `(sentences, its dim)`. The loss is log(2 sentences - 1) when all vectors are
        equal.
        """
        import torch

        unit = [unit_rows(view) for view in views]
        sentences = len(unit[0])
        place = torch.arange(sentences, device=unit[0].device)[rows]
        negatives = torch.arange(2, len(unit), device=place.device) * sentences + place[:, None]
        queries, _, candidates = _sides(unit, rows)
        masks = guiding = None
        if texts is not None and self.mask_duplicates:
            masks = Texts(*_sides(texts, rows))
        if guide is not None:
            guiding = Guide.of(*_sides(guide, rows), self.guide_margin)
        return cross_entropy(
            Contrast(
                queries=queries,
                candidates=candidates,
                targets=torch.cat([place + sentences, place]),
                hidden=torch.cat([place, place + sentences]),
                negatives=negatives.repeat(2, 1),
                texts=masks,
                absent=absent_columns(counts, len(unit) - 2, before=2),
                guide=guiding,
            ),
            Scale(self.temperature, self.hard_negative_weight, self.scale_with_candidates),
        )


def _sides(views: Sequence[Tensor], rows: slice) -> tuple[Tensor, Tensor, Tensor]:
    """Return values of the queries, of their positives, and of all candidates."""
    import torch

    first, second = views[0][rows], views[1][rows]
    return torch.cat([first, second]), torch.cat([second, first]), torch.cat(list(views))
