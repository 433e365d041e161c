"""Photographs, made into what a network draws."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from torch import Tensor

from stylegan_torch.drawing.images import Picture
from stylegan_torch.networks.interface import Generator
from stylegan_torch.pictures.alignment import Alignment
from stylegan_torch.pictures.decode import MODES, DataError, PictureSize, decode_image, fitted, in_mode


@dataclass(frozen=True)
class Target:
    """A picture [H, W, C] of a network's size and channels, and how it came about."""

    picture: Picture
    story: str

    def image(self) -> Tensor:
        """Return the picture as an image [C, H, W] in [-1, 1]."""
        return torch.from_numpy(self.picture.copy()).permute(2, 0, 1).float() / 127.5 - 1


def read_target(
    path: Path, G: Generator, fit: Literal["crop", "pad"] = "crop", *, alignment: Alignment | None = None
) -> Target:
    """Read a photograph of any size and mode for a generator.

    It is turned as its EXIF says, then cut as an alignment says, if one is given, whose first crop is taken, then cut
    to the middle or padded with white, and resized. What is transparent becomes white unless the network draws alpha.

    Raises:
        DataError: if it cannot be read, or the network does not draw grey, RGB or RGBA.
    """
    height, width = G.img_size
    if G.img_channels not in (1, 3, 4):
        raise DataError(f"this network draws {G.img_channels} channels, which no photograph has")
    try:
        image = decode_image(path.read_bytes())
        done = [f"{image.width}×{image.height} pixels"]
        if alignment:
            image = alignment.made(in_mode(image, MODES[G.img_channels]), max(height, width), path.name)[0]
            done.append(alignment.story)
        array = fitted(image, PictureSize(height, width, G.img_channels), fit)
    except OSError as error:
        raise DataError(f"cannot read {path}: {error.strerror or error}") from error
    except DataError as error:
        raise DataError(f"{path} {error}") from error
    if image.width * height != image.height * width:
        done.append("cut to the middle" if fit == "crop" else "padded with white")
    if image.size != (width, height):
        done.append(f"resized to {width}×{height}")
    return Target(np.ascontiguousarray(array.transpose(1, 2, 0)), ", ".join(done))


def psnr(picture: Picture, target: Picture) -> float:
    """Return the peak signal-to-noise ratio of two 8-bit pictures, in dB; infinite if they are equal."""
    error = np.square(picture.astype(np.float64) - target).mean()
    return float(10 * np.log10(255**2 / error)) if error else float("inf")
