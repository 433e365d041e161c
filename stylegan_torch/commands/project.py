"""`stylegan project`: find the latents that draw a photograph."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import click

from stylegan_torch import StyleGANError
from stylegan_torch.commands import options
from stylegan_torch.commands.given import as_given
from stylegan_torch.commands.inputs import INPUT, OUTPUT
from stylegan_torch.commands.networks import note_no_class, open_generator
from stylegan_torch.commands.terminal import one_line_errors, quick_imports, say, tracked
from stylegan_torch.drawing.marks import UNMARKED, Marking
from stylegan_torch.files.atomic import refuse_existing

if TYPE_CHECKING:
    from stylegan_torch.drawing.images import Picture
    from stylegan_torch.editing.projection import Projection
    from stylegan_torch.networks.interface import Generator
    from stylegan_torch.pictures.alignment import Alignment

SAVE_SECONDS = 10.0
"""How much work a killed process may lose, at most."""
FILM_FPS = 16
EXAMPLES = """\b
Examples:
  stylegan project photo.jpg --network ffhq.pt
  stylegan project photo.jpg --network ffhq.pt --align
  stylegan project cat.jpg --network afhqcat.pkl --box 120,40,632,552
  stylegan project photo.jpg --network ffhq.pt --space w --starts 4 --film photo.gif
  stylegan project photo.jpg --network ffhq.pt --distance vgg16.pt --trust-distance
  stylegan project photo.jpg --network ffhq.pt --begin out/photo.npz --steps 300 --outdir better
"""


@click.command(epilog=EXAMPLES, short_help="Find the latents that draw a photograph.")
@click.argument("photo", type=INPUT)
@options.NETWORK
@click.option(
    "--space",
    type=click.Choice(["w", "w+"]),
    default="w+",
    show_default=True,
    help="w = one w for all layers, better to edit; w+ = one a layer, closer to the photograph.",
)
@click.option("--steps", type=click.IntRange(min=1), default=1000, show_default=True, help="Of the optimiser.")
@click.option(
    "--starts",
    type=click.IntRange(min=1),
    default=1,
    show_default=True,
    help="Start points, all in one batch, of which the best is taken: the mean w (or --begin), and random ones.",
)
@click.option(
    "--begin",
    type=INPUT,
    metavar="FILE",
    help="Begin at the first of these latents (.npz), and at its noise if it has some, not at the mean w.",
)
@click.option(
    "--fit",
    type=click.Choice(["crop", "pad"]),
    default="crop",
    show_default=True,
    help="What to do about another shape: cut to the middle, or pad with white.",
)
@options.alignment("largest")
@options.DISTANCE
@options.CLASS
@click.option("--seed", type=click.IntRange(min=0), default=0, show_default=True, help="Everything random follows.")
@click.option("--outdir", type=OUTPUT, default="out", show_default=True, help="Where the results go.")
@click.option(
    "--film",
    type=options.FILM,
    help="Also write a film of the progress, beside the photograph (.mp4, .webm, .gif).",
)
@click.option("--resume", is_flag=True, help="Go on where a projection was interrupted.")
@options.MARKING
@options.DEVICE
@options.FORCE
@one_line_errors
def project(
    photo: Path,
    network: str | None,
    space: Literal["w", "w+"],
    steps: int,
    starts: int,
    begin: Path | None,
    fit: Literal["crop", "pad"],
    alignment: Callable[[], Alignment] | None,
    distance_name: str,
    trust_distance: bool,
    class_index: int | None,
    seed: int,
    outdir: Path,
    film: Path | None,
    resume: bool,
    device: str | None,
    marking: Marking,
    force: bool,
) -> None:
    """Find the latents that draw PHOTO, with the optimiser of the StyleGAN2 paper.

    PHOTO may have any size and mode. Of photo.jpg, these are written to --outdir: photo.npz, the latents and noise;
    photo.png, the picture drawn from them; photo-target.png, what was aimed at. What it takes to go on after any
    interruption is in photo.state until then.
    """
    result, found, aim, state = (outdir / f"{photo.stem}{end}" for end in (".npz", ".png", "-target.png", ".state"))
    written = [result, found, aim, *([film] if film else [])]
    _check_paths(photo, [*written, state])
    from stylegan_torch.editing.films.encoding import encoding_for, write_film

    encoding = encoding_for(film or Path("film.gif"), FILM_FPS)
    # A state is removed when all is written: what is there beside one is of the same, unfinished run.
    if resume and not state.exists():
        raise StyleGANError(f"there is no {state} to resume from")
    if not resume:
        refuse_existing(written, force)
        refuse_existing([state], force=True)
        if state.exists() and not force:
            raise click.UsageError(
                f"{state} is of an unfinished projection: go on with --resume, or begin with --force"
            )
    with quick_imports():
        from stylegan_torch.drawing.images import save_png, to_pil
        from stylegan_torch.editing.latents import drawn, load, require_w, save
        from stylegan_torch.editing.perceptual import open_distance
        from stylegan_torch.editing.projection import Projection, ProjectionSettings, load_state
        from stylegan_torch.editing.targets import psnr, read_target
    kept = load_state(state) if resume else None
    cut = alignment() if alignment else None
    opened = open_generator(network, device)
    require_w(opened.G)
    begins_at = load(begin, opened.G) if begin else None
    target = read_target(photo, opened.G, fit, alignment=cut)
    distance = open_distance(distance_name, opened.G.device, trust_distance)
    settings = ProjectionSettings(space=space, steps=steps, starts=starts, seed=seed)
    projection = Projection(
        opened.G, target.image(), settings, distance, class_index=class_index, state=kept, begin=begins_at
    )
    note_no_class(opened.G, class_index)
    say(as_given(f"{photo}: {target.story}"))
    if not resume:
        state.unlink(missing_ok=True)  # before the first step: if killed in that, --resume must not find another run's
    _run(projection, state)
    latents = projection.latents()
    [picture] = drawn(opened.drawer, latents)
    about = {"network": opened.origin, "photo": photo.name, "fit": fit, "class": class_index}
    about |= {"alignment": cut.story} if cut else {}
    about |= {"distance": distance.name, "begin": begin.name if begin else None, "projection": asdict(settings)}
    replace = force or resume
    save_png(aim, to_pil(target.picture), {"photo": photo.name, "fit": fit}, marking=UNMARKED, force=replace)
    save_png(found, to_pil(picture), about, marking=marking, force=replace)
    if film:
        frames = _film_frames(projection, opened.drawer, target.picture)
        write_film(film, frames, encoding, about=about, marking=marking, force=replace)
    save(result, latents, replace)
    state.unlink(missing_ok=True)
    say(f"Projected into {space.upper()} at a PSNR of {psnr(picture, target.picture):.1f} dB: {result}, {found}")


def _check_paths(photo: Path, written: list[Path]) -> None:
    if photo.resolve() in [path.resolve() for path in written]:
        raise click.BadParameter(
            "the photograph itself would be replaced; choose another folder", param_hint="--outdir"
        )


def _run(projection: Projection, state: Path) -> None:
    """Make the steps that are left, saving the state now and then."""
    from stylegan_torch.editing.projection import save_state

    left = range(projection.taken, projection.settings.steps)
    saved = -math.inf
    for _ in tracked(left, "Projecting"):
        projection.step()
        # The first step saves, too: that the folder cannot be written to should not come out at the end.
        if time.monotonic() - saved >= SAVE_SECONDS:
            save_state(state, projection)
            saved = time.monotonic()


def _film_frames(projection: Projection, drawer: Generator, target: Picture) -> Iterator[Picture]:
    """Yield what was aimed at beside what was found, moment by moment, the last one for a second."""
    from stylegan_torch.drawing.sheets import tiled
    from stylegan_torch.editing.latents import drawn

    for picture in drawn(drawer, projection.film()):
        frame = tiled([[target, picture]])
        yield frame
    yield from [frame] * FILM_FPS
