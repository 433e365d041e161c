"""How far pictures move with w: what StyleGAN2 regularises, and what is measured of any generator."""

from __future__ import annotations

import math

import torch
from torch import Tensor


def path_lengths(images: Tensor, ws: Tensor, directions: Tensor) -> Tensor:
    """Return [N] lengths |Jᵀy| of random steps in W (StyleGAN2 section 3.2, appendix B).

    Args:
        images: [N, C, H, W], made from ws.
        ws: [N, num_ws, w_dim] that require gradients.
        directions: y ~ N(0, 1), of the shape of the images; it is scaled here so that lengths don't depend on their
            size.
    """
    scaled = directions / math.sqrt(images.shape[2] * images.shape[3])
    (slopes,) = torch.autograd.grad((images * scaled).sum(), ws, create_graph=True)
    return slopes.square().sum(dim=2).mean(dim=1).sqrt()
