"""Drawing films that loop: pictures along closed paths, several side by side if wanted."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from stylegan_torch.drawing.draw import Resolved, draw_latents, labels_of, noise_sizes
from stylegan_torch.drawing.images import Picture
from stylegan_torch.drawing.seeds import latents_from_seeds
from stylegan_torch.drawing.sheets import tiled
from stylegan_torch.drawing.truncation import Truncation, mapped
from stylegan_torch.editing.films.trajectories import (
    Loop,
    NoiseLoop,
    arcs,
    loop_noise,
    noise_arcs,
    schedule,
    spline,
    turns,
)
from stylegan_torch.editing.latents import Latents, chosen, require_w
from stylegan_torch.fast.memory import batch_for
from stylegan_torch.networks.interface import Generator


@dataclass(frozen=True)
class Cell:
    """One film of a grid.

    latents: its path, of ws [N, num_ws, w_dim], or of z [N, z_dim] for ProGAN.
    noise: explicit noise along the way; None = whatever the noise mode says.
    keys: how many keyframes it goes through, equally distant in time.
    """

    latents: Loop
    noise: NoiseLoop | None = None
    keys: int = 1


def seed_cells(
    G: Generator,
    seeds: Sequence[int],
    *,
    cells: int,
    frames: int,
    space: str,
    settings: Resolved,
    truncation: Truncation | None = None,
) -> list[Cell]:
    """Return films through the pictures of seeds, which are dealt out to them in turn.

    Args:
        G: a generator, in its plain or fast form.
        seeds: the keyframes.
        cells: how many films.
        frames: of each.
        space: "z", great circles through z, or "w", a spline through w.
        settings: of `drawing.draw.resolve`: truncation and class.
        truncation: instead of the one in settings.

    Raises:
        ValueError: if there are too few seeds, or too many.
        LatentsError: for "w", if the network has none.
    """
    if space == "w":
        require_w(G)
    through = _w_loop if space == "w" else _z_loop
    every = latents_from_seeds(seeds, G.z_dim)
    dealt = [every[some] for some in _deal(len(seeds), cells, frames)]
    return [Cell(through(G, z, settings, truncation), keys=len(z)) for z in dealt]


def _w_loop(G: Generator, z: Tensor, settings: Resolved, truncation: Truncation | None) -> Loop:
    return spline(_mapped(G, z, settings, truncation))


def _z_loop(G: Generator, z: Tensor, settings: Resolved, truncation: Truncation | None) -> Loop:
    path = arcs(z)
    return path if not G.has_w else lambda times: _mapped(G, path(times), settings, truncation)


@torch.inference_mode()
def _mapped(G: Generator, z: Tensor, settings: Resolved, truncation: Truncation | None) -> Tensor:
    device = G.device
    c = labels_of(G, settings.get("class"), len(z)).to(device)
    psi, cutoff = settings.get("truncation_psi", 1.0), settings.get("truncation_cutoff")
    return mapped(G, z.to(device), c, psi=psi, cutoff=cutoff, truncation=truncation).cpu()


def latents_cells(latents: Latents, cells: int, frames: int) -> list[Cell]:
    """Return films through latents, dealt out in turn: splines in W+, and arcs through their noise if they have some.

    Raises:
        ValueError: if there are too few latents, or too many.
    """
    dealt = []
    for some in _deal(len(latents), cells, frames):
        mine = chosen(latents, range(len(latents))[some])
        dealt.append(Cell(spline(mine.ws), noise_arcs(mine.noise) if mine.noise else None, len(mine)))
    return dealt


def timed(cell: Cell, easing: str, *, easings: Sequence[str] = (), starts: Sequence[float] = ()) -> Cell:
    """Return a film that goes from keyframe to keyframe in another way; the noise of its keyframes goes with it.

    Args:
        cell: the film.
        easing: how it goes on from every keyframe, a name in `keys.EASINGS`; "linear" is how it does by itself.
        easings: how from each, instead, where it is not "".
        starts: when it is at each of its keyframes, in turns; empty = equally apart.
    """
    each = [name or easing for name in easings or [""] * cell.keys]
    if not starts and set(each) == {"linear"}:
        return cell
    moved, noise = schedule(each, starts), cell.noise
    return replace(
        cell,
        latents=lambda times: cell.latents(moved(times)),
        noise=noise and (lambda time: noise(float(moved(torch.tensor([time], dtype=torch.float64))))),
    )


def _deal(count: int, cells: int, frames: int) -> list[slice]:
    if count < cells:
        raise ValueError(f"{cells} films side by side take {cells} pictures or more to go through, not {count}")
    if count > cells * frames:
        raise ValueError(f"{count} pictures to go through are more than {frames} frames can show")
    return [slice(i, None, cells) for i in range(cells)]


def frame_latents(cell: Cell, frames: int) -> list[Latents]:
    """Return the latents of each frame of one turn of a film through ws, with the noise if it has its own."""
    times = turns(frames)
    noise = [tuple(cell.noise(float(time))) if cell.noise else () for time in times]
    return [Latents(ws[None], noise=maps) for ws, maps in zip(cell.latents(times), noise, strict=True)]


def with_random_noise(G: Generator, cells: Sequence[Cell], steps: int) -> list[Cell]:
    """Return films whose noise changes smoothly, `steps` (3 or more) times in a turn, the same in all of them."""
    loop = loop_noise(steps, noise_sizes(G))

    def noise(time: float) -> list[Tensor]:
        return [G.synthesis.noise_of(each) for each in loop(time)]

    return [replace(cell, noise=noise) for cell in cells]


@torch.inference_mode()
def draw_loops(
    G: Generator,
    cells: Sequence[Cell],
    *,
    columns: int,
    frames: int,
    noise_mode: str = "const",
    class_index: int | None = None,
    batch: int | None = None,
) -> Iterator[Picture]:
    """Yield the frames of one turn, each a grid of the cells' pictures row by row, [rows·H, columns·W, C] uint8.

    Args:
        G: a generator, in its plain or fast form.
        cells: as many as the grid has, all of them with noise or none.
        columns: of the grid.
        frames: how many.
        noise_mode: "const" (stored maps), "random" or "none", where cells have no noise.
        class_index: of ProGAN's pictures; ws know theirs.
        batch: pictures drawn at once, by default what fits a card, 1 elsewhere.
    """
    batch = batch_for(G, batch)
    every, at_once = turns(frames), max(1, batch // len(cells))
    for start in range(0, frames, at_once):
        times = every[start : start + at_once]
        latents = torch.stack([cell.latents(times) for cell in cells], 1).flatten(0, 1)
        drawn = [cell.noise(float(time)) for time in times for cell in cells if cell.noise]
        noise = [torch.cat(layer) for layer in zip(*drawn, strict=True)]
        c = labels_of(G, class_index, len(latents))
        pictures = draw_latents(G, latents, c=c, noise=noise, noise_mode=noise_mode, batch=batch)
        for _ in times:
            yield tiled([[next(pictures) for _ in range(columns)] for _ in range(len(cells) // columns)])
