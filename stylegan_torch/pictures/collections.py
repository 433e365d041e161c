"""Collections of pictures: a folder, a zip or a WebDataset, picture by picture, with what labels they have."""

from __future__ import annotations

import functools
import hashlib
import itertools
import lzma
import os
import stat
import struct
import sys
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Container, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Literal, TypeVar

from PIL import Image

from stylegan_torch.pictures import labels
from stylegan_torch.pictures.decode import FORMATS, DataError, PictureSize, Pixels, decode
from stylegan_torch.pictures.labels import Label

LabelsFrom = Literal["all", "data", "none"]
"""What may say labels: all there is; the data itself but not its folders; nothing."""
LIMIT = 1 << 30
"""Bytes that a file of a collection may have, so that none fills the memory."""
_CHUNK = 1 << 14
"""So little of an archive is unpacked at once that what says to be small and is not does no harm."""
_BROKEN = (zipfile.BadZipFile, tarfile.TarError, zlib.error, lzma.LZMAError, struct.error)
if sys.version_info >= (3, 14):  # which unpacks Zstandard too, if it was built to
    with suppress(ImportError):
        from compression.zstd import ZstdError

        _BROKEN = (*_BROKEN, ZstdError)
_DAMAGE = (*_BROKEN, RuntimeError, ValueError, ArithmeticError, EOFError)
"""What modules for archives raise for those that are broken, encrypted or packed in ways that they don't know."""


@dataclass(frozen=True)
class Picture:
    """A picture file of a collection: its name, its label or None, and what reads its bytes."""

    name: str
    label: Label | None
    read: Callable[[], bytes]

    def content(self) -> bytes:
        """Return the bytes of the file.

        Raises:
            DataError: saying why it cannot be read, without its name.
        """
        try:
            return self.read()
        except (OSError, *_DAMAGE) as error:
            raise DataError(f"cannot be read ({_said(error)})") from error

    def decoded(self, size: PictureSize) -> Pixels:
        """Return it as uint8 [C, H, W].

        Raises:
            DataError: saying what is wrong with it, without its name.
        """
        return decode(self.content(), size)


def pictures(path: Path, labels_from: LabelsFrom = "all") -> Iterator[Picture]:
    """Give the pictures of a folder, a `.zip` or a WebDataset: a `.tar`, or a folder of them, one after the other.

    Their labels are those of the official `dataset.json` at its top, or in the folder that all pictures are in; of a
    WebDataset, its `.cls`. Where there is none, the sub-folder a picture is in is its class. What is not a regular
    file, or larger than `LIMIT`, is a picture that cannot be read.

    Args:
        path: the collection.
        labels_from: what is asked for labels: "all" of these, "data" = not the folders, "none".

    Raises:
        DataError: if it is none of these, or cannot be read, or two pictures have one name, or its labels are not as
            they should be.
    """
    try:
        if path.is_dir():
            yield from _folder(path, labels_from)
        elif path.exists() and not path.is_file():
            raise DataError(f"{path} is not a regular file")
        elif path.suffix == ".tar":
            yield from _webdataset([path], labels_from)
        elif zipfile.is_zipfile(path):
            with zipfile.ZipFile(path) as archive:
                members = _members(path, archive)
                found = {name: functools.partial(_unpacked, archive, info) for name, info in members.items()}
                yield from _labelled(path, found, labels_from)
        else:
            path.stat()
            raise DataError(f"{path} is not a folder, a .zip or a WebDataset (.tar)")
    except OSError as error:
        raise DataError(f"cannot read {error.filename or path}: {error.strerror or error}") from error
    except _DAMAGE as error:
        raise DataError(f"{path} is damaged: {_said(error)}") from error


def _said(error: Exception) -> str:
    return getattr(error, "strerror", None) or str(error) or type(error).__name__


def fingerprint(path: Path) -> list[object]:
    """Return JSON data that is another as soon as the pictures of a collection, or their labels, are others.

    Raises:
        DataError: if it cannot be read.
    """
    try:
        files = files_below(path) if path.is_dir() else [path]
        stats = [(str(file.resolve()), file.stat().st_size, file.stat().st_mtime_ns) for file in files if file.exists()]
        # Sizes and times may be the same although a class is another.
        content = _labels_file(path)
    except OSError as error:
        raise DataError(f"cannot read {error.filename or path}: {error.strerror or error}") from error
    except (DataError, *_DAMAGE):  # `pictures` will say so
        content = None
    return [str(path.resolve()), stats, content and hashlib.sha256(content).hexdigest()]


def _labels_file(path: Path) -> bytes | None:
    name = PurePosixPath(labels.FILE)
    if path.is_dir():
        file = _files(path).get(name)
        return _regular(file) if file else None
    if not path.is_file() or not zipfile.is_zipfile(path):
        return None
    with zipfile.ZipFile(path) as archive:
        info = _members(path, archive).get(name)
        return _unpacked(archive, info) if info else None


def _folder(path: Path, labels_from: LabelsFrom) -> Iterator[Picture]:
    found = _files(path)
    shards = sorted(file for file in found.values() if file.suffix == ".tar" and file.parent == path)
    if shards and any(map(_is_picture, found)):
        raise DataError(f"{path} has both pictures and a WebDataset ({shards[0].name}): name one of them")
    if shards:
        return _webdataset(shards, labels_from)
    return _labelled(path, {name: functools.partial(_regular, file) for name, file in found.items()}, labels_from)


def _files(path: Path) -> dict[PurePosixPath, Path]:
    """Return the files of a folder by name; without the folder that all pictures are in, if that has labels."""
    found = {PurePosixPath(file.relative_to(path).as_posix()): file for file in files_below(path)}
    return _below(_labelled_folder(found) or PurePosixPath(), found)


def _regular(path: Path) -> bytes:
    """Return the bytes of a file, unless it is a pipe or a device, which might have no end."""
    with os.fdopen(
        os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)), "rb"
    ) as file:
        about = os.fstat(file.fileno())
        if not stat.S_ISREG(about.st_mode):
            raise OSError(None, "not a regular file", str(path))
        _refuse_large(about.st_size)
        return file.read()


def _unpacked(archive: zipfile.ZipFile, info: zipfile.ZipInfo) -> bytes:
    _refuse_large(info.file_size)
    with archive.open(info) as file:
        return b"".join(iter(functools.partial(file.read, _CHUNK), b""))


def _refuse_large(size: int) -> None:
    if size > LIMIT:
        raise DataError(f"has {size:,} bytes: more than {LIMIT:,} are not read")


def files_below(path: Path) -> list[Path]:
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


def _members(path: Path, archive: zipfile.ZipFile) -> dict[PurePosixPath, zipfile.ZipInfo]:
    """Return the files of an archive by name, without the folder that all pictures are in."""
    members: dict[PurePosixPath, zipfile.ZipInfo] = {}
    for info in archive.infolist():
        name = labels.picture_name(info.filename)
        if not info.is_dir() and not _is_hidden(name):
            _refuse_odd(path, name, members)
            members[name] = info
    return _below(_labelled_folder(members) or _common_folder(members), members)


def _refuse_odd(path: Path, name: PurePosixPath, taken: Container[PurePosixPath]) -> None:
    """Raise DataError if a picture, or what has labels, is named as no other file of a collection may be."""
    if (name.name == labels.FILE or _is_picture(name)) and (".." in name.parts or name in taken):
        fault = "leads out of it" if ".." in name.parts else "is there twice"
        raise DataError(f"{path}: {name} {fault}: take it out, or give it another name")


def _labelled_folder(names: Iterable[PurePosixPath]) -> PurePosixPath | None:
    """Return the folder nearest to all pictures that has a `dataset.json`; None without."""
    there = {name for name in names if not _is_hidden(name)}
    top = _common_folder(there)
    return next((folder for folder in (top, *top.parents) if folder / labels.FILE in there), None)


def _common_folder(names: Iterable[PurePosixPath]) -> PurePosixPath:
    """Return the folder that all pictures are in."""
    folders = {name.parent for name in names if _is_picture(name)}
    first = next(iter(folders), PurePosixPath())
    return next(top for top in (first, *first.parents) if all(each.is_relative_to(top) for each in folders))


_File = TypeVar("_File")


def _below(top: PurePosixPath, files: Mapping[PurePosixPath, _File]) -> dict[PurePosixPath, _File]:
    return {name.relative_to(top): file for name, file in files.items() if name.is_relative_to(top)}


def _labelled(
    path: Path, found: Mapping[PurePosixPath, Callable[[], bytes]], labels_from: LabelsFrom
) -> Iterator[Picture]:
    names = sorted(filter(_is_picture, found))
    file = found.get(PurePosixPath(labels.FILE)) if labels_from != "none" else None
    others = sorted(str(name) for name in found if name.name == labels.FILE and not _is_hidden(name))
    if labels_from != "none" and not file and len(others) > 1:
        raise DataError(
            f"{path} has {', '.join(others[:3])}{', …' * (len(others) > 3)}, and none for all pictures: "
            f"give one of these folders, or write one {labels.FILE} at the top"
        )
    given: Mapping[PurePosixPath, Label] = {}
    if file:
        try:
            content = labels.from_json(Picture(labels.FILE, None, file).content())
        except DataError as error:
            raise DataError(f"{path}: {labels.FILE} {error}") from error
        if content is not None:
            labels.every(content, names, f"{path}: {labels.FILE}")
            given = content
    elif labels_from == "all":
        given = {name: label for name in names if (label := labels.folder_class(name)) is not None}
    for name in names:
        yield Picture(str(name), given.get(name), found[name])


def _is_picture(name: PurePosixPath) -> bool:
    return name.suffix.lower() in _suffixes() and not _is_hidden(name)


def _is_hidden(name: PurePosixPath) -> bool:
    return any(part.startswith((".", "__MACOSX")) and part != ".." for part in name.parts)


@functools.cache
def _suffixes() -> frozenset[str]:
    return frozenset(suffix for suffix, name in Image.registered_extensions().items() if name in FORMATS)


def _webdataset(shards: Sequence[Path], labels_from: LabelsFrom) -> Iterator[Picture]:
    for shard in shards:
        if not shard.is_file():  # a pipe has no end
            raise DataError(f"{shard} is not a regular file")
        taken = set[PurePosixPath]()
        with tarfile.open(shard) as archive:
            files = (member for member in archive if member.isfile())
            for _, members in itertools.groupby(files, lambda member: _key_and_ending(member.name)[0]):
                sample = dict[str, tarfile.TarInfo]()
                for member in members:
                    name = PurePosixPath(member.name)
                    _refuse_odd(shard, name, taken)
                    taken.add(name)
                    sample[_key_and_ending(member.name)[1]] = member
                label = _cls(shard, archive, sample["cls"]) if "cls" in sample and labels_from != "none" else None
                for member in sample.values():
                    if _is_picture(PurePosixPath(member.name)):
                        yield Picture(
                            f"{shard.name}/{member.name}", label, functools.partial(_content, archive, member)
                        )


def _cls(shard: Path, archive: tarfile.TarFile, member: tarfile.TarInfo) -> Label:
    """Read a `.cls`: the number of a class, as WebDataset's own decoder has it, or a name."""
    try:
        text = _content(archive, member).decode().strip()
    except DataError as error:
        raise DataError(f"{shard}: {member.name} {error}") from error
    return int(text) if text.isdecimal() and len(text) < 20 else text


def _key_and_ending(name: str) -> tuple[str, str]:
    """Split a name at the first dot of its last part, as WebDataset does: files with one key are one sample."""
    folder, slash, base = name.rpartition("/")
    key, _, ending = base.partition(".")
    return folder + slash + key, ending.lower()


def _content(archive: tarfile.TarFile, member: tarfile.TarInfo) -> bytes:
    _refuse_large(member.size)
    file = archive.extractfile(member)
    assert file is not None
    return file.read()
