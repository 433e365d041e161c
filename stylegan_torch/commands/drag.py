"""`stylegan drag`: pull points of a picture to other places."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import click

from stylegan_torch.commands import options
from stylegan_torch.commands.inputs import INPUT, OutputFile
from stylegan_torch.commands.latents import refuse_for_latents, write_latents
from stylegan_torch.commands.networks import note_no_class, open_generator
from stylegan_torch.commands.terminal import SEED, FiniteRange, one_line_errors, quick_imports, reading, say, tracked
from stylegan_torch.commands.truncating import Asked
from stylegan_torch.drawing.marks import Marking
from stylegan_torch.editing.composition import Composition
from stylegan_torch.errors import StyleGANError
from stylegan_torch.files.atomic import refuse_existing, spelled

if TYPE_CHECKING:
    from torch import Tensor

    from stylegan_torch.drawing.images import Picture
    from stylegan_torch.editing.latents import Latents
    from stylegan_torch.networks.interface import Generator

FILM_FPS = 16
_NUMBER = r"(\d+(?:\.\d+)?)"
_MOVE = re.compile(rf"{_NUMBER},{_NUMBER}:{_NUMBER},{_NUMBER}", re.ASCII)
_Move = tuple[tuple[float, float], tuple[float, float]]
EXAMPLES = """\b
Examples:
  stylegan drag --seed 1 --points 26,32:21,32
  stylegan drag --seed 9 --points 24,32:24,27 --points 39,32:39,27 --mask face.png --film drag.gif
  stylegan drag --network ffhq.pt --latents me.npz --points 512,700:512,660 --save-latents smiling.npz

The first pixel's middle is 0,0. A point that shall stay is its own target: --points 30,40:30,40.
"""


def _moves(texts: Sequence[str]) -> list[_Move]:
    """Read "26,32:21,32" and its like."""
    found = [(_MOVE.fullmatch(text.replace(" ", "")), text) for text in texts]
    for match, text in found:
        if not match:
            raise ValueError(f"{text!r} is not a point and its target in pixels, such as 26,32:21,32")
    numbers = [[float(each) for each in match.groups()] for match, _ in found if match]
    return [((x, y), (to_x, to_y)) for x, y, to_x, to_y in numbers]


@click.command(epilog=EXAMPLES, short_help="Pull points of a picture to other places.")
@options.NETWORK
@click.option("--seed", type=SEED, help="The picture to begin with.")
@options.latents_file("Latents to begin with (.npz), rather than a seed.")
@click.option("--row", type=click.IntRange(min=0), metavar="K", help="Of --latents, from 0, where they are several.")
@options.truncations()
@options.CLASS
@click.option(
    "--points",
    "moves",
    multiple=True,
    required=True,
    callback=reading(_moves),
    metavar="X,Y:X,Y",
    help="A point of the picture, and where it shall be, in pixels from the left and the top; may be repeated.",
)
@click.option(
    "--mask",
    type=INPUT,
    help="A picture of the same size: what is white may move, what is black is held.  [default: all may]",
)
@click.option("--steps", type=click.IntRange(min=1), default=300, show_default=True, help="At most so many.")
@click.option(
    "--learning-rate",
    type=FiniteRange(min=0, min_open=True),
    default=0.002,
    show_default=True,
    help="Of a step; more is faster and rougher.",
)
@click.option(
    "--mask-weight",
    type=FiniteRange(min=0),
    default=20,
    show_default=True,
    help="How firmly --mask holds.",
)
@click.option("--out", type=OutputFile(".png"), default="drag.png", show_default=True, help="The picture (.png).")
@click.option("--film", type=options.FILM, help="Also write a film of the steps (.mp4, .webm, .gif).")
@options.save_latents("Also write the latents and noise here (.npz).")
@options.MARKING
@options.DRAWING
@one_line_errors
def drag(
    network: str | None,
    seed: int | None,
    latents: Path | None,
    row: int | None,
    truncation: Asked,
    class_index: int | None,
    moves: list[_Move],
    mask: Path | None,
    steps: int,
    learning_rate: float,
    mask_weight: float,
    out: Path,
    film: Path | None,
    save_latents: Path | None,
    device: str | None,
    exact: bool,
    marking: Marking,
    force: bool,
) -> None:
    """Pull points of a picture to other places, and what belongs to them along (DragGAN, Pan et al. 2023).

    It ends when each point is within a pixel of its target (two, if there are more than five), or after --steps. A
    --mask keeps the rest of the picture as it is, and its looks too.
    """
    base = seed if latents is None else latents
    if base is None or (seed is not None and latents is not None):
        raise click.UsageError("give one of --seed and --latents")
    if row is not None and latents is None:
        raise click.UsageError("--row is of --latents")
    if not mask:
        options.refuse_idle("--mask", "mask_weight")
    if latents:
        refuse_for_latents(truncation, class_index)
    from stylegan_torch.editing.films.encoding import encoding_for, write_film

    encoding = encoding_for(film or Path("film.gif"), FILM_FPS)
    refuse_existing([out, film, save_latents], force)
    with quick_imports():
        from stylegan_torch.drawing.images import save_png, to_pil
        from stylegan_torch.editing.composer import Composer
        from stylegan_torch.editing.drag import Drag, DragSettings
    may_move = _read_mask(mask) if mask else None
    opened = open_generator(network, device, exact)
    composer = Composer(opened.G)
    note_no_class(opened.G, class_index, [[] if seed is None else [seed], latents])
    truncation.note(opened.G)
    plan = Composition(
        base,
        truncation_psi=truncation.psi,
        layer_psis=truncation.parts,
        centres=truncation.centres,
        class_index=class_index,
        row=row,
    )
    points, targets = ([move[end] for move in moves] for end in (0, 1))
    settings = DragSettings(steps=steps, learning_rate=learning_rate, mask_weight=mask_weight)
    under_way = Drag(opened.G, composer.compose(plan), points, targets=targets, mask=may_move, settings=settings)
    kept = [under_way.now.ws]
    for moment in tracked(under_way, "Dragging", steps):
        if film:
            kept.append(moment.ws)
    about = {
        "network": opened.origin,
        "seed": seed,
        "latents": latents and spelled(latents.name),
        "options": plan.options(),
        "points": moves,
        "mask": mask and spelled(mask.name),
        "drag": asdict(settings),
        "steps": under_way.now.taken,
    }
    save_png(out, to_pil(under_way.picture(opened.drawer)), about, marking=marking, force=force)
    if film:
        frames = tracked(_frames(opened.drawer, under_way.latents(), kept), "Drawing", len(kept) + FILM_FPS - 1)
        write_film(film, frames, encoding, about=about, marking=marking, force=force)
    if save_latents:
        write_latents(save_latents, [under_way.latents()], opened.G, force=force)
    now, whole = under_way.now, f"{len(moves)} point{'s' * (len(moves) > 1)}"
    if not under_way.arrived:
        say(f"Note: after {steps} steps not all points are there; more --steps or another --mask may help.", err=True)
    say(f"{whole} within {now.distance:.1f} pixels after {now.taken} step{'s' * (now.taken != 1)}: {out}")


def _frames(drawer: Generator, last: Latents, kept: Sequence[Tensor]) -> Iterator[Picture]:
    """Yield the pictures of all moments, the last for a second."""
    from stylegan_torch.editing.latents import drawn

    for ws in kept:
        [picture] = drawn(drawer, last.with_ws(ws))
        yield picture
    yield from [picture] * (FILM_FPS - 1)


def _read_mask(path: Path) -> Tensor:
    """Return what may move [H, W], from 0 to 1.

    Raises:
        StyleGANError: if it is no picture.
    """
    from stylegan_torch.editing.drag import mask_from
    from stylegan_torch.pictures.decode import DataError

    try:
        return mask_from(path.read_bytes())
    except OSError as error:
        raise StyleGANError(f"cannot read {path}: {error.strerror or error}") from error
    except DataError as error:
        raise StyleGANError(f"{path} {error}") from error
