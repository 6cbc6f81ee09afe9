"""ZLPR: texts with several labels, or with weighted labels. The scores of right labels must be above 0, the
others below (kexue.fm 7359 and 9064; arXiv 2208.02955).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from embedkit.losses.registry import Compared

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True)
class ZLPR:
    """Settings of `zlpr`: none. `log(1 + sum t e^-s) + log(1 + sum (1 - t) e^s)` for scores s, targets t."""

    compares: ClassVar[Compared] = "label sets"

    def __call__(self, scores: Tensor, targets: Tensor, mask: Tensor | None = None) -> Tensor:
        """Return the mean over rows, in float32 or better; all are `(rows, classes)`.

        `targets` are 0, 1 or between; only entries that are True in `mask` (all, without it) have a value and
        a gradient. No gradient goes to targets. A row without entries is 0.
        """
        import torch

        wide = scores.to(torch.promote_types(scores.dtype, torch.float32))
        wanted = targets.detach().to(wide.dtype)
        counted = torch.ones_like(wanted, dtype=torch.bool) if mask is None else mask
        wide = wide.masked_fill(~counted, 0.0)  # whatever it is, not a number even
        present, absent = (part.log().masked_fill(~counted, -torch.inf) for part in (wanted, 1 - wanted))
        return (_log_one_plus(present - wide) + _log_one_plus(absent + wide)).mean()


def probabilities(scores: Tensor) -> Tensor:
    """Return the probability of each label, `sigmoid(2 s)`: what the loss of soft targets is least at."""
    return (2 * scores).sigmoid()


def _log_one_plus(logarithms: Tensor) -> Tensor:
    """Return `log(1 + sum exp(x))` of each row `(rows, classes)`; -inf adds nothing."""
    import torch

    summed: Tensor = torch.nn.functional.pad(logarithms, (1, 0)).logsumexp(dim=1)
    return summed
