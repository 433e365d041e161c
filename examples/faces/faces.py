"""Draws the data set of the bundled network: faces, every one another, made of a few dozen shapes.

    python -m examples.faces.faces faces.zip --count 20000

Everything in a picture follows from its seed. What varies is continuous where it can be (skin, hair, mood, gaze, tilt),
so that a network can be moved along it.
"""

from __future__ import annotations

import colorsys
import io
import math
import zipfile
from dataclasses import dataclass
from pathlib import Path

import click
import numpy as np
from PIL import Image, ImageDraw, ImageOps
from rich.progress import track

from stylegan_torch.commands.terminal import one_line_errors
from stylegan_torch.files.atomic import new_file

SIDE = 64
_CANVAS = 5 * SIDE
"""Pictures are drawn larger, and reduced."""
_FRAME = (0.1 * _CANVAS, 0.07 * _CANVAS, 0.9 * _CANVAS, 0.87 * _CANVAS)
"""What of the drawing the picture shows: left, top, right, bottom."""

Color = tuple[int, int, int]
SKIN = ((255, 224, 196), (241, 194, 155), (224, 172, 125), (188, 129, 88), (141, 88, 56), (92, 56, 38))
HAIR = ((28, 22, 20), (68, 42, 26), (120, 74, 38), (176, 118, 56), (228, 190, 112), (168, 60, 30), (190, 190, 196))
IRIS = ((70, 46, 30), (96, 66, 36), (64, 104, 68), (60, 110, 168), (110, 122, 134))


@dataclass(frozen=True)
class Face:
    """What a face looks like. Numbers are shares from 0 to 1, or -1 to 1 where they have a direction.

    skin, hair_color, iris: colours. background: its colour below and above. shirt: colour.
    width, jaw: of the head; how pointed it is at the chin.
    hair: "short", "long", "bob", "curly", "bun" or "bald". fringe: how far it covers the forehead. parting: to a side.
    eye_size, eye_distance, gaze, lids: gaze from left to right; how far the eyes are closed.
    brow, smile, mouth_open: brows from angry to surprised; mouth from sad to merry.
    nose: length. beard: strength, 0 = none. glasses, hat: None or a colour.
    tilt: turns the head, in degrees. shift: moves it, in shares of the picture.
    """

    skin: Color
    hair_color: Color
    iris: Color
    background: tuple[Color, Color]
    shirt: Color
    width: float
    jaw: float
    hair: str
    fringe: float
    parting: float
    eye_size: float
    eye_distance: float
    gaze: float
    lids: float
    brow: float
    smile: float
    mouth_open: float
    nose: float
    beard: float
    glasses: Color | None
    hat: Color | None
    tilt: float
    shift: tuple[float, float]


def random_face(seed: int) -> Face:
    """Return the face of a seed."""
    rng = np.random.default_rng(seed)

    def share(low: float = 0.0, high: float = 1.0) -> float:
        return float(rng.uniform(low, high))

    def bell(spread: float) -> float:
        return float(np.clip(rng.normal(0.0, spread), -1.0, 1.0))

    def between(colors: tuple[Color, ...]) -> Color:
        position = share(0, len(colors) - 1)
        return _mix(colors[int(position)], colors[min(int(position) + 1, len(colors) - 1)], position % 1)

    def vivid(saturation: tuple[float, float], value: tuple[float, float]) -> Color:
        red, green, blue = colorsys.hsv_to_rgb(share(), share(*saturation), share(*value))
        return round(red * 255), round(green * 255), round(blue * 255)

    below = vivid((0.2, 0.7), (0.45, 0.95))
    above = _mix(below, (255, 255, 255), share(0.1, 0.5))
    return Face(
        skin=between(SKIN),
        hair_color=_mix(HAIR[rng.integers(len(HAIR))], HAIR[rng.integers(len(HAIR))], share(0, 0.25)),
        iris=IRIS[rng.integers(len(IRIS))],
        background=(below, above),
        shirt=vivid((0.2, 0.9), (0.25, 0.95)),
        width=share(),
        jaw=share(),
        hair=str(rng.choice(["short", "long", "bob", "curly", "bun", "bald"], p=[0.26, 0.24, 0.18, 0.14, 0.1, 0.08])),
        fringe=share(),
        parting=bell(0.5),
        eye_size=share(),
        eye_distance=share(),
        gaze=bell(0.4),
        lids=max(0.0, bell(0.3)),
        brow=bell(0.45),
        smile=float(np.clip(rng.normal(0.25, 0.5), -0.8, 1.0)),
        mouth_open=max(0.0, bell(0.45)),
        nose=share(),
        beard=share(0.35, 1.0) if rng.random() < 0.2 else 0.0,
        glasses=vivid((0.0, 0.8), (0.05, 0.5)) if rng.random() < 0.28 else None,
        hat=vivid((0.3, 0.9), (0.3, 0.9)) if rng.random() < 0.14 else None,
        tilt=8.0 * bell(0.5),
        shift=(0.03 * bell(0.5), 0.03 * bell(0.5)),
    )


def draw_face(face: Face) -> Image.Image:
    """Return the picture, RGB, `SIDE` pixels square."""
    picture = _gradient(*face.background)
    body = _Pen()
    body.ellipse((0.5, 1.14), (0.44, 0.32), face.shirt)
    body.ellipse((0.5, 0.86), (0.12, 0.07), _shaded(face.skin, 0.88))
    picture.paste(body.layer, (0, 0), body.layer)
    head = _Pen()
    for part in (_hair_behind, _neck_and_ears, _head, _beard, _nose, _mouth, _eyes, _fringe, _glasses, _hat):
        part(head, face)
    layer = head.layer.rotate(
        face.tilt,
        Image.Resampling.BICUBIC,
        center=(0.5 * _CANVAS, 0.85 * _CANVAS),
        translate=(round(face.shift[0] * _CANVAS), round(face.shift[1] * _CANVAS)),
    )
    picture.paste(layer, (0, 0), layer)
    return picture.resize((SIDE, SIDE), Image.Resampling.BOX, box=_FRAME)


Point = tuple[float, float]


class _Pen:
    """Draws on a transparent layer; places and lengths are shares of its side."""

    def __init__(self) -> None:
        self.layer = Image.new("RGBA", (_CANVAS, _CANVAS))
        self.draw = ImageDraw.Draw(self.layer)

    def ellipse(self, center: Point, radii: Point, color: Color) -> None:
        """Fill an ellipse."""
        (x, y), (rx, ry) = center, radii
        self.draw.ellipse([v * _CANVAS for v in (x - rx, y - ry, x + rx, y + ry)], fill=color)

    def ring(self, center: Point, radii: Point, width: float, color: Color) -> None:
        """Draw the line of an ellipse."""
        (x, y), (rx, ry) = center, radii
        box = [v * _CANVAS for v in (x - rx, y - ry, x + rx, y + ry)]
        self.draw.ellipse(box, outline=color, width=round(width * _CANVAS))

    def polygon(self, points: list[Point], color: Color) -> None:
        """Fill a polygon."""
        self.draw.polygon([(x * _CANVAS, y * _CANVAS) for x, y in points], fill=color)

    def line(self, points: list[Point], width: float, color: Color) -> None:
        """Draw a line with round ends."""
        self.draw.line([(x * _CANVAS, y * _CANVAS) for x, y in points], color, round(width * _CANVAS), joint="curve")
        for end in (points[0], points[-1]):
            self.ellipse(end, (width / 2, width / 2), color)


def _mix(a: Color, b: Color, share: float) -> Color:
    red, green, blue = (round(x + (y - x) * share) for x, y in zip(a, b, strict=True))
    return red, green, blue


def _shaded(color: Color, factor: float) -> Color:
    return _mix((0, 0, 0), color, factor)


def _gradient(below: Color, above: Color) -> Image.Image:
    column = np.linspace(above, below, _CANVAS).round().astype(np.uint8)
    return Image.fromarray(np.repeat(column[:, None], _CANVAS, axis=1))


def _arc(start: Point, middle: Point, end: Point) -> list[Point]:
    """Return points on the parabola from start to end that `middle` pulls."""
    steps = [i / 16 for i in range(17)]
    return [
        (
            (1 - t) ** 2 * start[0] + 2 * t * (1 - t) * middle[0] + t**2 * end[0],
            (1 - t) ** 2 * start[1] + 2 * t * (1 - t) * middle[1] + t**2 * end[1],
        )
        for t in steps
    ]


_CENTER = (0.5, 0.5)
_HEIGHT = 0.28
"""Half the height of a head."""


def _half_width(face: Face) -> float:
    return 0.185 + 0.045 * face.width


def _outline(face: Face, grown: float = 1.0) -> list[Point]:
    """Return the outline of the head: an ellipse that the jaw makes narrower below."""
    points = []
    for i in range(72):
        angle = 2 * math.pi * i / 72
        down = math.sin(angle)
        narrowed = 1 - 0.28 * face.jaw * max(down, 0.0) ** 2
        x = _CENTER[0] + _half_width(face) * grown * narrowed * math.cos(angle)
        points.append((x, _CENTER[1] + _HEIGHT * grown * down))
    return points


def _hair_behind(pen: _Pen, face: Face) -> None:
    wide, color = _half_width(face), _shaded(face.hair_color, 0.85)
    if face.hair == "long":
        pen.ellipse((0.5, 0.43), (wide + 0.06, 0.27), color)
        pen.polygon(
            [(0.44 - wide, 0.43), (0.56 + wide, 0.43), (0.58 + wide, 0.86), (0.42 - wide, 0.86)],
            color,
        )
    elif face.hair == "bob":
        pen.ellipse((0.5, 0.47), (wide + 0.065, 0.28), color)
    elif face.hair == "curly":
        for i in range(18):
            angle = math.pi * (0.94 + 1.12 * i / 17)
            center = (0.5 + (wide + 0.025) * math.cos(angle), 0.45 + 0.25 * math.sin(angle))
            pen.ellipse(center, (0.075, 0.075), color)
    elif face.hair == "bun":
        pen.ellipse((0.5, 0.17), (0.085, 0.085), color)


def _neck_and_ears(pen: _Pen, face: Face) -> None:
    shade, wide = _shaded(face.skin, 0.88), _half_width(face)
    pen.polygon([(0.42, 0.65), (0.58, 0.65), (0.6, 0.88), (0.4, 0.88)], shade)
    for side in (-1, 1):
        pen.ellipse((0.5 + side * (wide + 0.005), 0.52), (0.032, 0.055), shade)


def _head(pen: _Pen, face: Face) -> None:
    pen.polygon(_outline(face), face.skin)
    blush = _mix(face.skin, (214, 84, 84), 0.18)
    for side in (-1, 1):
        pen.ellipse((0.5 + side * 0.55 * _half_width(face), 0.6), (0.045, 0.035), blush)


def _beard(pen: _Pen, face: Face) -> None:
    if face.beard:
        color = _mix(face.skin, face.hair_color, face.beard)
        pen.polygon([(x, y) for x, y in _outline(face) if y > 0.585], color)
        pen.ellipse((0.5, 0.6), (0.1, 0.045), face.skin)


def _nose(pen: _Pen, face: Face) -> None:
    tip = 0.565 + 0.03 * face.nose
    pen.line(_arc((0.49, 0.5), (0.515, tip - 0.015), (0.525, tip)), 0.014, _shaded(face.skin, 0.78))
    pen.line(_arc((0.475, tip), (0.5, tip + 0.018), (0.525, tip)), 0.014, _shaded(face.skin, 0.72))


def _mouth(pen: _Pen, face: Face) -> None:
    half, y = 0.06 + 0.025 * max(face.smile, 0.0), 0.672
    bend = 0.055 * face.smile
    left, right = (0.5 - half, y - bend / 2), (0.5 + half, y - bend / 2)
    lip = _mix(face.skin, (150, 30, 40), 0.65)
    upper = _arc(left, (0.5, y + bend / 2), right)
    lower = _arc(left, (0.5, y + bend / 2 + 0.11 * face.mouth_open), right)
    if face.mouth_open > 0.15:
        pen.polygon([*upper, *reversed(lower)], (90, 16, 26))
        teeth = _arc(left, (0.5, y + bend / 2 + 0.035 * face.mouth_open), right)
        pen.polygon([*upper, *reversed(teeth)], (244, 240, 232))
        pen.line(lower, 0.018, lip)
    pen.line(upper, 0.018, lip)


def _eyes(pen: _Pen, face: Face) -> None:
    apart, size = 0.078 + 0.022 * face.eye_distance, 0.036 + 0.014 * face.eye_size
    brow_color = _shaded(face.hair_color, 0.8) if face.hair != "bald" else _shaded(face.skin, 0.5)
    for side in (-1, 1):
        x, y = 0.5 + side * apart, 0.485
        pen.ellipse((x, y), (size, 0.72 * size), (250, 250, 248))
        iris = x + 0.4 * size * face.gaze
        pen.ellipse((iris, y), (0.56 * size, 0.6 * size), face.iris)
        pen.ellipse((iris, y), (0.28 * size, 0.3 * size), (12, 10, 12))
        pen.ellipse((iris + 0.2 * size, y - 0.2 * size), (0.12 * size, 0.12 * size), (255, 255, 255))
        lid = y - 0.72 * size + 1.3 * size * face.lids
        pen.polygon(
            [(x - 1.1 * size, y - size), (x + 1.1 * size, y - size), (x + 1.1 * size, lid), (x - 1.1 * size, lid)],
            face.skin,
        )
        pen.line(_arc((x - size, lid + 0.012), (x, lid - 0.012), (x + size, lid + 0.012)), 0.012, (40, 26, 24))
        inner, outer = 0.425 - 0.03 * face.brow, 0.425 + 0.012 * face.brow
        brow = _arc((x - side * size, inner), (x, min(inner, outer) - 0.028), (x + side * 1.15 * size, outer))
        pen.line(brow, 0.02, brow_color)


def _fringe(pen: _Pen, face: Face) -> None:
    if face.hair == "bald":
        return
    outline = [(x, y) for x, y in _outline(face, 1.04) if y < 0.5 - 0.05]
    left, right = min(outline), max(outline)
    low = 0.27 + 0.12 * face.fringe
    split = 0.5 + 0.5 * face.parting * _half_width(face)
    top = sorted(outline)
    pen.polygon(
        [
            *top,
            *_arc(right, (right[0] - 0.02, low), (split, low - 0.02)),
            *_arc((split, low - 0.02), (left[0] + 0.02, low), left),
        ],
        face.hair_color,
    )


def _glasses(pen: _Pen, face: Face) -> None:
    if face.glasses:
        apart, radius = 0.078 + 0.022 * face.eye_distance, 0.066
        for side in (-1, 1):
            pen.ring((0.5 + side * apart, 0.49), (radius, radius), 0.017, face.glasses)
            pen.line(
                [(0.5 + side * (apart + radius), 0.48), (0.5 + side * _half_width(face), 0.475)], 0.015, face.glasses
            )
        pen.line(_arc((0.5 - apart + radius, 0.48), (0.5, 0.465), (0.5 + apart - radius, 0.48)), 0.015, face.glasses)


def _hat(pen: _Pen, face: Face) -> None:
    if face.hat:
        wide = _half_width(face)
        dome = [(x, y) for x, y in _outline(face, 1.14) if y < 0.36]
        pen.polygon(sorted(dome), face.hat)
        pen.line([(0.5 - wide - 0.02, 0.36), (0.5 + wide + 0.02, 0.36)], 0.055, _shaded(face.hat, 0.8))


@click.command()
@click.argument("path", type=click.Path(path_type=Path))
@click.option("--count", type=click.IntRange(min=1), default=20_000, show_default=True, help="How many.")
@click.option("--first", type=click.IntRange(min=0), default=0, show_default=True, help="The first seed.")
@click.option("--negative", is_flag=True, help="Draw them as negatives, for a second network to blend with.")
@click.option("--force", is_flag=True, help="Replace the file if it exists.")
@one_line_errors
def main(path: Path, count: int, first: int, negative: bool, force: bool) -> None:
    """Write the faces of the seeds 0, 1, … as PNG files in a zip."""
    with new_file(path, force) as file, zipfile.ZipFile(file, "w") as archive:
        for seed in track(range(first, first + count), "Drawing"):
            data = io.BytesIO()
            face = draw_face(random_face(seed))
            (ImageOps.invert(face) if negative else face).save(data, format="PNG", compress_level=1)
            archive.writestr(zipfile.ZipInfo(f"face{seed:05d}.png"), data.getvalue())


if __name__ == "__main__":
    main()
