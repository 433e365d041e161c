"""From network output to 8-bit pictures and PNG files."""

from __future__ import annotations

import json
import zlib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from stylegan_torch.files.atomic import new_file

if TYPE_CHECKING:
    from torch import Tensor

Picture = np.ndarray[Any, np.dtype[np.uint8]]
"""[H, W, C] uint8."""
Rounding = Literal["truncate", "nearest", "unit"]
_TO_255: Mapping[str, Callable[[Tensor], Tensor]] = {
    "truncate": lambda x: x * 127.5 + 128,
    "nearest": lambda x: (x * 127.5 + 127.5).round(),
    "unit": lambda x: x * 255 + 0.5,
}
EDGE = 1e-3
"""Of an 8-bit step."""
_MODES = {1: "L", 2: "LA", 3: "RGB", 4: "RGBA"}


def to_uint8(images: Tensor, rounding: Rounding = "truncate") -> Tensor:
    """Turn images [N, C, H, W] in [-1, 1], for "unit" in [0, 1], into uint8 [N, H, W, C] on the CPU.

    Args:
        images: any dtype; values beyond the range are clipped.
        rounding: "truncate" maps x to ⌊127.5·x + 128⌋ as the StyleGAN releases do, "nearest" to 127.5·x + 127.5
            rounded half to even as ProGAN's does; they differ only at exact ties. "unit" maps it to ⌊255·x + ½⌋, as
            torchvision does.

    Raises:
        ValueError: for another rounding.
    """
    if rounding not in _TO_255:
        raise ValueError(f"rounding must be 'truncate', 'nearest' or 'unit', not {rounding!r}")
    return _TO_255[rounding](images.float().permute(0, 2, 3, 1)).clamp(0, 255).byte().cpu()


def on_rounding_edge(images: Tensor) -> Tensor:
    """Return which 8-bit values [N, H, W, C] of images [N, C, H, W] in [-1, 1] rounding decides.

    They lie within `EDGE` of where the value changes, by either rounding of `to_uint8`, so that two sound computations
    that add in different orders may differ by one there.
    """
    x = images.double().permute(0, 2, 3, 1) * 127.5
    return (x - x.round()).abs() <= EDGE


def to_pil(picture: Picture) -> Image.Image:
    """Return a picture as a Pillow image; more than 4 channels keep the first 3."""
    channels = picture.shape[2]
    if channels not in _MODES:
        picture, channels = picture[:, :, :3], 3
    return Image.fromarray(picture[:, :, 0] if channels == 1 else picture)


def save_png(path: Path, image: Image.Image, metadata: Mapping[str, object], *, force: bool = False) -> None:
    """Write a PNG whose text field `stylegan-torch` says, as JSON, how to make the picture again.

    Raises:
        StyleGANError: if the file exists and `force` is off, or cannot be written.
    """
    info = PngInfo()
    info.add_text("Software", f"stylegan-torch {metadata.get('version', '')}".strip())
    info.add_text("stylegan-torch", json.dumps(metadata))
    with new_file(path, force) as file:
        # Twice as fast as the usual strategy on pictures, and the files are no larger (`benchmarks/cli.py`).
        image.save(file, format="PNG", pnginfo=info, compress_level=1, compress_type=zlib.Z_RLE)
