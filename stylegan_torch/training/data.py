"""Pictures to train on: a folder, a zip or a WebDataset, cropped and resized once into a cache."""

from __future__ import annotations

import hashlib
import io
import itertools
import json
import tarfile
import warnings
import zipfile
import zlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path, PurePosixPath
from typing import Any, Literal

import numpy as np
import torch
from PIL import Image, ImageOps
from torch import Tensor

from stylegan_torch.errors import StyleGANError
from stylegan_torch.files import make_folder, new_file

_MODES = {1: "L", 3: "RGB", 4: "RGBA"}
_BLANK: dict[str, int | tuple[int, ...]] = {"L": 255, "RGB": (255, 255, 255), "RGBA": (255, 255, 255, 0)}
_TOO_SMALL = 8
"""A picture that had to be enlarged more than so many times shows nothing: it counts as bad."""


class DataError(StyleGANError):
    """The data set, or a picture of it, is of no use."""


@dataclass(frozen=True)
class Picture:
    """A picture file of a data set: its name, that of its class or None, its bytes."""

    name: str
    label: str | None
    data: bytes


@dataclass(frozen=True)
class Form:
    """What pictures are made into."""

    height: int
    width: int
    channels: int


@dataclass(frozen=True)
class Dataset:
    """Pictures [N, C, H, W] uint8, mapped from the cache, and the number of each one's class [N], -1 without.

    class_names: in the order of their numbers. skipped: bad pictures that were left out, and why.
    """

    pictures: np.ndarray[Any, Any]
    classes: np.ndarray[Any, Any]
    class_names: tuple[str, ...] = ()
    skipped: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.pictures)

    def images(self, indices: np.ndarray[Any, Any]) -> Tensor:
        """Return images [n, C, H, W] in [-1, 1]."""
        return torch.from_numpy(self.pictures[indices]).float() / 127.5 - 1

    def labels(self, indices: np.ndarray[Any, Any], c_dim: int) -> Tensor:
        """Return one-hot labels [n, c_dim]."""
        labels = torch.zeros(len(indices), c_dim)
        if c_dim:
            labels[torch.arange(len(indices)), torch.from_numpy(self.classes[indices]).long()] = 1
        return labels


def stream(count: int, seed: int, start: int, length: int) -> np.ndarray[Any, Any]:
    """Return the pictures `start` to `start + length` of an endless stream, as indices.

    Each epoch shows all `count` pictures once, in an order of its own. It follows from the seed alone, so that training
    can go on from anywhere.
    """
    chosen = []
    while length:
        epoch, first = divmod(start, count)
        order = np.random.default_rng([seed, epoch]).permutation(count)[first : first + length]
        chosen.append(order)
        start, length = start + len(order), length - len(order)
    return np.concatenate(chosen)


def pictures(path: Path) -> Iterator[Picture]:
    """Give the pictures of a folder, a `.zip` or a WebDataset: a `.tar`, or a folder of them.

    The class of a picture is the sub-folder it is in; of a WebDataset, its `.cls`.

    Raises:
        DataError: if it is none of these, or cannot be read.
    """
    try:
        if path.is_dir():
            shards = sorted(path.glob("*.tar"))
            yield from _webdataset(shards) if shards else _folder(path)
        elif path.suffix == ".tar":
            yield from _webdataset([path])
        elif zipfile.is_zipfile(path):
            yield from _zip(path)
        else:
            path.stat()
            raise DataError(f"{path} is not a folder, a .zip or a WebDataset (.tar)")
    except OSError as error:
        raise DataError(f"cannot read {path}: {error.strerror or error}") from error
    except (zipfile.BadZipFile, zlib.error, tarfile.TarError, EOFError, UnicodeDecodeError) as error:
        raise DataError(f"{path} is damaged: {error}") from error


def _folder(path: Path) -> Iterator[Picture]:
    names = sorted(PurePosixPath(file.relative_to(path).as_posix()) for file in path.rglob("*") if file.is_file())
    return _named(names, lambda name: (path / name).read_bytes())


def _zip(path: Path) -> Iterator[Picture]:
    with zipfile.ZipFile(path) as archive:
        names = sorted(PurePosixPath(name) for name in archive.namelist())
        yield from _named(names, lambda name: archive.read(str(name)))


def _named(names: Iterable[PurePosixPath], read: Callable[[PurePosixPath], bytes]) -> Iterator[Picture]:
    for name in names:
        if _is_picture(name):
            yield Picture(str(name), name.parts[0] if len(name.parts) > 1 else None, read(name))


def _is_picture(name: PurePosixPath) -> bool:
    hidden = any(part.startswith((".", "__MACOSX")) for part in name.parts)
    return name.suffix.lower() in Image.registered_extensions() and not hidden


def _webdataset(shards: Sequence[Path]) -> Iterator[Picture]:
    for shard in shards:
        with tarfile.open(shard) as archive:
            files = (member for member in archive if member.isfile())
            for key, members in itertools.groupby(files, lambda member: _key_and_ending(member.name)[0]):
                sample = {_key_and_ending(member.name)[1]: _content(archive, member) for member in members}
                label = sample.get("cls")
                for ending, data in sample.items():
                    if _is_picture(PurePosixPath(f"x.{ending}")):
                        name = f"{shard.name}/{key}.{ending}"
                        yield Picture(name, None if label is None else label.decode().strip(), data)


def _key_and_ending(name: str) -> tuple[str, str]:
    """Split a name at the first dot of its last part, as WebDataset does: files with one key are one sample."""
    folder, slash, base = name.rpartition("/")
    key, _, ending = base.partition(".")
    return folder + slash + key, ending.lower()


def _content(archive: tarfile.TarFile, member: tarfile.TarInfo) -> bytes:
    file = archive.extractfile(member)
    assert file is not None
    return file.read()


def decode(data: bytes, form: Form) -> np.ndarray[Any, Any]:
    """Return a picture file as uint8 [C, H, W]: turned as its EXIF says, cut to the middle, resized.

    Any mode is taken: 16 bits are reduced to 8, and what is transparent becomes white unless there are 4 channels.

    Raises:
        DataError: if it is broken, or far too small.
    """
    image = opened(data)
    width, height = image.size
    if width * _TOO_SMALL < form.width or height * _TOO_SMALL < form.height:
        raise DataError(f"is too small, {width}×{height} pixels")
    return fitted(image, form)


def opened(data: bytes) -> Image.Image:
    """Return a picture file as a Pillow image of any mode, turned as its EXIF says.

    Raises:
        DataError: if it is broken.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            image: Image.Image = Image.open(io.BytesIO(data))
            image.load()
            return ImageOps.exif_transpose(image)
    except Image.DecompressionBombError as error:
        raise DataError("is too large") from error
    except Exception as error:  # what a decoder raises for a broken file is anything
        raise DataError("is broken, or not a picture") from error


def fitted(image: Image.Image, form: Form, fit: Literal["crop", "pad"] = "crop") -> np.ndarray[Any, Any]:
    """Return an image of any mode and size as uint8 [C, H, W]; what was transparent is white unless C is 4.

    Args:
        image: what to resize.
        form: the size and channels wanted.
        fit: cut to the middle, or pad with white, which is transparent if there are 4 channels.

    Raises:
        DataError: if it is too narrow to pad.
    """
    size = form.width, form.height
    image = _in_mode(image, _MODES[form.channels])
    if fit == "pad":
        if round(min(form.width / image.width, form.height / image.height) * min(image.size)) < 1:
            raise DataError(f"is too narrow to pad, {image.width}×{image.height} pixels")
        image = ImageOps.pad(image, size, Image.Resampling.LANCZOS, color=_BLANK[image.mode])
    else:
        image = ImageOps.fit(image, size, Image.Resampling.LANCZOS)
    return np.asarray(image).reshape(form.height, form.width, form.channels).transpose(2, 0, 1)


def _in_mode(image: Image.Image, mode: str) -> Image.Image:
    if image.mode.startswith("I"):
        image = Image.fromarray((np.asarray(image).clip(0, 65535) // 257).astype(np.uint8))
    if mode != "RGBA" and image.has_transparency_data:
        image = image.convert("RGBA")
        white = Image.new("RGBA", image.size, "white")
        image = Image.alpha_composite(white, image)
    return image.convert(mode)


def prepare(
    path: Path,
    form: Form,
    cache: Path,
    skip_bad: bool = False,
    watch: Callable[[Iterable[Picture]], Iterable[Picture]] = lambda given: given,
) -> Dataset:
    """Return the data set at `path` in the given form, made once and kept in the folder `cache`.

    Args:
        path: what `pictures` reads.
        form: size and channels wanted.
        cache: where prepared data sets are kept.
        skip_bad: leave bad pictures out rather than refuse them.
        watch: may show progress.

    Raises:
        DataError: if there is no picture, or a bad one that is not to be skipped.
    """
    folder = cache / _key(path, form, skip_bad)
    if not (folder / "index.json").exists():
        make_folder(folder)
        labels, skipped = [], []
        with new_file(folder / "pictures.u8", force=True) as file:
            for picture in watch(pictures(path)):
                try:
                    file.write(decode(picture.data, form).tobytes())
                    labels.append(picture.label)
                except DataError as error:
                    if not skip_bad:
                        raise DataError(
                            f"{path}: {picture.name} {error}; --bad skip leaves such pictures out"
                        ) from error
                    skipped.append(f"{picture.name} {error}")
            if not labels:
                raise DataError(f"{path} has no {'usable ' * bool(skipped)}pictures")
        with new_file(folder / "index.json", force=True) as file:
            file.write(json.dumps({"labels": labels, "skipped": skipped}).encode())
    return _opened(folder, form)


def _key(path: Path, form: Form, skip_bad: bool) -> str:
    """Return a name that changes when the data set or the form does."""
    files = sorted(file for file in path.rglob("*") if file.is_file()) if path.is_dir() else [path]
    try:
        stats = [(str(file.resolve()), file.stat().st_size, file.stat().st_mtime_ns) for file in files]
    except OSError as error:
        raise DataError(f"cannot read {path}: {error.strerror}") from error
    content = json.dumps([stats, asdict(form), skip_bad])
    return f"{path.stem}-{hashlib.sha256(content.encode()).hexdigest()[:16]}"


def _opened(folder: Path, form: Form) -> Dataset:
    index = json.loads((folder / "index.json").read_text())
    labels = index["labels"]
    names = sorted({label for label in labels if label is not None})
    if all(name.isdecimal() for name in names):
        names.sort(key=int)
    numbers = {name: number for number, name in enumerate(names)}
    classes = np.array([numbers.get(label, -1) for label in labels])
    shape = (len(labels), form.channels, form.height, form.width)
    mapped = np.memmap(folder / "pictures.u8", np.uint8, "r", shape=shape)
    return Dataset(mapped, classes, tuple(names), tuple(index["skipped"]))
