"""`stylegan look`: look into a network."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import click

from stylegan_torch.commands import options
from stylegan_torch.commands.edit import parse_numbers
from stylegan_torch.commands.inputs import Pictures, PicturesFile
from stylegan_torch.commands.latents import latents_of, named, names_of, one_of, refuse_for_latents, write_latents
from stylegan_torch.commands.networks import note_no_class, open_generator
from stylegan_torch.commands.terminal import one_line_errors, quick_imports, reading, say
from stylegan_torch.commands.truncating import Asked
from stylegan_torch.drawing.marks import Marking
from stylegan_torch.files.atomic import refuse_existing
from stylegan_torch.text import columns

if TYPE_CHECKING:
    from torch import Tensor

    from stylegan_torch.drawing.images import Picture
    from stylegan_torch.editing.latents import Latents
    from stylegan_torch.networks.interface import Generator

EXAMPLES = """\b
Examples:
  stylegan look truncation --seeds 0-3 --psis 1,0.7,0.5,0,-0.5,-1
  stylegan look noise --network ffhq.pt --seeds 5
  stylegan look features --seeds 0-1 --out features.png
  stylegan look nearest --network ffhq.pt --latents me.npz --among 0-999
"""


@dataclass(frozen=True)
class _Sheet:
    """What was found.

    rows: pictures; captions: of their columns, none = no captions.
    table: printed beside.
    latents: of the pictures, row by row, if they can be saved.
    """

    rows: Sequence[Sequence[Picture]]
    captions: Sequence[str] = ()
    table: Sequence[Sequence[str]] = ()
    latents: Sequence[Latents] = ()


_TRUNCATED = ("noise", "features", "rgb", "nearest")
_HOMES = {
    "psis": ("truncation",),
    "count": ("nearest",),
    "save_latents": ("truncation", "average"),
    "truncation_psis": _TRUNCATED,
    "truncation": _TRUNCATED,
}
"""What the parameters are for that others do nothing with."""


@click.command(epilog=EXAMPLES, short_help="Look into a network: truncation, noise, features, nearest pictures.")
@click.argument("what", type=click.Choice(["truncation", "noise", "features", "rgb", "nearest", "average"]))
@options.NETWORK
@options.seeds("Pictures to look at.  [default: 0]")
@options.latents_file("Latents to look at (.npz), rather than seeds.")
@click.option(
    "--psis",
    callback=reading(parse_numbers),
    default="1,0.7,0.5,0,-0.5,-1",
    show_default=True,
    help="For truncation; 0 is the picture of the mean w.",
)
@click.option("--among", type=PicturesFile(), metavar="SEEDS|FILE", help="For nearest: the set, seeds or latents.")
@click.option("--count", type=click.IntRange(min=1), default=5, show_default=True, help="For nearest: how many.")
@options.truncations("Of seeds, for noise, features, rgb and nearest." + options.OWN_TRUNCATION)
@options.CLASS
@options.sheet_file("look.png")
@options.save_latents("For truncation and average: also write the pictures' latents here (.npz), row by row.")
@options.MARKING
@options.DEVICE
@options.FORCE
@one_line_errors
def look(
    what: str,
    network: str | None,
    seeds: list[int] | None,
    latents: Path | None,
    psis: list[float],
    among: Pictures | None,
    count: int,
    truncation: Asked,
    class_index: int | None,
    out: Path,
    save_latents: Path | None,
    device: str | None,
    marking: Marking,
    force: bool,
) -> None:
    """Draw a sheet with a row for each of the seeds, or of the latents of a file.

    \b
    truncation  the picture at each of --psis (StyleGAN figure 8), where a
                file's latents are at 1
    noise       the picture, and how much noise moves each pixel (figure 4);
                also prints how strongly each layer adds noise
    features    how active each layer is at each place
    rgb         what each RGB layer adds to the picture
    nearest     the picture, and those of --among that are nearest in W, all
                layers together; also prints which they are, and how far
    average     one picture alone: that of the mean w
    """
    if (what == "nearest") != (among is not None):
        raise click.UsageError("--among and nearest belong together")
    _refuse_idle(what)
    if latents and not isinstance(among, list):
        refuse_for_latents(truncation, class_index)
    if what == "average" and (seeds or latents):
        raise click.UsageError("average is one picture: it takes no --seeds or --latents")
    seeds = seeds if seeds or latents else [0]
    given = one_of(seeds, latents)
    refuse_existing([out, save_latents], force)
    with quick_imports():
        from stylegan_torch.drawing.images import save_png
        from stylegan_torch.drawing.sheets import captioned, tiled
    opened = open_generator(network, device, exact=True)
    G = opened.G

    if what != "average":
        note_no_class(G, class_index, [given, among])

    def read(pictures: Pictures) -> Latents:
        return latents_of(G, pictures, psi=truncation.psi, class_index=class_index, truncation=truncation)

    truncation.note(G)
    if what == "average":
        found = _average(G)
    elif what == "truncation":
        found = _truncation(G, latents_of(G, given, psi=1.0, class_index=class_index), psis)
    elif among:
        near, far = read(given), read(among)
        found = _nearest(G, near, far, names_of(given, len(near)), names_of(among, len(far)), count)
    else:
        found = _SHEETS[what](G, read(given))
    about: dict[str, object] = {"network": opened.origin, "what": what}
    if what != "average":
        about |= {"seeds": seeds, "latents": latents.name if latents else None}
    if among:
        about["among"] = named(among)
    save_png(out, captioned(tiled(found.rows), found.captions), about, marking=marking, force=force)
    if save_latents:
        write_latents(save_latents, found.latents, G, force=force)
    if found.table:
        say(*columns(found.table))
    say(f"{len(found.rows)} × {len(found.rows[0])} pictures in {out}")


def _refuse_idle(what: str) -> None:
    for name, homes in _HOMES.items():
        if what not in homes:
            options.refuse_idle(" or ".join(homes), name)


def _average(G: Generator) -> _Sheet:
    from stylegan_torch.editing.inspect import average_ws
    from stylegan_torch.editing.latents import Latents, drawn

    average = Latents(average_ws(G))
    return _Sheet([list(drawn(G, average))], latents=[average])


def _truncation(G: Generator, latents: Latents, psis: list[float]) -> _Sheet:
    from stylegan_torch.editing.inspect import truncation_sweep
    from stylegan_torch.editing.latents import drawn, singles

    swept = truncation_sweep(G, latents.ws, psis)
    rows = [each.with_ws(ws) for each, ws in zip(singles(latents), swept, strict=True)]
    return _Sheet([list(drawn(G, row)) for row in rows], [f"psi {psi:g}" for psi in psis], latents=rows)


def _nearest(
    G: Generator,
    latents: Latents,
    others: Latents,
    names: Sequence[int | str],
    other_names: Sequence[int | str],
    count: int,
) -> _Sheet:
    from stylegan_torch.editing.inspect import nearest
    from stylegan_torch.editing.latents import chosen, drawn

    which, distances = (found.tolist() for found in nearest(latents.ws, others.ws, count))
    rows = [[picture, *drawn(G, chosen(others, some))] for picture, some in zip(drawn(G, latents), which, strict=True)]
    captions = ["picture", *(f"nearest {i}" for i in range(1, len(rows[0])))]
    lines = [
        [str(name), *(f"{other_names[i]} ({far:.3f})" for i, far in zip(some, how_far, strict=True))]
        for name, some, how_far in zip(names, which, distances, strict=True)
    ]
    return _Sheet(rows, captions, [captions, *lines])


def _noise(G: Generator, latents: Latents) -> _Sheet:
    from stylegan_torch.drawing.sheets import as_gray
    from stylegan_torch.editing.inspect import noise_strengths, noise_variance
    from stylegan_torch.editing.latents import drawn

    spread = noise_variance(G, latents.ws.to(G.device))
    pictures = drawn(G, latents)
    rows = [[picture, as_gray(each, picture)] for each, picture in zip(spread, pictures, strict=True)]
    strengths = [[name, f"{strength:.3g}"] for name, strength in noise_strengths(G).items()]
    return _Sheet(rows, ["picture", "noise"], [["layer", "noise"], *strengths] if strengths else [])


def _features(G: Generator, latents: Latents) -> _Sheet:
    from stylegan_torch.drawing.sheets import as_gray
    from stylegan_torch.editing.latents import drawn

    images, features = _with_features(G, latents)
    layers = {name: value for name, value in features.items() if value.shape[1] > images.shape[1]}
    power = {name: value.square().mean(dim=1).sqrt() for name, value in layers.items()}
    pictures = enumerate(drawn(G, latents))
    rows = [[picture, *(as_gray(value[i], picture) for value in power.values())] for i, picture in pictures]
    return _Sheet(rows, ["picture", *power])


def _rgb(G: Generator, latents: Latents) -> _Sheet:
    import torch.nn.functional as F

    from stylegan_torch.drawing.images import to_uint8
    from stylegan_torch.editing.latents import drawn

    images, features = _with_features(G, latents)
    parts = {name: value for name, value in features.items() if name.endswith("torgb") and len(features)}
    parts = parts or {name: value for name, value in features.items() if value.shape[1] == images.shape[1]}
    enlarged = {name: F.interpolate(value, images.shape[2:], mode="nearest") for name, value in parts.items()}
    added = {name: to_uint8(value / value.abs().amax(dim=(1, 2, 3), keepdim=True)) for name, value in enlarged.items()}
    pictures = enumerate(drawn(G, latents))
    return _Sheet(
        [[picture, *(value[i].numpy() for value in added.values())] for i, picture in pictures], ["picture", *added]
    )


def _with_features(G: Generator, latents: Latents) -> tuple[Tensor, dict[str, Tensor]]:
    """Return images, and what layers made on the way."""
    from stylegan_torch.drawing.devices import exact_float32

    device = G.device
    noise = [layer.to(device) for layer in latents.noise]
    with exact_float32():
        return G.synthesis(latents.ws.to(device), noise=noise or None, return_features=True)


_SHEETS: dict[str, Callable[[Generator, Latents], _Sheet]] = {"noise": _noise, "features": _features, "rgb": _rgb}
