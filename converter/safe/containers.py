"""Compressed files and archives around a network: unpacked in memory, within bounds."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import tarfile
import zipfile
from collections import Counter
from collections.abc import Callable
from functools import partial
from typing import Any

from converter.errors import ConvertError
from converter.safe.budget import grow
from stylegan_torch.text import one_line

SMALL = 64 << 20
"""Bytes up to which unpacking is never questioned."""
RATIO = 20
"""Weights hardly compress; what unpacks to more than this many times its size is no network."""
MOST_MEMBERS = 10_000
_BLOCK = 1 << 22
_IGNORED = ("__MACOSX/", ".DS_Store", "Thumbs.db")
_OF_TORCH_0_1 = {"sys_info", "storages", "tensors", "pickle"}
"""What its tar files hold."""
_TEXTS = (".txt", ".md", ".json", ".yaml", ".yml", ".png", ".jpg", ".jpeg", ".gif", ".py", ".html", ".csv", ".log")


class Bytes(io.RawIOBase):
    """A file of bytes in memory, which are not copied."""

    def __init__(self, data: memoryview) -> None:
        self._data, self._at = data, 0

    def readable(self) -> bool:
        """It is."""
        return True

    def seekable(self) -> bool:
        """It is."""
        return True

    def seek(self, offset: int, whence: int = 0) -> int:
        """Go somewhere."""
        start = (0, self._at, len(self._data))[whence]
        self._at = max(start + offset, 0)
        return self._at

    def readinto(self, buffer: Any) -> int:
        """Read."""
        view = memoryview(buffer).cast("B")
        part = self._data[self._at : self._at + len(view)]
        view[: len(part)] = part
        self._at += len(part)
        return len(part)


def _open_zstd(file: Any) -> Any:
    import zstandard

    return zstandard.ZstdDecompressor(max_window_size=1 << 27).stream_reader(file, read_across_frames=True)


_COMPRESSIONS: dict[bytes, tuple[str, Callable[[Any], Any]]] = {
    b"\x1f\x8b": ("gzip", gzip.open),
    b"BZh": ("bzip2", bz2.open),
    b"\xfd7zXZ\x00": ("xz", lzma.open),
    b"\x28\xb5\x2f\xfd": ("zstd", _open_zstd),
}


def decompressed(data: memoryview) -> memoryview | None:
    """Return what a compressed file holds; None if it is not compressed.

    Raises:
        ConvertError: if it is damaged, or holds far more than a network does.
    """
    head = bytes(data[:6])
    found = next((way for magic, way in _COMPRESSIONS.items() if head.startswith(magic)), None)
    return None if found is None else _unpacked(*found, data)


def _unpacked(name: str, opener: Callable[[Any], Any], data: memoryview) -> memoryview:
    result = bytearray()
    try:
        with opener(Bytes(data)) as file:
            while chunk := file.read(_BLOCK):
                result += chunk
                check_ratio(len(result), len(data))
    except ConvertError:
        raise
    except Exception as error:  # each compression has errors of its own
        raise ConvertError(f"is a {name} file that is damaged or cut off") from error
    grow(len(result))
    return memoryview(result)


def check_ratio(unpacked: int, packed: int) -> None:
    """Raise ConvertError for what unpacks to more than a network could."""
    if unpacked > max(SMALL, RATIO * packed):
        raise ConvertError(f"unpacks to over {unpacked >> 20} MB from {packed >> 10} KB; that is no network, refused")


def open_zip(data: memoryview) -> zipfile.ZipFile:
    """Return a zip file, open, whose members are told apart by name and are no bomb together.

    Raises:
        ConvertError: if it is damaged, or not that.
    """
    try:
        archive = zipfile.ZipFile(Bytes(data))
    except Exception as error:  # what zipfile raises for a damaged file is anything
        raise ConvertError("is a zip file that is damaged or cut off") from error
    _check_members(archive.namelist())
    check_ratio(sum(entry.file_size for entry in archive.infolist()), len(data))
    return archive


def zip_member(data: memoryview, archive: zipfile.ZipFile, entry: zipfile.ZipInfo) -> memoryview:
    """Return a member of a zip file; a view of the file if it is stored as it is.

    Raises:
        ConvertError: if it is encrypted, damaged or cut off.
    """
    if entry.flag_bits & 1:
        raise ConvertError("is a zip file with a password: unpack it first")
    try:
        with archive.open(entry) as file:  # compares the name in both headers
            if entry.compress_type == zipfile.ZIP_STORED:
                start = entry.header_offset + 30
                start += sum(int.from_bytes(data[start - 4 + i : start - 2 + i], "little") for i in (0, 2))
                found = data[start : start + entry.file_size]
                if len(found) != entry.file_size:
                    raise ConvertError("is a zip file that is damaged or cut off")
                return found
            result = bytearray()
            while chunk := file.read(_BLOCK):  # no more than the directory says, which `open_zip` has looked at
                result += chunk
            grow(len(result))
            return memoryview(result)
    except ConvertError:
        raise
    except Exception as error:  # what zipfile raises for a damaged file is anything
        raise ConvertError("is a zip file that is damaged or cut off") from error


def archived(data: memoryview) -> dict[str, Callable[[], memoryview]] | None:
    """Return what reads each file in a zip or tar archive, by its name; None if it is no archive.

    Raises:
        ConvertError: if it is damaged, or has more than networks.
    """
    try:
        if bytes(data[:4]) == b"PK\x03\x04":
            archive = open_zip(data)
            entries = [entry for entry in archive.infolist() if not entry.is_dir()]
            return {entry.filename: partial(zip_member, data, archive, entry) for entry in entries}
        if bytes(data[257:262]) == b"ustar":
            return _tar(data)
    except ConvertError:
        raise
    except Exception as error:  # what zipfile and tarfile raise for a damaged file is anything
        raise ConvertError("is an archive that is damaged or cut off") from error
    return None


def _tar(data: memoryview) -> dict[str, Callable[[], memoryview]]:
    members = []
    with tarfile.open(fileobj=Bytes(data), mode="r:") as archive:
        while (member := archive.next()) is not None:
            members += [member] if member.isfile() else []
            if len(members) > MOST_MEMBERS or member.sparse is not None:
                raise ConvertError("is an archive of more than networks")
    names = [member.name for member in members]
    _check_members(names)
    if set(names) >= _OF_TORCH_0_1:
        raise ConvertError("is a file of torch 0.1: load it with torch.load, and save it anew with torch.save")
    return {m.name: partial(_part, data, m.offset_data, m.size) for m in members}


def _part(data: memoryview, start: int, size: int) -> memoryview:
    return data[start : start + size]


def _check_members(names: list[str]) -> None:
    if len(names) > MOST_MEMBERS:
        raise ConvertError("is an archive of more than networks")
    twice = next((name for name, count in Counter(names).items() if count > 1), None)
    if twice is not None:
        raise ConvertError(f"is an archive that holds {one_line(twice[:80])} twice")


def member_of(data: memoryview, wanted: str | None) -> tuple[str, memoryview] | None:
    """Return the one file in an archive that may be a network, or the one that is asked for; None if it is no archive.

    Args:
        data: the archive.
        wanted: its name in the archive, or the end of it after a slash.

    Raises:
        ConvertError: if there are none or several, naming them.
    """
    found = archived(data)
    if found is None:
        return None
    names = [name for name in found if not any(part in name for part in _IGNORED)]
    likely = [name for name in names if not name.lower().endswith(_TEXTS)] or names
    chosen = [n for n in names if n == wanted or n.endswith(f"/{wanted}")] if wanted else likely
    if len(chosen) == 1:
        return chosen[0], found[chosen[0]]()
    shown = ", ".join(one_line(name[:80]) for name in likely[:12])
    if wanted:
        raise ConvertError(f"is an archive without {one_line(wanted[:80])}, or with several; it holds {shown}")
    if not chosen:
        raise ConvertError("is an empty archive")
    raise ConvertError(
        f"is an archive of several files, {shown}: say which one after a '!', as in FILE!{chosen[0][:80]}"
    )
