"""StyleGAN-family networks as plain PyTorch modules.

G = stylegan_torch.load("ffhq.pt")
z = stylegan_torch.latents_from_seeds([0, 1], G.z_dim)
images = G(z, truncation_psi=0.7)      # [2, 3, H, W] in about [-1, 1]
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

from stylegan_torch.errors import CheckpointError, StyleGANError

if TYPE_CHECKING:
    from stylegan_torch.drawing.images import to_uint8
    from stylegan_torch.drawing.seeds import latents_from_seeds
    from stylegan_torch.fast import optimize
    from stylegan_torch.files.checkpoint import load, save
    from stylegan_torch.networks.interface import Discriminator, Generator, StyleGenerator

__version__ = "0.2.0"
__all__ = [
    "CheckpointError",
    "Discriminator",
    "Generator",
    "StyleGANError",
    "StyleGenerator",
    "latents_from_seeds",
    "load",
    "optimize",
    "save",
    "to_uint8",
]

_HOMES = {
    "Discriminator": "networks.interface",
    "Generator": "networks.interface",
    "StyleGenerator": "networks.interface",
    "latents_from_seeds": "drawing.seeds",
    "load": "files.checkpoint",
    "optimize": "fast",
    "save": "files.checkpoint",
    "to_uint8": "drawing.images",
}


def __getattr__(name: str) -> object:
    # Only when used: with these comes PyTorch, which takes a second.
    if name in _HOMES:
        return getattr(importlib.import_module(f"stylegan_torch.{_HOMES[name]}"), name)
    raise AttributeError(f"module {__name__} has no attribute {name}")
