"""Collections of pictures: a folder, a zip or a WebDataset, picture by picture, with what labels they have."""

from __future__ import annotations

import functools
import hashlib
import itertools
import os
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any, Literal

import numpy as np
from PIL import Image

from stylegan_torch.pictures import labels
from stylegan_torch.pictures.decode import FORMATS, DataError, Form, decode
from stylegan_torch.pictures.labels import Label

LabelsFrom = Literal["all", "data", "none"]
"""What may say labels: all there is; the data itself but not its folders; nothing."""


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
        except (OSError, RuntimeError, NotImplementedError, zipfile.BadZipFile, zlib.error, tarfile.TarError) as error:
            raise DataError(f"cannot be read ({error})") from error

    def decoded(self, form: Form) -> np.ndarray[Any, Any]:
        """Return it as uint8 [C, H, W].

        Raises:
            DataError: saying what is wrong with it, without its name.
        """
        return decode(self.content(), form)


def pictures(path: Path, labels_from: LabelsFrom = "all") -> Iterator[Picture]:
    """Give the pictures of a folder, a `.zip` or a WebDataset: a `.tar`, or a folder of them, one after the other.

    Their labels are those of the official `dataset.json` at its top; of a WebDataset, its `.cls`. Where there is none,
    the sub-folder a picture is in is its class.

    Args:
        path: the collection.
        labels_from: what is asked for labels: "all" of these, "data" = not the folders, "none".

    Raises:
        DataError: if it is none of these, or cannot be read, or its labels are not as they should be.
    """
    try:
        if path.is_dir():
            yield from _folder(path, labels_from)
        elif path.suffix == ".tar":
            yield from _webdataset([path], labels_from)
        elif zipfile.is_zipfile(path):
            with zipfile.ZipFile(path) as archive:
                members = _members(archive)
                found = {name: functools.partial(archive.read, info) for name, info in members.items()}
                yield from _labelled(path, found, labels_from)
        else:
            path.stat()
            raise DataError(f"{path} is not a folder, a .zip or a WebDataset (.tar)")
    except OSError as error:
        raise DataError(f"cannot read {error.filename or path}: {error.strerror or error}") from error
    except (zipfile.BadZipFile, tarfile.TarError, EOFError, UnicodeDecodeError) as error:
        raise DataError(f"{path} is damaged: {error}") from error


def fingerprint(path: Path) -> list[Any]:
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
        raise DataError(f"cannot read {error.filename or path}: {error.strerror}") from error
    except (RuntimeError, NotImplementedError, zipfile.BadZipFile, zlib.error):  # `pictures` will say so
        content = None
    return [str(path.resolve()), stats, content and hashlib.sha256(content).hexdigest()]


def _labels_file(path: Path) -> bytes | None:
    file, name = path / labels.FILE, PurePosixPath(labels.FILE)
    if path.is_dir():
        return file.read_bytes() if file.exists() else None
    if not zipfile.is_zipfile(path):
        return None
    with zipfile.ZipFile(path) as archive:
        members = _members(archive)
        return archive.read(members[name]) if name in members else None


def _folder(path: Path, labels_from: LabelsFrom) -> Iterator[Picture]:
    files = files_below(path)
    found = {PurePosixPath(file.relative_to(path).as_posix()): file for file in files}
    shards = [file for file in files if file.suffix == ".tar" and file.parent == path]
    if shards and any(map(_is_picture, found)):
        raise DataError(f"{path} has both pictures and a WebDataset ({shards[0].name}): name one of them")
    if shards:
        return _webdataset(shards, labels_from)
    return _labelled(path, {name: file.read_bytes for name, file in found.items()}, labels_from)


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


def _members(archive: zipfile.ZipFile) -> dict[PurePosixPath, zipfile.ZipInfo]:
    """Return the files of an archive by name, without the folder that all are in."""
    members = {labels.picture_name(info.filename): info for info in archive.infolist() if not info.is_dir()}
    members = {name: info for name, info in members.items() if not _is_hidden(name)}
    top = _common_folder(members)
    if top / labels.FILE not in members:  # then only pictures count
        top = _common_folder(filter(_is_picture, members))
    return {name.relative_to(top): info for name, info in members.items() if name.is_relative_to(top)}


def _common_folder(names: Iterable[PurePosixPath]) -> PurePosixPath:
    folders = [name.parent for name in names]
    return PurePosixPath(os.path.commonpath(folders) if folders else "")


def _labelled(
    path: Path, found: Mapping[PurePosixPath, Callable[[], bytes]], labels_from: LabelsFrom
) -> Iterator[Picture]:
    names = sorted(filter(_is_picture, found))
    file = found.get(PurePosixPath(labels.FILE)) if labels_from != "none" else None
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
    return any(part.startswith((".", "__MACOSX")) for part in name.parts)


@functools.cache
def _suffixes() -> frozenset[str]:
    return frozenset(suffix for suffix, name in Image.registered_extensions().items() if name in FORMATS)


def _webdataset(shards: Sequence[Path], labels_from: LabelsFrom) -> Iterator[Picture]:
    for shard in shards:
        with tarfile.open(shard) as archive:
            files = (member for member in archive if member.isfile())
            for _, members in itertools.groupby(files, lambda member: _key_and_ending(member.name)[0]):
                sample = {_key_and_ending(member.name)[1]: member for member in members}
                label = _cls(_content(archive, sample["cls"])) if "cls" in sample and labels_from != "none" else None
                for member in sample.values():
                    if _is_picture(PurePosixPath(member.name)):
                        yield Picture(
                            f"{shard.name}/{member.name}", label, functools.partial(_content, archive, member)
                        )


def _cls(content: bytes) -> Label:
    """Read a `.cls`: the number of a class, as WebDataset's own decoder has it, or a name."""
    text = content.decode().strip()
    return int(text) if text.isdecimal() and len(text) < 20 else text


def _key_and_ending(name: str) -> tuple[str, str]:
    """Split a name at the first dot of its last part, as WebDataset does: files with one key are one sample."""
    folder, slash, base = name.rpartition("/")
    key, _, ending = base.partition(".")
    return folder + slash + key, ending.lower()


def _content(archive: tarfile.TarFile, member: tarfile.TarInfo) -> bytes:
    file = archive.extractfile(member)
    assert file is not None
    return file.read()
