"""Filters along an axis as products with small band matrices: on a CPU, what is fastest.

A matrix makes a block of results from all that they depend on. It multiplies some zeros, but at the speed of matrix
products, which is several times that of convolutions map by map.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from stylegan_torch.fast.folding import empty_map
from stylegan_torch.fast.room import Room
from stylegan_torch.fast.strips import Conv, run_rows
from stylegan_torch.networks.stylegan3 import LayerSpec

ROWS = 40
"""Rows of a result that are made at a time; what filters reach beyond them is made anew."""
MAPS = 16
"""Feature maps that are filtered at a time: what a vector of a CPU holds, which convolutions map by map do best."""
BLOCK = 8
"""Results of a block (of enlargement: given samples). Larger blocks have more zeros, smaller ones more overhead."""


def taps_at(f: Tensor, places: Tensor) -> Tensor:
    """Return the taps of a filter [n] at places [., .], zero outside."""
    inside = (places >= 0) & (places < len(f))
    return torch.where(inside, f[places.clamp(0, len(f) - 1)], f.new_zeros(()))


def enlarging(f: Tensor, up: int, pad: int) -> tuple[Tensor, int]:
    """Return a block's matrix [up · BLOCK, taken] of zero insertion and convolution, and the first sample it takes.

    Args:
        f: filter [n].
        up: factor.
        pad: zeros before the samples after insertion; less than 0 = that many are cut off.
    """
    shift, reach = len(f) - 1 - pad, -(-len(f) // up)
    low = shift // up - reach + 1
    made, taken = torch.arange(up * BLOCK, device=f.device), torch.arange(BLOCK + reach, device=f.device)
    return taps_at(f, made[:, None] + shift - up * (low + taken)), low


def reducing(f: Tensor, down: int) -> Tensor:
    """Return a block's matrix [BLOCK, taken] of correlation and sub-sampling."""
    made, taken = torch.arange(BLOCK, device=f.device), torch.arange((BLOCK - 1) * down + len(f), device=f.device)
    return taps_at(f, taken - down * made[:, None])


def banded(matrix: Tensor, x: Tensor, step: int, room: Room, name: str) -> Tensor:
    """Return a matrix [M, K] times every window of K rows, `step` apart, of x [L, n]: [M · windows, n]."""
    (made, taken), (length, n) = matrix.shape, x.shape
    count, pitch = (length - taken) // step + 1, x.stride(0)
    windows = x.as_strided((count, taken, n), (step * pitch, pitch, 1), x.storage_offset())
    out = room.take(name, count, made, n)
    return torch.bmm(matrix.expand(count, made, taken), windows, out=out).flatten(0, 1)


class FilteredActivation(nn.Module):
    """StyleGAN3's leaky ReLU between two filters, for a convolution that is made strip by strip.

    It works on several times the samples of the result, so these exist only for a few feature maps of a strip at a
    time, in the caches. All is float32: reading and writing half as much is not worth the conversions.
    """

    up_y: Tensor
    up_x: Tensor
    down_y: Tensor | None
    down: Tensor

    def __init__(self, spec: LayerSpec, up: Tensor, down: Tensor, clamp: float | None) -> None:
        super().__init__()
        self.spec, self.clamp, self.taps = spec, clamp, down.shape[-1]
        up_y, self.above = enlarging(up, spec.up, spec.pad_y[0])
        up_x, self.left = enlarging(up, spec.up, spec.pad_x[0])
        self.reach = up_y.shape[1] - BLOCK
        self.gain = float(up_y.abs().sum(dim=1).amax() * up_x.abs().sum(dim=1).amax())
        self.register_buffer("up_y", up_y)
        self.register_buffer("up_x", up_x)
        self.register_buffer("down_y", reducing(down, spec.down) if down.ndim == 1 else None)
        self.register_buffer("down", (down if down.ndim > 1 else down[None]).expand(MAPS, 1, -1, -1).contiguous())

    def forward(self, conv: Conv, x: Tensor) -> Tensor:
        """Map the convolution's input [N, I, H, W] to [N, O, H', W']."""
        spec, tall = self.spec, conv.out_height(x.shape[2])
        result = empty_map(x, conv.channels, spec.after.size)
        y, room = result.permute(0, 2, 3, 1), Room()
        pitch = up_to(math.ceil(self._between(y.shape[2]) / spec.up) + self.reach, BLOCK)
        left, right = max(self.left, 0), min(self.left + pitch, x.shape[3] + spec.kernel - 1)
        u, begin, end, largest = x.new_empty(len(x), 0, pitch, y.shape[3]), 0, 0, 0.0
        rows = up_to(ROWS, math.lcm(BLOCK, spec.up))
        for start in range(0, y.shape[1], rows):
            stop = min(start + rows, y.shape[1])
            first = start * spec.down // spec.up + self.above
            last = first + up_to(self._between(up_to(stop - start, BLOCK)), spec.up * BLOCK) // spec.up + self.reach
            low, high = max(first, 0), min(last, tall)
            # One row more, for the windows at the end of the last.
            given = room.take(f"u{start // rows % 2}", len(x), last - first + 1, pitch, y.shape[3])
            for border in (given[:, : low - first], given[:, high - first :]):
                border.zero_()
            end = max(end, low)
            given[:, low - first : end - first] = u[:, low - begin : end - begin]
            if end < high:
                new = run_rows([conv], x, end, high).permute(0, 2, 3, 1)
                largest = max(largest, *(abs(float(edge)) for edge in new.aminmax()))
                made = given[:, end - first : high - first]
                made[:, :, left - self.left : right - self.left] = new[:, :, left:right]
                for border in (made[:, :, : left - self.left], made[:, :, right - self.left :]):
                    border.zero_()
                end = high
            u, begin = given, first
            # Nothing can reach the limit unless the convolution's results are large.
            limit = self.clamp if self.clamp is not None and largest * self.gain > self.clamp else None
            for made, samples in zip(y[:, start:stop], u, strict=True):
                self._into(made, samples, limit, room)
        return result

    def _between(self, count: int) -> int:
        """Return how many samples of the non-linearity so many of the result take."""
        return (count - 1) * self.spec.down + self.taps

    def _into(self, y: Tensor, u: Tensor, limit: float | None, room: Room) -> None:
        """Fill in rows of the result from what is enlarged to them."""
        rows, columns, channels = y.shape
        parts = math.ceil(channels / MAPS)
        for made, part in zip(y.chunk(parts, dim=2), u.chunk(parts, dim=2), strict=True):
            made.copy_(self._filtered(part, limit, rows, room)[:, :columns])

    def _filtered(self, grid: Tensor, limit: float | None, rows: int, room: Room) -> Tensor:
        """Map samples [rows before, columns, maps] to [rows, columns, maps], with columns too many."""
        height, width, maps = grid.shape
        height, width, down = height - 1, width * self.spec.up, self.spec.down
        wide = banded(self.up_x, grid.flatten(0, 1), BLOCK, room, "wide")[: height * width]
        fine = F.leaky_relu_(banded(self.up_y, wide.view(height, -1), BLOCK, room, "fine"), 0.2)
        if limit is not None:
            fine.clamp_(-limit, limit)
        if self.down_y is not None:
            fine, stride = banded(self.down_y, fine, down * BLOCK, room, "few")[:rows], (1, down)
        else:
            fine, stride = fine[: self._between(rows)], (down, down)
        fine = fine.view(1, -1, width, maps).permute(0, 3, 1, 2)
        return F.conv2d(fine, self.down[:maps], stride=stride, groups=maps)[0].permute(1, 2, 0)


def up_to(count: int, unit: int) -> int:
    """Return the next multiple of a unit."""
    return -(-count // unit) * unit
