"""From seeds to latents and noise, as the official scripts draw them (docs/spec/TF.md 5)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

import numpy as np
import torch
from torch import Tensor


def latents_from_seeds(seeds: Iterable[int], z_dim: int) -> Tensor:
    """Return latents [len(seeds), z_dim] float32, each row what `RandomState(seed).randn(1, z_dim)` draws.

    Seeds are whole numbers from 0 to 2³² - 1; others raise ValueError.
    """
    rows = [generator.randn(1, z_dim) for generator in _seeded(seeds)]
    return torch.from_numpy(np.concatenate(rows or [np.zeros((0, z_dim))]).astype(np.float32))


def noise_from_seeds(seeds: Iterable[int], z_dim: int, sizes: Sequence[tuple[int, int]]) -> list[Tensor]:
    """Return the noise that the TensorFlow releases' scripts draw for seeds, right after z, in layer order.

    Args:
        seeds: one a picture.
        z_dim: length of z, which is drawn first.
        sizes: (height, width) of every noisy layer.

    Returns:
        One tensor [len(seeds), 1, H, W] float32 a layer, as `synthesis(ws, noise=...)` takes it.
    """
    drawn: list[list[np.ndarray]] = []
    for generator in _seeded(seeds):
        generator.randn(1, z_dim)
        drawn.append([generator.randn(1, 1, *size).astype(np.float32) for size in sizes])
    return [torch.from_numpy(np.concatenate(layer)) for layer in zip(*drawn, strict=True)]


def _seeded(seeds: Iterable[int]) -> Iterator[np.random.RandomState]:
    """Yield for each seed what `RandomState(seed)` is: one and the same, as making one takes longer than drawing z."""
    generator = np.random.RandomState(0)
    for seed in seeds:
        generator.seed(seed)
        yield generator
