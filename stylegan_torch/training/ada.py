"""Adaptive discriminator augmentation (StyleGAN2-ADA appendix B).

Every transformation is made with probability p, and differs from picture to picture; up to p = 0.8 none of them leaks
into what the generator learns. Pictures move through one resampling, colours through one matrix.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor

from stylegan_torch.drawing.random_streams import RandomStream
from stylegan_torch.networks.layers import make_filter, upfirdn2d
from stylegan_torch.training.corruption import cut_out, filtered, noisy

_SYM6 = (
    0.015404109327027373,
    0.0034907120842174702,
    -0.11799011114819057,
    -0.048311742585633,
    0.4910559419267466,
    0.787641141030194,
    0.3379294217276218,
    -0.07263752278646252,
    -0.021060292512300564,
    0.04472490177066578,
    0.0017677118642428036,
    -0.007800708325034148,
)
"""Low-pass filter of the wavelet sym6, with which pictures are enlarged and reduced around the resampling."""


USUAL_GROUPS = ("blit", "geometric", "color")
"""What the paper trains with, "bgc"."""


def augment(images: Tensor, p: float, draws: RandomStream, *, groups: tuple[str, ...] = USUAL_GROUPS) -> Tensor:
    """Return images [N, C, H, W] in [-1, 1], each transformed at random; twice differentiable.

    An image to which nothing happens stays the same, bit for bit.

    Args:
        images: of at least 8×8 pixels; colours change if there are 1 or 3 channels.
        p: probability of each transformation, 0 to 1.
        draws: where the random numbers come from.
        groups: of `GROUPS`, which says in which order they come.
    """
    for name, transform in GROUPS.items():
        if name in groups:
            images = transform(images, p, draws)
    return images


def _blitted(images: Tensor, p: float, draws: RandomStream) -> Tensor:
    return _changed(images, _blits(images, p, draws), _sampled)


def _in_motion(images: Tensor, p: float, draws: RandomStream) -> Tensor:
    return _changed(images, _motions(images, p, draws), _resampled)


def _in_other_colors(images: Tensor, p: float, draws: RandomStream) -> Tensor:
    channels = images.shape[1]
    return _changed(images, _colors(channels, p, draws), _recolored) if channels in (1, 3) else images


GROUPS = {
    "blit": _blitted,
    "geometric": _in_motion,
    "color": _in_other_colors,
    "filter": filtered,
    "noise": noisy,
    "cutout": cut_out,
}
"""Flips, quarter turns and whole-pixel moves; scalings, turns and moves; brightness, contrast, hue and saturation;
bands of frequencies; noise; rectangles cut out. Each maps images, p and random numbers to images."""
COMBINATIONS = {
    **{name: (name,) for name in GROUPS},
    "geom": ("geometric",),
    "bg": tuple(GROUPS)[:2],
    "bgc": tuple(GROUPS)[:3],
    "bgcf": tuple(GROUPS)[:4],
    "bgcfn": tuple(GROUPS)[:5],
    "bgcfnc": tuple(GROUPS),
}
"""Groups by the names that the official trainers have for them: bg, bgc, bgcf, bgcfn and bgcfnc are several."""


def _changed(images: Tensor, matrices: Tensor, change: Callable[[Tensor, Tensor], Tensor]) -> Tensor:
    """Change those images whose matrix does something; the others stay exactly as they are."""
    index = (
        (matrices != torch.eye(matrices.shape[1], device=matrices.device)).flatten(1).any(dim=1).nonzero().squeeze(1)
    )
    return images.index_copy(0, index, change(images[index], matrices[index].to(images))) if len(index) else images


def _when(draws: RandomStream, p: float, value: Tensor, otherwise: float) -> Tensor:
    """Return `value` [n] with probability p, else what changes nothing."""
    return torch.where(draws.uniform() < p, value, torch.full_like(value, otherwise))


def _blits(images: Tensor, p: float, draws: RandomStream) -> Tensor:
    """Return matrices [N, 3, 3] that say where each pixel comes from, in pixels from the middle."""
    height, width = images.shape[2:]
    flip = _when(draws, p, 1 - 2 * draws.integers(0, 2).float(), 1.0)
    turns = _when(draws, p, draws.integers(0, 4).float(), 0.0)
    moves = torch.where((draws.uniform() < p)[:, None], draws.uniform(2) * 0.25 - 0.125, 0.0)
    m = _scaling(flip, torch.ones_like(flip)) @ _rotation(turns * (math.pi / 2)).round()
    return m @ _translation((moves[:, 0] * width).round(), (moves[:, 1] * height).round())


def _motions(images: Tensor, p: float, draws: RandomStream) -> Tensor:
    """Return such matrices of the geometric group."""
    height, width = images.shape[2:]
    scale = _when(draws, p, torch.exp2(0.2 * draws.normal()), 1.0)
    turning = 1 - math.sqrt(1 - p)  # of each of two turns, so that with 1 - p there is none
    before = _when(draws, turning, (draws.uniform() * 2 - 1) * math.pi, 0.0)
    stretch = _when(draws, p, torch.exp2(0.2 * draws.normal()), 1.0)
    after = _when(draws, turning, (draws.uniform() * 2 - 1) * math.pi, 0.0)
    moves = torch.where((draws.uniform() < p)[:, None], 0.125 * draws.normal(2), 0.0)
    m = _scaling(1 / scale, 1 / scale) @ _rotation(before) @ _scaling(1 / stretch, stretch)
    return m @ _rotation(after) @ _translation(moves[:, 0] * width, moves[:, 1] * height)


def _matrix(rows: list[list[Tensor]]) -> Tensor:
    return torch.stack([torch.stack(row, dim=1) for row in rows], dim=1)


def _scaling(x: Tensor, y: Tensor) -> Tensor:
    zero, one = torch.zeros_like(x), torch.ones_like(x)
    return _matrix([[x, zero, zero], [zero, y, zero], [zero, zero, one]])


def _rotation(angle: Tensor) -> Tensor:
    cos, sin, zero, one = angle.cos(), angle.sin(), torch.zeros_like(angle), torch.ones_like(angle)
    return _matrix([[cos, -sin, zero], [sin, cos, zero], [zero, zero, one]])


def _translation(x: Tensor, y: Tensor) -> Tensor:
    zero, one = torch.zeros_like(x), torch.ones_like(x)
    return _matrix([[one, zero, -x], [zero, one, -y], [zero, zero, one]])


def _sources(matrices: Tensor, y: Tensor, x: Tensor) -> tuple[Tensor, Tensor]:
    """Return from where [N, H, W] each pixel of a grid comes, across and down; y [H] and x [W] are its places."""
    rows, columns = torch.meshgrid(y, x, indexing="ij")
    source = torch.einsum("nij,jhw->nihw", matrices, torch.stack([columns, rows, torch.ones_like(rows)]))
    return source[:, 0], source[:, 1]


def _sampled(images: Tensor, matrices: Tensor) -> Tensor:
    """Move whole pixels."""
    y, x = (torch.arange(n, device=images.device).to(images) - (n - 1) / 2 for n in images.shape[2:])
    across, down = _sources(matrices, y, x)
    return _interpolated(images, across - x[0], down - y[0])


def _resampled(images: Tensor, matrices: Tensor) -> Tensor:
    """Move pixels: enlarge twofold, interpolate linearly, reduce.

    The wavelet's filter, applied as it is and then backwards, gives the same picture back if nothing moves.
    """
    f = make_filter(_SYM6).to(images)
    taps, (height, width) = len(_SYM6), images.shape[2:]
    margin = taps // 2
    large = F.pad(images, [margin] * 4, mode="reflect")
    large = upfirdn2d(large, f, up=2, pad=((taps + 1) // 2, (taps - 2) // 2), gain=4)
    large = large[:, :, 2 * margin : -2 * margin, 2 * margin : -2 * margin]
    # Pixel k of the picture becomes samples around 2k + shift; a few more let the reducing filter see beyond the edge.
    shift = float((f * torch.arange(taps, device=f.device)).sum()) - (taps - 2) // 2
    y, x = (
        (torch.arange(-taps // 2, 2 * n + taps // 2, device=images.device).to(images) - shift - (n - 1)) / 2
        for n in (height, width)
    )
    across, down = _sources(matrices, y, x)
    moved = _interpolated(large, 2 * across + shift + width - 1, 2 * down + shift + height - 1)
    return upfirdn2d(moved, f.flip(0), down=2, pad=((taps - 1) // 2 - taps // 2, (taps - 2) // 2 - taps // 2))


def _interpolated(images: Tensor, x: Tensor, y: Tensor) -> Tensor:
    """Return images [N, C, H', W'] at places x, y [N, H', W'] in pixels, mirrored beyond the edges.

    Written with `gather`, which can be differentiated twice; `grid_sample` cannot.
    """
    N, C, H, W = images.shape
    left, top = x.floor(), y.floor()
    across, down = ((place - before)[:, None].expand(-1, C, -1, -1) for place, before in ((x, left), (y, top)))
    columns = [_reflected(left.long() + i, W) for i in (0, 1)]
    rows = [_reflected(top.long() + i, H) * W for i in (0, 1)]
    flat = images.flatten(2)

    def at(index: Tensor) -> Tensor:
        return flat.gather(2, index.flatten(1)[:, None].expand(-1, C, -1)).reshape(N, C, *x.shape[1:])

    upper, lower = (at(row + columns[0]).lerp(at(row + columns[1]), across) for row in rows)
    return upper.lerp(lower, down)


def _reflected(index: Tensor, size: int) -> Tensor:
    """Fold whole numbers into 0 … size - 1, turning back behind each end: … 1 0 | 0 1 … n-1 | n-1 n-2 …"""
    index = index.remainder(2 * size)
    return torch.minimum(index, 2 * size - 1 - index)


def _colors(channels: int, p: float, draws: RandomStream) -> Tensor:
    """Return matrices [N, 4, 4] that change colours (homogeneous, in [-1, 1])."""
    zero = torch.zeros_like(draws.uniform())
    identity = torch.eye(4, device=zero.device).expand(zero.shape[0], 4, 4)
    gray = torch.tensor([1.0, 1.0, 1.0, 0.0], device=zero.device) / math.sqrt(3)
    along = gray.outer(gray)
    shift = _when(draws, p, 0.2 * draws.normal(), 0.0)
    m = identity + shift[:, None, None] * torch.tensor([1.0, 1, 1, 0], device=zero.device).outer(identity[0, 3])
    contrast = _when(draws, p, torch.exp2(0.5 * draws.normal()), 1.0)
    m = torch.diag_embed(torch.stack([contrast, contrast, contrast, zero + 1], dim=1)) @ m
    if channels == 1:
        return m
    mirrored = _when(draws, p, draws.integers(0, 2).float(), 0.0)
    m = (identity - 2 * along * mirrored[:, None, None]) @ m
    angle = _when(draws, p, (draws.uniform() * 2 - 1) * math.pi, 0.0)
    m = _hue(angle, along, identity) @ m
    saturation = _when(draws, p, torch.exp2(draws.normal()), 1.0)
    return (identity + _across(along, identity) * (saturation - 1)[:, None, None]) @ m


def _hue(angle: Tensor, along: Tensor, identity: Tensor) -> Tensor:
    """Return rotations [N, 4, 4] about the gray axis (Rodrigues' formula)."""
    cross = torch.zeros(4, 4, device=angle.device)
    cross[0, 1] = cross[1, 2] = cross[2, 0] = -1 / math.sqrt(3)
    cross[1, 0] = cross[2, 1] = cross[0, 2] = 1 / math.sqrt(3)
    cos, sin = angle.cos()[:, None, None], angle.sin()[:, None, None]
    return identity + _across(along, identity) * (cos - 1) + cross * sin


def _across(along: Tensor, identity: Tensor) -> Tensor:
    """Return the projection [N, 4, 4] of colours onto what is not gray; what adds to it is 0 where nothing changes."""
    last = identity[:, 3:].transpose(1, 2) @ identity[:, 3:]
    return identity - last - along


def _recolored(images: Tensor, matrices: Tensor) -> Tensor:
    if images.shape[1] == 1:
        matrices = torch.stack([matrices[:, :1, :3].sum(2), matrices[:, :1, 3]], dim=2)
        return images * matrices[:, :, :1, None] + matrices[:, :, 1:, None]
    colors = matrices[:, :3, :3] @ images.flatten(2) + matrices[:, :3, 3:]
    return colors.reshape(images.shape)


class Overfitting:
    """Sets the chance of augmentation so that the mean sign of real scores, r_t, is `target` (StyleGAN2-ADA section 3).

    Args:
        target: wanted r_t; 0.6 in the paper.
        kimg: in how many thousand pictures p can go from 0 to 1; 500 in the paper.
        interval: steps between two adjustments.
        p: where it begins.
    """

    def __init__(self, target: float = 0.6, kimg: float = 500.0, *, interval: int = 4, p: float = 0.0) -> None:
        self.target, self.kimg, self.interval, self.p = target, kimg, interval, p
        self.signs, self.pictures, self.steps = 0.0, 0, 0
        self.r_t = 0.0

    def observe(self, signs: float, pictures: int) -> None:
        """Take in the sum of signs of the real scores of a step, over its pictures."""
        self.signs += signs
        self.pictures += pictures
        self.steps += 1
        if self.steps == self.interval:
            self.r_t = self.signs / self.pictures
            change = self.pictures / (self.kimg * 1000)
            self.p = min(max(self.p + (change if self.r_t > self.target else -change), 0.0), 1.0)
            self.signs, self.pictures, self.steps = 0.0, 0, 0

    def state(self) -> dict[str, float]:
        """Return what it takes to go on."""
        return {name: getattr(self, name) for name in ("p", "signs", "pictures", "steps", "r_t")}

    def restore(self, state: dict[str, float]) -> None:
        """Go on from what `state` returned."""
        for name, value in state.items():
            setattr(self, name, value)
