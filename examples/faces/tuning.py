"""Measures pivotal tuning: how much closer a face is drawn that the bundled network never saw, and how far others move.

    python -m examples.faces.tuning [--faces 20001,20002] [--steps 1000] [--sheet tune.png]

The network was trained on the faces of seeds below 20000. Each face is projected into W, then the network is tuned with
the paper's settings. The sheet has, for each: the face, the pivot, what the tuned network draws there, and that moved
along a direction.
"""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

import checkpoints
import converter
from examples.faces.faces import draw_face, random_face
from stylegan_torch.drawing.images import Picture, save_png, to_pil
from stylegan_torch.drawing.sheets import tiled
from stylegan_torch.editing import directions
from stylegan_torch.editing.latents import Latents, drawn, from_seeds
from stylegan_torch.editing.projection import Projection, ProjectionSettings
from stylegan_torch.editing.targets import psnr
from stylegan_torch.editing.tuning import tune
from stylegan_torch.networks.interface import Generator

OTHERS = range(100)
"""Seeds whose pictures should stay."""


@dataclass(frozen=True)
class Measured:
    """What tuning does.

    pivot, tuned: PSNR of the face, in dB, before and after.
    mean_move, largest_move: by how much of 255 pictures of `OTHERS`, not truncated, differ on average afterwards: the
        mean over them, and the largest.
    pictures: of the sheet.
    """

    pivot: float
    tuned: float
    mean_move: float
    largest_move: float
    pictures: list[Picture]


def measured(G: Generator, face: int, steps: int = 1000, direction: int = 3, strength: float = -1.5) -> Measured:
    """Project and tune for the face of a seed."""
    target = np.array(draw_face(random_face(face)))
    image = torch.from_numpy(target).permute(2, 0, 1).float() / 127.5 - 1
    projection = Projection(G, image, ProjectionSettings("w", steps=steps))
    while not projection.done:
        projection.step()
    pivot, others = projection.latents(), from_seeds(G, OTHERS)
    tuned = tune(G, image, pivot)
    found = directions.pca(G)
    moved = Latents(pivot.ws + strength * found.scales[direction] * found.vectors[direction], noise=pivot.noise)
    moves = [
        float(np.abs(one.astype(float) - other).mean())
        for one, other in zip(drawn(G, others), drawn(tuned, others), strict=True)
    ]
    pictures = [target, *drawn(G, pivot), *drawn(tuned, pivot), *drawn(tuned, moved)]
    before, after = (psnr(picture, target) for picture in pictures[1:3])
    return Measured(before, after, float(np.mean(moves)), max(moves), pictures)


def main() -> None:
    """Print a table, and write the sheet."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--faces", default="20001,20002,20003,20005", help="their seeds")
    parser.add_argument("--steps", type=int, default=1000, help="of the projection")
    parser.add_argument("--direction", type=int, default=3, help="of PCA, to edit along")
    parser.add_argument("--strength", type=float, default=-1.5, help="in standard deviations")
    parser.add_argument("--sheet", type=Path, help="picture to write (.png)")
    options = parser.parse_args()
    G = converter.load(checkpoints.DEMO).network("G_ema")
    rows = []
    print("| face | pivot | tuned | gain | others move, mean | at most |\n|---|---|---|---|---|---|")
    for face in map(int, options.faces.split(",")):
        found = measured(G, face, options.steps, options.direction, options.strength)
        gain = found.tuned - found.pivot
        print(
            f"| {face} | {found.pivot:.1f} dB | {found.tuned:.1f} dB | {gain:.1f} dB "
            f"| {found.mean_move:.1f} | {found.largest_move:.1f} |",
            flush=True,
        )
        rows.append(found.pictures)
    if options.sheet:
        save_png(options.sheet, to_pil(tiled(rows)), {}, force=True)


if __name__ == "__main__":
    main()
