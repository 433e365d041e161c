"""Charts of numbers: maps in colours, and curves with axes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageDraw, ImageFont
from torch import Tensor

_SCALE = ((0, (8, 8, 32)), (0.25, (70, 20, 110)), (0.5, (170, 40, 100)), (0.75, (245, 125, 45)), (1, (252, 245, 170)))
"""Colours from the lowest value to the highest, ever lighter."""
CURVES = ("#3060c0", "#d04030", "#208040", "#a050b0", "#b08000", "#008090")
_MARGIN = (64, 16, 16, 40)
"""Left, top, right and bottom of the axes."""


@dataclass(frozen=True)
class Curve:
    """A curve through points x, y [n], and its name."""

    name: str
    x: Tensor
    y: Tensor


def heat_map(values: Tensor, low: float, high: float, side: int) -> Image.Image:
    """Return a map [H, W] in colours between two values, its larger side so many pixels large."""
    share = ((values - low) / max(high - low, 1e-12)).clamp(0, 1).numpy()
    places = [place for place, _ in _SCALE]
    channels = [np.interp(share, places, [color[i] for _, color in _SCALE]) for i in range(3)]
    image = Image.fromarray(np.stack(channels, axis=2).round().astype(np.uint8))
    scale = side / max(image.size)
    return image.resize((round(image.width * scale), round(image.height * scale)), Image.Resampling.NEAREST)


def chart(curves: Sequence[Curve], size: tuple[int, int], *, x_name: str, y_name: str) -> Image.Image:
    """Return curves as a picture of a size (width, height), with their names and both axes' numbers."""
    image = Image.new("RGB", size, "white")
    pen, font = ImageDraw.Draw(image), ImageFont.load_default(12)
    x_ticks, y_ticks = (
        _ticks(min(float(v.min()) for v in values), max(float(v.max()) for v in values))
        for values in ([c.x for c in curves], [c.y for c in curves])
    )
    left, top, right, bottom = _MARGIN
    box = (left, top, size[0] - right, size[1] - bottom)

    def at(x: float, y: float) -> tuple[float, float]:
        across, up = (x - x_ticks[0]) / (x_ticks[-1] - x_ticks[0]), (y - y_ticks[0]) / (y_ticks[-1] - y_ticks[0])
        return box[0] + across * (box[2] - box[0]), box[3] - up * (box[3] - box[1])

    for x in x_ticks:
        place = at(x, y_ticks[0])
        pen.line((place[0], box[1], place[0], box[3]), fill="#e0e0e0")
        pen.text((place[0], box[3] + 6), f"{x:g}", fill="black", font=font, anchor="mt")
    for y in y_ticks:
        place = at(x_ticks[0], y)
        pen.line((box[0], place[1], box[2], place[1]), fill="#e0e0e0")
        pen.text((box[0] - 6, place[1]), f"{y:g}", fill="black", font=font, anchor="rm")
    pen.text(((box[0] + box[2]) / 2, size[1] - 4), x_name, fill="black", font=font, anchor="mb")
    pen.text((4, 2), y_name, fill="black", font=font, anchor="lt")
    for i, curve in enumerate(curves):
        color = CURVES[i % len(CURVES)]
        pen.line([at(x, y) for x, y in zip(curve.x.tolist(), curve.y.tolist(), strict=True)], fill=color, width=2)
        pen.text((box[2] - 8, box[1] + 8 + 16 * i), curve.name, fill=color, font=font, anchor="rt")
    return image


def _ticks(low: float, high: float) -> list[float]:
    """Return round numbers at equal distances, the first not above the lowest value, the last not below the highest."""
    span = high - low or 1.0
    rough = span / 5
    power = 10.0 ** np.floor(np.log10(rough))
    step = float(next(power * factor for factor in (1, 2, 5, 10) if power * factor >= rough))
    first, last = np.floor(low / step), np.ceil(high / step)
    return [round(step * i, 10) for i in range(int(first), int(max(last, first + 1)) + 1)]


def beside(images: Sequence[Image.Image]) -> Image.Image:
    """Return images side by side, on white, as high as the highest."""
    result = Image.new("RGB", (sum(image.width for image in images), max(image.height for image in images)), "white")
    left = 0
    for image in images:
        result.paste(image, (left, (result.height - image.height) // 2))
        left += image.width
    return result
