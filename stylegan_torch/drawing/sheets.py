"""Pictures of one size side by side, with captions if wanted."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image, ImageDraw, ImageFont
from torch import Tensor

from stylegan_torch.drawing.images import Picture, to_pil


class Sheet:
    """A sheet of pictures, filled row by row; cells left over stay black, or transparent."""

    _cells: Picture

    def __init__(self, count: int, columns: int | None = None) -> None:
        """Make room for so many pictures; columns None = near-square."""
        self.columns = columns or math.ceil(math.sqrt(count))
        self.rows = math.ceil(count / self.columns)
        self.filled = 0

    def add(self, picture: Picture) -> None:
        """Put the next picture [H, W, C]; all have the size of the first."""
        height, width, channels = picture.shape
        if not self.filled:
            self._cells = np.zeros((self.rows, height, self.columns, width, channels), np.uint8)
        row, column = divmod(self.filled, self.columns)
        self._cells[row, :, column] = picture
        self.filled += 1

    @property
    def picture(self) -> Picture:
        """The sheet [rows·H, columns·W, C] as far as it is filled, with one picture at least."""
        rows, height, columns, width, channels = self._cells.shape
        return self._cells.reshape(rows * height, columns * width, channels)


def tiled(rows: Sequence[Sequence[Picture | None]]) -> Picture:
    """Return rows of as many pictures each, of one size, as one picture; None is black, or transparent."""
    some = next(picture for row in rows for picture in row if picture is not None)
    sheet = Sheet(len(rows) * len(rows[0]), len(rows[0]))
    for row in rows:
        for picture in row:
            sheet.add(np.zeros_like(some) if picture is None else picture)
    return sheet.picture


def captioned(picture: Picture, captions: Sequence[str]) -> Image.Image:
    """Return a sheet with a line of text above each of its columns, which are equally wide; without any, as it is."""
    image = to_pil(picture)
    if not captions:
        return image
    width, height = image.width / len(captions), 28
    white, black = (255, 0) if image.mode == "L" else ("white", "black")
    result = Image.new(image.mode, (image.width, image.height + height), white)
    result.paste(image, (0, height))
    pen = ImageDraw.Draw(result)
    font = ImageFont.load_default(min(14.0, 1.6 * width / max(1, *map(len, captions))))  # so that all fit
    for i, caption in enumerate(captions):
        pen.text(((i + 0.5) * width, height / 2), caption, fill=black, font=font, anchor="mm")
    return result


def as_gray(values: Tensor, like: Picture) -> Picture:
    """Return a map [h, w] of positive numbers as a gray picture, its largest white, in the size and mode of another."""
    scaled = values / values.max().clamp(min=1e-12)
    large = F.interpolate(scaled[None, None], like.shape[:2], mode="nearest")[0, 0]
    gray = (large * 255).round().to(torch.uint8).cpu().numpy()
    result = np.repeat(gray[:, :, None], like.shape[2], axis=2)
    if like.shape[2] in (2, 4):
        result[:, :, -1] = 255
    return result
