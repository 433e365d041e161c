"""Convolutions 3×3 by a quarter of the multiplications (Winograd 1980; Lavin and Gray 2016).

A tile of 4×4 results takes 6×6 samples. Along either axis samples and kernel are the coefficients of polynomials; at
five points and at infinity their products are values of the polynomial of the results, which those determine. So a
tile takes 36 multiplications in place of 144, and all tiles together are 36 products of matrices.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from stylegan_torch.fast.room import Room

NEAR, FAR = 2 / 3, 4 / 3
"""The points are 0 and plus and minus these: with them float32 rounds about as a channels-last convolution does."""
TILE = 4
"""Results of a tile along an axis."""
TAKEN = TILE + 2
"""Samples that they take."""
VALUES = 3 << 19
"""Values of the samples of the tiles that are convolved at a time; about what stays in the caches."""


def suits(outputs: int, inputs: int, size: tuple[int, int]) -> bool:
    """Tell whether a convolution of so many feature maps of that size is faster so.

    What is saved grows with the product of both counts of feature maps, what is added with their sum. For small
    maps it would save little, and the transformed kernel takes four times the memory. StyleGAN3's convolutions are most
    of its work; other families, where other things are as much, got 1 to 3 % faster, which is not worth the memory.
    """
    return inputs * outputs >= 100 * (inputs + outputs) and size[0] * size[1] >= 4096


def transformed(weight: Tensor) -> Tensor:
    """Return the matrices [36, I, O] of a kernel [O, I, 3, 3]."""
    points = torch.tensor([0, NEAR, -NEAR, FAR, -FAR], dtype=torch.float64)
    others = (points[:, None] - points).fill_diagonal_(1).prod(dim=1)
    at_points = points[:, None] ** torch.arange(3) / others[:, None]
    values = torch.cat([at_points, torch.eye(3, dtype=torch.float64)[2:]])
    outputs, inputs, k, _ = weight.shape
    taps = weight.permute(2, 3, 1, 0).reshape(k * k, -1)
    return (torch.kron(values, values).to(weight) @ taps).view(-1, inputs, outputs)


def convolve(
    x: Tensor, matrices: Tensor, scale: Tensor | None, above: int, padding: int, rows: int, room: Room
) -> Tensor:
    """Return rows of a convolution [N, O, rows, W + 2 · padding - 2] of maps [N, I, H, W].

    Args:
        matrices: of the kernel, [36, I, O].
        scale: of the maps, [N, I, 1, 1].
        above: zero rows before the maps' first.
        padding: zero columns on either side.
    """
    (N, inputs, height, width), outputs = x.shape, matrices.shape[2]
    columns = width + 2 * padding - 2
    tall, wide = -(-rows // TILE), -(-columns // TILE)
    grid = room.take("grid", N, TILE * tall + 2, TILE * wide + 2, inputs)
    inside = grid[:, above : above + height, padding : padding + width]
    for border in (grid[:, :above], grid[:, above + height :], grid[:, :, :padding], grid[:, :, padding + width :]):
        border.zero_()
    samples = x.permute(0, 2, 3, 1)[:, : inside.shape[1]]
    inside.copy_(samples) if scale is None else torch.mul(samples, scale.permute(0, 2, 3, 1), out=inside)
    y = x.new_empty(N, TILE * tall, TILE * wide, outputs)
    count = max(VALUES // (N * wide * TAKEN**2 * max(inputs, outputs)), 1)
    for first in range(0, tall, count):
        n = min(count, tall - first)
        _tiles(grid[:, TILE * first : TILE * (first + n) + 2], matrices, y[:, TILE * first : TILE * (first + n)], room)
    return y.permute(0, 3, 1, 2)[:, :, :rows, :columns]


def _tiles(x: Tensor, matrices: Tensor, y: Tensor, room: Room) -> None:
    """Convolve whole tiles: x [N, 4n + 2, 4m + 2, I] to y [N, 4n, 4m, O]."""
    (N, height, width, inputs), outputs = x.shape, y.shape[3]
    n, m = height // TILE, width // TILE
    across = room.take("across", TAKEN, N, n, width, inputs)
    _samples([x[:, k : k + height - 5 : TILE] for k in range(TAKEN)], across.unbind())
    both = room.take("both", TAKEN, TAKEN, N, n, m, inputs)
    _samples([across[:, :, :, k : k + width - 5 : TILE] for k in range(TAKEN)], both.unbind(1))
    products = room.take("products", TAKEN**2, N * n * m, outputs)
    torch.bmm(both.view(TAKEN**2, -1, inputs), matrices, out=products)
    half = room.take("half", TILE, TAKEN, N, n, m, outputs)
    _results(products.view(TAKEN, TAKEN, N, n, m, outputs).unbind(), half.unbind())
    tiles = y.view(N, n, TILE, m, TILE, outputs).permute(2, 4, 0, 1, 3, 5)
    _results(half.unbind(1), tiles.unbind(1))


def _samples(x: Sequence[Tensor], values: Sequence[Tensor]) -> None:
    """Make six samples the values that a kernel's are multiplied by: at 0, ± NEAR, ± FAR and infinity."""
    for point, other, plus, minus in ((NEAR, FAR, 1, 2), (FAR, NEAR, 3, 4)):
        even = torch.sub(x[4], x[2], alpha=other**2)
        odd = torch.sub(x[3], x[1], alpha=other**2)
        torch.add(even, odd, alpha=point, out=values[plus])
        torch.sub(even, odd, alpha=point, out=values[minus])
    # The last are those of FAR, which lack the factor x² - FAR².
    torch.sub(even, x[2], alpha=FAR**2, out=values[0]).add_(x[0], alpha=(NEAR * FAR) ** 2)
    torch.sub(x[5], x[3], alpha=NEAR**2, out=values[5]).sub_(odd, alpha=FAR**2)


def _results(products: Sequence[Tensor], y: Sequence[Tensor]) -> None:
    """Make products at six points four results."""
    zero, plus, minus, far_plus, far_minus, infinity = products
    even, odd, far_even, far_odd = plus + minus, plus - minus, far_plus + far_minus, far_plus - far_minus
    torch.add(zero, even, out=y[0]).add_(far_even)
    torch.mul(odd, NEAR, out=y[1]).add_(far_odd, alpha=FAR)
    torch.mul(even, NEAR**2, out=y[2]).add_(far_even, alpha=FAR**2)
    torch.add(infinity, odd, alpha=NEAR**3, out=y[3]).add_(far_odd, alpha=FAR**3)
