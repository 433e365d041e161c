"""A peer for `synthesis.py`: StyleGAN3 with the resampling of its definition, taken literally.

    python benchmarks/synthesis.py --family stylegan3-t --batch 1 --peer benchmarks/literal.py

Zeros are inserted, filters run over all samples, and those not kept are dropped (docs/spec/TF.md 0.1), which is what
programs do that have no better way without a kernel of their own.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any
from unittest import mock

import torch.nn.functional as F
from torch import Tensor


def upfirdn2d(
    x: Tensor,
    f: Tensor,
    *,
    up: int = 1,
    down: int = 1,
    pad: tuple[int, int] = (0, 0),
    pad_x: tuple[int, int] | None = None,
    gain: float = 1.0,
) -> Tensor:
    """Resample as `layers.upfirdn2d` does."""
    N, C, H, W = x.shape
    x = F.pad(x.reshape(N, C, H, 1, W, 1), (0, up - 1, 0, 0, 0, up - 1)).reshape(N, C, H * up, W * up)
    x = F.pad(x, (*(pad if pad_x is None else pad_x), *pad))
    if f.ndim == 1:
        f = f.flip(0) * math.sqrt(gain)
        x = F.conv2d(x, f.expand(C, 1, 1, -1), groups=C)
        x = F.conv2d(x, f[:, None].expand(C, 1, -1, 1), groups=C)
    else:
        x = F.conv2d(x, (f.flip(0, 1) * gain).expand(C, 1, *f.shape), groups=C)
    return x[:, :, ::down, ::down]


def make(G: Any) -> Callable[[Tensor], Tensor]:
    """Return what draws from ws with this resampling."""

    def draw(ws: Tensor) -> Tensor:
        with mock.patch("stylegan_torch.networks.stylegan3.upfirdn2d", upfirdn2d):
            return G.synthesis(ws)

    return draw
