"""From network output to 8-bit pictures and their files."""

from __future__ import annotations

import io
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from PIL import ExifTags, Image
from PIL.PngImagePlugin import PngInfo

from stylegan_torch.drawing import png
from stylegan_torch.drawing.marks import CREATOR, MARKED, Marking, xmp
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
    return _TO_255[rounding](images.float().permute(0, 2, 3, 1)).clamp(0, 255).byte().contiguous().cpu()


def on_rounding_edge(images: Tensor) -> Tensor:
    """Return which 8-bit values [N, H, W, C] of images [N, C, H, W] in [-1, 1] rounding decides.

    They lie within `EDGE` of where the value changes, by either rounding of `to_uint8`, so that two sound computations
    that add in different orders may differ by one there.
    """
    x = images.cpu().double().permute(0, 2, 3, 1) * 127.5
    return (x - x.round()).abs() <= EDGE


def to_pil(picture: Picture) -> Image.Image:
    """Return a picture as a Pillow image; more than 4 channels keep the first 3."""
    channels = picture.shape[2]
    if channels not in _MODES:
        picture, channels = picture[:, :, :3], 3
    return Image.fromarray(picture[:, :, 0] if channels == 1 else picture)


def save_png(
    path: Path,
    image: Image.Image,
    metadata: Mapping[str, object],
    *,
    marking: Marking = MARKED,
    force: bool = False,
) -> None:
    """Write a PNG whose text field `stylegan-torch` says, as JSON, how to make the picture again.

    Raises:
        StyleGANError: if the file exists and `force` is off, or cannot be written, or not be signed.
    """
    with new_file(path, force) as file:
        file.write(encode(image, ENCODERS["png"], metadata, marking=marking))


@dataclass(frozen=True)
class Encoder:
    """A form of picture file.

    suffix: of its files. media_type: by which C2PA and browsers know it. write: puts an image, what it says of itself,
    and XMP if there is any, into a file; quality is for the forms that lose something.
    """

    suffix: str
    media_type: str
    write: Callable[[io.BytesIO, Image.Image, str, str | None, int], None]


def encode(
    image: Image.Image,
    encoder: Encoder,
    metadata: Mapping[str, object],
    *,
    quality: int = 95,
    marking: Marking = MARKED,
) -> bytes:
    """Return an image as a file that says, as JSON, how to make it again, and that it is synthetic.

    Args:
        image: as `to_pil` gives it.
        encoder: of `ENCODERS`.
        metadata: how to make it. PNG has it in the text field `stylegan-torch`, JPEG and WebP in Exif's description.
        quality: of JPEG, 1 to 95.
        marking: how it is marked.

    Raises:
        StyleGANError: if it cannot be signed.
    """
    file = io.BytesIO()
    encoder.write(file, image, json.dumps(metadata), xmp() if marking.in_xmp else None, quality)
    return marking.signer.sign(file.getvalue(), encoder.media_type) if marking.signer else file.getvalue()


def _write_png(file: io.BytesIO, image: Image.Image, about: str, packet: str | None, quality: int) -> None:
    info = PngInfo()
    info.add_text("Software", CREATOR)
    info.add_text("stylegan-torch", about)
    if packet:
        info.add_itxt("XML:com.adobe.xmp", packet)
    png.write(file, image, info)


def _write_webp(file: io.BytesIO, image: Image.Image, about: str, packet: str | None, quality: int) -> None:
    xmp = {"xmp": packet.encode()} if packet else {}
    image.save(file, format="WEBP", lossless=True, quality=0, method=1, exif=_exif(about), **xmp)


def _write_jpeg(file: io.BytesIO, image: Image.Image, about: str, packet: str | None, quality: int) -> None:
    content = b"http://ns.adobe.com/xap/1.0/\0" + packet.encode() if packet else b""
    segment = b"\xff\xe1" + (len(content) + 2).to_bytes(2, "big") + content if content else b""
    plain = image if image.mode in ("L", "RGB") else image.convert("RGB")
    plain.save(file, format="JPEG", quality=quality, subsampling=0, exif=_exif(about), extra=segment)


def _write_npy(file: io.BytesIO, image: Image.Image, about: str, packet: str | None, quality: int) -> None:
    np.save(file, np.asarray(image))


def _exif(about: str) -> Image.Exif:
    exif = Image.Exif()
    exif[ExifTags.Base.ImageDescription] = about
    exif[ExifTags.Base.Software] = CREATOR
    return exif


ENCODERS: Mapping[str, Encoder] = {
    "png": Encoder(".png", "image/png", _write_png),
    "webp": Encoder(".webp", "image/webp", _write_webp),
    "jpeg": Encoder(".jpg", "image/jpeg", _write_jpeg),
    "npy": Encoder(".npy", "application/octet-stream", _write_npy),
}
"""By name. WebP is lossless; NPY, which has no place for words, is neither described nor marked."""
