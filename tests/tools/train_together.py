"""A program that some processes run together: a few steps of training, whose networks the first of them saves.

torchrun --nproc-per-node 2 tests/tools/train_together.py recipe.toml networks.pt
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from accelerate import Accelerator

import stylegan_torch
from stylegan_torch.training.dataset import Dataset
from stylegan_torch.training.recipes import new_networks, read_recipe
from stylegan_torch.training.settings import preset
from stylegan_torch.training.trainer import Trainer


def random_pictures(count: int, side: int, classes: int = 0, channels: int = 3) -> Dataset:
    """Return a data set of soft random colours."""
    rng = np.random.default_rng(0)
    coarse = rng.integers(0, 255, (count, channels, side // 4, side // 4))
    pictures = coarse.repeat(4, axis=2).repeat(4, axis=3).astype(np.uint8)
    numbers = np.arange(count) % classes if classes else np.full(count, -1)
    return Dataset(pictures, numbers, tuple(map(str, range(classes))))


def beginning(recipe: Path) -> dict[str, Any]:
    """Return the networks of a recipe, a little disturbed.

    Feature maps of a fresh network may be constant, and gradients there nothing but rounding, which Adam makes large.
    """
    networks = cast(dict[str, Any], new_networks(read_recipe(recipe)[0]))
    generator = torch.Generator().manual_seed(0)
    for network in networks.values():
        network.requires_grad_(False)
        for value in network.parameters():
            value.add_(0.1 * torch.randn(value.shape, generator=generator))
    return networks


def train(recipe: Path, target: Path, at_once: int | None = None) -> None:
    """Train four steps."""
    networks, given = read_recipe(recipe)
    made = beginning(recipe)
    data = random_pictures(40, networks.resolution, networks.c_dim)
    settings = preset(networks.family, given)
    trainer = Trainer(
        made["G"], made["D"], made["G_ema"], data, settings, accelerator=Accelerator(cpu=True), at_once=at_once
    )
    for _ in range(4):
        trainer.step()
    if trainer.accelerator.is_main_process:
        stylegan_torch.save(target, made, force=True)
    trainer.accelerator.wait_for_everyone()  # a process that goes while another still talks to it may be aborted
    trainer.accelerator.end_training()


if __name__ == "__main__":
    train(Path(sys.argv[1]), Path(sys.argv[2]))
