"""Films as animated GIFs, which need nothing but Pillow."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from PIL import Image

from stylegan_torch.editing.pictures import Picture
from stylegan_torch.files import new_file
from stylegan_torch.images import to_pil


def save_gif(path: Path, frames: Iterable[Picture], seconds: float = 0.06, force: bool = False) -> None:
    """Write pictures [H, W, C] as a film that repeats; what is transparent becomes white.

    Args:
        path: the file to make.
        frames: at least one.
        seconds: how long each is shown, a multiple of 0.01; the last one is shown for a second.
        force: replace `path` if it exists.

    Raises:
        StyleGANError: if the file exists and `force` is off, or cannot be written.
    """
    images = [_opaque(to_pil(frame)) for frame in frames]
    durations = [round(seconds * 1000)] * (len(images) - 1) + [1000]
    with new_file(path, force) as file:
        images[0].save(file, format="GIF", save_all=True, append_images=images[1:], duration=durations, loop=0)


def _opaque(image: Image.Image) -> Image.Image:
    if not image.has_transparency_data:
        return image
    image = image.convert("RGBA")
    return Image.alpha_composite(Image.new("RGBA", image.size, "white"), image).convert("RGB")
