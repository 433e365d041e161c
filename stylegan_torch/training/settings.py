"""How to train: numbers of the papers by family, and schedules."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from stylegan_torch.errors import CheckpointError
from stylegan_torch.networks.registry import decode
from stylegan_torch.training.ada import GROUPS, USUAL_GROUPS
from stylegan_torch.types import Json, JsonObject


@dataclass(frozen=True)
class Settings:
    """How to train. kimg are thousands of real pictures shown to the discriminator.

    kimg: how long. batch: pictures of a step, over all processes.
    loss: "logistic" (non-saturating) or "wgan" (with gradient penalty and drift).
    g_lr, d_lr, betas: of Adam.
    r1_gamma, r1_interval: weight of R1 and every how many steps it is added (lazily); gamma 0 = never.
    gradient_penalty, drift: weights with "wgan". label_weight: of the auxiliary classifier of ProGAN.
    path_length_weight, path_length_interval, path_length_shrink: the last is how much smaller its batch is.
    style_mixing: share of pictures made with two ws.
    w_avg_beta: what stays of the mean w at each step.
    ema_kimg, ema_rampup: half-life of the generator's average; the latter limits it to a share of what was shown.
    augment: "none", "ada" or "fixed". augment_groups: of `ada.GROUPS`.
    augment_target, augment_kimg: wanted mean sign of real scores, and in how many kimg the probability can go from 0
        to 1. augment_p: where it begins, or stays if it is fixed.
    freeze_d: how many of the discriminator's layers, from the picture on, stay as they are (Freeze-D section 2).
    flip: show pictures mirrored half of the time.
    subset: train on so many of the pictures, chosen by the seed; None = all.
    grow_from: side of the pictures that progressive growing begins with; None = no growing. grow_kimg, fade_kimg: how
        long each size is trained, and how long the next is faded in.
    batches, learning_rates: by picture side while growing; `batch` and both rates hold where a side is missing.
    blur_sigma, blur_kimg: StyleGAN3 blurs what the discriminator sees at first, by so many pixels, less and less,
        until blur_kimg.
    seed: everything random follows from it.
    """

    kimg: float = 1000.0
    batch: int = 32
    loss: Literal["logistic", "wgan"] = "logistic"
    g_lr: float = 0.002
    d_lr: float = 0.002
    betas: tuple[float, float] = (0.0, 0.99)
    r1_gamma: float = 10.0
    r1_interval: int = 16
    gradient_penalty: float = 10.0
    drift: float = 0.001
    label_weight: float = 1.0
    path_length_weight: float = 2.0
    path_length_interval: int = 4
    path_length_shrink: int = 2
    style_mixing: float = 0.9
    w_avg_beta: float = 0.995
    ema_kimg: float = 10.0
    ema_rampup: float | None = None
    augment: Literal["none", "ada", "fixed"] = "none"
    augment_groups: tuple[str, ...] = USUAL_GROUPS
    augment_target: float = 0.6
    augment_kimg: float = 500.0
    augment_p: float = 0.0
    freeze_d: int = 0
    flip: bool = False
    subset: int | None = None
    grow_from: int | None = None
    grow_kimg: float = 600.0
    fade_kimg: float = 600.0
    batches: dict[int, int] = field(default_factory=dict)
    learning_rates: dict[int, float] = field(default_factory=dict)
    blur_sigma: float = 0.0
    blur_kimg: float = 200.0
    seed: int = 0

    def __post_init__(self) -> None:
        values = {**vars(self), "beta 1": self.betas[0], "beta 2": self.betas[-1], "number of betas": len(self.betas)}
        values |= {f"batches of {side}": value for side, value in self.batches.items()}
        values |= {f"learning_rates of {side}": value for side, value in self.learning_rates.items()}
        for name, value in values.items():
            low, high = _RANGES.get(name.partition(" of ")[0], _RANGES.get(name, (-math.inf, math.inf)))
            if isinstance(value, int | float) and not low <= value <= high:
                raise CheckpointError(f"setting {name} is {value:g}; it must be from {low:g} to {high:g}")
        strange = [group for group in self.augment_groups if group not in GROUPS]
        if strange:
            raise CheckpointError(f"setting augment_groups has {strange[0]!r}; there are {', '.join(GROUPS)}")
        if self.augment == "fixed" and not self.augment_p:
            raise CheckpointError("setting augment is fixed, but augment_p is 0: give the probability (--p)")
        if self.grow_from is not None and self.grow_from & (self.grow_from - 1):
            raise CheckpointError(f"setting grow_from is {self.grow_from}, not a power of two")


_MANY = 1e12
_RANGES: dict[str, tuple[float, float]] = {
    **dict.fromkeys(
        ("batch", "batches", "r1_interval", "path_length_interval", "path_length_shrink", "subset"), (1, _MANY)
    ),
    **dict.fromkeys(
        ("kimg", "r1_gamma", "gradient_penalty", "drift", "label_weight", "path_length_weight"), (0, _MANY)
    ),
    **dict.fromkeys(("g_lr", "d_lr", "learning_rates", "ema_kimg", "grow_kimg", "fade_kimg", "blur_sigma"), (0, _MANY)),
    **dict.fromkeys(("style_mixing", "w_avg_beta", "augment_p", "beta 1", "beta 2"), (0, 1)),
    **dict.fromkeys(("augment_kimg", "blur_kimg"), (0.001, _MANY)),
    **dict.fromkeys(("ema_rampup", "freeze_d", "seed"), (0, _MANY)),
    "augment_target": (-1, 1),
    "grow_from": (4, 1 << 20),
    "number of betas": (2, 2),
}
"""What makes sense; neither infinity nor what is not a number does."""
_NO_PATH_LENGTHS = {"path_length_weight": 0.0}
PRESETS: dict[str, JsonObject] = {
    "progan": {"loss": "wgan", "g_lr": 0.001, "d_lr": 0.001, "r1_gamma": 0.0, "style_mixing": 0.0, **_NO_PATH_LENGTHS},
    "stylegan1": {"g_lr": 0.001, "d_lr": 0.001, "r1_interval": 1, **_NO_PATH_LENGTHS},
    "stylegan2": {},
    "stylegan3": {"g_lr": 0.0025, "w_avg_beta": 0.998, "style_mixing": 0.0, **_NO_PATH_LENGTHS},
}
"""What the papers of a family set otherwise than the defaults, which are StyleGAN2's."""


def preset(family: str, given: Mapping[str, Json] | None = None) -> Settings:
    """Return the settings of a family, with those given, as plain data, in place of its own.

    Raises:
        CheckpointError: naming a setting that does not exist, or has a value of the wrong type or out of range.
    """
    return decode(Settings, {**PRESETS[family], **(given or {})})


def grown_lod(settings: Settings, img_resolution: int, shown: int) -> float:
    """Return the level of detail after so many pictures (ProGAN section 2 and appendix A); 0 = full size."""
    if settings.grow_from is None:
        return 0.0
    phase = settings.grow_kimg + settings.fade_kimg
    done, within = divmod(shown / 1000, phase)
    lod = math.log2(img_resolution / settings.grow_from) - done
    if settings.fade_kimg:
        lod -= max(within - settings.grow_kimg, 0.0) / settings.fade_kimg
    return max(lod, 0.0)
