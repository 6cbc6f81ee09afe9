"""What the second pass of gradient caching must find as the first did: random numbers, mixed precision."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor


@dataclass(frozen=True)
class RandomState:
    """The random numbers that dropout is about to draw, on the processor and on one graphics card."""

    processor: Tensor
    device: torch.device
    card: Tensor | None

    @classmethod
    def now(cls, device: torch.device) -> RandomState:
        """Note the state as it is."""
        card = None if device.type == "cpu" else torch.get_device_module(device).get_rng_state(device)
        return cls(torch.get_rng_state(), device, card)

    @contextmanager
    def replayed(self) -> Iterator[None]:
        """Go back to this state, and afterwards to the one that was."""
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
    """Whether mixed precision is on, so that the second pass, which runs inside `backward`, has the same."""

    device_type: str
    enabled: bool
    dtype: torch.dtype

    @classmethod
    def now(cls, device: torch.device) -> Autocast:
        """Note the setting as it is."""
        kind = device.type
        return cls(kind, torch.is_autocast_enabled(kind), torch.get_autocast_dtype(kind))

    def entered(self) -> AbstractContextManager[Any]:
        """Return the context that was noted."""
        context: AbstractContextManager[Any] = torch.autocast(
            self.device_type, dtype=self.dtype, enabled=self.enabled
        )
        return context

    def left(self) -> AbstractContextManager[Any]:
        """Return a context without mixed precision, as `backward` wants it."""
        context: AbstractContextManager[Any] = torch.autocast(self.device_type, enabled=False)
        return context


def forget_casts() -> None:
    """Drop autocast's copies of weights.

    Older torch also keeps those made without gradients, which would cut the second pass's graph; 2.13 does
    not.
    """
    torch.clear_autocast_cache()
