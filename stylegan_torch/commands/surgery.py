"""`stylegan surgery`: other channels, classes, sizes or shapes for a trained network."""

from __future__ import annotations

import re
from pathlib import Path

import click

from stylegan_torch.commands import options
from stylegan_torch.commands.given import as_given
from stylegan_torch.commands.inputs import NETWORK_FILE
from stylegan_torch.commands.networks import read_all, refuse_inputs
from stylegan_torch.commands.terminal import SEED, one_line_errors, quick_imports, reading, say
from stylegan_torch.files.atomic import refuse_existing
from stylegan_torch.text import columns, without_secrets

EXAMPLES = """\b
Examples:
  stylegan surgery ffhq.pkl --add-alpha --out rgba.pt
  stylegan surgery ffhq.pkl --labels 10 --out conditional.pt
  stylegan surgery ffhq.pkl --resolution 256 --out small.pt
  stylegan surgery ffhq256.pkl --resolution 512 --aspect 4x3 --out wide.pt
  stylegan train photos.zip --network rgba.pt --outdir run
"""


def parse_shape(text: str) -> tuple[int, int]:
    """Read two numbers such as "3x5"."""
    found = re.fullmatch(r"(\d{1,4})x(\d{1,4})", text, re.ASCII)
    if not found:
        raise ValueError(f"{text!r} is not a height and a width such as 3x5")
    return int(found[1]), int(found[2])


@click.command(epilog=EXAMPLES, short_help="Give a trained network other channels, classes, sizes.")
@click.argument("network", type=NETWORK_FILE)
@options.NEW_NETWORK
@click.option(
    "--resolution",
    type=click.IntRange(min=1),
    metavar="SIDE",
    help="Cut finer levels off, or begin new ones: the larger side of pictures.",
)
@click.option(
    "--aspect",
    callback=reading(parse_shape),
    metavar="HxW",
    help="Height and width of the first level (4x4 at first), which all others double.",
)
@click.option("--add-alpha", is_flag=True, help="Draw RGBA; alpha is opaque at first. As --channels 4.")
@click.option("--channels", type=int, metavar="N", help="Draw 1 (grey), 3 (RGB) or 4 (RGBA) channels.")
@click.option(
    "--labels",
    type=click.IntRange(min=1),
    metavar="N",
    help="Take labels of N classes, of which each draws at first what the network did.",
)
@click.option("--seed", type=SEED, default=0, show_default=True, help="New tensors follow from it.")
@options.SHA256
@options.FORCE
@one_line_errors
def surgery(
    network: str,
    out: Path,
    resolution: int | None,
    aspect: tuple[int, int] | None,
    add_alpha: bool,
    channels: int | None,
    labels: int | None,
    seed: int,
    force: bool,
) -> None:
    """Change NETWORK, all networks in the file together, so that it can be trained on as another.

    What can stay does. A cut network draws what it drew of itself at that size. One that is larger draws what it did,
    enlarged; those of ProGAN, StyleGAN 1 and config D are to be grown on (train with --set grow_from=SIDE). Alpha is
    opaque, and RGB the same. Each class draws the same. For another shape, the constant is stretched, and what D makes
    of it. What else is new is drawn as a new network's.
    """
    if add_alpha and channels not in (None, 4):
        raise click.UsageError("give --add-alpha or --channels, not both")
    channels = 4 if add_alpha else channels
    if all(wish is None for wish in (resolution, aspect, channels, labels)):
        raise click.UsageError("say what to change: --resolution, --aspect, --add-alpha, --channels or --labels")
    refuse_inputs(out, [network])
    refuse_existing([out], force)
    with quick_imports():
        from stylegan_torch.editing.surgery import operate
        from stylegan_torch.files import checkpoint
    outcome = operate(
        read_all(network), resolution=resolution, base_size=aspect, channels=channels, labels=labels, seed=seed
    )
    checkpoint.write(out, outcome.checkpoint, force)
    rows = [["", "pictures", "kept", "changed", "new", "gone"]]
    for role, counts in outcome.changes.items():
        config = outcome.checkpoint.networks[role].config
        size = "×".join(map(str, (*config.img_size, config.img_channels)))
        rows.append([role, size, *map(str, counts.values())])
    say(*columns(rows), f"Tensors of {Path(without_secrets(as_given(network))).name}, and what became of them: {out}")
