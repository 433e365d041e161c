"""Crops of photographs that stand as those of a data set do: by the landmarks of a face, or by a box."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageFilter

from stylegan_torch.pictures.decode import DataError, refuse_tiny
from stylegan_torch.pictures.faces import Faces, Points

Which = Literal["only", "largest", "all"]
Box = tuple[int, int, int, int]
_SAMPLES = 4
"""So many samples a pixel are taken across, and down."""
_BLUR = 0.02
"""Standard deviation of what blurs the surroundings of a photograph, in sides of the crop."""
_LARGEST = 16
"""A crop larger than so many times the picture would show its surroundings only."""
_MARGIN = 2
"""Pixels that bilinear samples at the edge of a crop see of what is beyond."""


@dataclass(frozen=True)
class Crop:
    """An oriented rectangle of a picture, in pixels, where (0, 0) is the middle of the first pixel.

    centre: (x, y) of its middle. across, down: from there to the middle of its right and of its lower edge.
    """

    centre: tuple[float, float]
    across: tuple[float, float]
    down: tuple[float, float]

    @property
    def quad(self) -> Points:
        """Return its corners [4, 2]: upper left, lower left, lower right, upper right."""
        centre, across, down = map(np.array, (self.centre, self.across, self.down))
        return np.stack(
            [centre - across - down, centre - across + down, centre + across + down, centre + across - down]
        )


def face_crop(landmarks: Points) -> Crop:
    """Return the square that CelebA-HQ and FFHQ cut around a face (Karras et al. 2018, "ProGAN", appendix C).

    With the eyes e0, e1 and the corners of the mouth m0, m1: x' = e1 - e0 and y' = (e0 + e1)/2 - (m0 + m1)/2, the side
    is max(4·|x'|, 3.6·|y'|), the centre (e0 + e1)/2 - 0.1·y', and x' - rotate90(y') leads to the right.

    Args:
        landmarks: [68, 2] in the order of iBUG 300-W, where an eye is the mean of its six points; or [5, 2], the eyes,
            the nose and the corners of the mouth. Left is where the picture has it.

    Raises:
        DataError: if they are of another number, or make no square.
    """
    if landmarks.shape not in ((68, 2), (5, 2)) or not np.isfinite(landmarks).all():
        raise DataError(f"has landmarks of the shape {list(landmarks.shape)}: 68 or 5 points (x, y) are wanted")
    if len(landmarks) == 68:
        eyes, mouth = (landmarks[36:42].mean(axis=0), landmarks[42:48].mean(axis=0)), landmarks[[48, 54]]
    else:
        eyes, mouth = (landmarks[0], landmarks[1]), landmarks[3:5]
    x, middle = eyes[1] - eyes[0], (eyes[0] + eyes[1]) / 2
    y = middle - mouth.mean(axis=0)
    right = x - _rotate90(y)
    side, length = max(4 * np.hypot(*x), 3.6 * np.hypot(*y)), np.hypot(*right)
    if not (side > 0 and length > 1e-6 * side):
        raise DataError("has landmarks of no face: eyes and mouth are one point, or upside down")
    across = side / 2 * right / length
    return Crop(_pair(middle - 0.1 * y), _pair(across), _pair(-_rotate90(across)))


def _rotate90(v: Points) -> Points:
    """Turn a vector to the left, as one sees it: y leads down."""
    return np.array([v[1], -v[0]])


def _pair(v: Points) -> tuple[float, float]:
    return float(v[0]), float(v[1])


def cut(image: Image.Image, crop: Crop, size: tuple[int, int]) -> Image.Image:
    """Return a crop of an image as an image of (width, height), upright.

    As in ProGAN's appendix C: what is beyond the edges is mirrored, and blurred the more the farther it is; samples are
    bilinear, several a pixel, and averaged. Of large crops, squares of pixels are averaged first.

    Raises:
        DataError: if the crop is beside the picture, or far too small.
    """
    centre, across, down = (np.array(each) for each in (crop.centre, crop.across, crop.down))
    centre = centre + 0.5  # from here on, whole numbers are edges of pixels
    sides = 2 * np.hypot(*across), 2 * np.hypot(*down)
    if not (0 <= centre[0] <= image.width and 0 <= centre[1] <= image.height):
        raise DataError(f"has {image.width}×{image.height} pixels, and the crop is beside them")
    if not max(sides) <= _LARGEST * max(image.size):
        raise DataError(f"has {image.width}×{image.height} pixels, and the crop is far larger")
    refuse_tiny((round(sides[0]), round(sides[1])), size)
    factor = int(min(side / (_SAMPLES * pixels) for side, pixels in zip(sides, size, strict=True)))
    if factor > 1:
        image = image.reduce(factor)
        centre, across, down = centre / factor, across / factor, down / factor
    corner, reach = centre - across - down, np.abs(across) + np.abs(down)
    low = np.floor(centre - reach).astype(int) - _MARGIN
    high = np.ceil(centre + reach).astype(int) + _MARGIN
    part = _with_surroundings(image, low, high, _BLUR * float(max(sides)) / max(factor, 1))
    width, height = (_SAMPLES * pixels for pixels in size)
    matrix = np.stack([2 * across / width, 2 * down / height, corner - low], axis=1)
    samples = part.transform(
        (width, height), Image.Transform.AFFINE, matrix.ravel().tolist(), Image.Resampling.BILINEAR
    )
    return samples.reduce(_SAMPLES)


def _with_surroundings(image: Image.Image, low: npt.NDArray[Any], high: npt.NDArray[Any], blur: float) -> Image.Image:
    """Return what is between two corners, which may be beyond the image's, by a blur of some pixels."""
    size = np.array(image.size)
    first, last = np.maximum(low, 0), np.minimum(high, size)
    inside = image.crop((*first.tolist(), *last.tolist()))
    before, after = first - low, high - last
    if not (before.any() or after.any()):
        return inside
    margins = [(before[1], after[1]), (before[0], after[0])]
    pixels = np.asarray(inside)
    mirrored = Image.fromarray(np.pad(pixels, margins + [(0, 0)] * (pixels.ndim - 2), mode="symmetric"))
    away = [_away(some, length) for some, length in zip(margins, pixels.shape[:2], strict=True)]
    distance = np.maximum(away[0][:, None], away[1][None])
    share = np.clip(distance / (3 * blur), 0, 1) * 255
    return Image.composite(
        mirrored.filter(ImageFilter.GaussianBlur(blur)), mirrored, Image.fromarray(share.round().astype(np.uint8))
    )


def _away(margins: tuple[int, int], length: int) -> npt.NDArray[np.float32]:
    """Return how far each pixel of a padded line is from the line, 0 within."""
    place = np.arange(-margins[0], length + margins[1], dtype=np.float32)
    return np.maximum(np.maximum(-place, place - (length - 1)), 0)


@dataclass(frozen=True)
class Alignment:
    """How photographs are cut before all else.

    faces: finds the landmarks that they are cut by. which: of several faces, "only" = there must not be several.
    box: (left, top, right, bottom) instead of faces, in pixels.
    """

    faces: Faces | None = None
    which: Which = "only"
    box: Box | None = None

    def made(self, image: Image.Image, side: int, name: str) -> list[Image.Image]:
        """Return the crops of an image of some name: squares of a side for faces, or the box as it is.

        Raises:
            DataError: saying what is wrong with it, without its name.
        """
        if self.box:
            if self.box[2] > image.width or self.box[3] > image.height:
                raise DataError(f"has {image.width}×{image.height} pixels, and the box {self.box} goes beyond them")
            return [image.crop(self.box)]
        assert self.faces is not None
        found = self.faces.of(image, name)
        if not found:
            raise DataError("has no face that is found")
        if self.which == "only" and len(found) > 1:
            raise DataError(f"has {len(found)} faces; --face says which to take")
        return [cut(image, face_crop(each), (side, side)) for each in found[: None if self.which == "all" else 1]]

    @property
    def story(self) -> str:
        """Return what is done, in words."""
        return f"cut to the box {','.join(map(str, self.box))}" if self.box else "its face aligned"

    @property
    def key(self) -> list[object]:
        """Return JSON data that is another as soon as crops are others."""
        return [self.faces and self.faces.key, self.which, self.box]
