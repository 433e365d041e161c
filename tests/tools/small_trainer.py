"""A trainer of small networks."""

from __future__ import annotations

from typing import Any

from accelerate import Accelerator

import converter
from stylegan_torch.networks import progan, stylegan3
from stylegan_torch.training.recipes import networks_of
from stylegan_torch.training.settings import preset
from stylegan_torch.training.trainer import Trainer
from tests import DATA
from tests.tools.train_together import random_pictures


def trainer_of(name: str, at_once: int | None = None, **given: Any) -> Trainer:
    """Return a trainer of the networks in a file of `tests/data`."""
    networks = networks_of(converter.load(DATA / name))
    G = networks["G"]
    data = random_pictures(24, G.img_resolution, G.c_dim, G.img_channels)
    family = {progan.Generator: "progan", stylegan3.Generator: "stylegan3"}.get(type(G))
    family = family or ("stylegan1" if name.startswith("sg1") else "stylegan2")
    settings = preset(family, {"batch": 4 if family == "stylegan3" else 8, **given})
    return Trainer(
        G, networks["D"], networks["G_ema"], data, settings, accelerator=Accelerator(cpu=True), at_once=at_once
    )
