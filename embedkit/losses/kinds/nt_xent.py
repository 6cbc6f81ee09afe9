"""NT-Xent: all views of all sentences in one batch; each view is the other's positive (kexue.fm 8348; SimCLR,
arXiv 2002.05709, section 2.1).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from embedkit.losses.contrastive import (
    Contrast,
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
    compares: ClassVar[Compared] = "views"

    def __post_init__(self) -> None:
        require_settings(self.temperature, self.hard_negative_weight, self.scale_with_candidates)

    def __call__(
        self,
        views: Sequence[Tensor],
        texts: Sequence[Tensor] | None = None,
        rows: slice = slice(None),
        counts: Tensor | None = None,
    ) -> Tensor:
        """Return the mean loss over both views of the sentences in `rows` (default: all).

        `views` are two views and any number of hard negatives, each `(sentences, dim)`; `texts` are numbers,
        each `(sentences,)`, that are equal where texts are. `counts` `(sentences,)` is the number of hard
        negatives per sentence; the other places hold padding. The loss is log(2 sentences - 1) when all
        vectors are equal.
        """
        import torch

        unit = [unit_rows(view) for view in views]
        sentences = len(unit[0])
        place = torch.arange(sentences, device=unit[0].device)[rows]
        negatives = torch.arange(2, len(unit), device=place.device) * sentences + place[:, None]
        masks = None
        if texts is not None and self.mask_duplicates:
            first, second = texts[0][rows], texts[1][rows]
            masks = Texts(torch.cat([first, second]), torch.cat([second, first]), torch.cat(list(texts)))
        return cross_entropy(
            Contrast(
                queries=torch.cat([unit[0][rows], unit[1][rows]]),
                candidates=torch.cat(unit),
                targets=torch.cat([place + sentences, place]),
                hidden=torch.cat([place, place + sentences]),
                negatives=negatives.repeat(2, 1),
                texts=masks,
                absent=absent_columns(counts, len(unit) - 2, before=2),
            ),
            Scale(self.temperature, self.hard_negative_weight, self.scale_with_candidates),
        )
