"""`stylegan mix`: the style-mixing grid of the papers."""

from __future__ import annotations

from pathlib import Path

import click

from stylegan_torch.command import one_line_errors, parse_seeds, quick_imports, reading
from stylegan_torch.commands.shared import CLASS, DEVICE, EXACT, FORCE, NETWORK, PATH, open_generator, truncation
from stylegan_torch.files import make_folder, refuse_existing

EXAMPLES = """\b
Examples:
  stylegan mix --rows 85,100,75 --cols 55,821 --styles 0-6
  stylegan mix --network ffhq.pt --rows 0-3 --cols 4-9 --styles coarse,middle --out grid.png
"""


@click.command(epilog=EXAMPLES, short_help="A grid of pictures that mix the styles of seeds.")
@NETWORK
@click.option("--rows", callback=reading(parse_seeds), metavar="SEEDS", required=True, help="Pictures to change.")
@click.option("--cols", callback=reading(parse_seeds), metavar="SEEDS", required=True, help="Where styles come from.")
@click.option(
    "--styles",
    default="0-6",
    show_default=True,
    metavar="LAYERS",
    help="Layers taken from the columns: numbers, or coarse, middle, fine.",
)
@truncation(0.5)
@CLASS
@click.option("--out", type=PATH, default="mix.png", show_default=True, help="The grid (.png).")
@click.option("--outdir", type=PATH, help="Also write each picture, as ROW-COL.png, here.")
@DEVICE
@EXACT
@FORCE
@one_line_errors
def mix(
    network: str | None,
    rows: list[int],
    cols: list[int],
    styles: str,
    truncation: float,
    class_index: int | None,
    out: Path,
    outdir: Path | None,
    device: str | None,
    exact: bool,
    force: bool,
) -> None:
    """Draw a grid: the pictures of --cols above, those of --rows to the left, and where they meet, mixtures of both.

    A mixture is the row's picture with some styles of the column's. As in the official scripts, all layers are
    truncated, and the noise is the stored one.
    """
    if out.suffix.lower() != ".png":
        raise click.BadParameter(f"{out} does not end in .png", param_hint="--out")
    single = {(r, c): outdir / f"{r}-{c}.png" for r in rows for c in cols} if outdir else {}
    refuse_existing([out, *single.values()], force)
    with quick_imports():
        from stylegan_torch.editing.latents import from_seeds
        from stylegan_torch.editing.mixing import layers_of, mixing_grid
        from stylegan_torch.editing.pictures import draw, sheet
        from stylegan_torch.images import save_png, to_pil
    opened = open_generator(network, device, exact)
    both = from_seeds(opened.G, [*rows, *cols], truncation, class_index=class_index)
    try:
        layers = layers_of(opened.G, styles)
    except ValueError as error:
        raise click.BadParameter(str(error), param_hint="--styles") from error
    of_rows, of_cols = both.ws[: len(rows)], both.ws[len(rows) :]
    grid = mixing_grid(of_rows, of_cols, layers)
    ends = list(draw(opened.drawer, both.ws))
    mixed = list(draw(opened.drawer, grid.flatten(0, 1)))
    table = [[mixed[i * len(cols) + j] for j in range(len(cols))] for i in range(len(rows))]
    about = {"network": opened.origin, "styles": styles, "truncation_psi": truncation}
    make_folder(out.parent)
    top = [None, *ends[len(rows) :]]
    picture = sheet([top, *([ends[i], *row] for i, row in enumerate(table))])
    save_png(out, picture, {"rows": rows, "cols": cols, **about}, force)
    for (row, col), path in single.items():
        make_folder(path.parent)
        save_png(path, to_pil(table[rows.index(row)][cols.index(col)]), {"row": row, "col": col, **about}, force)
    click.echo(f"{len(rows)} × {len(cols)} pictures in {out}" + (f" and {outdir}" if outdir else ""))
