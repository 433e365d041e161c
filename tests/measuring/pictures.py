"""Small sets of pictures."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image

from stylegan_torch.drawing.images import Picture


def random_pictures(count: int, side: int = 16, seed: int = 0) -> list[Picture]:
    """Return pictures [side, side, 3] of soft random colours."""
    coarse = np.random.default_rng(seed).integers(0, 256, (count, side // 4, side // 4, 3))
    return list(coarse.repeat(4, axis=1).repeat(4, axis=2).astype(np.uint8))


def folder_of(path: Path, pictures: list[Picture]) -> Path:
    """Write pictures as 00.png, 01.png … in a folder."""
    path.mkdir(parents=True, exist_ok=True)
    for number, picture in enumerate(pictures):
        Image.fromarray(picture).save(path / f"{number:02d}.png")
    return path
