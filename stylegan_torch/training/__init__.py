"""Training: the papers' losses and regularisers as plain functions, and a loop that works on every family.

The functions need nothing but PyTorch; `training.trainer`, `training.run` and `training.start` need the extra `train`.
What belongs to the networks themselves is in their modules: minibatch standard deviation
(`layers.minibatch_stddev`), equalized learning rates and their multipliers (`layers.Linear`).
"""

from stylegan_torch.networks.path_lengths import path_lengths
from stylegan_torch.training.ada import Overfitting, augment
from stylegan_torch.training.losses import (
    ema_beta,
    gradient_penalty,
    label_loss,
    lazy_adam,
    logistic_d_loss,
    logistic_g_loss,
    mix_styles,
    path_length_penalty,
    r1_penalty,
    wgan_d_loss,
    wgan_g_loss,
)
from stylegan_torch.training.settings import Settings, grown_lod, preset

__all__ = [
    "Overfitting",
    "Settings",
    "augment",
    "ema_beta",
    "gradient_penalty",
    "grown_lod",
    "label_loss",
    "lazy_adam",
    "logistic_d_loss",
    "logistic_g_loss",
    "mix_styles",
    "path_length_penalty",
    "path_lengths",
    "preset",
    "r1_penalty",
    "wgan_d_loss",
    "wgan_g_loss",
]
