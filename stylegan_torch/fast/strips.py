"""Convolutions in horizontal strips: what makes large pictures fast on a CPU.

A fresh tensor of some ten megabytes costs more in page faults than in arithmetic, and has left the caches before the
next operation reads it. So a chain of layers runs strip by strip: for some rows of the last layer's result, each layer
before it makes just the rows that are needed, a few more than asked for, and no whole feature map ever exists between.

All tensors are [N, C, H, W] in the channels-last layout, which CPUs convolve fastest.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Protocol

import torch
import torch.nn.functional as F
from torch import Tensor

from stylegan_torch.fast import winograd
from stylegan_torch.fast.room import Room

STRIP = 1 << 21
"""Values in a strip of a layer's result; about what stays in the second-level caches of two cores."""
Finish = Callable[[Tensor, int], Tensor]
"""Noise, bias and activation of some rows, in place; the number is that of the first row."""


class Stage(Protocol):
    """A layer that makes rows `start` to `stop` of its result from rows of a map of `height` rows."""

    def out_height(self, height: int) -> int:
        """Return how many rows there are to make."""

    def reach(self, start: int, stop: int, height: int) -> tuple[int, int]:
        """Return which rows that takes."""

    def run(self, x: Tensor, first: int, start: int, stop: int, height: int) -> Tensor:
        """Make them from the rows that it takes, which begin with row `first`."""


def rows_of(y: Tensor, start: int, stop: int) -> Tensor:
    """Return some rows of a map; no view of it if they are all, which graphs would write back into it."""
    return y if (start, stop) == (0, y.shape[2]) else y[:, :, start:stop]


@dataclass(frozen=True)
class Conv:
    """A convolution; `scale` [N, I, 1, 1] for its input.

    weight: [O, I, k, k], or the matrices [36, I, O] that `winograd.transformed` makes of one with k = 3.
    padding: zeros around the input; None = as many as keep the size.
    room: where the maps are, for those matrices.
    """

    weight: Tensor
    bias: Tensor | None
    finish: Finish
    scale: Tensor | None = None
    padding: int | None = None
    room: Room = field(default_factory=Room)

    @property
    def channels(self) -> int:
        """The feature maps of the result."""
        return self.weight.shape[2 if self._by_tiles else 0]

    @property
    def _by_tiles(self) -> bool:
        return self.weight.ndim == 3

    def _pads(self) -> tuple[int, int]:
        """Return how many rows before a row it takes, and how many after."""
        k = 3 if self._by_tiles else self.weight.shape[-1]
        before = k // 2 if self.padding is None else self.padding
        return before, k - 1 - before

    def out_height(self, height: int) -> int:
        """Return how many rows there are to make."""
        before, after = self._pads()
        return height + before - after

    def reach(self, start: int, stop: int, height: int) -> tuple[int, int]:
        """Return the rows and their neighbours."""
        before, after = self._pads()
        return max(start - before, 0), min(stop + after, height)

    def run(self, x: Tensor, first: int, start: int, stop: int, height: int) -> Tensor:
        """Make rows `start` to `stop`."""
        (p, after), last = self._pads(), first + x.shape[2]
        if self._by_tiles:
            y = winograd.convolve(x, self.weight, self.scale, first - start + p, p, stop - start, self.room)
            return self.finish(y if self.bias is None else y.add_(self.bias[:, None, None]), start)
        x = x if self.scale is None else x * self.scale
        if self.weight.shape[-1] == 1 and not p and in_pieces(x):  # PyTorch's convolution is slow here for one thread
            x = x[:, :, start - first : stop - first].permute(0, 2, 3, 1)
            return self.finish(F.linear(x, self.weight[:, :, 0, 0], self.bias).permute(0, 3, 1, 2), start)
        if (first, last) == (start - p, stop + after):
            y = F.conv2d(x, self.weight, self.bias, padding=(0, p))
        else:
            y = rows_of(F.conv2d(x, self.weight, self.bias, padding=p), start - first, stop - first)
        return self.finish(y, start)


@dataclass(frozen=True)
class Depthwise:
    """A filter [C, 1, n, n] that correlates every feature map, zero padded to keep the size (`layers.blur2d`)."""

    weight: Tensor
    finish: Finish
    bias: Tensor | None = None

    def out_height(self, height: int) -> int:
        """Return the same."""
        return height

    def reach(self, start: int, stop: int, height: int) -> tuple[int, int]:
        """Return the rows and their neighbours."""
        n = self.weight.shape[-1]
        return max(start - (n - 1) // 2, 0), min(stop + n // 2, height)

    def run(self, x: Tensor, first: int, start: int, stop: int, height: int) -> Tensor:
        """Make rows `start` to `stop`."""
        n, last = self.weight.shape[-1], first + x.shape[2]
        before, after = (n - 1) // 2, n // 2
        above, below, even = first - (start - before), stop + after - last, before == after
        if above or below or not even:  # otherwise the convolution pads by itself, and nothing is copied
            x = F.pad(x, (0 if even else before, 0 if even else after, above, below))
        y = F.conv2d(x, self.weight, self.bias, padding=(0, before if even else 0), groups=x.shape[1])
        return self.finish(y, start)


@dataclass(frozen=True)
class Normalize:
    """(x - mean) · scale + shift, each [C]."""

    mean: Tensor
    scale: Tensor
    shift: Tensor

    def out_height(self, height: int) -> int:
        """Return the same."""
        return height

    def reach(self, start: int, stop: int, height: int) -> tuple[int, int]:
        """Return the same rows."""
        return start, stop

    def run(self, x: Tensor, first: int, start: int, stop: int, height: int) -> Tensor:
        """Make rows `start` to `stop`."""
        return F.batch_norm(x, self.mean, torch.ones_like(self.mean), self.scale, self.shift, eps=0.0)


class Moments:
    """Means and variances of the feature maps of [1, C, ., .], which come strip by strip."""

    def __init__(self) -> None:
        self._strips: list[tuple[int, Tensor, Tensor]] = []

    def add(self, strip: Tensor) -> None:
        """Take in a strip."""
        zero = torch.zeros(strip.shape[1])  # in float32, so that the results are
        mean, variance = torch.batch_norm_update_stats(strip, zero, zero + 1, 0.0)
        self._strips.append((strip.shape[2], mean.double(), variance.double()))

    def total(self) -> tuple[Tensor, Tensor]:
        """Return mean and variance [C] of all."""
        heights, means, variances = zip(*self._strips, strict=True)
        share = (torch.tensor(heights).double() / sum(heights))[:, None]
        mean = (share * torch.stack(means)).sum(dim=0)
        variance = (share * (torch.stack(variances) + (torch.stack(means) - mean).square())).sum(dim=0)
        return mean.float(), variance.float()


@dataclass(frozen=True)
class UpConv:
    """An enlarging convolution: transposed with stride 2, then smoothed (`layers.conv2d_up`).

    weight: [I, O, k, k].
    blur: [O, 1, n, n], the filter to correlate with, gain included.
    bias: goes in with the filter.
    before: zeros before the first row and column of what is smoothed; less than 0 = that many are cut off.
    """

    weight: Tensor
    blur: Tensor
    bias: Tensor | None
    before: int
    finish: Finish
    scale: Tensor | None = None

    def out_height(self, height: int) -> int:
        """Return twice the height."""
        return 2 * height

    def _between(self, start: int, stop: int, height: int) -> tuple[int, int]:
        """Return the rows of the transposed convolution that some rows are smoothed from."""
        n, k = self.blur.shape[-1], self.weight.shape[-1]
        return max(start - self.before, 0), min(stop - self.before + n - 1, 2 * height - 2 + k)

    def reach(self, start: int, stop: int, height: int) -> tuple[int, int]:
        """Return the rows that touch them."""
        low, high = self._between(start, stop, height)
        return max((low - self.weight.shape[-1] + 2) // 2, 0), min((high - 1) // 2 + 1, height)

    def run(self, x: Tensor, first: int, start: int, stop: int, height: int) -> Tensor:
        """Make rows `start` to `stop`."""
        n, k = self.blur.shape[-1], self.weight.shape[-1]
        low, high = self._between(start, stop, height)
        x = x if self.scale is None else x * self.scale
        y = F.conv_transpose2d(x, self.weight, stride=2)[:, :, low - 2 * first : high - 2 * first]
        above, below = low - (start - self.before), stop - self.before + n - 1 - high
        left, right = self.before, 2 * x.shape[3] - self.before + n - 1 - (2 * x.shape[3] - 2 + k)
        even = left == right >= 0  # then the convolution pads by itself, and nothing is copied
        if above or below or not even:
            y = F.pad(y, (0 if even else left, 0 if even else right, above, below))
        y = F.conv2d(y, self.blur, self.bias, padding=(0, left if even else 0), groups=y.shape[1])
        return self.finish(y, start)


@dataclass(frozen=True)
class PhaseUpConv:
    """What `UpConv` does as one convolution to the four kinds of pixels that lie around each given one.

    weight: [4·O, I, k, k], as of `phase_kernel`. bias: [4·O].
    """

    weight: Tensor
    bias: Tensor | None
    finish: Finish
    scale: Tensor | None = None

    def out_height(self, height: int) -> int:
        """Return twice the height."""
        return 2 * height

    def reach(self, start: int, stop: int, height: int) -> tuple[int, int]:
        """Return the rows that lie around them."""
        p = self.weight.shape[-1] // 2
        return max(start // 2 - p, 0), min((stop + 1) // 2 + p, height)

    def run(self, x: Tensor, first: int, start: int, stop: int, height: int) -> Tensor:
        """Make rows `start` to `stop`."""
        x = x if self.scale is None else x * self.scale
        y = interleaved(F.conv2d(x, self.weight, self.bias, padding=self.weight.shape[-1] // 2))
        return self.finish(rows_of(y, start - 2 * first, stop - 2 * first), start)


def phase_kernel(weight: Tensor, blur: Tensor, before: int) -> Tensor:
    """Return the kernel [4·O, I, n, n] of `PhaseUpConv`, row by row of each 2×2 pixels.

    Args:
        weight: [O, I, k, k].
        blur, before: as of `UpConv`, the filter [n, n].
    """
    outputs, inputs, k, _ = weight.shape
    n = blur.shape[-1]
    flat = F.pad(weight, (n - 1,) * 4).reshape(outputs * inputs, 1, k + 2 * (n - 1), -1)
    both = F.conv2d(flat, blur[None, None]).reshape(outputs, inputs, k + n - 1, -1)  # of the transposed convolution
    # Pixel 2i + d takes x[i + t] times tap d + s - 2t.
    s, taps = n - 1 - before, k + n - 1
    reach = max((1 + s) // 2, (taps - 1 - s) // 2, 0)
    t = torch.arange(-reach, reach + 1, device=weight.device)
    places = torch.stack([s - 2 * t, 1 + s - 2 * t]).flatten()
    edge = int(places.abs().max()) + taps
    both = F.pad(both, (edge, edge, edge, edge))[:, :, places + edge][:, :, :, places + edge]
    return both.reshape(outputs, inputs, 2, len(t), 2, len(t)).permute(2, 4, 0, 1, 3, 5).flatten(0, 2)


def interleaved(y: Tensor) -> Tensor:
    """Return pixels of four kinds [N, 4·O, H, W] in their places, [N, O, 2H, 2W], in the same layout."""
    N, channels, H, W = y.shape
    kinds = y.reshape(N, 2, 2, channels // 4, H, W)
    if y.is_contiguous():
        return kinds.permute(0, 3, 4, 1, 5, 2).reshape(N, -1, 2 * H, 2 * W)
    return kinds.permute(0, 4, 1, 5, 2, 3).reshape(N, 2 * H, 2 * W, -1).permute(0, 3, 1, 2)


@dataclass(frozen=True)
class NearestUpConv:
    """An enlargement by repetition and a convolution in one: `weight` [I, O, 4, 4] (`layers.conv2d_nearest_up`)."""

    weight: Tensor
    bias: Tensor | None
    finish: Finish

    def out_height(self, height: int) -> int:
        """Return twice the height."""
        return 2 * height

    def reach(self, start: int, stop: int, height: int) -> tuple[int, int]:
        """Return the rows that touch them."""
        return max((start - 1) // 2, 0), min(stop // 2 + 1, height)

    def run(self, x: Tensor, first: int, start: int, stop: int, height: int) -> Tensor:
        """Make rows `start` to `stop`."""
        y = F.conv_transpose2d(x, self.weight, self.bias, stride=2, padding=1)
        return self.finish(rows_of(y, start - 2 * first, stop - 2 * first), start)


def run(stages: Sequence[Stage], x: Tensor, rows: int) -> Iterator[tuple[int, int, Tensor]]:
    """Yield first row, row after the last, and these rows of the last stage's result, `rows` at a time."""
    height = x.shape[2]
    for stage in stages:
        height = stage.out_height(height)
    for start in range(0, height, rows):
        stop = min(start + rows, height)
        yield start, stop, run_rows(stages, x, start, stop)


def run_rows(stages: Sequence[Stage], x: Tensor, start: int, stop: int) -> Tensor:
    """Return rows `start` to `stop` of the last stage's result."""
    heights = [x.shape[2]]
    for stage in stages[:-1]:
        heights.append(stage.out_height(heights[-1]))
    wanted = [(start, stop)]
    for stage, height in zip(reversed(stages), reversed(heights), strict=True):
        wanted.append(stage.reach(*wanted[-1], height))
    wanted.reverse()
    y = x[:, :, wanted[0][0] : wanted[0][1]]
    for stage, height, have, want in zip(stages, heights, wanted, wanted[1:], strict=False):
        y = stage.run(y, have[0], *want, height)
    return y


_WHOLE: ContextVar[bool] = ContextVar("_WHOLE", default=False)


@contextmanager
def whole_batches() -> Iterator[None]:
    """Until the block ends, make and run fast forms for whole maps and batches of any size, to be made graphs."""
    token = _WHOLE.set(True)
    try:
        yield
    finally:
        _WHOLE.reset(token)


def for_graphs() -> bool:
    """Tell whether fast forms are made graphs."""
    return _WHOLE.get()


def in_pieces(x: Tensor) -> bool:
    """Tell whether strips and single pictures are better than whole maps and batches: where caches matter, on a CPU."""
    return x.is_cpu and not for_graphs()


def strip_rows(x: Tensor, channels: int, size: tuple[int, int]) -> int:
    """Return how many rows a strip of a map of that size should have, made from `x`."""
    height, width = size
    return min(max(STRIP // (channels * width), 8), height) if in_pieces(x) else height
