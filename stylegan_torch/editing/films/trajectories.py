"""Closed paths through latent space and through noise: what loops is drawn from."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import lru_cache

import numpy as np
import torch
from torch import Tensor

from stylegan_torch.drawing.devices import in_float64

Loop = Callable[[Tensor], Tensor]
"""From times [N], counted in turns (1 = once around), to latents [N, …], on the CPU."""

NoiseLoop = Callable[[float], list[Tensor]]
"""From a time, counted in turns, to one picture's noise: a map [1, 1, H, W] for every noisy layer."""


def turns(frames: int) -> Tensor:
    """Return the times [frames] of a loop's frames, in turns: 0, 1/frames, …"""
    return torch.arange(frames, dtype=torch.float64) / frames


def slerp(a: Tensor, b: Tensor, t: Tensor | float) -> Tensor:
    """Go from a to b: the direction along the great circle at constant speed, the length linearly (Shoemake 1985).

    Args:
        a, b: points [..., D]. Between opposite ones it takes one of the great circles there are, the same both ways.
        t: how far, 0 to 1, a number or [...].

    Returns:
        Points [..., D] of a's dtype.
    """
    t = (in_float64(t) if isinstance(t, Tensor) else torch.tensor(t, dtype=torch.float64))[..., None]
    (u, length_a), (v, length_b) = _polar(in_float64(a)), _polar(in_float64(b))
    cosine = (u * v).sum(-1, keepdim=True)
    across, sine = _polar(_without(v, u))
    angle = torch.atan2(sine, cosine)
    # With parallel ones any direction across will do. Where little is left of v, rounding leaves some of u in it.
    axis = torch.nn.functional.one_hot(u.abs().argmin(-1), u.shape[-1]).double()
    across, _ = _polar(_without(torch.where(sine > 1e-12, across, axis), u))
    direction = (t * angle).cos() * u + (t * angle).sin() * across
    return (torch.lerp(length_a, length_b, t) * direction).to(a)


def _polar(x: Tensor) -> tuple[Tensor, Tensor]:
    length = x.norm(dim=-1, keepdim=True)
    return x / length.clamp_min(torch.finfo(x.dtype).tiny), length


def _without(v: Tensor, u: Tensor) -> Tensor:
    return v - (v * u).sum(-1, keepdim=True) * u


def _legs(times: Tensor, count: int) -> tuple[Tensor, Tensor, Tensor]:
    """Return the numbers [N] of the keyframes before and after times [N], and how far between them, 0 to 1."""
    position = times.double() * count
    before = position.floor()
    return before.long() % count, (before.long() + 1) % count, position - before


_EASINGS: dict[str, Callable[[Tensor], Tensor]] = {
    "linear": lambda t: t,
    "sine": lambda t: (1 - torch.cos(np.pi * t)) / 2,
    "cubic": lambda t: t**2 * (3 - 2 * t),
    "quintic": lambda t: t**3 * (10 + t * (6 * t - 15)),
}
"""How far it is from a keyframe to the next after a share of the time, 0 to 1; all but linear stop at keyframes."""


def schedule(easings: Sequence[str], starts: Sequence[float] = ()) -> Callable[[Tensor], Tensor]:
    """Return what moves the times of a loop, so that it goes through its keyframes at others, and in other ways.

    Args:
        easings: of K keyframes, how it goes on from each; a name in `keys.EASINGS`.
        starts: when it is there, in turns, rising from 0 and less than 1; empty = equally apart.

    Returns:
        A function from times [N] of the new loop to times [N] of one with equally distant keyframes.
    """
    count = len(easings)
    ends = torch.tensor([*starts, 1.0], dtype=torch.float64) if starts else torch.arange(count + 1.0) / count
    ends = ends.double()

    def at(times: Tensor) -> Tensor:
        turn = times.double().floor()
        t = times.double() - turn
        leg = (torch.searchsorted(ends, t, right=True) - 1).clamp(max=count - 1)
        share = (t - ends[leg]) / (ends[leg + 1] - ends[leg])
        eased = torch.stack([_EASINGS[easings[i]](each) for i, each in zip(leg.tolist(), share, strict=True)])
        return turn + (leg + eased) / count

    return at


def arcs(z: Tensor) -> Loop:
    """Return the path along great circles through z [K, D] and back, with equal time from each to the next."""

    def at(times: Tensor) -> Tensor:
        before, after, t = _legs(times, len(z))
        return slerp(z[before], z[after], t)

    return at


def spline(ws: Tensor) -> Loop:
    """Return the periodic cubic spline through ws [K, …]: twice continuously differentiable, equal time a leg.

    The slopes m at the keyframes p solve m[i-1] + 4·m[i] + m[i+1] = 3·(p[i+1] - p[i-1]), indices modulo K (de Boor, "A
    Practical Guide to Splines", chapter IV), which Fourier transforms do; between them runs the Hermite cubic.
    """
    p, count = ws.double(), len(ws)
    right = 3 * (p.roll(-1, 0) - p.roll(1, 0)).flatten(1)
    gains = 4 + 2 * torch.cos(2 * np.pi * torch.fft.rfftfreq(count, dtype=p.dtype))
    m = torch.fft.irfft(torch.fft.rfft(right, dim=0) / gains[:, None], n=count, dim=0).reshape(p.shape)

    def at(times: Tensor) -> Tensor:
        before, after, t = _legs(times, count)
        t = t.reshape(-1, *[1] * (p.ndim - 1))
        ends = (2 * t**3 - 3 * t**2 + 1) * p[before] + (3 * t**2 - 2 * t**3) * p[after]
        slopes = (t**3 - 2 * t**2 + t) * m[before] + (t**3 - t**2) * m[after]
        return (ends + slopes).to(ws.dtype)

    return at


def loop_noise(steps: int, sizes: Sequence[tuple[int, int]], seed: int = 0) -> NoiseLoop:
    """Return random noise that changes smoothly: N(0, 1) at any time, and new after about one step.

    At time x, counted in steps, the fresh map of step i has the weight √(8/9)·cos²(π·(x - i)/3) if |x - i| < 3/2. So
    three maps matter at a time, the weights and their slopes have no jumps, and the sums of the weights' squares (the
    variance, 1) and of their slopes' squares (the speed) are constant.

    Args:
        steps: of one turn, at least 3, or the three maps would not be different ones.
        sizes: (height, width) of every noisy layer.
        seed: the maps follow from it.

    Raises:
        ValueError: for fewer steps.
    """
    if steps < 3:
        raise ValueError(f"a loop of noise takes 3 steps at least, not {steps}")

    @lru_cache(maxsize=4)  # the loop may be long
    def fresh(step: int) -> list[Tensor]:
        random = np.random.default_rng([seed, step])
        return [torch.from_numpy(random.standard_normal((1, 1, *size), np.float32)) for size in sizes]

    def at(time: float) -> list[Tensor]:
        x = time * steps
        near = [round(x) + i for i in (-1, 0, 1)]
        weights = [np.sqrt(8 / 9) * np.cos(np.pi / 3 * (x - i)) ** 2 for i in near]
        layers = zip(*(fresh(i % steps) for i in near), strict=True)
        return [torch.stack([w * each for w, each in zip(weights, maps, strict=True)]).sum(0) for maps in layers]

    return at


def noise_arcs(noise: Sequence[Tensor]) -> NoiseLoop:
    """Return the noise on the way through that of keyframes, maps [K, 1, H, W], along `arcs`; so N(0, 1) stays it."""
    if all(len(each) == 1 for each in noise):
        return lambda time: list(noise)
    paths = [(each.shape[1:], arcs(each.flatten(1))) for each in noise]

    def at(time: float) -> list[Tensor]:
        return [path(torch.tensor([time])).reshape(1, *shape) for shape, path in paths]

    return at
