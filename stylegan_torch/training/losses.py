"""Losses and regularisers of the papers, as plain functions of scores, images and networks."""

from __future__ import annotations

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor


def logistic_d_loss(real_scores: Tensor, fake_scores: Tensor) -> Tensor:
    """Return the discriminator's logistic loss (GAN equation 1), a scalar.

    Args:
        real_scores: [N, 1], logits of pictures of the data set.
        fake_scores: [N, 1], logits of generated pictures.
    """
    return F.softplus(fake_scores).mean() + F.softplus(-real_scores).mean()


def logistic_g_loss(fake_scores: Tensor) -> Tensor:
    """Return the generator's non-saturating logistic loss (GAN section 3), a scalar."""
    return F.softplus(-fake_scores).mean()


def wgan_d_loss(real_scores: Tensor, fake_scores: Tensor, drift: float = 0.001) -> Tensor:
    """Return the critic's Wasserstein loss (Arjovsky et al. 2017), a scalar.

    `drift` keeps real scores near zero (ProGAN appendix A.1).
    """
    return fake_scores.mean() - real_scores.mean() + drift * real_scores.square().mean()


def wgan_g_loss(fake_scores: Tensor) -> Tensor:
    """Return the generator's Wasserstein loss, a scalar."""
    return -fake_scores.mean()


def gradient_penalty(
    score: Callable[[Tensor], Tensor], real: Tensor, fake: Tensor, *, share: Tensor, target: float = 1.0
) -> Tensor:
    """Return how far the critic's slope between real and generated pictures is from `target` (WGAN-GP equation 3).

    Args:
        score: maps images to scores [N, 1].
        real: images [N, C, H, W].
        fake: the same shape.
        share: [N] in [0, 1]; where between the two each slope is taken.
        target: the wanted slope.

    Returns:
        The scalar E[(|∇| - target)²] / target².
    """
    images = real.detach().lerp(fake.detach(), share[:, None, None, None]).requires_grad_(True)
    (slopes,) = torch.autograd.grad(score(images).sum(), images, create_graph=True)
    norms = slopes.square().sum(dim=(1, 2, 3)).sqrt()
    return (norms - target).square().mean() / target**2


def r1_penalty(images: Tensor, scores: Tensor) -> Tensor:
    """Return E[|∇D|²] at real pictures (R1 equation 9), a scalar; the papers add γ/2 times it.

    Args:
        images: [N, C, H, W] that require gradients.
        scores: [N, 1], computed from them.
    """
    (slopes,) = torch.autograd.grad(scores.sum(), images, create_graph=True)
    return slopes.square().sum(dim=(1, 2, 3)).mean()


def path_length_penalty(lengths: Tensor, mean: Tensor) -> Tensor:
    """Return E[(length - mean)²], a scalar; `mean` is the running average of lengths (StyleGAN2 equation 4)."""
    return (lengths - mean).square().mean()


def label_loss(logits: Tensor, labels: Tensor) -> Tensor:
    """Return the cross-entropy of an auxiliary classifier [N, c_dim] (AC-GAN, Odena et al. 2017; ProGAN's labels)."""
    return -(labels * F.log_softmax(logits, dim=1)).sum(dim=1).mean()


def mix_styles(ws: Tensor, others: Tensor, cutoffs: Tensor) -> Tensor:
    """Take each sample's first `cutoffs` rows from `ws`, the rest from `others` (StyleGAN section 3.1).

    Args:
        ws: [N, num_ws, w_dim].
        others: the same shape.
        cutoffs: [N], whole numbers; num_ws and more = no mixing.
    """
    rows = torch.arange(ws.shape[1], device=ws.device)
    return torch.where((rows < cutoffs[:, None])[:, :, None], ws, others)


def lazy_adam(lr: float, betas: tuple[float, float], interval: int) -> tuple[float, tuple[float, float]]:
    """Return learning rate and betas of Adam for a regulariser of every `interval`-th step (StyleGAN2 appendix B).

    They make up for the steps that the regulariser adds; its weight is to be multiplied by the interval. 0 or 1 leave
    both as they are.
    """
    if interval <= 1:
        return lr, betas
    share = interval / (interval + 1)
    return lr * share, (betas[0] ** share, betas[1] ** share)


def ema_beta(batch: int, half_life_kimg: float, *, shown: int = 0, rampup: float | None = None) -> float:
    """Return how much of an average stays after a batch, so that half is left after `half_life_kimg` thousand pictures.

    Args:
        batch: pictures of a step.
        half_life_kimg: ProGAN and StyleGAN about 10.
        shown: pictures so far.
        rampup: limits the half-life to this share of `shown` at the beginning (StyleGAN2-ADA, 0.05); None = no limit.
    """
    half_life = half_life_kimg * 1000
    if rampup is not None:
        half_life = min(half_life, shown * rampup)
    return 0.5 ** (batch / half_life) if half_life else 0.0
