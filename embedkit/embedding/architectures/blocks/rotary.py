"""Rotary positions: pairs of coordinates are turned by an angle that grows with the position, so that a
product of two vectors depends on their distance (kexue.fm 8265, 8397; arXiv 2104.09864).
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

_BASE = 10_000.0


class Rotation(NamedTuple):
    """Cosines and sines of the angles, `(tokens, size / 2)`."""

    cosines: Tensor
    sines: Tensor

    def turn(self, vectors: Tensor) -> Tensor:
        """Turn vectors `(..., tokens, size)`: coordinate i with coordinate i + size / 2."""
        cosines, sines = (part.to(vectors.dtype) for part in self)
        first, second = vectors.chunk(2, dim=-1)
        return torch.cat([first * cosines - second * sines, first * sines + second * cosines], dim=-1)


def rotation(positions: Tensor, size: int, dtype: torch.dtype) -> Rotation:
    """Return the rotation of positions `(tokens,)` for vectors of an even size: angle p / 10000^(2i/size)."""
    steps = torch.arange(size // 2, device=positions.device, dtype=dtype)
    angles = positions[:, None].to(steps.dtype) * _BASE ** (-2 * steps / size)
    return Rotation(angles.cos(), angles.sin())
