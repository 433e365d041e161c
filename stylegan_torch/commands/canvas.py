"""What commands are told of pictures of other sizes, and of several latents in one."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import click

from stylegan_torch.commands.inputs import InputFile
from stylegan_torch.commands.options import block
from stylegan_torch.commands.terminal import FiniteRange, reading
from stylegan_torch.errors import StyleGANError

if TYPE_CHECKING:
    from torch import Tensor

    from stylegan_torch.commands.networks import Opened
    from stylegan_torch.drawing.images import Picture
    from stylegan_torch.editing.latents import Latents

STRIPS = ("columns", "rows")


class LayoutFile(InputFile):
    """One of `STRIPS`, or a picture whose grays say which of several latents is where. Gives a `str`."""

    name = "text"

    def made(self, text: str) -> str:
        """Return the name as it is."""
        return text

    def check(self, text: str) -> None:
        """Raise StyleGANError if it is a file that is not there."""
        if text not in STRIPS:
            super().check(text)


def _two_numbers(between: str, what: str, least: float) -> Callable[[str], tuple[int, int]]:
    """Return what reads two whole numbers with a sign between."""

    def read(text: str) -> tuple[int, int]:
        try:
            first, second = map(int, text.lower().split(between))
        except ValueError:
            raise ValueError(f"{text!r} is not {what}") from None
        if min(first, second) < least:
            raise ValueError(f"{text!r} is not {what}")
        return first, second

    return read


CANVAS = block(
    click.option(
        "--size",
        callback=reading(_two_numbers("x", "height x width such as 512x1024", 1)),
        metavar="HxW",
        help="Of each picture: a larger window of StyleGAN3's field, or a larger constant of StyleGAN2.",
    ),
    click.option(
        "--offset",
        callback=reading(_two_numbers(",", "pixels from the top and the left such as 0,64", float("-inf"))),
        metavar="TOP,LEFT",
        help="Where the ordinary picture lies in --size.  [default: in the middle]",
    ),
    click.option(
        "--fill",
        type=click.Choice(["reflect", "tile", "edge"]),
        default="reflect",
        show_default=True,
        help="What StyleGAN2's constant becomes beyond its edges, with --size.",
    ),
    click.option(
        "--layout",
        type=LayoutFile(),
        metavar="columns|rows|FILE",
        help="All in one picture: side by side, one below the other, or where a picture's grays say, darkest first.",
    ),
    click.option(
        "--feather",
        type=FiniteRange(0, 1),
        default=0.05,
        show_default=True,
        help="How soft the edges of --layout are, in heights of the ordinary picture.",
    ),
)


@dataclass(frozen=True)
class Chosen:
    """What the options say."""

    size: tuple[int, int] | None
    offset: tuple[int, int] | None
    fill: Literal["reflect", "tile", "edge"]
    layout: str | None
    feather: float

    def about(self) -> dict[str, object]:
        """Return what pictures say of it; nothing of ordinary ones."""
        return {"canvas": asdict(self)} if self.size or self.offset or self.layout else {}

    def pictures(self, opened: Opened, found: Iterable[Latents], noise_seed: int) -> Iterator[Picture]:
        """Yield the pictures of latents, or the one that all are laid out in.

        Raises:
            StyleGANError: if the network cannot draw them, or the layout is not for them.
        """
        from stylegan_torch.drawing.images import to_uint8
        from stylegan_torch.editing.canvas import canvas_of, draw_laid_out, masks_of
        from stylegan_torch.editing.latents import drawn, joined

        if not self.about():
            for each in found:
                yield from drawn(opened.drawer, each)
            return
        canvas = canvas_of(opened.G, self.size, offset=self.offset, fill=self.fill, noise_seed=noise_seed)
        if not self.layout:
            for each in found:
                yield from drawn(canvas.G, canvas.fitted(each))
            return
        latents = joined(list(found))
        places, feather = _read_layout(self.layout, len(latents)), self.feather * canvas.ordinary[0]
        masks = masks_of(places, canvas.size, count=len(latents), feather=feather)
        yield to_uint8(draw_laid_out(canvas, latents, masks), opened.G.rounding)[0].numpy()


def _read_layout(layout: str, count: int) -> Tensor:
    """Return which of `count` latents is where [h, w].

    Raises:
        StyleGANError: if it is a picture that cannot be read, or does not have as many grays.
    """
    import numpy as np
    import torch

    from stylegan_torch.editing.canvas import strips
    from stylegan_torch.pictures.decode import DataError, decode_image, in_mode

    if layout in STRIPS:
        return strips(count, across=layout == "columns")
    try:
        gray = np.asarray(in_mode(decode_image(Path(layout).read_bytes()), "L"))
    except (DataError, OSError) as error:
        raise StyleGANError(f"{layout} {error}") from error
    grays, places = np.unique(gray, return_inverse=True)
    if len(grays) != count:
        some = ", ".join(map(str, grays[:8])) + ", …" * (len(grays) > 8)
        raise StyleGANError(
            f"{layout} has {len(grays)} grays ({some}), and there are {count} pictures to lay out: "
            "it takes one gray for each, and no soft edges, which --feather makes"
        )
    return torch.from_numpy(places.reshape(gray.shape))
