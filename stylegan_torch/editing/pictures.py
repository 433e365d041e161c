"""From ws to 8-bit pictures, and sheets of them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import torch
from PIL import Image, ImageDraw, ImageFont
from torch import Tensor

from stylegan_torch.images import to_pil, to_uint8

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
        images = G.synthesis(ws[some].to(device), noise_mode=noise_mode, noise=maps or None)
        yield from to_uint8(images).numpy()


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
    size = 14
    font = ImageFont.load_default(size)
    result = Image.new(image.mode, (image.width, image.height + 2 * size), "white" if image.mode != "L" else 255)
    result.paste(image, (0, 2 * size))
    draw_on = ImageDraw.Draw(result)
    width = image.width / len(captions)
    for i, caption in enumerate(captions):
        draw_on.text(
            ((i + 0.5) * width, size), caption, fill="black" if image.mode != "L" else 0, font=font, anchor="mm"
        )
    return result
