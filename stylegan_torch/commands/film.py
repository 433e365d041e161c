"""`stylegan film`: a film that loops through pictures."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import click
from click.core import ParameterSource

from stylegan_torch import __version__
from stylegan_torch.commands import options
from stylegan_torch.commands.inputs import INPUT
from stylegan_torch.commands.latents import latents_of, write_latents
from stylegan_torch.commands.networks import Opened, note_no_class, open_generator
from stylegan_torch.commands.terminal import finite, one_line_errors, quick_imports, reading, say, tracked
from stylegan_torch.commands.truncating import Asked
from stylegan_torch.drawing.marks import Marking
from stylegan_torch.editing.films.keys import EASINGS, KeyFrame, parse_keys, read_keys
from stylegan_torch.errors import StyleGANError
from stylegan_torch.files.atomic import refuse_existing

if TYPE_CHECKING:
    from stylegan_torch.editing.films.frames import Cell
    from stylegan_torch.editing.latents import Latents
    from stylegan_torch.networks.interface import Generator

EXAMPLES = """\b
Examples:
  stylegan film --seeds 1,5,9 --seconds 20
  stylegan film --network ffhq.pt --seeds 0-23 --grid 3x2 --space w --out faces.webm
  stylegan film --network ffhq.pt --seeds 0-7 --w-frames 60 --easing sine
  stylegan film --network ffhq.pt --keys keys.csv --seconds 12
  stylegan film --network ffhq.pt --latents me.npz --latents you.npz --seconds 4 --out us.gif
"""
_NOISE_MODES = {"official": "const", "const": "const", "random": "random", "none": "none"}
_MOST_FRAMES = 10_000_000
_NEW_NOISES = 2
"""How often a second random noise is new."""
_KEPT = ("truncation_psi", "truncation_cutoff", "truncation_psis", "truncation_centres", "class")


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
@click.option(
    "--w-frames",
    type=click.IntRange(min=1),
    metavar="N",
    help="Frames from each picture to the next, as gen_video.py has it, instead of --seconds.",
)
@click.option(
    "--keys",
    type=INPUT,
    metavar="FILE",
    help="Pictures and when to show them (.csv): a line 2.5,7 is seed 7 after 2.5 s; or a file of latents, me.npz:3.",
)
@click.option(
    "--key",
    "key_lines",
    multiple=True,
    callback=reading(parse_keys),
    metavar="S,PICTURE",
    help="A line of such a table, instead of one; may be repeated.",
)
@click.option(
    "--easing",
    type=click.Choice(EASINGS),
    default="linear",
    show_default=True,
    help="How to go from each to the next; all but linear rest at every picture.",
)
@click.option("--fps", type=click.IntRange(1, 240), default=30, show_default=True, help="Frames a second.")
@click.option(
    "--space",
    type=click.Choice(["z", "w"]),
    help="z = great circles between seeds; w = a smooth curve through all.  [default: z; w for latents and centres]",
)
@options.truncations()
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
    w_frames: int | None,
    keys: Path | None,
    key_lines: list[KeyFrame],
    easing: str,
    fps: int,
    space: str | None,
    truncation: Asked,
    class_index: int | None,
    noise: str,
    grid: tuple[int, int],
    crf: int | None,
    out: Path,
    save_latents: Path | None,
    mark: bool,
    batch: int | None,
    device: str | None,
    exact: bool,
    force: bool,
) -> None:
    """Draw a film that goes through the pictures of seeds or latents and ends where it began.

    It takes equal time from each picture to the next, unless --keys say other times. It says in its comment how it was
    made.
    """
    way = _Way(seeds or [], latents, keys, space, truncation, class_index, tuple(key_lines))
    way.check()
    timed_by = click.get_current_context().get_parameter_source("seconds")
    timed_keys = bool(keys or key_lines)
    if w_frames and (timed_keys or timed_by != ParameterSource.DEFAULT):
        raise click.UsageError("--w-frames goes without --seconds and --keys")
    if grid != (1, 1) and (timed_keys or save_latents):
        raise click.UsageError(f"{'--keys' if timed_keys else '--save-latents'} takes one film, not --grid")
    columns, rows = grid
    from stylegan_torch.editing.films.encoding import CODECS, encoding_for, write_film

    with _usage_errors():
        encoding = encoding_for(out, fps, crf)
    refuse_existing([out, save_latents], force)
    with quick_imports():
        way = way.read(seconds)
        from stylegan_torch.editing.films.frames import draw_loops, frame_latents, timed, with_random_noise
        from stylegan_torch.editing.latents import require_w
    opened = open_generator(network, device, exact)
    G = opened.drawer
    if save_latents:
        require_w(G)
    truncation.note(opened.G)
    with _usage_errors():
        plan = way.plan(opened)
        frames = w_frames * -(-plan.count // (columns * rows)) if w_frames else max(1, round(seconds * fps))
        if frames > _MOST_FRAMES:
            raise ValueError(f"a film has at most {_MOST_FRAMES:,} frames, not {frames:,}: ask for fewer seconds")
        cells = plan.cells(cells=columns * rows, frames=frames)
    easings, starts = [key.easing for key in way.keyframes], [key.seconds / seconds for key in way.keyframes]
    cells = [timed(cell, easing, easings=easings, starts=starts) for cell in cells]
    if noise == "random":
        cells = with_random_noise(G, cells, max(3, round(frames / fps * _NEW_NOISES)))
    if noise in ("const", "none"):
        cells = [replace(cell, noise=None) for cell in cells]
    note_no_class(G, class_index, [way.all_seeds or None])
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
    about = {**plan.about, "noise": noise, "grid": grid, "network": opened.origin, "version": __version__}
    about |= {"easing": easing} if easing != "linear" else {}
    write_film(out, tracked(pictures, "Drawing", frames), encoding, about=about, marking=Marking(mark), force=force)
    if save_latents:
        only = cells[0] if noise == "official" else replace(cells[0], noise=None)
        write_latents(save_latents, frame_latents(only, frames), opened.G, force=force)
    say(f"{frames} frame{'s' * (frames > 1)}, {frames / fps:g} s, in {out} ({encoding.makes})")


@dataclass(frozen=True)
class _Plan:
    """How many pictures a film goes through, what gives `cells` films side by side of `frames`, and what they say."""

    count: int
    cells: Callable[..., list[Cell]]
    about: dict[str, object]


@dataclass(frozen=True)
class _Way:
    """What a film is asked to go through: seeds, files of latents, or a table of keyframes."""

    seeds: list[int]
    latents: tuple[Path, ...]
    table: Path | None
    space: str | None
    truncation: Asked
    class_index: int | None
    keyframes: tuple[KeyFrame, ...] = ()

    @property
    def all_seeds(self) -> list[int]:
        """Return the seeds that it goes through."""
        return self.seeds or [key.picture for key in self.keyframes if isinstance(key.picture, int)]

    def check(self) -> None:
        """Raise UsageError for what goes with nothing else."""
        if [bool(self.seeds), bool(self.latents), self.table is not None, bool(self.keyframes)].count(True) != 1:
            raise click.UsageError("give one of --seeds, --latents, --keys and --key")
        if self.latents and (self.space == "z" or self.truncation or self.class_index is not None):
            raise click.UsageError("--space z, --truncation and --class are for --seeds")
        if self.truncation.centres and self.space == "z":
            raise click.UsageError(
                "--truncation-centres go without --space z, along which the nearest changes in jumps"
            )

    def read(self, seconds: float) -> _Way:
        """Return it with the keyframes of its table, if it has one, for a film of so many seconds."""
        keyframes = read_keys(self.table) if self.table else self.keyframes
        if not keyframes:
            return self
        if keyframes[-1].seconds >= seconds:
            raise click.UsageError(f"--keys end at {keyframes[-1].seconds:g} s; --seconds must be more")
        if self.space == "z" and not all(isinstance(key.picture, int) for key in keyframes):
            raise click.UsageError("--space z is for seeds alone, not for --keys with latents")
        return replace(self, keyframes=tuple(keyframes))

    def plan(self, opened: Opened) -> _Plan:
        """Return the way through a network.

        Raises:
            ValueError: if the network has no such class, layers or truncation.
            StyleGANError: if something is not there, or not for it.
        """
        from stylegan_torch.drawing.draw import DrawSettings, resolve
        from stylegan_torch.editing.films.frames import latents_cells, seed_cells

        more = self.truncation.of(opened.G)
        settings = resolve(opened.G, DrawSettings(self.truncation.psi, class_index=self.class_index, truncation=more))
        kept = {name: value for name, value in settings.items() if self.all_seeds and name in _KEPT}
        seeds = self.all_seeds
        if not self.latents and len(seeds) == len(self.seeds or self.keyframes):
            space = self.space or ("w" if self.truncation.centres else "z")
            through = partial(seed_cells, opened.drawer, seeds, space=space, settings=settings, truncation=more)
            origin: dict[str, object] = {"seeds": seeds, "space": space}
            return _Plan(len(seeds), through, {**origin, **self._keys(), **kept})
        parts = [self._latents(key, opened.G) for key in self.keyframes] or _load(self.latents, opened.G)
        found = _joined(parts)
        origin = {"latents": [path.name for path in self.latents]} if self.latents else {}
        return _Plan(len(found), partial(latents_cells, found), {**origin, **self._keys(), **kept})

    def _keys(self) -> dict[str, object]:
        return {"keys": list(map(str, self.keyframes))} if self.keyframes else {}

    def _latents(self, key: KeyFrame, G: Generator) -> Latents:
        from stylegan_torch.editing.latents import chosen, load

        if isinstance(key.picture, int):
            asked = self.truncation
            return latents_of(G, [key.picture], psi=asked.psi, class_index=self.class_index, truncation=asked)
        found = load(key.picture, G)
        if key.row >= len(found):
            raise StyleGANError(f"{key.picture} has the rows 0 to {len(found) - 1}, not {key.row}")
        return chosen(found, [key.row])


@contextmanager
def _usage_errors() -> Iterator[None]:
    try:
        yield
    except ValueError as error:
        raise click.UsageError(str(error)) from error


def _load(paths: Sequence[Path], G: Generator) -> list[Latents]:
    from stylegan_torch.editing.latents import load

    return [load(path, G) for path in paths]


def _joined(parts: Sequence[Latents]) -> Latents:
    from stylegan_torch.editing.latents import joined

    if any(part.noise for part in parts) and not all(part.noise for part in parts):
        say("Note: not all of these latents have noise; theirs is left out.", err=True)
    return joined(parts)
