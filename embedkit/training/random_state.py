"""State that both passes of gradient caching must share: random numbers, mixed precision."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor


@dataclass(frozen=True)
class RandomState:
    """The state of the random numbers that dropout will draw, on the processor and on one graphics card."""

    processor: Tensor
    device: torch.device
    card: Tensor | None

    @classmethod
    def now(cls, device: torch.device) -> RandomState:
        """Return the current state."""
        card = None if device.type == "cpu" else torch.get_device_module(device).get_rng_state(device)
        return cls(torch.get_rng_state(), device, card)

    @contextmanager
    def replayed(self) -> Iterator[None]:
        """Set this state for the block, and restore the current one afterwards."""
        now = RandomState.now(self.device)
        self._set()
        try:
            yield
        finally:
            now._set()

    def _set(self) -> None:
        torch.set_rng_state(self.processor)
        if self.card is not None:
            torch.get_device_module(self.device).set_rng_state(self.card, self.device)


@dataclass(frozen=True)
class Autocast:
    """The setting of mixed precision; the second pass, inside `backward`, must use the first pass's."""

    device_type: str
    enabled: bool
    dtype: torch.dtype

    @classmethod
    def now(cls, device: torch.device) -> Autocast:
        """Return the current setting."""
        kind = device.type
        return cls(kind, torch.is_autocast_enabled(kind), torch.get_autocast_dtype(kind))

    def entered(self) -> AbstractContextManager[Any]:
        """Return a context with this setting."""
        context: AbstractContextManager[Any] = torch.autocast(
            self.device_type, dtype=self.dtype, enabled=self.enabled
        )
        return context

    def left(self) -> AbstractContextManager[Any]:
        """Return a context without mixed precision, as `backward` needs it."""
        context: AbstractContextManager[Any] = torch.autocast(self.device_type, enabled=False)
        return context


def forget_casts() -> None:
    """Drop autocast's copies of weights.

    Older versions of torch also keep copies made without gradients, which would cut the second pass's graph;
    torch 2.13 does not.
    """
    torch.clear_autocast_cache()
