"""Measures of the papers: how even a latent space is, and how real a discriminator finds pictures."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import torch
from torch import Tensor

from stylegan_torch.drawing.draw import labels_of
from stylegan_torch.editing.films.trajectories import slerp
from stylegan_torch.editing.latents import require_w
from stylegan_torch.networks.interface import Discriminator, Generator
from stylegan_torch.networks.path_lengths import path_lengths


@torch.inference_mode()
def perceptual_path_length(
    G: Generator,
    distance: Callable[[Tensor, Tensor], Tensor],
    *,
    samples: int = 1000,
    space: str = "w",
    epsilon: float = 1e-4,
    ends_only: bool = False,
    crop: bool = False,
    batch: int = 4,
    seed: int = 0,
) -> Tensor:
    """Return the perceptual path lengths [samples]: E d(x(t), x(t + ε)) / ε² (StyleGAN section 4.1).

    The papers report the mean with LPIPS as the distance; numbers of another distance compare with each other only.
    StyleGAN leaves out the lowest and highest percent, StyleGAN2 measures at the ends of paths.

    Args:
        G: a generator with W.
        distance: maps two batches of images [N, C, H, W] in [-1, 1] to distances [N] (`editing.perceptual`).
        samples: how many steps.
        space: "z" (slerp) or "w" (lerp).
        epsilon: the length of a step, as a share of a path.
        ends_only: measure at the beginning of each path rather than anywhere on it.
        crop: compare only the middle of FFHQ's pictures, the face: rows 3/8 to 7/8, columns 2/8 to 6/8.
        batch: steps at once.
        seed: of latents and places.
    """
    require_w(G)
    device = G.device
    generator = torch.Generator().manual_seed(seed)
    lengths = []
    for start in range(0, samples, batch):
        n = min(batch, samples - start)
        a, b = torch.randn(2, n, G.z_dim, generator=generator).to(device)
        t = torch.rand(n, generator=generator).double() * (not ends_only)
        c = labels_of(G, None, n).to(device)
        near = _between(G, a, b, t, c, space)
        far = _between(G, a, b, t + epsilon, c, space)
        noise = [stored[None, None] for stored in G.synthesis.noise_buffers()] or None
        images, others = (G.signed(G.synthesis(ws, noise=noise)) for ws in (near, far))
        if crop:
            images, others = _face(images), _face(others)
        lengths.append(distance(images, others).cpu() / epsilon**2)
    return torch.cat(lengths)


def _face(images: Tensor) -> Tensor:
    height, width = images.shape[2:]
    return images[:, :, 3 * height // 8 : 7 * height // 8, width // 4 : 3 * width // 4]


def _between(G: Generator, a: Tensor, b: Tensor, t: Tensor, c: Tensor, space: str) -> Tensor:
    if space == "z":
        return G.mapping(slerp(a, b, t.to(a)), c)
    start = G.mapping(a, c)
    return start.lerp(G.mapping(b, c), t.to(start)[:, None, None])


def path_length_norms(G: Generator, *, samples: int = 100, batch: int = 4, seed: int = 0) -> Tensor:
    """Return lengths [samples] of |Jᵀy|, random steps in W by the Jacobian (StyleGAN2 section 3.2).

    Their mean is a scale, and their spread around it what path-length regularisation makes small.

    Args:
        G: a generator with W, in its plain form.
        samples: how many ws.
        batch: ws at once.
        seed: of latents and directions.
    """
    require_w(G)
    device = G.device
    generator = torch.Generator().manual_seed(seed)
    lengths = []
    for start in range(0, samples, batch):
        n = min(batch, samples - start)
        z = torch.randn(n, G.z_dim, generator=generator).to(device)
        ws = G.mapping(z, labels_of(G, None, n).to(device)).detach().requires_grad_(True)
        images = G.synthesis(ws)
        y = torch.randn(images.shape, generator=generator).to(images)
        lengths.append(path_lengths(images, ws, y).detach().cpu())
    return torch.cat(lengths)


@torch.inference_mode()
def scores(D: Discriminator, batches: Iterable[Tensor], class_index: int | None = None) -> Tensor:
    """Return a discriminator's scores [N] of images, each by itself: higher is more like what it was trained on.

    Args:
        D: the discriminator.
        batches: images [n, C, H, W] in [-1, 1].
        class_index: the class they are judged as.

    Raises:
        NoClassError: if the network has no such class.
    """
    device = next(D.parameters()).device
    c = labels_of(D, class_index, 1).to(device)
    result = []
    for images in batches:
        # One by one: in a batch, minibatch standard deviation would make pictures depend on their neighbours.
        result += [D(image[None].to(device), c).cpu()[0, :1] for image in images]
    return torch.cat(result)
