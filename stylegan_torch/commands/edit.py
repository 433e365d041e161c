"""`stylegan edit`: move pictures along directions."""

from __future__ import annotations

import itertools
from pathlib import Path

import click

from stylegan_torch import StyleGANError
from stylegan_torch.commands import options
from stylegan_torch.commands.inputs import INPUT
from stylegan_torch.commands.latents import chosen_layers, latents_of, one_of, refuse_for_latents, write_latents
from stylegan_torch.commands.networks import note_no_class, open_generator
from stylegan_torch.commands.terminal import finite, one_line_errors, parse_seeds, quick_imports, reading, say
from stylegan_torch.commands.truncating import Asked
from stylegan_torch.drawing.marks import Marking
from stylegan_torch.files.atomic import refuse_existing

EXAMPLES = """\b
Examples:
  stylegan directions --method pca --out pca.npz
  stylegan edit --directions pca.npz --index 0-4 --seeds 7 --out strips.png
  stylegan edit --directions smile.npz --seeds 1-6 --strengths=-2,0,2 --out smiles.png
  stylegan edit --directions smile.npz --latents face.npz --strengths 1.5 --save-latents smiling.npz
"""


def parse_numbers(text: str) -> list[float]:
    """Read numbers with commas between."""
    try:
        return [finite(part) for part in text.split(",")]
    except ValueError as error:
        raise ValueError(f"{text!r} is not a list of numbers such as -2,0,2") from error


@click.command(epilog=EXAMPLES, short_help="Move pictures along directions, as strips and grids.")
@options.NETWORK
@click.option("--directions", type=INPUT, required=True, help="What `stylegan directions` wrote.")
@click.option(
    "--index", default="0", show_default=True, callback=reading(parse_seeds), help="Which of them: numbers from 0."
)
@options.seeds("Pictures to edit.")
@options.latents_file("Latents to edit (.npz), rather than seeds.")
@click.option(
    "--strengths",
    default="-3,-2,-1,0,1,2,3",
    show_default=True,
    callback=reading(parse_numbers),
    help="How far, in standard deviations of w; one picture each.",
)
@options.layers("--layers", help="Layers to move.  [default: those the directions are for]")
@options.truncations()
@options.CLASS
@options.sheet_file("edit.png")
@options.save_latents("Also write the edited latents here (.npz), row by row.")
@options.MARKING
@options.DRAWING
@one_line_errors
def edit(
    network: str | None,
    directions: Path,
    index: list[int],
    seeds: list[int] | None,
    latents: Path | None,
    strengths: list[float],
    layers: str | None,
    truncation: Asked,
    class_index: int | None,
    out: Path,
    save_latents: Path | None,
    device: str | None,
    exact: bool,
    marking: Marking,
    force: bool,
) -> None:
    """Draw each picture moved along each direction: a row of a sheet each, a column for each strength."""
    given = one_of(seeds, latents)
    if latents:
        refuse_for_latents(truncation, class_index)
    refuse_existing([out, save_latents], force)
    with quick_imports():
        import torch

        from stylegan_torch.drawing.images import save_png
        from stylegan_torch.drawing.sheets import captioned, tiled
        from stylegan_torch.editing import directions as finding
        from stylegan_torch.editing.latents import drawn, singles
        from stylegan_torch.networks.registry import network_hash
    opened = open_generator(network, device, exact)
    note_no_class(opened.G, class_index, [seeds])
    known = finding.load(directions, opened.G)
    if known.network != network_hash(opened.G):
        say(f"Note: {directions} was found with another network.", err=True)
    if max(index) >= len(known):
        raise StyleGANError(f"{directions} has the directions 0 to {len(known) - 1}, not {max(index)}")
    rows = chosen_layers(opened.G, layers, "--layers") if layers else []
    truncation.note(opened.G)
    start = latents_of(opened.G, given, psi=truncation.psi, class_index=class_index, truncation=truncation)
    starts = singles(start)
    moved = [
        start.with_ws(torch.cat([known.apply(start.ws, each, strength, layers=rows) for strength in strengths]))
        for start, each in itertools.product(starts, index)
    ]
    pictures = tiled([list(drawn(opened.drawer, row)) for row in moved])
    about: dict[str, object] = {"network": opened.origin, "seeds": seeds, "latents": latents.name if latents else None}
    about |= {"directions": known.method, "index": index, "strengths": strengths}
    captions = [f"{strength:+g}" if strength else "0" for strength in strengths]
    save_png(out, captioned(pictures, captions), about, marking=marking, force=force)
    if save_latents:
        write_latents(save_latents, moved, opened.G, force=force)
    say(f"{len(moved)} × {len(strengths)} pictures in {out}")
