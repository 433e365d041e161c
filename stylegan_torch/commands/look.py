"""`stylegan look`: look into a network."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from stylegan_torch.command import columns, one_line_errors, parse_seeds, quick_imports, reading
from stylegan_torch.commands.edit import parse_numbers
from stylegan_torch.commands.shared import CLASS, DEVICE, FORCE, NETWORK, PATH, open_generator, truncation
from stylegan_torch.files import make_folder, refuse_existing

EXAMPLES = """\b
Examples:
  stylegan look truncation --seeds 0-3 --psis 1,0.7,0.5,0,-0.5,-1
  stylegan look noise --network ffhq.pt --seeds 5
  stylegan look features --seeds 0-1 --out features.png
"""


@click.command(epilog=EXAMPLES, short_help="Look into a network: truncation, noise, features.")
@click.argument("what", type=click.Choice(["truncation", "noise", "features", "rgb"]))
@NETWORK
@click.option("--seeds", callback=reading(parse_seeds), metavar="SEEDS", default="0", show_default=True)
@click.option(
    "--psis",
    callback=reading(parse_numbers),
    default="1,0.7,0.5,0,-0.5,-1",
    show_default=True,
    help="For truncation; 0 is the picture of the mean w.",
)
@truncation(0.7, "For noise, features and rgb.")
@CLASS
@click.option("--out", type=PATH, default="look.png", show_default=True, help="The sheet (.png).")
@DEVICE
@FORCE
@one_line_errors
def look(
    what: str,
    network: str | None,
    seeds: list[int],
    psis: list[float],
    truncation: float,
    class_index: int | None,
    out: Path,
    device: str | None,
    force: bool,
) -> None:
    """Draw a sheet with a row for each seed.

    \b
    truncation  the picture at each of --psis (StyleGAN figure 8)
    noise       the picture, and how much noise moves each pixel (figure 4);
                also prints how strongly each layer adds noise
    features    how active each layer is at each place
    rgb         what each RGB layer adds to the picture
    """
    if out.suffix.lower() != ".png":
        raise click.BadParameter(f"{out} does not end in .png", param_hint="--out")
    refuse_existing([out], force)
    with quick_imports():
        from stylegan_torch.editing import inspection
        from stylegan_torch.editing.latents import from_seeds
        from stylegan_torch.editing.pictures import captioned, sheet
        from stylegan_torch.images import save_png
    opened = open_generator(network, device, exact=True)
    psi = 1.0 if what == "truncation" else truncation
    ws = from_seeds(opened.G, seeds, psi, class_index=class_index).ws.to(opened.G.mapping.w_avg.device)
    captions, rows = _SHEETS[what](opened.G, ws, psis)
    make_folder(out.parent)
    save_png(out, captioned(sheet(rows), captions), {"network": opened.origin, "seeds": seeds, "what": what}, force)
    strengths = inspection.noise_strengths(opened.G) if what == "noise" else {}
    if strengths:
        click.echo("\n".join(columns([["layer", "noise"], *([k, f"{v:.3g}"] for k, v in strengths.items())])))
    click.echo(f"{len(rows)} × {len(rows[0])} pictures in {out}")


def _truncation(G: Any, ws: Any, psis: list[float]) -> tuple[list[str], list[list[Any]]]:
    from stylegan_torch.editing.inspection import truncation_sweep
    from stylegan_torch.editing.pictures import draw

    rows = [list(draw(G, each)) for each in truncation_sweep(G, ws, psis)]
    return [f"psi {psi:g}" for psi in psis], rows


def _noise(G: Any, ws: Any, psis: list[float]) -> tuple[list[str], list[list[Any]]]:
    from stylegan_torch.editing.inspection import noise_variance
    from stylegan_torch.editing.pictures import as_gray, draw

    spread = noise_variance(G, ws)
    maps = [as_gray(each, like) for each, like in zip(spread, draw(G, ws), strict=True)]
    return ["picture", "noise"], [[a, b] for a, b in zip(draw(G, ws), maps, strict=True)]


def _features(G: Any, ws: Any, psis: list[float]) -> tuple[list[str], list[list[Any]]]:
    from stylegan_torch.editing.pictures import as_gray, draw

    images, features = G.synthesis(ws, return_features=True)
    layers = {name: value for name, value in features.items() if value.shape[1] > images.shape[1]}
    power = {name: value.square().mean(dim=1).sqrt() for name, value in layers.items()}
    rows = [
        [picture, *(as_gray(value[i], picture) for value in power.values())] for i, picture in enumerate(draw(G, ws))
    ]
    return ["picture", *power], rows


def _rgb(G: Any, ws: Any, psis: list[float]) -> tuple[list[str], list[list[Any]]]:
    import torch.nn.functional as F

    from stylegan_torch.editing.pictures import draw
    from stylegan_torch.images import to_uint8

    images, features = G.synthesis(ws, return_features=True)
    parts = {name: value for name, value in features.items() if name.endswith("torgb") and len(features)}
    parts = parts or {name: value for name, value in features.items() if value.shape[1] == images.shape[1]}
    enlarged = {name: F.interpolate(value, images.shape[2:], mode="nearest") for name, value in parts.items()}
    pictures = {
        name: to_uint8(value / value.abs().amax(dim=(1, 2, 3), keepdim=True)) for name, value in enlarged.items()
    }
    rows = [[picture, *(value[i].numpy() for value in pictures.values())] for i, picture in enumerate(draw(G, ws))]
    return ["picture", *pictures], rows


_SHEETS: dict[str, Callable[[Any, Any, list[float]], tuple[list[str], list[list[Any]]]]] = {
    "truncation": _truncation,
    "noise": _noise,
    "features": _features,
    "rgb": _rgb,
}
