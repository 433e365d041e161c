"""How far generated pictures are from a data set, without a pretrained network."""

from __future__ import annotations

import math
from collections.abc import Iterable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

_WIDTHS = (16, 32, 64, 128)


class RandomFeatures(nn.Module):
    """Random convolutions, the same at every run, whose feature maps are summed up by mean and spread.

    Random features tell apart what differs in colour, edges and arrangement (Ustyuzhaninov et al. 2016). Each level
    halves the size.
    """

    def __init__(self, img_channels: int = 3) -> None:
        super().__init__()
        generator = torch.Generator().manual_seed(0)
        widths = (img_channels, *_WIDTHS)
        self.kernels = nn.ParameterList(
            nn.Parameter(torch.randn(out, width, 3, 3, generator=generator) / math.sqrt(9 * width), requires_grad=False)
            for width, out in zip(widths, _WIDTHS, strict=False)
        )

    def forward(self, images: Tensor) -> Tensor:
        """Map images [N, C, H, W] in [-1, 1] to features [N, 2 · Σ widths]."""
        x, features = images, []
        for kernel in self.kernels:
            x = F.leaky_relu(F.conv2d(x, kernel, padding=1), 0.2) * math.sqrt(2)
            features += [x.mean(dim=(2, 3)), x.std(dim=(2, 3))]
            x = F.avg_pool2d(x, 2)
        return torch.cat(features, dim=1)


@torch.no_grad()
def features_of(batches: Iterable[Tensor], network: nn.Module) -> Tensor:
    """Return the features [N, D] of images that come in batches [n, C, H, W]."""
    return torch.cat([network(images) for images in batches])


def frechet_distance(a: Tensor, b: Tensor) -> float:
    """Return the Fréchet distance of two sets of features, seen as normal distributions (Heusel et al. 2017, FID).

    |μ₁ - μ₂|² + tr(Σ₁ + Σ₂ - 2 (Σ₁Σ₂)^½)

    Args:
        a: [N, D], N > 1.
        b: [M, D], M > 1.
    """
    a, b = a.double(), b.double()
    first, second = torch.cov(a.t()), torch.cov(b.t())
    values, vectors = torch.linalg.eigh(first)
    root = vectors * values.clamp(min=0).sqrt() @ vectors.t()  # (Σ₁Σ₂)^½ has the trace of (Σ₁^½ Σ₂ Σ₁^½)^½
    shared = torch.linalg.eigvalsh(root @ second @ root).clamp(min=0).sqrt().sum()
    apart = (a.mean(dim=0) - b.mean(dim=0)).square().sum()
    return float(apart + first.trace() + second.trace() - 2 * shared)
