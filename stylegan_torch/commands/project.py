"""`stylegan project`: find the latents that draw a photograph."""

from __future__ import annotations

import dataclasses
import hashlib
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
from stylegan_torch.commands.terminal import SEED, FiniteRange, one_line_errors, quick_imports, say, tracked
from stylegan_torch.drawing.marks import UNMARKED, Marking
from stylegan_torch.files.atomic import refuse_existing, spelled

if TYPE_CHECKING:
    from stylegan_torch.drawing.images import Picture
    from stylegan_torch.editing.latents import Latents
    from stylegan_torch.editing.projection import Projection
    from stylegan_torch.networks.interface import Generator
    from stylegan_torch.pictures.alignment import Alignment
    from stylegan_torch.types import JsonObject

SAVE_SECONDS = 10.0
"""How much work a killed process may lose, at most."""
FILM_FPS = 16
ABOVE_0, FROM_0 = FiniteRange(min=0, min_open=True), FiniteRange(min=0)
EXAMPLES = """\b
Examples:
  stylegan project photo.jpg --network ffhq.pt
  stylegan project photo.jpg --network ffhq.pt --align
  stylegan project cat.jpg --network afhqcat.pkl --box 120,40,632,552
  stylegan project photo.jpg --network ffhq.pt --space w --starts 4 --film photo.gif
  stylegan project photo.jpg --network ffhq.pt --distance vgg16.pt --trust-distance
  stylegan project photo.jpg --network ffhq.pt --begin out/photo.npz --steps 300 --outdir better
  stylegan project photo.jpg --network ffhq.pt --tune
  stylegan edit --network out/photo.pt --latents out/photo.npz --directions pca.npz
"""


def _tuning(name: str, default: float, help: str, type: click.IntRange | FiniteRange = ABOVE_0) -> options.Option:
    """Return an option of --tune; None where it is not given, which is the paper's value."""
    help = f"{help}  [default: {default:g}]"
    return click.option(name, type=type, metavar="X", help=help)


TUNING = options.block(
    click.option(
        "--tune", is_flag=True, help="Then tune a copy of the network to draw the photograph there: photo.pt."
    ),
    _tuning("--tune-steps", 350, "Steps of --tune.", click.IntRange(min=1)),
    _tuning("--tune-rate", 3e-4, "Learning rate of --tune."),
    _tuning("--tune-l2", 1, "Weight of squared differences of pixels, beside --distance.", FROM_0),
    _tuning("--locality", 0.1, "Weight of how far pictures around it move; 0 = they may.", FROM_0),
    _tuning("--locality-alpha", 30, "How far around, in W of 512 numbers; other W are scaled."),
)


@click.command(epilog=EXAMPLES, short_help="Find the latents that draw a photograph.")
@click.argument("photo", type=INPUT)
@options.NETWORK
@click.option(
    "--space",
    type=click.Choice(["w", "w+"]),
    help="w = one w for all layers, better to edit; w+ = one a layer, closer to the photograph.  "
    "[default: w+, but w with --tune]",
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
@TUNING
@options.CLASS
@click.option("--seed", type=SEED, default=0, show_default=True, help="Everything random follows.")
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
    space: Literal["w", "w+"] | None,
    steps: int,
    starts: int,
    begin: Path | None,
    fit: Literal["crop", "pad"],
    alignment: Callable[[], Alignment] | None,
    distance_name: str,
    trust_distance: bool,
    tune: bool,
    tune_steps: int | None,
    tune_rate: float | None,
    tune_l2: float | None,
    locality: float | None,
    locality_alpha: float | None,
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

    With --tune (pivotal tuning, Roich et al. 2021), photo.pt is written too: a network that draws PHOTO where its
    latents are, more closely than NETWORK can, and others about as before. photo-pivot.png is what NETWORK draws.
    """
    result, found, aim, state = (outdir / f"{photo.stem}{end}" for end in (".npz", ".png", "-target.png", ".state"))
    tuned, pivot = outdir / f"{photo.stem}.pt", outdir / f"{photo.stem}-pivot.png"
    wishes = _wishes(
        tune,
        steps=tune_steps,
        learning_rate=tune_rate,
        l2_weight=tune_l2,
        locality_weight=locality,
        alpha=locality_alpha,
    )
    space = space or ("w" if tune else "w+")
    written = [result, found, aim, *([film] if film else []), *([tuned, pivot] if tune else [])]
    _check_paths(photo, network, [*written, state])
    from stylegan_torch.editing.films.encoding import encoding_for, write_film

    encoding = encoding_for(film or Path("film.gif"), FILM_FPS)
    _check_beginning(written, state, resume, force)
    with quick_imports():
        from stylegan_torch.drawing.images import save_png, to_pil
        from stylegan_torch.editing.latents import drawn, load, require_w, save
        from stylegan_torch.editing.perceptual import open_distance
        from stylegan_torch.editing.projection import Projection, ProjectionSettings, load_state, save_state
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
    about = {
        "network": opened.origin,
        "photo": spelled(photo.name),
        "fit": fit,
        "class": class_index,
        **({"alignment": cut.story} if cut else {}),
        "distance": distance.name,
        "begin": begin and spelled(begin.name),
        "projection": asdict(settings),
    }
    replace = force or resume
    quality = f"{psnr(picture, target.picture):.1f} dB"
    if tune:
        save_png(pivot, to_pil(picture), about, marking=marking, force=replace)
        save_state(state, projection)  # from here, --resume tunes again
        about |= {"photo_sha256": hashlib.sha256(photo.read_bytes()).hexdigest()}
        latents, picture, about = _tune(projection, about, wishes, tuned, replace)
        quality += f", tuned to {psnr(picture, target.picture):.1f} dB"
    save_png(aim, to_pil(target.picture), {"photo": spelled(photo.name), "fit": fit}, marking=UNMARKED, force=replace)
    save_png(found, to_pil(picture), about, marking=marking, force=replace)
    if film:
        frames = _film_frames(projection, opened.drawer, [target.picture, picture])
        write_film(film, frames, encoding, about=about, marking=marking, force=replace)
    save(result, latents, replace)
    state.unlink(missing_ok=True)
    names = [*([tuned] if tune else []), result, found]
    say(f"Projected into {space.upper()} at a PSNR of {quality}: {', '.join(map(str, names))}")


def _check_paths(photo: Path, network: str | None, written: list[Path]) -> None:
    for what, given in (("photograph", photo), ("network", network)):
        if given and Path(given).resolve() in [path.resolve() for path in written]:
            raise click.BadParameter(
                f"the {what} itself would be replaced; choose another folder", param_hint="--outdir"
            )


def _wishes(tune: bool, **values: float | None) -> JsonObject:
    """Return the settings of --tune that are given."""
    given = {name: value for name, value in values.items() if value is not None}
    if given and not tune:
        raise click.UsageError("--tune-steps, --tune-rate, --tune-l2, --locality and --locality-alpha go with --tune")
    return given


def _check_beginning(written: list[Path], state: Path, resume: bool, force: bool) -> None:
    """Raise an error if files, or the state of an earlier run, are in the way, or there is none to resume."""
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


def _tune(
    projection: Projection, about: JsonObject, wishes: JsonObject, path: Path, replace: bool
) -> tuple[Latents, Picture, JsonObject]:
    """Write a tuned network; returns its latents and their picture, and what is to be said of it."""
    from stylegan_torch.editing.latents import drawn
    from stylegan_torch.editing.tuning import TuningSettings, tune
    from stylegan_torch.fast import optimize
    from stylegan_torch.files import checkpoint
    from stylegan_torch.networks.registry import network_hash

    latents, settings = projection.latents(), TuningSettings(**wishes, seed=projection.settings.seed)
    G = tune(
        projection.G,
        projection.target[0],
        latents,
        settings=settings,
        distance=projection.distance,
        watch=lambda steps: tracked(steps, "Tuning"),
    ).cpu()
    about = about | {"tuning": asdict(settings)}
    checkpoint.save(path, {"G_ema": G}, provenance={"tuning": about}, force=replace)
    latents = dataclasses.replace(latents, network=network_hash(G))
    [picture] = drawn(optimize(G), latents)
    return latents, picture, about


def _film_frames(projection: Projection, drawer: Generator, pair: list[Picture]) -> Iterator[Picture]:
    """Yield what was aimed at beside what was found, moment by moment, and a last pair of both for a second."""
    from stylegan_torch.drawing.sheets import tiled
    from stylegan_torch.editing.latents import drawn

    for picture in drawn(drawer, projection.film()):
        yield tiled([[pair[0], picture]])
    yield from [tiled([pair])] * FILM_FPS
