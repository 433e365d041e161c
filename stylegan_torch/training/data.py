"""Pictures to train on: a folder, a zip or a WebDataset, cropped and resized once into a cache."""

from __future__ import annotations

import functools
import hashlib
import io
import itertools
import json
import math
import os
import tarfile
import warnings
import zipfile
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path, PurePosixPath
from typing import Any, Literal

import numpy as np
import torch
from filelock import FileLock
from PIL import Image, ImageOps
from torch import Tensor

from stylegan_torch.errors import StyleGANError
from stylegan_torch.files import make_folder, new_file

_MODES = {1: "L", 3: "RGB", 4: "RGBA"}
_FORMATS = ("PNG", "JPEG", "WEBP", "BMP", "TIFF", "GIF", "PPM", "TGA", "AVIF", "JPEG2000")
"""What is read; for some others Pillow would start another program."""
_VERSION = 1
"""Of the cache; to be changed with what `decode` makes of a file."""
_BLANK: dict[str, int | tuple[int, ...]] = {"L": 255, "RGB": (255, 255, 255), "RGBA": (255, 255, 255, 0)}
_TOO_SMALL = 8
"""A picture that had to be enlarged more than so many times shows nothing: it counts as bad."""


class DataError(StyleGANError):
    """The data set, or a picture of it, is of no use."""


@dataclass(frozen=True)
class Picture:
    """A picture file of a data set: its name, that of its class or None, and what reads its bytes."""

    name: str
    label: str | None
    read: Callable[[], bytes]

    def decoded(self, form: Form) -> np.ndarray[Any, Any]:
        """Return it as uint8 [C, H, W].

        Raises:
            DataError: saying what is wrong with it, without its name.
        """
        try:
            data = self.read()
        except (OSError, RuntimeError, NotImplementedError, zipfile.BadZipFile, zlib.error, tarfile.TarError) as error:
            raise DataError(f"cannot be read ({error})") from error
        return decode(data, form)


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
    """Give the pictures of a folder, a `.zip` or a WebDataset: a `.tar`, or a folder of them, one after the other.

    The class of a picture is the sub-folder it is in; of a WebDataset, its `.cls`.

    Raises:
        DataError: if it is none of these, or cannot be read.
    """
    try:
        if path.is_dir():
            yield from _folder(path)
        elif path.suffix == ".tar":
            yield from _webdataset([path])
        elif zipfile.is_zipfile(path):
            yield from _zip(path)
        else:
            path.stat()
            raise DataError(f"{path} is not a folder, a .zip or a WebDataset (.tar)")
    except OSError as error:
        raise DataError(f"cannot read {error.filename or path}: {error.strerror or error}") from error
    except (zipfile.BadZipFile, tarfile.TarError, EOFError, UnicodeDecodeError) as error:
        raise DataError(f"{path} is damaged: {error}") from error


def _folder(path: Path) -> Iterator[Picture]:
    files = _files(path)
    found = {PurePosixPath(file.relative_to(path).as_posix()): file for file in files}
    shards = [file for file in files if file.suffix == ".tar" and file.parent == path]
    if shards and any(map(_is_picture, found)):
        raise DataError(f"{path} has both pictures and a WebDataset ({shards[0].name}): name one of them")
    if shards:
        return _webdataset(shards)
    return _labelled({name: file.read_bytes for name, file in found.items()})


def _files(path: Path) -> list[Path]:
    """Return the files below a folder, by name; links to folders are followed, but not in circles."""
    files, seen = [], {path.resolve()}

    def refuse(error: OSError) -> None:
        raise error

    for folder, children, names in os.walk(path, followlinks=True, onerror=refuse):
        files += [Path(folder, name) for name in names]
        targets = {child: Path(folder, child).resolve() for child in children}
        children[:] = [child for child in children if targets[child] not in seen]
        seen.update(targets.values())
    return sorted(files)


def _zip(path: Path) -> Iterator[Picture]:
    with zipfile.ZipFile(path) as archive:
        members = {PurePosixPath(info.filename): info for info in archive.infolist() if not info.is_dir()}
        names = sorted(filter(_is_picture, members))
        common = os.path.commonpath([name.parent for name in names]) if names else ""
        yield from _labelled(
            {name.relative_to(common): functools.partial(archive.read, members[name]) for name in names}
        )


def _labelled(found: Mapping[PurePosixPath, Callable[[], bytes]]) -> Iterator[Picture]:
    for name in sorted(filter(_is_picture, found)):
        yield Picture(str(name), name.parts[0] if len(name.parts) > 1 else None, found[name])


def _is_picture(name: PurePosixPath) -> bool:
    hidden = any(part.startswith((".", "__MACOSX")) for part in name.parts)
    return name.suffix.lower() in _suffixes() and not hidden


@functools.cache
def _suffixes() -> frozenset[str]:
    return frozenset(suffix for suffix, name in Image.registered_extensions().items() if name in _FORMATS)


def _webdataset(shards: Sequence[Path]) -> Iterator[Picture]:
    for shard in shards:
        with tarfile.open(shard) as archive:
            files = (member for member in archive if member.isfile())
            for _, members in itertools.groupby(files, lambda member: _key_and_ending(member.name)[0]):
                sample = {_key_and_ending(member.name)[1]: member for member in members}
                label = _content(archive, sample["cls"]).decode().strip() if "cls" in sample else None
                for member in sample.values():
                    if _is_picture(PurePosixPath(member.name)):
                        yield Picture(
                            f"{shard.name}/{member.name}", label, functools.partial(_content, archive, member)
                        )


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
            image: Image.Image = Image.open(io.BytesIO(data), formats=_FORMATS)
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
    make_folder(folder)
    with FileLock(folder / "lock"):
        dataset = _opened(folder, form)
        if dataset is None:
            _fill(folder, path, form, skip_bad, watch)
            dataset = _opened(folder, form)
    assert dataset is not None
    return dataset


def _fill(folder: Path, path: Path, form: Form, skip_bad: bool, watch: Callable[..., Iterable[Picture]]) -> None:
    labels: list[str | None] = []
    skipped: list[str] = []
    with new_file(folder / "pictures.u8", force=True) as file:
        for picture in watch(pictures(path)):
            try:
                file.write(picture.decoded(form).tobytes())
                labels.append(picture.label)
            except DataError as error:
                if not skip_bad:
                    raise DataError(f"{path}: {picture.name} {error}; --bad skip leaves such pictures out") from error
                skipped.append(f"{picture.name} {error}")
        if not labels:
            raise DataError(f"{path} has no {'usable ' * bool(skipped)}pictures")
    with new_file(folder / "index.json", force=True) as file:
        file.write(json.dumps({"labels": labels, "skipped": skipped}).encode())


def _key(path: Path, form: Form, skip_bad: bool) -> str:
    """Return a name that changes when the data set or the form does."""
    try:
        files = _files(path) if path.is_dir() else [path]
        stats = [(str(file.resolve()), file.stat().st_size, file.stat().st_mtime_ns) for file in files if file.exists()]
    except OSError as error:
        raise DataError(f"cannot read {error.filename or path}: {error.strerror}") from error
    content = json.dumps([_VERSION, str(path.resolve()), stats, asdict(form), skip_bad])
    return f"{path.stem}-{hashlib.sha256(content.encode()).hexdigest()[:16]}"


def _opened(folder: Path, form: Form) -> Dataset | None:
    """Return the data set in a folder of the cache; None if it is not there, or not whole."""
    try:
        index = json.loads((folder / "index.json").read_text())
        labels = index["labels"]
        shape = (len(labels), form.channels, form.height, form.width)
        if (folder / "pictures.u8").stat().st_size != math.prod(shape):
            return None
        mapped = np.memmap(folder / "pictures.u8", np.uint8, "r", shape=shape)
    except (OSError, ValueError, KeyError):
        return None
    names = sorted({label for label in labels if label is not None})
    if all(name.isdecimal() for name in names):
        names.sort(key=int)
    numbers = {name: number for number, name in enumerate(names)}
    classes = np.array([numbers.get(label, -1) for label in labels])
    return Dataset(mapped, classes, tuple(names), tuple(index["skipped"]))
