"""Pictures to train on: any collection, cropped and resized once into a cache."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np
import torch
from filelock import FileLock
from numpy.typing import NDArray
from torch import Tensor

from stylegan_torch.files.atomic import make_folder, new_file
from stylegan_torch.pictures.collections import LabelsFrom, Picture, fingerprint, pictures
from stylegan_torch.pictures.decode import DataError, PictureSize, decode_image
from stylegan_torch.pictures.labels import Label, numbered

_VERSION = 3
"""Of the cache; to be changed with what `decode` makes of a file."""
_NO_SIZE = PictureSize(0, 0, 0)


@dataclass(frozen=True)
class Dataset:
    """Pictures [M, C, H, W] uint8, mapped from the cache, and the number of each one's class [N], -1 without.

    class_names: in the order of their numbers. skipped: bad pictures that were left out, and why.
    vectors: labels [N, L] float32 in place of classes. names: of the pictures.
    key: of the M pictures, another for others, or "" where that is not known.
    rows: which N of the M pictures there are; None = all.
    """

    pictures: NDArray[np.uint8]
    classes: NDArray[np.int64]
    class_names: tuple[str, ...] = ()
    skipped: tuple[str, ...] = ()
    vectors: NDArray[np.float32] | None = None
    names: tuple[str, ...] = ()
    key: str = ""
    rows: NDArray[np.int64] | None = None

    def __len__(self) -> int:
        return len(self.classes)

    @property
    def c_dim(self) -> int:
        """How many numbers a label is: classes, or what a vector has; 0 without labels."""
        return len(self.class_names) if self.vectors is None else self.vectors.shape[1]

    def images(self, indices: NDArray[np.int64]) -> Tensor:
        """Return images [n, C, H, W] in [-1, 1]."""
        rows = indices if self.rows is None else self.rows[indices]
        return torch.from_numpy(self.pictures[rows]).float() / 127.5 - 1

    def subset(self, count: int, seed: int) -> Dataset:
        """Return so many of all pictures, in their order, chosen by a seed; classes keep their numbers.

        Raises:
            DataError: if there are not so many.
        """
        if count > len(self):
            raise DataError(f"a subset of {count} pictures is wanted, and there are {len(self)}")
        rows = np.sort(np.random.RandomState(seed % (1 << 32)).permutation(len(self))[:count])
        return replace(
            self,
            classes=self.classes[rows],
            vectors=None if self.vectors is None else self.vectors[rows],
            names=tuple(self.names[row] for row in rows) if self.names else (),
            rows=rows,
        )

    def labels(self, indices: NDArray[np.int64], c_dim: int) -> Tensor:
        """Return labels [n, c_dim]: one-hot, or the vectors."""
        if c_dim and self.vectors is not None:
            return torch.from_numpy(self.vectors[indices])
        labels = torch.zeros(len(indices), c_dim)
        if c_dim:
            labels[torch.arange(len(indices)), torch.from_numpy(self.classes[indices]).long()] = 1
        return labels

    def fit_labels(self, c_dim: int) -> str | None:
        """Return what is worth knowing of the labels if a network that takes `c_dim` numbers is trained on them.

        Raises:
            DataError: if they are not for such a network.
        """
        have = self.c_dim
        what = f"{have} classes" if self.vectors is None else f"vectors of {have}"
        other = f"begin with a network for them (a recipe with c_dim = {have}), or label the pictures otherwise"
        if not c_dim:
            used = have > 1 or self.vectors is not None
            return f"the labels of the pictures ({what}) are not used: this network takes none" if used else None
        if not have:
            raise DataError(
                f"this network has {c_dim} classes, the data set none: label the pictures in a dataset.json, "
                "or put those of a class in a sub-folder of its own"
            )
        if self.vectors is not None:
            if have != c_dim:
                raise DataError(f"this network takes labels of {c_dim} numbers, the data set has {what}: {other}")
            return None
        # Names in order say nothing of which of the network's classes are missing; numbers do.
        of_numbers = self.class_names == tuple(map(str, range(have)))
        if have > c_dim or (have < c_dim and not of_numbers):
            raise DataError(f"this network has {c_dim} classes, the data set {have}: {other}")
        without = np.flatnonzero(self.classes < 0)
        if len(without):
            first = self.names[without[0]] if self.names else f"number {without[0]}"
            others = f", and {len(without) - 1} more" if len(without) > 1 else ""
            raise DataError(f"pictures of the data set have no class: {first}{others}")
        return f"this network has {c_dim} classes, the data set only the first {have}" if have < c_dim else None


def stream(count: int, *, seed: int, start: int, length: int) -> NDArray[np.int64]:
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


def labels_used(path: Path, c_dim: int) -> tuple[LabelsFrom, str | None]:
    """Return where the labels for a network that takes `c_dim` numbers come from, and what is worth knowing of them.

    No picture is read. A network that takes no labels goes without those that are not as they should be.

    Raises:
        DataError: if they are not for such a network.
    """
    try:
        found = list(pictures(path))
        if found:
            blank(found, _NO_SIZE).fit_labels(c_dim)
    except DataError as error:
        if not c_dim:
            return "none", f"the labels of the pictures are not used, as this network takes none: {error}"
        raise error if str(path) in str(error) else DataError(f"{path}: {error}") from error
    return "all", None


def glance(path: Path, labels_from: LabelsFrom = "all", *, skip_bad: bool = False) -> Dataset:
    """Return a data set as its list of names and labels has it, of empty pictures; takes no room and decodes none.

    They are as large as the first picture, with 1 channel if that is gray, else 3. With `skip_bad` a broken one is not
    the first.

    Raises:
        DataError: if there is no picture, or the first is broken.
    """
    found, image = [], None
    for picture in pictures(path, labels_from):
        found.append(picture)
        try:
            image = image or decode_image(picture.content())
        except DataError as error:
            if skip_bad:
                continue
            raise DataError(f"{path}: {picture.name} {error}") from error
    if not image:
        raise DataError(f"{path} has no pictures")
    return blank(found, PictureSize(image.height, image.width, 1 if image.mode == "L" else 3))


def blank(found: Sequence[Picture], size: PictureSize) -> Dataset:
    """Return pictures of a collection as a data set with their labels, all black; takes no room and reads none.

    Raises:
        DataError: if their labels are not as they should be.
    """
    labels = numbered([picture.label for picture in found])
    black = np.broadcast_to(np.uint8(0), (len(found), size.channels, size.height, size.width))
    names = tuple(picture.name for picture in found)
    return Dataset(black, labels.classes, labels.class_names, (), labels.vectors, names)


def prepare(
    path: Path,
    size: PictureSize,
    cache: Path,
    *,
    skip_bad: bool = False,
    watch: Callable[[Iterable[Picture]], Iterable[Picture]] = lambda given: given,
    labels_from: LabelsFrom = "all",
) -> Dataset:
    """Return the data set at `path` in a given size, made once and kept in the folder `cache`.

    Args:
        path: what `pictures` reads.
        size: size and channels wanted.
        cache: where prepared data sets are kept.
        skip_bad: leave bad pictures out rather than refuse them.
        watch: may show progress.
        labels_from: what may say labels.

    Raises:
        DataError: if there is no picture, or a bad one that is not to be skipped.
    """
    folder = cache / _key(path, size, skip_bad, labels_from)
    make_folder(folder)
    with FileLock(folder / "lock"):
        dataset = _opened(folder, size)
        if dataset is None:
            _fill(folder, path, size, skip_bad, labels_from, watch)
            dataset = _opened(folder, size)
    assert dataset is not None
    return dataset


def _fill(
    folder: Path,
    path: Path,
    size: PictureSize,
    skip_bad: bool,
    labels_from: LabelsFrom,
    watch: Callable[..., Iterable[Picture]],
) -> None:
    labels: list[Label | None] = []
    names: list[str] = []
    skipped: list[str] = []
    with new_file(folder / "pictures.u8", force=True) as file:
        for picture in watch(pictures(path, labels_from)):
            try:
                file.write(picture.decoded(size).tobytes())
                labels.append(picture.label)
                names.append(picture.name)
            except DataError as error:
                if not skip_bad:
                    raise DataError(f"{path}: {picture.name} {error}; --bad skip leaves such pictures out") from error
                skipped.append(f"{picture.name} {error}")
        if not labels:
            raise DataError(f"{path} has no {'usable ' * bool(skipped)}pictures")
        try:
            numbered(labels)
        except DataError as error:
            raise DataError(f"{path} {error}") from error
    with new_file(folder / "index.json", force=True) as file:
        file.write(json.dumps({"names": names, "labels": labels, "skipped": skipped}).encode())


def _key(path: Path, size: PictureSize, skip_bad: bool, labels_from: LabelsFrom) -> str:
    """Return a name that changes when the data set or the size does."""
    content = json.dumps([_VERSION, fingerprint(path), asdict(size), skip_bad, labels_from])
    return f"{path.stem}-{hashlib.sha256(content.encode()).hexdigest()[:16]}"


def _opened(folder: Path, size: PictureSize) -> Dataset | None:
    """Return the data set in a folder of the cache; None if it is not there, or not whole."""
    try:
        index = json.loads((folder / "index.json").read_text())
        labels = numbered([tuple(label) if isinstance(label, list) else label for label in index["labels"]])
        shape = (len(labels.classes), size.channels, size.height, size.width)
        if (folder / "pictures.u8").stat().st_size != math.prod(shape):
            return None
        mapped = np.memmap(folder / "pictures.u8", np.uint8, "r", shape=shape)
        names, skipped = tuple(index["names"]), tuple(index["skipped"])
    except (OSError, ValueError, KeyError):
        return None
    return Dataset(mapped, labels.classes, labels.class_names, skipped, labels.vectors, names, folder.name)
