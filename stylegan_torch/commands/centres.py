"""`stylegan centres`: find centres of W to truncate towards."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from stylegan_torch.commands import options
from stylegan_torch.commands.inputs import OutputFile
from stylegan_torch.commands.networks import note_no_class, open_generator
from stylegan_torch.commands.terminal import SEED, one_line_errors, quick_imports, say
from stylegan_torch.drawing.marks import Marking
from stylegan_torch.files.atomic import refuse_existing

if TYPE_CHECKING:
    from stylegan_torch.editing.truncation import Near

EXAMPLES = """\b
Examples:
  stylegan centres --count 16 --out centres.npz --sheet centres.png
  stylegan centres --network dogs.pt --distance lpips --out dogs.npz
  stylegan-generate --network dogs.pt --seeds 0-9 --truncation 0.5 --truncation-centres dogs.npz
"""


@click.command(epilog=EXAMPLES, short_help="Find several centres of W to truncate towards.")
@options.NETWORK
@click.option("--count", type=click.IntRange(min=1), default=64, show_default=True, help="How many to find.")
@click.option(
    "--samples", type=click.IntRange(min=1), default=60_000, show_default=True, help="Random w that are clustered."
)
@click.option(
    "--distance",
    "near",
    type=click.Choice(["w", "pyramid", "lpips"]),
    default="w",
    show_default=True,
    help="What makes a centre the nearest: the distance in W, or of pictures, as in the paper, which are drawn for it.",
)
@options.CLASS
@click.option("--seed", type=SEED, default=0, show_default=True, help="Everything random follows.")
@click.option("--out", type=OutputFile(".npz"), default="centres.npz", show_default=True, help="The centres (.npz).")
@click.option("--sheet", type=OutputFile(".png"), help="Also draw the pictures of all centres (.png).")
@options.MARKING
@options.DRAWING
@one_line_errors
def centres(
    network: str | None,
    count: int,
    samples: int,
    near: Near,
    class_index: int | None,
    seed: int,
    out: Path,
    sheet: Path | None,
    device: str | None,
    exact: bool,
    marking: Marking,
    force: bool,
) -> None:
    """Cluster random w, and write the centres, largest cluster first, to a file for --truncation-centres.

    Truncation towards the nearest of them keeps kinds of pictures apart that one mean would blend (Mokady et al. 2022).
    """
    refuse_existing([out, sheet], force)
    with quick_imports():
        from stylegan_torch.drawing.draw import draw_latents, labels_of
        from stylegan_torch.drawing.images import save_png, to_pil
        from stylegan_torch.drawing.sheets import Sheet
        from stylegan_torch.editing.latents import require_w
        from stylegan_torch.editing.perceptual import open_distance
        from stylegan_torch.editing.truncation import find, save
    opened = open_generator(network, device, exact)
    G = opened.G
    require_w(G)
    note_no_class(G, class_index)
    if near != "w":
        open_distance(near)  # says what it lacks before there is work to lose
    c = labels_of(G, class_index, 1).to(G.device) if G.c_dim else None
    found = find(G, count, near=near, samples=samples, c=c, seed=seed)
    save(out, found, force)
    if sheet:
        drawn = Sheet(count)
        for picture in draw_latents(opened.drawer, found.points[:, None].expand(-1, G.num_ws, -1)):
            drawn.add(picture)
        about = {"network": opened.origin, "centres": count, "samples": samples, "class": class_index, "seed": seed}
        save_png(sheet, to_pil(drawn.picture), about, marking=marking, force=force)
    shares = found.shares.tolist()
    say(
        f"{count} centre{'s' * (count > 1)} of {shares[0]:.1%} to {shares[-1]:.1%} of {samples} w: {out}"
        + (f" and {sheet}" if sheet else "")
    )
