"""Random numbers that depend on the step and the place in the batch only, not on how work is shared out."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor


@dataclass(frozen=True)
class Share:
    """Every `of`-th picture of a batch, from picture `index` on.

    Pictures stand that way so that minibatch-stddev groups, whose members are far apart, stay together.
    """

    index: int = 0
    of: int = 1

    def take(self, whole: Tensor) -> Tensor:
        """Return this share of a tensor [N, ...] of the whole batch."""
        return whole if self.of == 1 else whole[self.index :: self.of].clone()  # not the whole kept alive


class RandomStream:
    """The random numbers of one step and purpose: drawn for the whole batch, of which a share is given out."""

    def __init__(self, key: tuple[int, ...], batch: int, share: Share, *, device: torch.device | str = "cpu") -> None:
        seed = int(np.random.SeedSequence(key).generate_state(1, np.uint64)[0] >> np.uint64(1))
        self.generator = torch.Generator(device).manual_seed(seed)
        self.batch, self.share, self.device = batch, share, device

    def normal(self, *shape: int) -> Tensor:
        """Return N(0, 1) numbers [n, *shape] for the n pictures of the share."""
        return self.share.take(torch.randn(self.batch, *shape, generator=self.generator, device=self.device))

    def uniform(self, *shape: int) -> Tensor:
        """Return numbers [n, *shape] from [0, 1)."""
        return self.share.take(torch.rand(self.batch, *shape, generator=self.generator, device=self.device))

    def integers(self, low: int, high: int) -> Tensor:
        """Return whole numbers [n] from `low` to below `high`."""
        drawn = torch.randint(low, high, (self.batch,), generator=self.generator, device=self.device)
        return self.share.take(drawn)
