"""`stylegan mix`: the style-mixing grid of the papers."""

from __future__ import annotations

import itertools
from pathlib import Path

import click

from stylegan_torch.commands import options
from stylegan_torch.commands.inputs import OUTPUT, Pictures, PicturesFile
from stylegan_torch.commands.latents import chosen_layers, latents_of, named, names_of, write_latents
from stylegan_torch.commands.networks import note_no_class, open_generator
from stylegan_torch.commands.terminal import one_line_errors, quick_imports, say
from stylegan_torch.commands.truncating import Asked
from stylegan_torch.drawing.marks import Marking
from stylegan_torch.files.atomic import refuse_existing

EXAMPLES = """\b
Examples:
  stylegan mix --rows 85,100,75 --cols 55,821 --styles 0-6
  stylegan mix --network ffhq.pt --rows 0-3 --cols 4-9 --styles coarse,middle --out grid.png
  stylegan mix --network ffhq.pt --rows me.npz --cols 1-5 --styles 8-17 --save-latents mixed.npz
"""


@click.command(epilog=EXAMPLES, short_help="A grid of pictures that mix the styles of seeds or latents.")
@options.NETWORK
@click.option(
    "--rows",
    type=PicturesFile(),
    metavar="SEEDS|FILE",
    required=True,
    help="Pictures to change: seeds, or a file of latents (.npz).",
)
@click.option(
    "--cols",
    type=PicturesFile(),
    metavar="SEEDS|FILE",
    required=True,
    help="Where styles come from: seeds, or a file of latents.",
)
@options.layers(
    "--styles",
    default="0-6",
    metavar="LAYERS",
    help="Layers taken from the columns: numbers, or coarse, middle, fine.",
)
@options.truncations(
    "Truncation of seeds, all layers; 1 = none.  [default: as the release's style-mixing script: 0.5 of StyleGAN2 and "
    "StyleGAN2-ADA for TensorFlow, 1 of others]"
)
@options.CLASS
@options.sheet_file("mix.png", "The grid (.png).")
@click.option(
    "--outdir",
    type=OUTPUT,
    help="Also write each picture here, as ROW-COL.png: seeds as 2-5.png, the first of me.npz as me_0-5.png.",
)
@options.save_latents("Also write the mixtures' latents and noise here (.npz), row by row.")
@options.MARKING
@options.DRAWING
@one_line_errors
def mix(
    network: str | None,
    rows: Pictures,
    cols: Pictures,
    styles: str,
    truncation: Asked,
    class_index: int | None,
    out: Path,
    outdir: Path | None,
    save_latents: Path | None,
    device: str | None,
    exact: bool,
    marking: Marking,
    force: bool,
) -> None:
    """Draw a grid: the pictures of --cols above, those of --rows to the left, and where they meet, mixtures of both.

    A mixture is the row's picture with some styles of the column's. As in the official scripts, all layers of seeds
    are truncated, and the noise is the stored one; where a file's latents have noise of their own, it is theirs.
    """
    refuse_existing([out, save_latents], force)
    with quick_imports():
        from stylegan_torch.drawing.images import save_png, to_pil
        from stylegan_torch.drawing.sheets import tiled
        from stylegan_torch.editing.latents import drawn, require_w, singles
        from stylegan_torch.editing.mixing import mixing_grid, official_psi
    opened = open_generator(network, device, exact)
    require_w(opened.G)
    note_no_class(opened.G, class_index, [rows, cols])
    truncation.note(opened.G)
    psi = official_psi(opened.G) if truncation.psi is None else truncation.psi
    of_rows, of_cols = (
        latents_of(opened.G, given, psi=psi, class_index=class_index, all_layers=True, truncation=truncation)
        for given in (rows, cols)
    )
    of_seeds = isinstance(rows, list) or isinstance(cols, list)
    row_names, col_names = names_of(rows, len(of_rows)), names_of(cols, len(of_cols))
    places = list(itertools.product(range(len(of_rows)), range(len(of_cols))))
    single = {outdir / f"{row_names[i]}-{col_names[j]}.png": (i, j) for i, j in places} if outdir else {}
    refuse_existing(single, force)
    layers = chosen_layers(opened.G, styles, "--styles")
    grid = mixing_grid(of_rows.ws, of_cols.ws, layers)
    mixed = [row.with_ws(ws) for row, ws in zip(singles(of_rows), grid, strict=True)]
    left, top, *table = (list(drawn(opened.drawer, some)) for some in (of_rows, of_cols, *mixed))
    pictures = {"rows": named(rows), "cols": named(cols)}
    about: dict[str, object] = {
        **pictures,
        "network": opened.origin,
        "styles": styles,
        "truncation_psi": psi if of_seeds else None,
    }
    about |= truncation.about() if of_seeds else {}
    sheet = tiled([[None, *top], *([end, *row] for end, row in zip(left, table, strict=True))])
    save_png(out, to_pil(sheet), about, marking=marking, force=force)
    for path, (i, j) in single.items():
        save_png(
            path, to_pil(table[i][j]), {"row": row_names[i], "col": col_names[j], **about}, marking=marking, force=force
        )
    if save_latents:
        write_latents(save_latents, mixed, opened.G, force=force)
    say(f"{len(of_rows)} × {len(of_cols)} pictures in {out}" + (f" and {outdir}" if outdir else ""))
