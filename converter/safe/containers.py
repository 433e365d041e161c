"""Compressed files and archives around a network: unpacked in memory, within bounds."""

from __future__ import annotations

import bz2
import io
import lzma
import zipfile
import zlib
from collections import Counter
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

from converter.errors import ConvertError
from converter.safe.budget import grow, packed_size
from stylegan_torch.text import one_line

SMALL = 64 << 20
"""Bytes up to which unpacking is never questioned."""
RATIO = 20
"""Weights hardly compress; what unpacks to more than this many times its size is no network."""
MOST_MEMBERS = 10_000
_DIRECTORY = 4 << 20
"""Bytes of the directory of a zip file, which is read as a whole; of ten thousand members it takes one or two."""
_LONGEST = 4096
"""Bytes of a name."""
_BLOCK, _PIECE = 1 << 22, 1 << 16
"""Bytes unpacked, and taken, at a time."""
_IGNORED = ("__MACOSX/", ".DS_Store", "Thumbs.db")
_OF_TORCH_0_1 = {"sys_info", "storages", "tensors", "pickle"}
"""What its tar files hold."""
_TEXTS = (".txt", ".md", ".json", ".yaml", ".yml", ".png", ".jpg", ".jpeg", ".gif", ".py", ".html", ".csv", ".log")


class Bytes(io.RawIOBase):
    """A file of bytes in memory, which are not copied."""

    def __init__(self, data: memoryview, most: int | None = None) -> None:
        self._data, self._at, self.most = data, 0, most

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
        """Read; raises ConvertError for more at once than may be asked for."""
        view = memoryview(buffer).cast("B")
        if self.most is not None and len(view) > self.most:
            raise ConvertError("is an archive of more than networks")
        part = self._data[self._at : self._at + len(view)]
        view[: len(part)] = part
        self._at += len(part)
        return len(part)


class _Gunzip:
    """zlib's machine, used as those of bz2 and lzma are."""

    def __init__(self) -> None:
        self._machine = zlib.decompressobj(wbits=31)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._machine, name)

    @property
    def needs_input(self) -> bool:
        """Whether all that was given is used up."""
        return not self._machine.unconsumed_tail

    def decompress(self, data: bytes | memoryview, most: int) -> bytes:
        """Return the next bytes, `most` at most."""
        return self._machine.decompress(self._machine.unconsumed_tail or data, most)


def _streams(magic: bytes, make: Callable[[], Any], data: memoryview) -> Iterator[bytes]:
    """Unpack compressed streams that follow one another."""
    at = count = 0
    while bytes(data[at : at + len(magic)]) == magic:
        machine, count = make(), count + 1
        if count > MOST_MEMBERS:
            raise ConvertError("is packed in more pieces than any network")
        while not machine.eof:
            block = data[at : at + _PIECE] if machine.needs_input else b""
            if machine.needs_input and not block:
                raise EOFError
            at += len(block)
            yield machine.decompress(block, _BLOCK)
        at -= len(machine.unused_data)


def _zstd(magic: bytes, data: memoryview) -> Iterator[bytes]:
    import zstandard

    machine = zstandard.ZstdDecompressor(max_window_size=1 << 27)
    packed: Any = Bytes(data)
    with machine.stream_reader(packed, read_across_frames=True) as file:
        while chunk := file.read(_BLOCK):
            yield chunk


_COMPRESSIONS: dict[bytes, tuple[str, Callable[[bytes, memoryview], Iterator[bytes]]]] = {
    b"\x1f\x8b": ("gzip", lambda magic, data: _streams(magic, _Gunzip, data)),
    b"BZh": ("bzip2", lambda magic, data: _streams(magic, bz2.BZ2Decompressor, data)),
    b"\xfd7zXZ\x00": (
        "xz",
        lambda magic, data: _streams(magic, partial(lzma.LZMADecompressor, memlimit=1 << 28), data),
    ),
    b"\x28\xb5\x2f\xfd": ("zstd", _zstd),
}


def decompressed(data: memoryview) -> memoryview | None:
    """Return what a compressed file holds; None if it is not compressed.

    Raises:
        ConvertError: if it is damaged, or holds far more than a network does.
    """
    magic = next((magic for magic in _COMPRESSIONS if bytes(data[: len(magic)]) == magic), None)
    if magic is None:
        return None
    name, unpack = _COMPRESSIONS[magic]
    result = bytearray()
    try:
        for chunk in unpack(magic, data):
            result += chunk
            check_ratio(len(result), len(data))
    except ConvertError:
        raise
    except Exception as error:  # each compression has errors of its own
        raise ConvertError(f"is a {name} file that is damaged or cut off") from error
    grow(len(result))
    return memoryview(result)


def check_ratio(unpacked: int, packed: int) -> None:
    """Raise ConvertError for what unpacks to more than a network could, of all that the file is packed in."""
    packed = packed_size(packed)
    if unpacked > max(SMALL, RATIO * packed):
        raise ConvertError(f"unpacks to over {unpacked >> 20} MB from {packed >> 10} KB; that is no network, refused")


def open_zip(data: memoryview) -> zipfile.ZipFile:
    """Return a zip file, open, whose members are told apart by name and are no bomb together.

    Raises:
        ConvertError: if it is damaged, or not that.
    """
    file = Bytes(data, _DIRECTORY)
    try:
        archive = zipfile.ZipFile(file)
    except ConvertError:
        raise
    except Exception as error:  # what zipfile raises for a damaged file is anything
        raise ConvertError("is a zip file that is damaged or cut off") from error
    file.most = None
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


_BLOCK_OF_TAR = 512
_FILES, _WITHOUT_DATA = b"07\0", b"123456"


def _tar(data: memoryview) -> dict[str, Callable[[], memoryview]]:
    """Read the headers of a tar file, of those that are needed to find a file (POSIX.1-2001 pax, GNU tar)."""
    found: list[tuple[str, int, int]] = []
    said: dict[str, bytes] = {}
    at = headers = 0
    while head := bytes(data[at : at + _BLOCK_OF_TAR]).rstrip(b"\0"):
        head, kind = _sound_header(head), head[156:157] or b"\0"
        headers += 1
        start, size = at + _BLOCK_OF_TAR, int(said["size"]) if "size" in said else _number(head[124:136])
        end = start + (0 if kind in _WITHOUT_DATA else size)
        if headers > 4 * MOST_MEMBERS or kind == b"S" or any(key.startswith("GNU.sparse") for key in said):
            raise ConvertError("is an archive of more than networks")
        if not 0 <= size <= len(data) or end > len(data):
            raise ValueError("tar")
        if kind == b"L":
            said["path"] = bytes(data[start : min(end, start + _LONGEST + 1)]).rstrip(b"\0")
        elif kind == b"x":
            said |= _pax_records(data[start:end])
        elif kind not in b"gK":
            if kind in _FILES:
                found.append((_name(said.get("path"), head), start, size))
            said = {}
        at = -(-end // _BLOCK_OF_TAR) * _BLOCK_OF_TAR
    names = [name for name, *_ in found]
    _check_members(names)
    if set(names) >= _OF_TORCH_0_1:
        raise ConvertError("is a file of torch 0.1: load it with torch.load, and save it anew with torch.save")
    return {name: partial(_part, data, start, size) for name, start, size in found}


def _sound_header(head: bytes) -> bytes:
    head = head.ljust(_BLOCK_OF_TAR, b"\0")
    if sum(head[:148]) + sum(head[156:]) + 8 * ord(" ") != _number(head[148:156]):
        raise ValueError("tar")
    return head


def _number(field: bytes) -> int:
    """Return a number of a tar header: octal digits, or binary if the first bit is set."""
    if field[:1] == b"\x80":
        return int.from_bytes(field[1:], "big")
    digits = field.strip(b" \0")
    return int(digits or b"0", 8)


def _name(said: bytes | None, head: bytes) -> str:
    prefix = head[345:500].rstrip(b"\0") if head[257:263] == b"ustar\0" else b""
    short = head[:100].partition(b"\0")[0]
    raw = said if said is not None else b"/".join(part for part in (prefix, short) if part)
    if len(raw) > _LONGEST:
        raise ConvertError(f"is an archive with a name of over {_LONGEST} bytes")
    return raw.decode("utf-8", "surrogateescape")


def _pax_records(data: memoryview) -> dict[str, bytes]:
    """Return the records of a pax header: lines of a length, a key and a value."""
    if len(data) > 4 * _LONGEST:
        raise ConvertError("is an archive of more than networks")
    rest, records = bytes(data).rstrip(b"\0"), {}
    while rest:
        length = int(rest[:8].partition(b" ")[0])
        line = rest[:length]
        key, equals, value = line.partition(b" ")[2].partition(b"=")
        if length < 1 or not equals or value[-1:] != b"\n":
            raise ValueError("tar")
        records[key.decode()] = value[:-1]
        rest = rest[length:]
    return records


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
