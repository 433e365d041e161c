"""`stylegan film`: a film that loops through pictures."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import click

from stylegan_torch import __version__
from stylegan_torch.commands import options
from stylegan_torch.commands.latents import write_latents
from stylegan_torch.commands.networks import note_no_class, open_generator
from stylegan_torch.commands.terminal import finite, one_line_errors, quick_imports, reading, say, tracked
from stylegan_torch.drawing.marks import Marking
from stylegan_torch.files.atomic import refuse_existing

if TYPE_CHECKING:
    from stylegan_torch.editing.latents import Latents
    from stylegan_torch.networks.interface import Generator

EXAMPLES = """\b
Examples:
  stylegan film --seeds 1,5,9 --seconds 20
  stylegan film --network ffhq.pt --seeds 0-23 --grid 3x2 --space w --out faces.webm
  stylegan film --network ffhq.pt --latents me.npz --latents you.npz --seconds 4 --out us.gif
"""
_NOISE_MODES = {"official": "const", "const": "const", "random": "random", "none": "none"}
_NEW_NOISES = 2
"""How often a second random noise is new."""
_KEPT = ("truncation_psi", "truncation_cutoff", "class")


def _positive(text: str) -> float:
    value = finite(text)
    if value <= 0:
        raise ValueError(f"{text} is not more than 0")
    return value


def _grid(text: str) -> tuple[int, int]:
    """Read "3x2"."""
    columns, cross, rows = text.lower().partition("x")
    if not (columns.isdecimal() and cross and rows.isdecimal() and int(columns) and int(rows)):
        raise ValueError(f"{text!r} is not columns x rows such as 3x2")
    return int(columns), int(rows)


@click.command(epilog=EXAMPLES, short_help="A film that loops through pictures (.mp4, .webm, .gif).")
@options.NETWORK
@options.seeds("Pictures to go through, such as 1,5-9.")
@options.latents_file("Go through these instead (.npz); may be repeated.", multiple=True)
@click.option(
    "--seconds", callback=reading(_positive), metavar="S", default="20", show_default=True, help="Once around."
)
@click.option("--fps", type=click.IntRange(1, 240), default=30, show_default=True, help="Frames a second.")
@click.option(
    "--space",
    type=click.Choice(["z", "w"]),
    help="z = great circles between seeds; w = a smooth curve through all.  [default: z; w for --latents]",
)
@options.truncation()
@options.CLASS
@options.noise(
    help="official = what the latents have, or else the network's own maps (const), still; random changes smoothly."
)
@click.option(
    "--grid",
    callback=reading(_grid),
    metavar="CxR",
    default="1x1",
    show_default=True,
    help="Films side by side, columns x rows; the pictures are dealt out to them in turn.",
)
@click.option("--crf", type=click.IntRange(0, 63), help="Less is better and larger.  [default: 18 (.mp4), 24 (.webm)]")
@click.option(
    "--out",
    type=options.FILM,
    default="film.mp4",
    show_default=True,
    help="The film (.mp4, .webm, .gif).",
)
@options.save_latents("Also write the latents of every frame here (.npz), with the noise that they have themselves.")
@options.MARK
@options.batch()
@options.DRAWING
@one_line_errors
def film(
    network: str | None,
    seeds: list[int] | None,
    latents: tuple[Path, ...],
    seconds: float,
    fps: int,
    space: str | None,
    truncation: float | None,
    class_index: int | None,
    noise: str,
    grid: tuple[int, int],
    crf: int | None,
    out: Path,
    save_latents: Path | None,
    mark: bool,
    batch: int,
    device: str | None,
    exact: bool,
    force: bool,
) -> None:
    """Draw a film that goes through the pictures of seeds or latents and ends where it began.

    It takes equal time from each picture to the next. It says in its comment how it was made.
    """
    if bool(seeds) == bool(latents):
        raise click.UsageError("give one of --seeds and --latents")
    if latents and (space == "z" or truncation is not None or class_index is not None):
        raise click.UsageError("--space z, --truncation and --class are for --seeds")
    if save_latents and grid != (1, 1):
        raise click.UsageError("--save-latents takes one film, not --grid")
    frames, (columns, rows) = max(1, round(seconds * fps)), grid
    from stylegan_torch.editing.films.encoding import CODECS, encoding_for, write_film

    with _usage_errors():
        encoding = encoding_for(out, fps, crf)
    refuse_existing([out, save_latents], force)
    with quick_imports():
        from stylegan_torch.drawing.draw import DrawSettings, resolve
        from stylegan_torch.editing.films.frames import (
            draw_loops,
            frame_latents,
            latents_cells,
            seed_cells,
            with_random_noise,
        )
        from stylegan_torch.editing.latents import require_w
    opened = open_generator(network, device, exact)
    G = opened.drawer
    if save_latents:
        require_w(G)
    with _usage_errors():
        settings = resolve(opened.G, DrawSettings(truncation, class_index=class_index))
        if seeds:
            cells = seed_cells(G, seeds, cells=columns * rows, frames=frames, space=space or "z", settings=settings)
        else:
            cells = latents_cells(_load(latents, opened.G), columns * rows, frames)
    if noise == "random":
        cells = with_random_noise(G, cells, max(3, round(seconds * _NEW_NOISES)))
    if noise in ("const", "none"):
        cells = [replace(cell, noise=None) for cell in cells]
    note_no_class(G, class_index, [seeds])
    if encoding.codec and encoding.codec != CODECS[out.suffix.lower()][0]:
        say(f"Note: there is no better encoder here; the film is {encoding.makes}.", err=True)
    pictures = draw_loops(
        G,
        cells,
        columns=columns,
        frames=frames,
        noise_mode=_NOISE_MODES[noise],
        class_index=class_index,
        batch=batch,
    )
    origin = {"seeds": seeds, "space": space or "z"} if seeds else {"latents": [path.name for path in latents]}
    kept = {name: value for name, value in settings.items() if seeds and name in _KEPT}
    about = {**origin, **kept, "noise": noise, "grid": grid, "network": opened.origin, "version": __version__}
    write_film(out, tracked(pictures, "Drawing", frames), encoding, about=about, marking=Marking(mark), force=force)
    if save_latents:
        only = cells[0] if noise == "official" else replace(cells[0], noise=None)
        write_latents(save_latents, frame_latents(only, frames), opened.G, force=force)
    say(f"{frames} frame{'s' * (frames > 1)}, {frames / fps:g} s, in {out} ({encoding.makes})")


@contextmanager
def _usage_errors() -> Iterator[None]:
    try:
        yield
    except ValueError as error:
        raise click.UsageError(str(error)) from error


def _load(paths: Sequence[Path], G: Generator) -> Latents:
    from stylegan_torch.editing.latents import joined, load

    parts = [load(path, G) for path in paths]
    if any(part.noise for part in parts) and not all(part.noise for part in parts):
        say("Note: not all of these latents have noise; theirs is left out.", err=True)
    return joined(parts)
