"""Memory for what exists only for a moment."""

from __future__ import annotations

import math

import torch
from torch import Tensor


class Room:
    """Memory that every strip uses anew: fresh memory costs page faults, which take longer than the arithmetic."""

    def __init__(self, device: torch.device | str = "cpu") -> None:
        self._device = device
        self._kept: dict[str, Tensor] = {}

    def take(self, name: str, *shape: int) -> Tensor:
        """Return a tensor with anything in it, until the name is asked for again."""
        size, kept = math.prod(shape), self._kept.get(name)
        if kept is None or kept.numel() < size:
            kept = self._kept[name] = torch.empty(size, device=self._device)
        return kept[:size].view(shape)
