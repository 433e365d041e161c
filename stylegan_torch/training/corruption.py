"""The augmentations of StyleGAN2-ADA that lose something: filtering, noise, cut-outs (its appendix B).

The paper finds them of less use than the others, and trains without them.
"""

from __future__ import annotations

import functools
import math

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from stylegan_torch.drawing.random_streams import RandomStream

NOISE_STD = 0.1
"""Of the half-normal distribution that the strength of noise is drawn from."""
CUTOUT_SIZE = 0.5
"""Sides of what is cut out, as a share of the picture's."""
POWER = (10 / 13, 1 / 13, 1 / 13, 1 / 13)
"""How the power of pictures is taken to be spread over the four bands, coarsest first: as 1/f."""


@functools.cache
def band_filters() -> Tensor:
    """Return filters [4, 43] that take a signal apart into bands up to π/8, π/4, π/2 and π; their sum changes nothing.

    With P(z) = H(z) H(1/z) / 2 of the wavelet sym2 they are P(z) P(z²) P(z⁴), P(z) P(z²) P(-z⁴), P(z) P(-z²) and P(-z),
    from the coarsest on. P(z) + P(-z) = 1, as the wavelet is orthogonal.
    """
    root = math.sqrt(3)
    sym2 = np.array([1 + root, 3 + root, 3 - root, 1 - root]) / (4 * math.sqrt(2))
    low = np.convolve(sym2, sym2[::-1]) / 2
    high = low * (-1.0) ** np.arange(-3, 4)

    def stretched(f: NDArray[np.float64], by: int) -> NDArray[np.float64]:
        result = np.zeros(by * (len(f) - 1) + 1)
        result[::by] = f
        return result

    half = np.convolve(low, stretched(low, 2))
    bands = [
        np.convolve(half, stretched(low, 4)),
        np.convolve(half, stretched(high, 4)),
        np.convolve(low, stretched(high, 2)),
        high,
    ]
    longest = len(bands[0])
    return torch.from_numpy(np.stack([np.pad(band, (longest - len(band)) // 2) for band in bands])).float()


def filtered(images: Tensor, p: float, draws: RandomStream) -> Tensor:
    """Return images [N, C, H, W], each band of frequencies made stronger or weaker with probability p.

    A gain is log-normal, 2^N(0, 1); whenever one changes, all are scaled so that the power expected of `POWER` stays.
    """
    gains = torch.ones_like(draws.normal(len(POWER)))
    for band in range(len(POWER)):
        gain = torch.where(draws.uniform() < p, torch.exp2(draws.normal()), 1.0)
        gains = gains * one_band(gain, band)
    changed = (gains != 1).any(dim=1).nonzero().squeeze(1)
    if not len(changed):
        return images
    return images.index_copy(0, changed, amplified(images[changed], gains[changed].to(images)))


def one_band(gain: Tensor, band: int) -> Tensor:
    """Return gains [N, 4] that make one band so much stronger [N], and all as much weaker as keeps the power."""
    gains = torch.ones(len(gain), len(POWER), device=gain.device)
    gains[:, band] = gain
    power = gains.square() @ torch.tensor(POWER, device=gain.device)
    return torch.where((gain == 1)[:, None], gains, gains * torch.rsqrt(power)[:, None])


def amplified(images: Tensor, gains: Tensor) -> Tensor:
    """Return images [N, C, H, W] whose bands have so much more amplitude [N, 4] along each axis; edges are mirrored."""
    taps = gains @ band_filters().to(images)
    N, C = images.shape[:2]
    for axis in (2, 3):
        x = _mirrored(images, axis, taps.shape[1] // 2)
        weight = taps.repeat_interleave(C, dim=0)[:, None]
        weight = weight[:, :, :, None] if axis == 2 else weight[:, :, None]
        images = F.conv2d(x.reshape(1, N * C, *x.shape[2:]), weight, groups=N * C).reshape(images.shape)
    return images


def _mirrored(images: Tensor, axis: int, margin: int) -> Tensor:
    """Return images continued along an axis: … 1 | 0 1 … n-1 | n-2 …, again and again if they are short."""
    size = images.shape[axis]
    period = max(2 * size - 2, 1)
    index = torch.arange(-margin, size + margin, device=images.device).remainder(period)
    return images.index_select(axis, torch.minimum(index, period - index))


def noisy(images: Tensor, p: float, draws: RandomStream) -> Tensor:
    """Return images [N, C, H, W], with probability p with Gaussian noise, its strength half-normal of `NOISE_STD`."""
    strength = torch.where(draws.uniform() < p, draws.normal().abs() * NOISE_STD, 0.0)
    noise = draws.normal(*images.shape[1:])
    return images + (noise * strength[:, None, None, None]).to(images)


def cut_out(images: Tensor, p: float, draws: RandomStream) -> Tensor:
    """Return images [N, C, H, W], gray in a rectangle of `CUTOUT_SIZE` about a random place with probability p.

    Part of the rectangle may lie beyond the edges.
    """
    happens, middles = draws.uniform() < p, draws.uniform(2)
    inside = happens[:, None, None]
    for axis, size in ((1, images.shape[2]), (2, images.shape[3])):
        middle = middles[:, axis - 1, None]
        first, end = (((middle + half) * size).round() for half in (-CUTOUT_SIZE / 2, CUTOUT_SIZE / 2))
        place = torch.arange(size, device=middles.device)
        inside = inside & ((place >= first) & (place < end)).unsqueeze(3 - axis)
    return images.masked_fill(inside[:, None].to(images.device), 0.0)
