"""Times PNG files of pictures against Pillow's, and compares their sizes.

    python benchmarks/png.py
    python benchmarks/png.py photo.png ...     # these pictures instead

The bundled network's pictures at 64², one of them enlarged to 1024², and that with the grain of a photograph. Both take
turns; the best of each counts. Pillow writes as fast as it can without larger files: level 1, runs alone.
"""

from __future__ import annotations

import io
import sys
import time
import zlib
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from PIL import Image
from PIL.PngImagePlugin import PngInfo

import stylegan_torch
from stylegan_torch.drawing import png
from stylegan_torch.drawing.draw import DrawSettings, draw
from stylegan_torch.drawing.images import to_pil

BUNDLED = Path(__file__).parents[1] / "checkpoints" / "demo" / "faces.pkl"
ROUNDS = 15


def of_pillow(image: Image.Image) -> bytes:
    """Return Pillow's file."""
    file = io.BytesIO()
    image.save(file, format="PNG", compress_level=1, compress_type=zlib.Z_RLE)
    return file.getvalue()


def of_ours(image: Image.Image) -> bytes:
    """Return our file."""
    file = io.BytesIO()
    png.write(file, image, PngInfo())
    return file.getvalue()


def drawn() -> dict[str, list[Image.Image]]:
    """Return the pictures by what they are called."""
    G = stylegan_torch.load(BUNDLED)
    small = [to_pil(picture) for _, picture in draw(G, range(32), DrawSettings(), batch=8, fast=True)]
    large = small[3].resize((1024, 1024), Image.Resampling.BICUBIC)
    grain = np.random.default_rng(0).normal(0, 1, (1024, 1024, 3))
    grained = Image.fromarray((np.asarray(large) + grain).clip(0, 255).astype(np.uint8))
    return {"64²": small, "1024², smooth": [large], "1024², grained": [grained]}


def best(write: Callable[[Image.Image], bytes], images: Sequence[Image.Image]) -> tuple[float, int]:
    """Return the milliseconds and bytes of a picture."""
    start = time.perf_counter()
    sizes = [len(write(image)) for image in images]
    return (time.perf_counter() - start) / len(images) * 1e3, sum(sizes) // len(sizes)


def main() -> None:
    """Print the table."""
    pictures = {path: [Image.open(path).convert("RGB")] for path in sys.argv[1:]} or drawn()
    print("| picture | Pillow ms | ours ms | Pillow / ours | Pillow bytes | ours bytes |\n|---|---|---|---|---|---|")
    for name, images in pictures.items():
        turns = [(best(of_pillow, images), best(of_ours, images)) for _ in range(ROUNDS)]
        (theirs, their_size), (mine, size) = (min(each) for each in zip(*turns, strict=True))
        print(f"| {name} | {theirs:.2f} | {mine:.2f} | {theirs / mine:.1f} | {their_size} | {size} |")


if __name__ == "__main__":
    main()
