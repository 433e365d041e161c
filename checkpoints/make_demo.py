"""Makes `demo.pkl`, the network that comes with the project: an official-form StyleGAN2 pickle (G, D, Gs) of 128².

    python checkpoints/make_demo.py

It is not trained. Its random weights, the same at every run, are scaled so that coarse levels dominate, which gives
soft, silky colours rather than noise.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch

from checkpoints import DEMO
from converter.tf_writer import fresh_network, write_pickle

KEYWORDS = {
    "num_channels": 3,
    "resolution": 128,
    "label_size": 0,
    "fmap_base": 1024,
    "fmap_max": 32,
    "latent_size": 64,
    "dlatent_size": 64,
    "mapping_layers": 4,
    "mapping_fmaps": 64,
}
PARTS = [("synthesis", "G_synthesis_stylegan2"), ("mapping", "G_mapping")]
RGB_GAIN = (0.10, 0.16, 0.24, 0.30, 0.30, 0.20)
"""How much each level, 4² to 128², adds to the picture."""


def marble(G: Any) -> None:
    """Scale a fresh generator's levels, give it a little noise, and measure its mean w."""
    with torch.no_grad():
        for block, gain in zip(G.synthesis.blocks(), RGB_GAIN, strict=True):
            block.torgb.weight *= gain
            for layer in block.layers():
                layer.noise_strength.fill_(0.02)
                layer.bias.normal_(0, 0.3)
        z = torch.randn(10_000, G.z_dim)
        G.mapping.w_avg.copy_(G.mapping(z)[:, 0].mean(dim=0))


def drift(G: Any) -> None:
    """Turn a generator into one that the average lags behind."""
    marble(G)
    with torch.no_grad():
        for parameter in G.synthesis.parameters():
            parameter.add_(0.02 * torch.randn_like(parameter) * parameter.abs().mean())


def main(path: Path = DEMO) -> None:
    """Write the file."""
    networks = []
    for role, name, finish in (("G", "G", drift), ("D", "D", None), ("G_ema", "Gs", marble)):
        torch.manual_seed(1 if role == "D" else 0)
        if finish is None:
            networks.append(fresh_network(role, name, "D_stylegan2", KEYWORDS))
        else:
            networks.append(fresh_network(role, name, "G_main", KEYWORDS, PARTS, finish))
    write_pickle(path, networks)


if __name__ == "__main__":
    main()
