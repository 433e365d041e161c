"""`stylegan-generate`: pictures for seeds."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import click

from stylegan_torch import __version__
from stylegan_torch.commands import options
from stylegan_torch.commands.given import allows_nonfinite
from stylegan_torch.commands.inputs import OUTPUT, OutputFile
from stylegan_torch.commands.networks import may_round, note_no_class, origin_of, read_networks, usable_device
from stylegan_torch.commands.terminal import (
    Command,
    one_line_errors,
    quick_imports,
    say,
    tracked,
)
from stylegan_torch.commands.truncating import Asked
from stylegan_torch.drawing.marks import Marking
from stylegan_torch.files.atomic import refuse_existing

EXAMPLES = """\b
Examples:
  stylegan-generate --seeds 0-15 --grid sheet.png
  stylegan-generate --network ffhq.pt --truncation 0.7 --seeds 0-50
  stylegan-generate --network cifar10.pkl --class 3 --seeds 1,5-9 --outdir ships
"""


@click.command(cls=Command, epilog=EXAMPLES, short_help="Pictures of seeds, as the network's own release draws them.")
@options.NETWORK
@options.seeds("Such as 0-50, 1,5,9 or 1,5-9.", required=True)
@options.truncations("Truncation; 1 = none.  [default: the network's own]")
@click.option(
    "--truncation-cutoff",
    type=click.IntRange(min=0),
    metavar="L",
    help="Truncate the first L layers only.  [default: the network's own]",
)
@options.CLASS
@options.noise(
    "--noise-mode",
    "--noise",
    "noise_mode",
    help="official = what the network's own release does for a seed; const = stored noise; random = not repeatable.",
)
@options.TRANSFORM
@click.option("--outdir", type=OUTPUT, default="out", show_default=True, help="Where pictures go.")
@click.option("--grid", type=OutputFile(".png"), help="Also write a contact sheet to this file (.png).")
@options.COLUMNS
@click.option(
    "--weights",
    type=click.Choice(["G_ema", "G"]),
    default="G_ema",
    show_default=True,
    help="Which generator.",
)
@options.MARKING
@options.batch()
@options.DEVICE
@options.DTYPE
@options.EXACT
@options.TF32
@options.FORCE
@click.version_option(__version__)
@one_line_errors
def main(
    network: str | None,
    seeds: list[int],
    truncation: Asked,
    truncation_cutoff: int | None,
    class_index: int | None,
    noise_mode: str,
    translate: tuple[float, float] | None,
    rotate: float | None,
    outdir: Path,
    grid: Path | None,
    columns: int | None,
    weights: Literal["G_ema", "G"],
    batch: int | None,
    device: str | None,
    dtype: str,
    exact: bool,
    marking: Marking,
    force: bool,
) -> None:
    """Draw the pictures of SEEDS, the same as the network's own release draws, to OUTDIR/seed0000.png and so on.

    Every PNG says in its metadata how it was made.
    """
    paths = {seed: outdir / f"seed{seed:04d}.png" for seed in seeds}
    if grid in paths.values():
        raise click.BadParameter(f"{grid} is the name of one of the pictures", param_hint="--grid")
    if not grid:
        options.refuse_idle("--grid", "columns")
    tf32 = may_round(exact)
    refuse_existing([*paths.values(), *([grid] if grid else [])], force)
    with quick_imports():
        from stylegan_torch.drawing.devices import has_fast_form
        from stylegan_torch.drawing.draw import DrawSettings, draw, resolve, write_pictures
        from stylegan_torch.drawing.images import save_png, to_pil
        from stylegan_torch.drawing.sheets import Sheet
    device = usable_device(device, dtype)
    checkpoint = read_networks(network, weights)
    G = checkpoint.network(weights, allow_nonfinite=allows_nonfinite())
    truncation.note(G)
    more = truncation.of(G, cutoff=truncation_cutoff)
    settings = DrawSettings(
        truncation.psi,
        truncation_cutoff,
        class_index,
        noise_mode,
        dtype,
        translate,
        rotate,
        truncation=more,
        tf32=tf32,
    )
    try:
        resolved = resolve(G, settings)
    except ValueError as error:
        raise click.UsageError(str(error)) from error
    note_no_class(G, class_index)
    about = {**resolved, "network": origin_of(checkpoint, network), "weights": weights, "version": __version__}
    sheet = Sheet(len(seeds), columns) if grid else None
    pictures = draw(G, seeds, settings, batch=batch, device=device, fast=not exact and has_fast_form(device))
    for _ in tracked(write_pictures(pictures, paths, about=about, sheet=sheet, marking=marking), "Drawing", len(seeds)):
        pass
    if sheet and grid:
        save_png(grid, to_pil(sheet.picture), {"seeds": seeds, **about}, marking=marking, force=force)
    say(f"{len(paths)} picture{'s' * (len(paths) > 1)} in {outdir}" + (f", contact sheet {grid}" if grid else ""))
