"""Writing films: `.mp4` and `.webm` by PyAV (extra `film`), `.gif` by Pillow."""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import numpy as np
from PIL import Image

from stylegan_torch.drawing.images import Picture, to_pil
from stylegan_torch.drawing.marks import MARKED, Marking
from stylegan_torch.errors import StyleGANError
from stylegan_torch.files.atomic import new_file

MAX_GIF_FPS = 50
"""Programs that show GIFs slow down what is faster."""


@dataclass(frozen=True)
class Codec:
    """An encoder of FFmpeg: its name, what it makes, its default CRF and the largest, and its options for a CRF."""

    name: str
    makes: str
    crf: int
    max_crf: int
    options: Callable[[int], dict[str, str]]


_LAMBDA = 118  # FFmpeg's unit of quantizers (FF_QP2LAMBDA)
CODECS = {
    ".mp4": (
        Codec("libx264", "H.264", 18, 51, lambda crf: {"crf": str(crf)}),
        # It has quantizers 1 to 31 rather than a CRF; these look about as good.
        Codec(
            "mpeg4",
            "MPEG-4 Part 2",
            18,
            51,
            lambda crf: {"flags": "+qscale", "global_quality": str(_LAMBDA * max(1, round(crf / 6)))},
        ),
    ),
    ".webm": (
        Codec("libvpx-vp9", "VP9", 24, 63, lambda crf: {"crf": str(crf), "b": "0", "cpu-used": "4", "row-mt": "1"}),
    ),
}
"""What can be in a file, the first that the installed FFmpeg has."""
SUFFIXES = (*CODECS, ".gif")

_BT709, _LIMITED = 1, 1  # FFmpeg's numbers of the colours of HD television, and of their range of 16 to 235


class FilmError(StyleGANError):
    """A film cannot be written here."""


@dataclass(frozen=True)
class Encoding:
    """How to write a film; `encoding_for` makes one. codec: None for GIF."""

    fps: int
    codec: Codec | None
    crf: int = 0

    @property
    def makes(self) -> str:
        """What it makes, in words."""
        return self.codec.makes if self.codec else "GIF"


def encoding_for(path: Path, fps: int = 30, crf: int | None = None) -> Encoding:
    """Choose how to write a film, by the end of its name.

    Args:
        path: a name that ends in one of `SUFFIXES`.
        fps: frames a second.
        crf: constant rate factor, 0 (best) to 51 in `.mp4` and 63 in `.webm`; None = 18 and 24, whose loss is hard to
            see.

    Raises:
        ValueError: for other names, rates and factors.
        FilmError: if PyAV is missing, or has no such encoder.
    """
    suffix = path.suffix.lower()
    if suffix not in SUFFIXES:
        raise ValueError(f"{path} does not end in {', '.join(SUFFIXES[:-1])} or {SUFFIXES[-1]}")
    if suffix == ".gif":
        if crf is not None or not 1 <= fps <= MAX_GIF_FPS:
            raise ValueError(f"a GIF has no CRF, and 1 to {MAX_GIF_FPS} frames a second")
        return Encoding(fps, None)
    if fps < 1:
        raise ValueError("a film has at least one frame a second")
    codec = _codec(suffix)
    crf = codec.crf if crf is None else crf
    if not 0 <= crf <= codec.max_crf:
        raise ValueError(f"the CRF of {suffix} is 0 to {codec.max_crf}, not {crf}")
    return Encoding(fps, codec, crf)


def _codec(suffix: str) -> Codec:
    try:
        import av
    except ImportError as error:
        raise FilmError(f"{suffix} needs one more package: pip install 'stylegan-torch[film]'") from error
    there = [codec for codec in CODECS[suffix] if codec.name in av.codecs_available]
    if not there:
        raise FilmError(f"this PyAV cannot encode {CODECS[suffix][0].makes}: write a .gif, or another PyAV")
    return there[0]


def write_film(
    path: Path,
    frames: Iterable[Picture],
    encoding: Encoding,
    *,
    about: Mapping[str, object],
    marking: Marking = MARKED,
    force: bool = False,
) -> None:
    """Write a film frame by frame; only those of a `.gif` are all kept in memory.

    Transparent pictures are laid on white. `.mp4` and `.webm` store colours for pairs of rows and columns (`yuv420p`,
    BT.709), so the last row or column of an odd size is shown twice. A GIF has 256 colours a frame, and its delays are
    whole hundredths of a second, right on average; frames that are the same become one.

    Args:
        path: the film; its name ends as it did for `encoding_for`.
        frames: pictures of one size, [H, W, C] uint8.
        encoding: how.
        about: how it was made; becomes its comment, as JSON.
        marking: whether the comment says that it is synthetic; films are not signed.
        force: replace a film that exists.

    Raises:
        FilmError: if there are no frames, or they cannot be encoded.
        StyleGANError: if the file exists and `force` is off, or cannot be written.
    """
    pictures = map(_opaque, frames)
    first = next(pictures, None)
    if first is None:
        raise FilmError("a film takes at least one frame")
    comment = json.dumps({**about, **marking.comment()})
    with new_file(path, force) as file:
        if encoding.codec is None:
            _write_gif(file, itertools.chain([first], pictures), encoding.fps, comment)
        else:
            _write_video(file, path, itertools.chain([first], pictures), first.shape[:2], encoding, comment)


def _opaque(picture: Picture) -> Picture:
    """Return a picture of any channels as RGB."""
    image = to_pil(picture)
    if image.mode in ("LA", "RGBA"):
        image = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image.convert("RGBA"))
    return np.asarray(image.convert("RGB"))


def _write_gif(file: IO[bytes], pictures: Iterator[Picture], fps: int, comment: str) -> None:
    def images() -> Iterator[Image.Image]:
        for i, picture in enumerate(pictures):
            image = Image.fromarray(picture)
            hundredths = round(100 * (i + 1) / fps) - round(100 * i / fps)
            image.info["duration"] = 10 * hundredths
            yield image

    each = images()
    next(each).save(file, format="GIF", save_all=True, append_images=each, loop=0, comment=comment)


def _write_video(
    file: IO[bytes], path: Path, pictures: Iterator[Picture], size: tuple[int, ...], encoding: Encoding, comment: str
) -> None:
    import av

    assert encoding.codec is not None
    margins = [(0, side % 2) for side in size]
    try:
        with av.open(file, "w", format=path.suffix[1:].lower()) as container:
            container.metadata["comment"] = comment
            options = encoding.codec.options(encoding.crf)
            stream: Any = container.add_stream(encoding.codec.name, rate=encoding.fps, options=options)
            stream.height, stream.width = (side + more for side, (_, more) in zip(size, margins, strict=True))
            stream.pix_fmt = "yuv420p"
            for name in ("color_primaries", "color_trc", "colorspace"):
                setattr(stream.codec_context, name, _BT709)
            stream.codec_context.color_range = _LIMITED
            for picture in pictures:
                frame = av.VideoFrame.from_ndarray(np.pad(picture, [*margins, (0, 0)], mode="edge"), format="rgb24")
                frame = frame.reformat(format="yuv420p", dst_colorspace="ITU709", dst_color_range="MPEG")
                container.mux(stream.encode(frame))
            container.mux(stream.encode())
    except av.FFmpegError as error:
        raise FilmError(f"cannot write {path}: {error.strerror or error}") from error
