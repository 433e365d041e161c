"""`stylegan spectrum`: the average power spectrum of pictures."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

import click

from stylegan_torch.commands import options
from stylegan_torch.commands.inputs import INPUT, InputFolder, OutputFile
from stylegan_torch.commands.networks import note_no_class, open_generator
from stylegan_torch.commands.terminal import FiniteRange, one_line_errors, quick_imports, say, tracked
from stylegan_torch.files.atomic import refuse_existing
from stylegan_torch.text import one_line

if TYPE_CHECKING:
    from PIL import Image
    from torch import Tensor

    from stylegan_torch.drawing.draw import DrawSettings
    from stylegan_torch.editing.spectra import Spectrum
    from stylegan_torch.networks.interface import Generator

EXAMPLES = """\b
Examples:
  stylegan spectrum ffhq.zip --out ffhq.npz
  stylegan spectrum --network ffhq.pt --samples 1000 --reals ffhq.npz --out drawn.npz
"""
_SIDE = 384
"""Of the map and the chart, in pixels."""


@click.command(epilog=EXAMPLES, short_help="The average power spectrum of a data set or a network's pictures.")
@click.argument("pictures", type=InputFolder(), required=False)
@options.NETWORK
@click.option(
    "--samples",
    type=click.IntRange(min=1),
    metavar="N",
    help="How many pictures: the first ones, or seeds from 0.  [default: all; 1000 of a network]",
)
@click.option(
    "--reals",
    type=INPUT,
    metavar="FILE",
    help="The spectrum of a data set (.npz): its mean and spread are taken, so that both compare; drawn beside.",
)
@options.truncation("Of a network's pictures; 1 = none.  [default: 1]")
@options.CLASS
@click.option("--beta", type=FiniteRange(0, 100), default=8.0, show_default=True, help="Of the Kaiser window.")
@click.option("--out", type=OutputFile(".npz"), default="spectrum.npz", show_default=True, help="The spectrum (.npz).")
@click.option(
    "--picture", type=OutputFile(".png"), help="Its map and its radial profile.  [default: as --out, but .png]"
)
@options.bad("Pictures that are broken, or of another size.")
@options.batch(4)
@options.DEVICE
@options.FORCE
@one_line_errors
def spectrum(
    pictures: Path | None,
    network: str | None,
    samples: int | None,
    reals: Path | None,
    truncation: float | None,
    class_index: int | None,
    beta: float,
    out: Path,
    picture: Path | None,
    bad: str,
    batch: int,
    device: str | None,
    force: bool,
) -> None:
    """Measure how much of each frequency there is in PICTURES: a folder, a .zip or a WebDataset; or in a network's.

    All have one size; nothing is resized, which would change frequencies. White noise is 0 dB everywhere;
    stylegan_torch/editing/spectra.py has the formula.
    """
    if pictures and network:
        raise click.UsageError("give PICTURES or --network, not both")
    if pictures and (truncation is not None or class_index is not None):
        raise click.UsageError("--truncation and --class are for what a network draws")
    picture = picture or out.with_suffix(".png")
    refuse_existing([out, picture], force)
    with quick_imports():
        from stylegan_torch.drawing.draw import DrawSettings, resolve
        from stylegan_torch.drawing.images import save_png
        from stylegan_torch.drawing.marks import Marking
        from stylegan_torch.editing.spectra import average_spectrum, load, save
    other = load(reals) if reals else None
    about: dict[str, object]
    if pictures:
        batches = _of_collection(pictures, samples, batch, skip=bad == "skip")
        about = {"pictures": pictures.name}
    else:
        samples = samples or 1000
        opened = open_generator(network, device)
        note_no_class(opened.G, class_index)
        if truncation is None and opened.G.has_w:
            truncation = 1.0
        settings = DrawSettings(truncation, class_index=class_index)
        try:
            about = {"network": opened.origin, **resolve(opened.G, settings)}
        except ValueError as error:
            raise click.UsageError(str(error)) from error
        batches = _of_network(opened.G, samples, batch, settings)
    normalisation = {"mean": other.mean, "std": other.std} if other else {}
    found = average_spectrum(batches, beta=beta, about={**about, "beta": beta}, **normalisation)
    image = _drawn(found, out.stem, other, reals.stem if reals else None)
    save(out, found, force)
    save_png(picture, image, found.about, marking=Marking(False), force=force)
    say(f"The spectrum of {found.count} picture{'s' * (found.count > 1)} in {out}, and in {picture}")


def _of_collection(path: Path, samples: int | None, batch: int, *, skip: bool) -> Iterator[Tensor]:
    """Yield pictures [n, C, H, W] in [-1, 1] of a collection, all as large as the first."""
    import numpy as np
    import torch

    from stylegan_torch.pictures import collections
    from stylegan_torch.pictures.decode import DataError, decode_image, in_mode

    def decoded() -> Iterator[Tensor]:
        mode, size, skipped = "", (0, 0), 0
        for each in tracked(collections.pictures(path, "none"), "Looking"):
            try:
                image = decode_image(each.content())
                mode, size = mode or ("L" if image.mode == "L" else "RGB"), size if mode else image.size
                if image.size != size:
                    raise DataError(f"is {image.width}×{image.height}, the first {size[0]}×{size[1]}")
            except DataError as error:
                if not skip:
                    raise DataError(f"{path}: {each.name} {error}; --bad skip leaves such out") from error
                skipped += 1
                continue
            pixels = np.atleast_3d(np.asarray(in_mode(image, mode))).transpose(2, 0, 1)
            yield torch.from_numpy(pixels.copy()).double() / 127.5 - 1
        if skipped:
            say(f"Skipped {skipped} of the pictures of {one_line(str(path))}", err=True)

    images = islice(decoded(), samples)
    while some := list(islice(images, batch)):
        yield torch.stack(some)


def _of_network(G: Generator, samples: int, batch: int, settings: DrawSettings) -> Iterator[Tensor]:
    """Yield a generator's pictures [1, C, H, W] in [-1, 1], in 8 bits."""
    import torch

    from stylegan_torch.drawing.devices import has_fast_form
    from stylegan_torch.drawing.draw import draw

    drawn = draw(G, range(samples), settings, batch=batch, device=G.device, fast=has_fast_form(G.device))
    for _, picture in tracked(drawn, "Drawing", samples):
        yield torch.from_numpy(picture.transpose(2, 0, 1).copy())[None].double() / 127.5 - 1


def _drawn(found: Spectrum, name: str, other: Spectrum | None, other_name: str | None) -> Image.Image:
    """Return the map of a spectrum, and beside it the profile, with that of another if there is one."""
    from stylegan_torch.drawing.charts import Curve, beside, chart, heat_map

    curves = [Curve(name, found.radii, found.profile_decibels)]
    if other and other_name:
        curves.append(Curve(other_name, other.radii, other.profile_decibels))
    low, high = min(float(curve.y.min()) for curve in curves), max(float(curve.y.max()) for curve in curves)
    size = (round(1.5 * _SIDE), _SIDE)
    axes = chart(curves, size, x_name="cycles a pixel, mean of all directions", y_name="dB")
    return beside([heat_map(found.decibels, low, high, _SIDE), axes])
