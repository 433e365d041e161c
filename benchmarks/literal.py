"""The networks by their formulas, taken literally: a peer for `synthesis.py`, and what `train.py` trains beside ours.

    python benchmarks/synthesis.py --family stylegan3-t --batch 1 --peer benchmarks/literal.py

Zeros are inserted, filters run over all samples, and those not kept are dropped (docs/spec/TF.md 0.1), which is what
programs do that have no better way without a kernel of their own. `formulas` goes further: samples have modulated
kernels of their own, every operation makes a map of its own, and maps lie in the order of their axes.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any
from unittest import mock

import torch
import torch.nn.functional as F
from torch import Tensor

from stylegan_torch.networks import layers, progan, stylegan1, stylegan2, stylegan3
from stylegan_torch.training import ada


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


def _with_bias(y: Tensor, bias: Tensor | None) -> Tensor:
    return y if bias is None else y + bias.reshape(-1, 1, 1)


def conv2d(x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """Convolve as `layers.conv2d` does."""
    return _with_bias(F.conv2d(x, weight, padding=weight.shape[-1] // 2), bias)


def conv2d_nearest_up(x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """Repeat pixels, then convolve."""
    return conv2d(layers.nearest_up2d(x), weight, bias)


def conv2d_box_down(x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """Convolve, then average over blocks."""
    return _with_bias(layers.box_down2d(conv2d(x, weight)), bias)


def scaled_conv2d(
    x: Tensor,
    weight: Tensor,
    before: Tensor,
    after: Tensor | None,
    bias: Tensor | None = None,
    *,
    convolve: Callable[[Tensor, Tensor, Tensor | None], Tensor] = conv2d,
    up: int = 1,
) -> Tensor:
    """Convolve each sample with a kernel of its own."""
    scales = before[:, None] if after is None else after[:, :, None] * before[:, None]
    kernels = weight * scales[:, :, :, None, None]
    pairs = zip(torch.split(x, 1), kernels, strict=True)
    return _with_bias(torch.cat([convolve(sample, kernel, None) for sample, kernel in pairs]), bias)


def activate(x: Tensor, activation: str, clamp: float | None = None, *, with_gain: bool = True) -> Tensor:
    """Do what `layers.activate_` does, each step by itself."""
    before = activation in ("relu", "lrelu")  # then the gain is in already
    return layers.activate(x, activation, clamp, with_gain=with_gain and not before)


def adain(x: Tensor, scale: Tensor, shift: Tensor, eps: float | None = 1e-8) -> Tensor:
    """Normalise, scale, shift."""
    return (x if eps is None else layers.instance_norm(x, eps)) * scale + shift


_FORMULAS: tuple[Callable[..., Tensor], ...] = (
    *(upfirdn2d, conv2d, conv2d_nearest_up, conv2d_box_down, scaled_conv2d),
    adain,
)


@contextmanager
def formulas() -> Iterator[None]:
    """Let all networks and augmentations calculate by the formulas."""
    stages = {"conv": conv2d, "up": conv2d_nearest_up, "down": conv2d_box_down}
    with ExitStack() as stack:
        for module in (layers, progan, stylegan1, stylegan2, stylegan3, ada):
            own = {each.__name__: each for each in _FORMULAS} | {"activate_": activate, "laid_out": lambda x: x}
            found: dict[str, Any] = {name: function for name, function in own.items() if hasattr(module, name)}
            stack.enter_context(mock.patch.multiple(module, **found))
        stack.enter_context(mock.patch.dict(progan._STAGES, stages))
        yield
