"""From ws to 8-bit pictures, and sheets of them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image, ImageDraw, ImageFont
from torch import Tensor

from stylegan_torch.drawing.draw import exact_float32
from stylegan_torch.drawing.images import to_pil, to_uint8
from stylegan_torch.editing.latents import Latents

Picture = np.ndarray[Any, np.dtype[np.uint8]]
"""[H, W, C] uint8."""


@torch.inference_mode()
def draw(
    G: Any, ws: Tensor, noise: Sequence[Tensor] = (), noise_mode: str = "const", batch: int = 1
) -> Iterator[Picture]:
    """Yield the pictures of ws [N, num_ws, w_dim], drawn where the generator is.

    Args:
        G: a generator, in its plain or fast form.
        ws: one picture each.
        noise: explicit noise [1 or N, 1, H, W], one a noisy layer.
        noise_mode: "const" (stored maps), "random" or "none", where no noise is given.
        batch: pictures drawn at once.
    """
    device = next(G.mapping.buffers()).device
    for start in range(0, len(ws), batch):
        some = slice(start, start + batch)
        maps = [each.to(device) if len(each) == 1 else each[some].to(device) for each in noise]
        with exact_float32():
            images = G.synthesis(ws[some].to(device), noise_mode=noise_mode, noise=maps or None)
        yield from to_uint8(images).numpy()


def draw_rows(G: Any, rows: Sequence[Latents]) -> list[list[Picture]]:
    """Return the pictures of some latents each, with their own noise."""
    return [list(draw(G, row.ws, row.noise)) for row in rows]


def sheet(pictures: Sequence[Sequence[Picture | None]]) -> Image.Image:
    """Return rows of pictures of one size as one picture; None stays black."""
    some = next(picture for row in pictures for picture in row if picture is not None)
    height, width = some.shape[:2]
    mode = to_pil(some).mode
    result = Image.new(mode, (width * max(map(len, pictures)), height * len(pictures)))
    for i, row in enumerate(pictures):
        for j, picture in enumerate(row):
            if picture is not None:
                result.paste(to_pil(picture), (j * width, i * height))
    return result


def captioned(image: Image.Image, captions: Sequence[str]) -> Image.Image:
    """Return a sheet with a line of text above each of its columns, which are equally wide."""
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
