"""The official data set of pictures: a zip of PNGs, all of one size, and their labels in `dataset.json`.

Pictures are `00000/img00000000.png` and so on, a thousand in a folder. Until it is whole, the zip and what it takes to
go on are in the folder `<zip>.part`.
"""

from __future__ import annotations

import base64
import hashlib
import io
import json
import os
import time
import zipfile
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path, PurePosixPath
from typing import IO, Literal

from filelock import FileLock, Timeout
from PIL import Image
from PIL import __version__ as pillow_version

from stylegan_torch.errors import StyleGANError
from stylegan_torch.files.atomic import make_folder, new_file, refuse_existing
from stylegan_torch.pictures import labels
from stylegan_torch.pictures.alignment import Alignment
from stylegan_torch.pictures.collections import Picture, fingerprint, pictures
from stylegan_torch.pictures.decode import DataError, decode_image, in_mode, is_gray, refuse_tiny
from stylegan_torch.pictures.labels import Label, Labels

SAVE_SECONDS = 10.0
"""How much work a killed process may lose, at most."""
_FILTERS = {"lanczos": Image.Resampling.LANCZOS, "box": Image.Resampling.BOX}
_LONG_AGO = (1980, 1, 1, 0, 0, 0)
"""The time of every file in the zip, so that the same pictures make the same bytes."""
_VERSION = 1
"""Of what becomes of a picture: a zip is not gone on with by another one."""
_Entry = int | list[float] | None
"""The label of a picture in `dataset.json`."""
_ZIP, _STATE, _LOCK = "pictures.zip", "state.json", "lock"


class _OtherSizeError(DataError):
    """A picture has not the size that all must have, and none was asked for."""


@dataclass(frozen=True)
class Shape:
    """What pictures are made into.

    size: (width, height), or None = as they are. transform: None scales to that size whatever the shape was;
    "center-crop" cuts to the middle first; "center-crop-wide" cuts to the shape of `size`, and adds black above and
    below until it is square. resize_filter: "lanczos" or "box".
    """

    size: tuple[int, int] | None = None
    transform: Literal["center-crop", "center-crop-wide"] | None = None
    resize_filter: Literal["lanczos", "box"] = "lanczos"

    def __post_init__(self) -> None:
        if self.size is None:
            if self.transform:
                raise DataError(f"{self.transform} needs a size to make pictures of")
            return
        width, height = self.size
        wide = self.transform == "center-crop-wide"
        if not _is_power_of_two(width) or not (0 < height <= width if wide else height == width):
            kind = "at most as high as wide" if wide else "square"
            raise DataError(f"{width}x{height}: pictures must be {kind}, and their width a power of two")

    def made(self, image: Image.Image) -> Image.Image:
        """Return an 8-bit image in this shape.

        Raises:
            DataError: if it is too small, or should stay as it is and is not square.
        """
        if self.size is None:
            if image.width != image.height or not _is_power_of_two(image.width):
                raise _OtherSizeError(
                    f"is {image.width}×{image.height} pixels, not square with a power of two as its side"
                )
            return image
        refuse_tiny(image.size, self.size)
        width, height = image.size
        if self.transform == "center-crop":
            width = height = min(width, height)
        elif self.transform == "center-crop-wide":
            across, down = self.size
            width, height = min(width, round(height * across / down)), min(height, round(width * down / across))
            if width < across or height < down:
                raise DataError(f"is too small, {image.width}×{image.height} pixels: center-crop-wide enlarges nothing")
        left, top = (image.width - width) // 2, (image.height - height) // 2
        image = image.crop((left, top, left + width, top + height))
        if image.size != self.size:
            image = image.resize(self.size, _FILTERS[self.resize_filter])
        if image.width == image.height:
            return image
        canvas = Image.new(image.mode, (image.width, image.width))
        canvas.paste(image, (0, (image.width - image.height) // 2))
        return canvas


@dataclass(frozen=True)
class Order:
    """What to make a data set of.

    labels_from: "data" = its own labels, if any; "folders" = the sub-folders; "none"; or a table (.csv).
    limit: how many pictures at most. skip_bad: leave bad pictures out rather than refuse them. alignment: how they are
    cut first; of one there may be several, or none.
    """

    source: Path
    shape: Shape = Shape()
    labels_from: Literal["data", "folders", "none"] | Path = "data"
    limit: int | None = None
    skip_bad: bool = False
    alignment: Alignment | None = None

    def __post_init__(self) -> None:
        size = self.shape.size
        if self.alignment and self.alignment.faces and (size is None or size[0] != size[1] or self.shape.transform):
            raise DataError("faces are aligned to squares of one size: give a resolution, and no transform")

    def crops(self, image: Image.Image, name: str) -> list[Image.Image]:
        """Return what of an 8-bit image is to be made into its shape.

        Raises:
            DataError: if it cannot be cut as the alignment says.
        """
        return (
            self.alignment.made(image, self.shape.size[0] if self.shape.size else 0, name)
            if self.alignment
            else [image]
        )


@dataclass(frozen=True)
class Made:
    """What a data set has become: how many pictures of which side, in colour or not, with which labels.

    labels: of all pictures of the source. skipped: what was left out, and why. stretched: pictures that were not
    square, and were scaled as if they were. unused_folders: sub-folders that could be classes.
    """

    count: int
    side: int
    gray: bool
    labels: Labels
    skipped: tuple[str, ...]
    stretched: int
    unused_folders: int


def write(
    target: Path,
    order: Order,
    *,
    force: bool = False,
    watch: Callable[[Iterable[Picture], int], Iterable[Picture]] = lambda given, _: given,
) -> Made:
    """Make the data set, or go on with it where a process was killed; the zip has the same bytes.

    Args:
        target: the zip.
        order: what of.
        force: replace `target`, and what is left of another order.
        watch: may show the progress over so many pictures.

    Raises:
        StyleGANError: if there is no picture, a bad one, one without a label, or the zip cannot be written.
    """
    refuse_existing([target], force)
    if target.resolve().is_relative_to(order.source.resolve()):
        raise DataError(f"{target} is {order.source} itself, or inside it: name another place")
    names = [labels.picture_name(picture.name) for picture in pictures(order.source, "none")]
    if not names:
        raise DataError(f"{order.source} has no pictures")
    if len(set(names)) < len(names):
        twice = next(name for name, count in Counter(names).items() if count > 1)
        raise DataError(f"{order.source}: two pictures have the name {twice}: give one another")
    numbers, entries = _labels(order, names)
    most = min(len(names), order.limit or len(names))
    gray = _all_gray(order, most)
    content = [_VERSION, pillow_version, fingerprint(order.source), asdict(order.shape), entries, gray]
    content += [order.alignment.key, order.limit] if order.alignment else []
    key = hashlib.sha256(json.dumps(content).encode()).hexdigest()
    folder = target.with_name(target.name + ".part")
    make_folder(folder)
    try:
        with FileLock(folder / _LOCK, timeout=0):
            state = _make(folder, order, key, entries, most, gray, force, watch)
            refuse_existing([target], force)
            (folder / _ZIP).replace(target)
    except Timeout as error:
        raise StyleGANError(f"{target} is being made by another process") from error
    except OSError as error:
        raise StyleGANError(f"cannot write {target}: {error.strerror or error}") from error
    _remove(folder)
    folders = set() if any(entry is not None for entry in entries) else set(map(labels.folder_class, names)) - {None}
    skipped = tuple(state.skipped.values())
    return Made(state.count, state.side, gray, numbers, skipped, state.stretched, len(folders))


def _labels(order: Order, names: Sequence[PurePosixPath]) -> tuple[Labels, list[_Entry]]:
    """Return the labels of all pictures, and what `dataset.json` is to say: a class, a vector as a list, or None."""
    chosen, where = order.labels_from, f"{order.source}"
    given: Mapping[PurePosixPath, Label] = {}
    if isinstance(chosen, Path):
        given, where = labels.from_csv(chosen, names), f"{chosen}"
    elif chosen == "folders":
        given = {name: label for name in names if (label := labels.folder_class(name)) is not None}
    elif chosen == "data":
        found = zip(names, pictures(order.source, "data"), strict=True)
        given = {name: picture.label for name, picture in found if picture.label is not None}
    if chosen == "none" or (chosen == "data" and not given):
        return labels.numbered([None] * len(names)), [None] * len(names)
    labels.every(given, names, where)
    try:
        numbers = labels.numbered([given[name] for name in names])
    except DataError as error:
        raise DataError(f"{where} {error}") from error
    vectors = numbers.vectors is not None
    return numbers, [list(given[name]) for name in names] if vectors else numbers.classes.tolist()  # type: ignore[arg-type]


def _make(
    folder: Path,
    order: Order,
    key: str,
    entries: Sequence[_Entry],
    most: int,
    gray: bool,
    force: bool,
    watch: Callable[[Iterable[Picture], int], Iterable[Picture]],
) -> _State:
    """Fill the zip in a folder with at most so many pictures and their labels, and return its state."""
    with _unfinished(folder, key, force) as part:
        for picture in watch(pictures(order.source, "none"), most):
            if part.state.count >= most and (order.limit or not order.alignment):
                break
            part.take(picture, order, "L" if gray else "RGB")
        state = part.state
        if not state.count:
            raise DataError(f"{order.source} has no usable pictures")
        part.finish([entry for index, entry in enumerate(entries[: state.seen]) for _ in range(state.made_of(index))])
    return state


def _all_gray(order: Order, most: int) -> bool:
    """Return whether the first so many pictures have no colours: of those that are usable, if others are left out.

    With an alignment, which are usable comes out when they are cut: then it is whether none at all has colours.
    """
    count, side, chosen = 0, 0, order.skip_bad and not order.alignment
    for picture in pictures(order.source, "none"):
        if count == most and not order.alignment:
            break
        gray = True
        try:
            data = picture.content()
            gray = is_gray(data)
            width = order.shape.made(decode_image(data)).width if chosen else 0
            if side and width != side:
                continue
            side = width
        except DataError:  # to be told, or skipped, when it is its turn
            if order.skip_bad:
                continue
        if not gray:
            return False
        count += 1
    return True


@dataclass
class _State:
    """How far an unfinished zip is.

    key: of what it is made. seen: pictures looked at. skipped: those left out, by number, and why. several: how many
    became of one, by its number, where that is not one. stretched: how many.
    side: of all. start, directory: where the zip's directory begins, and the bytes of it.
    """

    key: str
    seen: int = 0
    skipped: dict[int, str] = field(default_factory=dict)
    several: dict[int, int] = field(default_factory=dict)
    stretched: int = 0
    side: int = 0
    start: int = 0
    directory: bytes = b""

    @property
    def count(self) -> int:
        """How many pictures are in the zip."""
        return self.seen - len(self.skipped) + sum(self.several.values()) - len(self.several)

    def made_of(self, index: int) -> int:
        """Return how many became of a picture that was seen."""
        return 0 if index in self.skipped else self.several.get(index, 1)


class _Unfinished:
    """A zip that grows, in a folder with what it takes to go on after a kill."""

    def __init__(self, folder: Path, file: IO[bytes], state: _State) -> None:
        self.folder, self.file, self.state = folder, file, state
        self.file.truncate(state.start)
        self.file.seek(state.start)
        self.file.write(state.directory)
        self.archive = zipfile.ZipFile(file, "a")
        self.index, self.whole, self.saved = 0, True, time.monotonic()

    def take(self, picture: Picture, order: Order, mode: str) -> None:
        """Add the next picture of the source, unless it was seen before."""
        state, self.index = self.state, self.index + 1
        if self.index <= state.seen:
            return
        try:
            crops = order.crops(in_mode(decode_image(picture.content()), mode), picture.name)
            images = list(map(order.shape.made, crops[: order.limit and order.limit - state.count]))
            if state.count and images[0].width != state.side:
                raise _OtherSizeError(f"is {images[0].width} pixels wide, the others are {state.side}")
        except DataError as error:
            if not order.skip_bad:
                other_size = isinstance(error, _OtherSizeError)
                hint = "--resolution and --transform make all of one size; " if other_size else ""
                raise type(error)(
                    f"{order.source}: {picture.name} {error}; {hint}--bad skip leaves such pictures out"
                ) from error
            state.skipped[state.seen] = f"{picture.name} {error}"
        else:
            for number, image in enumerate(images, start=state.count):
                data = io.BytesIO()
                image.save(data, format="PNG", compress_level=0)
                self._add(f"{number // 1000:05d}/img{number:08d}.png", data.getvalue())
            if len(images) > 1:
                state.several[state.seen] = len(images)
            state.side = images[0].width
            state.stretched += crops[0].width != crops[0].height and order.shape.transform is None
        state.seen += 1
        if time.monotonic() - self.saved >= SAVE_SECONDS:
            self.save()

    def _add(self, name: str, content: bytes) -> None:
        info = zipfile.ZipInfo(name, _LONG_AGO)
        info.create_system, info.external_attr = 3, 0o644 << 16  # the same on every system
        self.whole = False
        self.archive.writestr(info, content)
        self.whole = True

    def save(self) -> None:
        """Write down how far this is."""
        state, self.whole = self.state, False
        state.start = self.file.tell()
        self._close()
        self.file.seek(state.start)
        state.directory = self.file.read()
        values = asdict(state) | {"directory": base64.b64encode(state.directory).decode()}
        with new_file(self.folder / _STATE, force=True) as file:
            file.write(json.dumps(values).encode())
        self.archive = zipfile.ZipFile(self.file, "a")
        self.whole, self.saved = True, time.monotonic()

    def finish(self, entries: list[_Entry]) -> None:
        """Add the labels of all pictures in it, and close it."""
        names = self.archive.namelist()
        paired = [list(pair) for pair in zip(names, entries, strict=True)]
        content = {"labels": None if None in entries else paired}
        self._add(labels.FILE, json.dumps(content).encode())
        self._close()

    def _close(self) -> None:
        self.archive.close()
        self.file.flush()
        os.fsync(self.file.fileno())

    def leave(self) -> None:
        """Keep what there is for another time, if that is possible."""
        with suppress(OSError, ValueError, StyleGANError):
            if self.whole and self.state.seen:
                self.save()
            self.archive.close()


@contextmanager
def _unfinished(folder: Path, key: str, force: bool) -> Iterator[_Unfinished]:
    """Give the zip in a folder to go on with."""
    state = _read_state(folder) or _State(key)
    if state.key != key:
        if not force:
            raise StyleGANError(
                f"{folder} is what is left of a data set of other pictures, or of other options: "
                "go on with those, or begin anew with --force"
            )
        state = _State(key)
    with (folder / _ZIP).open("r+b" if (folder / _ZIP).exists() else "w+b") as file:
        part = _Unfinished(folder, file, state)
        try:
            yield part
        except BaseException as error:
            part.leave()
            # What is there of an order that must be changed would only be in the way of the other; so would nothing.
            if isinstance(error, _OtherSizeError) or not (folder / _STATE).exists() or not part.state.count:
                _remove(folder)
            raise


def _read_state(folder: Path) -> _State | None:
    """Return how far the zip in a folder is; None if nothing is known."""
    try:
        values = json.loads((folder / _STATE).read_text())
        numbered = {name: {int(index): each for index, each in values[name].items()} for name in ("skipped", "several")}
        state = _State(**values | numbered | {"directory": base64.b64decode(values["directory"])})
        return state if (folder / _ZIP).stat().st_size >= state.start else None
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None


def _remove(folder: Path) -> None:
    with suppress(OSError):
        for name in (_ZIP, _STATE, _LOCK):
            (folder / name).unlink(missing_ok=True)
        folder.rmdir()


def _is_power_of_two(side: int) -> bool:
    return side > 0 and side & (side - 1) == 0
