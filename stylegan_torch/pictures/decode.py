"""A picture file of any kind, made into 8-bit pixels of one size: the only decoder there is."""

from __future__ import annotations

import functools
import io
import warnings
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageOps

from stylegan_torch.errors import StyleGANError

FORMATS = ("PNG", "JPEG", "WEBP", "BMP", "TIFF", "GIF", "PPM", "TGA", "AVIF", "JPEG2000")
"""What is read; for some others Pillow would start another program."""
Pixels = npt.NDArray[np.uint8]
MODES = {1: "L", 3: "RGB", 4: "RGBA"}
_GRAY = ("1", "L", "LA", "La", "F", "I")
_BRIGHT = 16
"""Floats that go beyond 1 must reach so far to be taken for 0 to 255, and not for 0 to 1 with a little too much."""
_BLANK: dict[str, int | tuple[int, ...]] = {"L": 255, "RGB": (255, 255, 255), "RGBA": (255, 255, 255, 0)}
_TOO_SMALL = 8
"""A picture that had to be enlarged more than so many times shows nothing: it counts as bad."""


_ADVICE = "save it with 8 or 16 bits"


class DataError(StyleGANError):
    """The data set, or a picture of it, is of no use."""


@dataclass(frozen=True)
class PictureSize:
    """What pictures are made into: so many pixels and channels."""

    height: int
    width: int
    channels: int


def decode(data: bytes, size: PictureSize) -> Pixels:
    """Return a picture file as uint8 [C, H, W]: turned as its EXIF says, cut to the middle, resized.

    What is transparent becomes white unless there are 4 channels.

    Raises:
        DataError: if it is broken, far too small, or of numbers that mean no brightness (see `decode_image`).
    """
    image = decode_image(data)
    refuse_tiny(image.size, (size.width, size.height))
    return fitted(image, size)


def refuse_tiny(found: tuple[int, int], wanted: tuple[int, int]) -> None:
    """Raise DataError if (width, height) pixels would have to be enlarged far too much to be as many as are wanted."""
    if found[0] * _TOO_SMALL < wanted[0] or found[1] * _TOO_SMALL < wanted[1]:
        raise DataError(f"is too small, {found[0]}×{found[1]} pixels")


@functools.cache
def _readable() -> list[str]:
    """Return those of `FORMATS` that this Pillow knows: the first that it doesn't would end its search."""
    Image.init()
    return [name for name in FORMATS if name in Image.OPEN]


def decode_image(data: bytes) -> Image.Image:
    """Return a picture file as an 8-bit Pillow image, L, RGB or RGBA, turned as its EXIF says.

    Integers of 16 or 32 bits are taken as they are if none is above 255, and divided by 257 if none is above 65535.
    Floats are multiplied by 255 if none is above 1, and taken as they are if the largest is from 16 to 255. All other
    numbers are refused.

    Raises:
        DataError: if it is broken, or has values beyond these.
    """
    try:
        with _quiet():
            image: Image.Image = Image.open(io.BytesIO(data), formats=_readable())
            image.load()
            return _in_8_bits(ImageOps.exif_transpose(image))
    except DataError:
        raise
    except Image.DecompressionBombError as error:
        raise DataError("is too large") from error
    except Exception as error:  # what a decoder raises for a broken file is anything
        raise DataError("is broken, or not a picture") from error


def _quiet() -> warnings.catch_warnings[None]:
    return warnings.catch_warnings(action="ignore")


def _in_8_bits(image: Image.Image) -> Image.Image:
    if image.mode == "F" or image.mode.startswith("I"):
        return Image.fromarray(_brightness(np.asarray(image)))
    if image.has_transparency_data:
        return image.convert("RGBA")
    return image.convert("L" if image.mode in _GRAY else "RGB")


def _brightness(values: np.ndarray[Any, np.dtype[Any]]) -> Pixels:
    """Return numbers as uint8, by the rule that `decode_image` tells."""
    low, high = values.min(), values.max()
    if np.issubdtype(values.dtype, np.integer):
        if low < 0 or high > 65535:
            raise DataError(f"has integers from {low} to {high}, not from 0 to 255 or to 65535: {_ADVICE}")
        return (values if high <= 255 else values // 257).astype(np.uint8)
    if not (low >= 0 and (high <= 1 or _BRIGHT <= high <= 255)):  # so that NaN is refused too
        raise DataError(f"has floats from {low:g} to {high:g}, not from 0 to 1 or to 255: {_ADVICE}")
    return (values.astype(np.float64) * (255 if high <= 1 else 1) + 0.5).astype(np.uint8)


def is_gray(data: bytes) -> bool:
    """Return whether a picture file has no colours, by what its header says; True if it is broken."""
    try:
        with _quiet(), Image.open(io.BytesIO(data), formats=_readable()) as image:
            return image.mode in _GRAY or image.mode.startswith("I;16")
    except Exception:  # as above; whoever decodes it will say so
        return True


def fitted(image: Image.Image, size: PictureSize, fit: Literal["crop", "pad"] = "crop") -> Pixels:
    """Return an image of any size as uint8 [C, H, W]; what was transparent is white unless C is 4.

    Args:
        image: what `decode_image` returns.
        size: the size and channels wanted.
        fit: cut to the middle, or pad with white, which is transparent if there are 4 channels.

    Raises:
        DataError: if it is too narrow to pad.
    """
    image = in_mode(image, MODES[size.channels])
    if fit == "pad":
        if round(min(size.width / image.width, size.height / image.height) * min(image.size)) < 1:
            raise DataError(f"is too narrow to pad, {image.width}×{image.height} pixels")
        image = ImageOps.pad(image, (size.width, size.height), Image.Resampling.LANCZOS, color=_BLANK[image.mode])
    else:
        image = ImageOps.fit(image, (size.width, size.height), Image.Resampling.LANCZOS)
    return np.asarray(image).reshape(size.height, size.width, size.channels).transpose(2, 0, 1)


def in_mode(image: Image.Image, mode: str) -> Image.Image:
    """Return an 8-bit image as L, RGB or RGBA; what was transparent is white unless that can say so."""
    if mode != "RGBA" and image.has_transparency_data:
        white = Image.new("RGBA", image.size, "white")
        image = Image.alpha_composite(white, image.convert("RGBA"))
    return image.convert(mode)
