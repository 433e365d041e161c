"""Scores networks against the drawn faces: a Fréchet distance as FID is, but of features of random convolutions.

    python -m examples.faces.score network.pt

It orders networks as FID does; its numbers are not FID's. Baselines in the same table say what they mean.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import click
import numpy as np
import torch
from rich.console import Console
from rich.progress import track
from torch import Tensor

import converter
from checkpoints import DEMO
from examples.faces.faces import SIDE, draw_face, random_face
from stylegan_torch import StyleGANError
from stylegan_torch.commands.terminal import one_line_errors
from stylegan_torch.drawing.seeds import latents_from_seeds
from stylegan_torch.training.recipes import new_networks, read_recipe
from stylegan_torch.training.score import RandomFeatures, features_of, frechet_distance

_RECIPE = DEMO.with_name("recipe.toml")
_BATCH = 50


def drawn(seeds: range) -> Iterator[Tensor]:
    """Give the faces of some seeds, in batches."""
    for some in _batches(seeds, "Drawing faces"):
        pictures = np.stack([np.asarray(draw_face(random_face(seed))) for seed in some])
        yield torch.from_numpy(pictures).permute(0, 3, 1, 2).float() / 127.5 - 1


def generated(G: Any, seeds: range) -> Iterator[Tensor]:
    """Give a network's pictures for some seeds, in batches, rounded to 8 bits as pictures are."""
    for some in _batches(seeds, "Drawing pictures"):
        images = G(latents_from_seeds(some, G.z_dim))
        yield (images * 127.5 + 128).clamp(0, 255).floor() / 127.5 - 1


def _batches(seeds: range, what: str) -> Iterator[list[int]]:
    parts = [list(seeds[start : start + _BATCH]) for start in range(0, len(seeds), _BATCH)]
    yield from track(parts, what, transient=True, console=Console(stderr=True))


@click.command()
@click.argument("networks", nargs=-1)
@click.option("--count", type=click.IntRange(min=2), default=5_000, show_default=True, help="Pictures of each.")
@one_line_errors
@torch.inference_mode()
def main(networks: tuple[str, ...], count: int) -> None:
    """Print the scores of NETWORKS (by default the bundled one), and of two baselines."""
    features = RandomFeatures()
    faces = features_of(drawn(range(count)), features)
    untrained = new_networks(read_recipe(_RECIPE)[0])["G"]
    rows = {
        "other faces of the program": drawn(range(10**6, 10**6 + count)),
        **{name: generated(_load(name), range(count)) for name in networks or (str(DEMO),)},
        "an untrained network": generated(untrained, range(count)),
    }
    for name, batches in rows.items():
        click.echo(f"{frechet_distance(faces, features_of(batches, features)):8.3f}  {name}")


def _load(name: str) -> Any:
    G = converter.load(name, ["G_ema"]).network("G_ema")
    if (G.img_size, G.img_channels, G.c_dim) != ((SIDE, SIDE), 3, 0):
        raise StyleGANError(f"{name} does not draw pictures of {SIDE}×{SIDE} without classes, as the faces are")
    return G


if __name__ == "__main__":
    main()
