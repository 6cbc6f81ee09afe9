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
    """The loss `zlpr`, which has no settings: `log(1 + sum t e^-s) + log(1 + sum (1 - t) e^s)` for scores s
    and targets t.
    """

    compares: ClassVar[Compared] = "label sets"

    def __call__(self, scores: Tensor, targets: Tensor, mask: Tensor | None = None) -> Tensor:
        """Return the mean loss over rows, in float32 or better; all arguments are `(rows, classes)`.

        `targets` are numbers from 0 to 1; only entries that are True in `mask` (default: all) have a value
        and a gradient. Targets get no gradient. The loss of a row without entries is 0.
        """
        import torch

        wide = scores.to(torch.promote_types(scores.dtype, torch.float32))
        wanted = targets.detach().to(wide.dtype)
        counted = torch.ones_like(wanted, dtype=torch.bool) if mask is None else mask
        wide = wide.masked_fill(~counted, 0.0)  # masked scores may be NaN
        present, absent = (part.log().masked_fill(~counted, -torch.inf) for part in (wanted, 1 - wanted))
        return (_log_one_plus(present - wide) + _log_one_plus(absent + wide)).mean()


def probabilities(scores: Tensor) -> Tensor:
    """Return the probability per label, `sigmoid(2 s)`: the soft target whose loss is least at score s."""
    return (2 * scores).sigmoid()


def _log_one_plus(logarithms: Tensor) -> Tensor:
    """Return `log(1 + sum exp(x))` per row, `(rows,)`, from `(rows, classes)`; -inf adds nothing."""
    import torch

    summed: Tensor = torch.nn.functional.pad(logarithms, (1, 0)).logsumexp(dim=1)
    return summed
