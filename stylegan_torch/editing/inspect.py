"""Looking into a generator: what its layers make, what its noise does, what truncation does."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from stylegan_torch.drawing.draw import noise_sizes
from stylegan_torch.editing.latents import require_w
from stylegan_torch.networks.interface import Generator
from stylegan_torch.networks.layers import truncate


def noise_strengths(G: Generator) -> dict[str, float]:
    """Return how strongly each noisy layer adds noise, by the layer's name: the mean absolute weight.

    It is what multiplies N(0, 1) noise before the layer's bias.
    """
    return {
        name.removesuffix(".noise_strength").removeprefix("synthesis."): value.abs().mean().item()
        for name, value in G.named_parameters()
        if name.endswith("noise_strength")
    }


def average_ws(G: Generator) -> Tensor:
    """Return the mean w as ws [1, num_ws, w_dim]: the picture at truncation 0."""
    require_w(G)
    anything = torch.zeros(1, G.num_ws, G.w_dim, device=G.device)
    return truncate(anything, G.mapping.w_avg, 0.0, None)


def truncation_sweep(G: Generator, ws: Tensor, psis: Sequence[float]) -> Tensor:
    """Return ws [N, P, num_ws, w_dim] truncated by each psi (StyleGAN appendix B, figure 8).

    Args:
        G: the generator.
        ws: [N, num_ws, w_dim], not truncated.
        psis: P values; 1 = as they are, 0 = the mean, -1 = the opposite.
    """
    w_avg = None if G.mapping.w_avg is None else G.mapping.w_avg.to(ws)
    return torch.stack([truncate(ws, w_avg, psi, None) for psi in psis], dim=1)


@torch.inference_mode()
def noise_variance(G: Generator, ws: Tensor, *, draws: int = 50, seed: int = 0) -> Tensor:
    """Return the standard deviation [N, H, W] of images over random noise (StyleGAN figure 4c), averaged over channels.

    Args:
        G: a generator.
        ws: [N, num_ws, w_dim].
        draws: of noise.
        seed: of the noise.
    """
    device = ws.device
    generator = torch.Generator(device).manual_seed(seed)
    sizes = noise_sizes(G)
    result = []
    for each in ws:
        images = []
        for _ in range(draws):
            drawn = [torch.randn(1, 1, *size, generator=generator, device=device) for size in sizes]
            noise = [G.synthesis.noise_of(each) for each in drawn]
            images.append(G.synthesis(each[None], noise=noise or None)[0])
        result.append(torch.stack(images).std(dim=0).mean(dim=0))
    return torch.stack(result)


def nearest(w: Tensor, others: Tensor, count: int = 1) -> tuple[Tensor, Tensor]:
    """Return which of a set of latents are nearest, and how far [N, count], nearest first.

    Args:
        w: [N, w_dim] or [N, num_ws, w_dim].
        others: [M, ...] of the same kind.
        count: how many.
    """
    # Through products, which is faster, what is the same would be some way off.
    distances = torch.cdist(w.flatten(1), others.flatten(1), compute_mode="donot_use_mm_for_euclid_dist")
    found = distances.topk(min(count, len(others)), dim=1, largest=False)
    return found.indices, found.values
