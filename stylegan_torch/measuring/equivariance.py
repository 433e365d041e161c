"""How exactly a picture moves and turns with the network's input: EQ-T, EQ-T_frac and EQ-R (StyleGAN3 appendix E).

    PSNR = 10 log₁₀( I² / E (g(t[z₀]; w)_c(p) - t[g(z₀; w)]_c(p))² ),   I = 2

over w, transforms t, channels c, and the pixels p where both pictures come from inside their frame. t is a translation
by up to an eighth of the picture in each direction, by whole pixels (eqt) or not (eqt-frac), or a rotation by any angle
(eqr). A picture is moved by a part of a pixel by Lanczos's kernel of three lobes.

Turning is not that simple: a grid of pixels holds frequencies of a square, and turned, its corners lie outside of what
the grid can hold. So both pictures are first limited to what the square and the turned square have in common, with the
same kernel: Lanczos's along the axes of one picture, convolved with that along the axes of the other.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from stylegan_torch.drawing.devices import exact_float32, has_float64
from stylegan_torch.drawing.draw import labels_of
from stylegan_torch.drawing.seeds import latents_from_seeds
from stylegan_torch.measuring.fidelity import MeasureError
from stylegan_torch.networks.interface import Generator
from stylegan_torch.networks.stylegan3 import image_transform

KINDS = {
    "eqt": "EQ-T, translation by whole pixels",
    "eqt-frac": "EQ-T_frac, translation by parts of pixels",
    "eqr": "EQ-R, rotation",
}
REACH = 1 / 8
"""The largest translation, as a share of the picture."""
LOBES = 3
"""Of Lanczos's kernel."""
_FINE = 4
"""Samples per pixel of the kernel for turning; the picture is turned at half as many."""
_HALF = 8
"""Pixels that it reaches at most: LOBES · (1 + √2), rounded up."""
_UP = 2
_SAMPLING_LOBES = 4
_RANGE = 2.0


@torch.inference_mode()
def equivariance(
    G: Generator,
    kind: str,
    *,
    samples: int = 1000,
    batch: int = 4,
    seed: int = 0,
    truncation_psi: float = 1.0,
    watch: Callable[[Iterable[int]], Iterable[int]] = lambda starts: starts,
) -> float:
    """Return how equivariant a network is, as a PSNR in dB; infinity for one that is so exactly.

    Args:
        G: a StyleGAN3 generator, in its plain form.
        kind: "eqt", "eqt-frac" or "eqr".
        samples: pictures, each moved or turned once; the papers take 50 000.
        batch: pictures at once.
        seed: of the first latent and transform; the next have the next.
        truncation_psi: of the latents; the papers truncate nothing.
        watch: may show progress.

    Raises:
        MeasureError: if the network has no input to move, or its pictures are too small for a measure.
    """
    source = moved_input(G)
    before = source.transform.clone()
    errors, count = 0.0, 0
    try:
        for start in watch(range(0, samples, batch)):
            n = min(batch, samples - start)
            seeds = range(seed + start, seed + start + n)
            z = latents_from_seeds(seeds, G.z_dim).to(G.device)
            ws = G.mapping(z, labels_of(G, None, n).to(z), truncation_psi=truncation_psi)
            moves = [_move(kind, G.img_size, each) for each in seeds]
            upright = _images(G, source, ws, torch.eye(3).expand(n, 3, 3))
            moved = _images(G, source, ws, torch.stack([_transform(kind, move, G.img_size[0]) for move in moves]))
            for one, other, move in zip(upright, moved, moves, strict=True):
                difference = _difference(kind, one, other, move)
                errors += float(difference.square().sum(dtype=torch.float64))
                count += difference.numel()
    finally:
        source.transform = before
    if not count:
        raise MeasureError(f"pictures of {G.img_size[1]}×{G.img_size[0]} are too small for {kind}")
    return psnr(errors / count)


def moved_input(G: Generator) -> Any:
    """Return the input of a generator whose `transform` [3, 3] moves and turns it; MeasureError if there is none."""
    source = getattr(G.synthesis, "input", None) if G.has_w else None
    if not isinstance(getattr(source, "transform", None), Tensor):
        raise MeasureError("only StyleGAN3's networks have an input that can be moved and turned")
    return source


def psnr(error: float) -> float:
    """Return a mean squared error of pictures in [-1, 1] as a peak signal-to-noise ratio in dB."""
    return 10 * math.log10(_RANGE**2 / error) if error else math.inf


def _move(kind: str, size: tuple[int, int], seed: int) -> tuple[float, float]:
    """Return a translation (right, down) in pixels, or an angle in degrees and nothing."""
    a, b = np.random.default_rng(seed).random(2).tolist()
    if kind == "eqr":
        return a * 360, 0.0
    x, y = (2 * a - 1) * REACH * size[1], (2 * b - 1) * REACH * size[0]
    return (float(round(x)), float(round(y))) if kind == "eqt" else (x, y)


def _transform(kind: str, move: tuple[float, float], height: int) -> Tensor:
    if kind == "eqr":
        return image_transform(rotate=move[0])
    return image_transform((move[0] / height, move[1] / height))


def _images(G: Generator, source: Any, ws: Tensor, transforms: Tensor) -> Tensor:
    """Return the images [N, C, H, W], each with its own transform, which the input broadcasts."""
    source.transform = transforms.to(ws)
    with exact_float32():
        images = G.signed(G.synthesis(ws))
    return images if has_float64(images.device) else images.cpu()


def _difference(kind: str, upright: Tensor, moved: Tensor, move: tuple[float, float]) -> Tensor:
    if kind != "eqr":
        return translated_difference(upright, moved, move)
    with exact_float32():
        return rotated_difference(upright, moved, move[0])


def translated_difference(upright: Tensor, moved: Tensor, move: tuple[float, float]) -> Tensor:
    """Return by how much a picture [C, H, W] differs from another that is moved (right, down) by pixels.

    Only pixels are given that come from inside the picture.
    """
    rows, expected = _shifted(upright, move[1], 1)
    columns, expected = _shifted(expected, move[0], 2)
    return moved[:, rows, columns] - expected


def _shifted(x: Tensor, distance: float, axis: int) -> tuple[slice, Tensor]:
    """Return x moved along an axis, and where in x's frame the values are that come from inside."""
    whole = math.floor(distance)
    part = distance - whole
    taps = range(-(LOBES - 1), LOBES + 1) if part else range(1)
    size = x.shape[axis]
    low, high = max(0, whole + taps[-1]), min(size, size + whole + taps[0])
    kernel = lanczos(torch.tensor([tap - part for tap in taps], dtype=torch.float64), LOBES)
    weights: list[float] = (kernel / kernel.sum()).tolist()
    length = max(high - low, 0)
    pieces = (
        weight * x.narrow(axis, max(low - whole - tap, 0) if length else 0, length)
        for tap, weight in zip(taps, weights, strict=True)
    )
    return slice(low, low + length), torch.stack(list(pieces)).sum(dim=0)


def lanczos(x: Tensor, lobes: int) -> Tensor:
    """Return Lanczos's kernel, sinc(x) sinc(x / lobes) within its lobes."""
    return torch.sinc(x) * torch.sinc(x / lobes) * (x.abs() < lobes)


def rotated_difference(upright: Tensor, turned: Tensor, angle: float) -> Tensor:
    """Return by how much a picture [C, H, W] differs from another, turned counter-clockwise by degrees, [C, n].

    Only the n pixels are given of which all that the kernels reach is inside both pictures.
    """
    height, width = upright.shape[1:]
    to_source = image_transform(rotate=angle)[:2, :2].double()
    kernel = _common_kernel(to_source)
    margin = LOBES * (1 + float(to_source[0].abs().sum()))
    y, x = torch.meshgrid(_centred(height), _centred(width), indexing="ij")
    there = torch.stack([x, y], dim=-1)
    here = there @ to_source.t()
    limits = torch.tensor([(width - 1) / 2, (height - 1) / 2], dtype=torch.float64) - margin
    inside = ((there.abs() <= limits) & (here.abs() <= limits - _SAMPLING_LOBES / _UP)).all(dim=-1)
    if not inside.any():
        return upright.new_zeros(upright.shape[0], 0)
    # In the frame of the turned picture the other one is turned the opposite way, so that its kernel is a mirror image.
    limited = _filtered(turned, kernel.flip(1)[::_FINE, ::_FINE])
    fine = _filtered(_with_zeros(upright), kernel[:: _FINE // _UP, :: _FINE // _UP], gain=_UP**2)
    where = here[inside] + torch.tensor([(width - 1) / 2, (height - 1) / 2], dtype=torch.float64)
    return limited[:, inside.to(limited.device)] - _sampled(fine, (where * _UP).to(fine.device))


def _centred(count: int) -> Tensor:
    return torch.arange(count, dtype=torch.float64) - (count - 1) / 2


def _common_kernel(turn: Tensor) -> Tensor:
    """Return the kernel [65, 65], at `_FINE` samples a pixel, of what a square of frequencies and a turned one share.

    It is Lanczos's along the axes, convolved with that along the axes that `turn` [2, 2] leads to. Its middle is a
    multiple of `_FINE`, and so in each sampling of it by whole pixels.
    """
    half = _FINE * _HALF
    grid = torch.arange(-half, half + 1, dtype=torch.float64) / _FINE
    y, x = torch.meshgrid(grid, grid, indexing="ij")
    u, v = turn[0, 0] * x + turn[0, 1] * y, turn[1, 0] * x + turn[1, 1] * y
    along = lanczos(x, LOBES) * lanczos(y, LOBES)
    across = lanczos(u, LOBES) * lanczos(v, LOBES)
    whole = [2 * len(grid)] * 2
    product = torch.fft.rfft2(along, whole) * torch.fft.rfft2(across, whole)
    return torch.fft.irfft2(product, whole)[half : half + len(grid), half : half + len(grid)]


def _with_zeros(x: Tensor) -> Tensor:
    """Return a picture [C, H, W] at `_UP` samples a pixel, zeros between."""
    result = x.new_zeros(x.shape[0], (x.shape[1] - 1) * _UP + 1, (x.shape[2] - 1) * _UP + 1)
    result[:, ::_UP, ::_UP] = x
    return result


def _filtered(x: Tensor, kernel: Tensor, gain: float = 1.0) -> Tensor:
    """Return a picture [C, H, W] convolved with a kernel [n, n] that sums to the gain; outside are zeros."""
    weights = (kernel * (gain / kernel.sum())).to(x)[None, None]
    return F.conv2d(x[:, None], weights, padding=kernel.shape[0] // 2)[:, 0]


def _sampled(x: Tensor, where: Tensor) -> Tensor:
    """Return a picture [C, H, W] at places [n, 2], (x, y) in its pixels, by Lanczos's kernel of four lobes: [C, n]."""
    base = where.floor()
    offsets = range(1 - _SAMPLING_LOBES, _SAMPLING_LOBES + 1)
    part = where - base
    weights = torch.stack([lanczos(part - offset, _SAMPLING_LOBES) for offset in offsets])
    weights = weights / weights.sum(dim=0)
    column, row = base.long().unbind(dim=1)
    result = x.new_zeros(x.shape[0], len(where))
    for i, down in enumerate(offsets):
        for j, right in enumerate(offsets):
            result += x[:, row + down, column + right] * (weights[i, :, 1] * weights[j, :, 0]).to(x)
    return result
