"""`stylegan draw`: pictures of seeds or latents, mixed and moved, and the latents of the result."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Literal, TypeVar

import click

from stylegan_torch.commands import options
from stylegan_torch.commands.canvas import CANVAS, Chosen
from stylegan_torch.commands.given import note_check
from stylegan_torch.commands.inputs import INPUT, OUTPUT
from stylegan_torch.commands.latents import one_of, write_latents
from stylegan_torch.commands.networks import note_no_class, open_generator
from stylegan_torch.commands.terminal import SEED, one_line_errors, quick_imports, reading, say
from stylegan_torch.commands.truncating import Asked
from stylegan_torch.drawing.marks import Marking
from stylegan_torch.editing.composition import (
    Bend,
    Composition,
    Mix,
    Move,
    Noise,
    check_directions,
    parse_bend,
    parse_mix,
    parse_move,
)
from stylegan_torch.files.atomic import refuse_existing

EXAMPLES = """\b
Examples:
  stylegan draw --seeds 7 --truncation 0.7 --mix 14@coarse --move pca:0=2 --out face.png
  stylegan draw --network ffhq.pt --latents me.npz --move smile.npz:0=1.5 --save-latents smiling.npz
  stylegan draw --network ffhq.pt --seeds 0-15 --noise none --outdir smooth
  stylegan draw --seeds 2 --bend b16.conv1:turn=20 --bend b32.conv0@0-15:move=0.1,0:gain=1.5
  stylegan draw --network stylegan3-r.pkl --seeds 2 --translate 0.1,0 --rotate 15
  stylegan draw --network stylegan3-r.pkl --seeds 2 --size 1024x3072
  stylegan draw --seeds 2,4,11 --layout columns --size 64x192 --out row.png

What is mixed in, or moved by, comes in the order given: first all --mix, then all --move. --bend changes what the
layers make of that.
"""


_Part = TypeVar("_Part", Bend, Mix, Move)


def _all(
    parse: Callable[[str], _Part], look: Callable[[_Part], None]
) -> Callable[[click.Context, click.Parameter, Sequence[str]], tuple[_Part, ...]]:
    """Return the callback of an option that may be repeated; `look` is for the files that it names."""

    def parse_all(texts: Sequence[str]) -> tuple[_Part, ...]:
        return tuple(map(parse, texts))

    def read(ctx: click.Context, param: click.Parameter, texts: Sequence[str]) -> tuple[_Part, ...]:
        parsed = reading(parse_all)(ctx, param, texts) or ()
        for each in parsed:
            note_check(partial(look, each), ctx)
        return parsed

    return read


def _find_source(mix: Mix) -> None:
    if isinstance(mix.source, Path):
        INPUT.check(str(mix.source))


@click.command(epilog=EXAMPLES, short_help="Pictures of seeds or latents, mixed and moved; and their latents.")
@options.NETWORK
@options.seeds("Pictures to begin with.")
@options.latents_file("Latents to begin with (.npz), rather than seeds.")
@click.option("--row", type=click.IntRange(min=0), metavar="K", help="Only this row of --latents, from 0.")
@options.truncations()
@options.CLASS
@click.option(
    "--mix",
    "mixes",
    multiple=True,
    callback=_all(parse_mix, _find_source),
    metavar="SEED@LAYERS",
    help="Take these layers' styles from another seed, or from a file of latents; may be repeated.",
)
@click.option(
    "--move",
    "moves",
    multiple=True,
    callback=_all(parse_move, lambda move: check_directions(move.directions)),
    metavar="WHICH:K=S",
    help="Move by S standard deviations along direction K of pca, sefa or a file; @LAYERS at the end chooses layers.",
)
@click.option(
    "--bend",
    "bends",
    multiple=True,
    callback=_all(parse_bend, lambda _: None),
    metavar="LAYER:WHAT=N",
    help="Change a layer's features: move=X,Y (in heights), turn=DEGREES, zoom=N, gain=N, several with : between; "
    "@CHANNELS after the layer chooses some; may be repeated.",
)
@options.TRANSFORM
@options.noise(
    help="official = as stylegan-generate draws a seed, or what the latents have; const = the network's own maps."
)
@click.option(
    "--noise-seed",
    type=SEED,
    default=0,
    show_default=True,
    help="Of --noise random, and of noise beyond the ordinary picture.",
)
@CANVAS
@options.sheet_file("draw.png", "The picture; a sheet of several (.png).")
@options.COLUMNS
@click.option("--outdir", type=OUTPUT, help="Also write each picture here, as 0000.png and so on.")
@options.save_latents("Also write the latents and noise here (.npz).")
@options.MARKING
@options.DRAWING
@one_line_errors
def draw(
    network: str | None,
    seeds: list[int] | None,
    latents: Path | None,
    row: int | None,
    truncation: Asked,
    class_index: int | None,
    mixes: tuple[Mix, ...],
    moves: tuple[Move, ...],
    bends: tuple[Bend, ...],
    translate: tuple[float, float] | None,
    rotate: float | None,
    noise: Noise,
    noise_seed: int,
    size: tuple[int, int] | None,
    offset: tuple[int, int] | None,
    fill: Literal["reflect", "tile", "edge"],
    layout: str | None,
    feather: float,
    out: Path,
    columns: int | None,
    outdir: Path | None,
    save_latents: Path | None,
    device: str | None,
    exact: bool,
    marking: Marking,
    force: bool,
) -> None:
    """Draw seeds or latents, with styles of others mixed in, and moved along directions.

    Without any of that, a seed's picture is what stylegan-generate draws. With --size or --layout it is drawn by the
    plain form of the network; noise beyond the ordinary picture is that of --noise-seed.
    """
    given = one_of(seeds, latents)
    if row is not None and seeds is not None:
        raise click.UsageError("--row is of --latents")
    if (size or offset or layout) and (bends or translate is not None or rotate is not None):
        raise click.UsageError("--bend, --translate and --rotate are not for --size, --offset or --layout")
    if not (size or offset):
        options.refuse_idle("--size", "fill")
    if not layout:
        options.refuse_idle("--layout", "feather")
    refuse_existing([out, save_latents], force)
    with quick_imports():
        from stylegan_torch.drawing.images import save_png, to_pil
        from stylegan_torch.drawing.sheets import Sheet
        from stylegan_torch.editing.bending import drawer_of
        from stylegan_torch.editing.composer import Composer
        from stylegan_torch.editing.latents import Latents
    opened = open_generator(network, device, exact)
    note_no_class(opened.G, class_index, [seeds, *([each.source] for each in mixes if isinstance(each.source, int))])
    truncation.note(opened.G)
    composer = Composer(opened.G)
    plan = Composition(
        Path(),
        truncation_psi=truncation.psi,
        layer_psis=truncation.parts,
        centres=truncation.centres,
        class_index=class_index,
        mixes=mixes,
        moves=moves,
        bends=bends,
        translate=translate,
        rotate=rotate,
        noise=noise,
        noise_seed=noise_seed,
        row=row,
    )
    opened = replace(opened, drawer=drawer_of(opened.drawer, plan))
    bases: Sequence[int | Path] = [given] if isinstance(given, Path) else given
    first = composer.compose(replace(plan, base=bases[0]))
    canvas, kept = Chosen(size, offset, fill, layout, feather), list[Latents]()
    count = 1 if layout else len(first) if isinstance(given, Path) else len(given)
    singles = [outdir / f"{i:04d}.png" for i in range(count)] if outdir else []
    refuse_existing(singles, force)
    about: dict[str, object] = {"network": opened.origin, "seeds": seeds, "latents": latents and latents.name}
    about |= {"options": plan.options(), **canvas.about()}

    def composed() -> Iterator[Latents]:
        for i, base in enumerate(bases):
            found = first if i == 0 else composer.compose(replace(plan, base=base))
            if save_latents:
                kept.append(found)
            yield found

    sheet = Sheet(count, columns)
    for picture in canvas.pictures(opened, composed(), noise_seed):
        if outdir:
            save_png(
                singles[sheet.filled], to_pil(picture), {**about, "row": sheet.filled}, marking=marking, force=force
            )
        sheet.add(picture)
    save_png(out, to_pil(sheet.picture), about, marking=marking, force=force)
    if save_latents:
        write_latents(save_latents, kept, opened.G, force=force)
    say(f"{count} picture{'s' * (count > 1)} in {out}" + (f" and {outdir}" if outdir else ""))
