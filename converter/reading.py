"""From what the user names to networks: finds the file, looks at its first bytes, and picks the reader."""

from __future__ import annotations

import bz2
import gzip
import lzma
import mmap
import zipfile
import zlib
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

from converter.errors import ConvertError, sound
from converter.foreign import Network, Source
from converter.forms.dump import is_dump, read_npz
from converter.forms.pickle_files import read_pickle
from converter.forms.registry import FORMS
from converter.forms.state_dict_files import read_state_dicts
from stylegan_torch.files import checkpoint
from stylegan_torch.files.checkpoint import Checkpoint

_COMPRESSIONS: dict[bytes, tuple[str, Callable[[Any], Any]]] = {
    b"\x1f\x8b": ("gzip", gzip.open),
    b"BZh": ("bzip2", bz2.open),
    b"\xfd7zXZ\x00": ("xz", lzma.open),
}
_OTHER_FILES = {
    b"\x89PNG": "a PNG picture",
    b"\xff\xd8\xff": "a JPEG picture",
    b"GIF8": "a GIF picture",
    b"\x89HDF": "an HDF5 file",
    b"%PDF": "a PDF document",
    b"version https://git-lfs": "a Git LFS pointer (fetch the file itself with 'git lfs pull')",
    b"<": "a web page (a download that went wrong?)",
    b"7z\xbc\xaf": "a 7-Zip archive (unpack it first)",
    b"Rar!": "a RAR archive (unpack it first)",
}
_LEGACY_TORCH = bytes.fromhex("80028a0a6cfc9c46f920")

SMALL = 64 << 20
"""Bytes up to which unpacking is never questioned."""
RATIO = 20
"""Weights hardly compress; what unpacks to more than this many times its size is no network."""


def open_source(path: Path) -> Source | Checkpoint:
    """Read any file we know, by its content; the tensors are views of the file.

    Raises:
        ConvertError: saying what is wrong with the file.
    """
    try:
        source = _open(path, _map(path))
    except OSError as error:
        raise ConvertError(f"cannot be read: {error.strerror or error}") from error
    if not isinstance(source, Source):
        return source
    with sound("its record"):
        return replace(source, notes=(*_made(source.networks), *source.notes))


def _made(networks: dict[str, Network]) -> Iterator[str]:
    """Yield notes on what is made for networks, since the file lacks it."""
    for id in dict.fromkeys(network.form for network in networks.values()):
        form = FORMS.get(id)
        if form and form.notes:
            yield from form.notes({role: network for role, network in networks.items() if network.form == id})


def _map(path: Path) -> memoryview:
    # Private pages: tensors that share them can be trained on, and the file is never written to.
    with path.open("rb") as file:
        return memoryview(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_COPY))


def _open(path: Path, data: memoryview) -> Source | Checkpoint:
    head = bytes(data[:32])
    if head.startswith(_LEGACY_TORCH):
        return read_state_dicts(path)
    for magic, (name, opener) in _COMPRESSIONS.items():
        if head.startswith(magic):
            data = _unpack(path, name, opener, len(data))
            return _read_data(data, bytes(data[:32]))
    if head.startswith(b"PK\x03\x04"):
        return _open_zip(path)
    if head[8:9] == b"{" and int.from_bytes(head[:8], "little") < len(data):
        return checkpoint.read(path)
    return _read_data(data, head)


def _read_data(data: memoryview, head: bytes) -> Source:
    if len(head) < 2 or head[0] != 0x80 or not 2 <= head[1] <= 5:
        kinds = [kind for magic, kind in _OTHER_FILES.items() if head.lstrip().startswith(magic)]
        raise ConvertError(f"is {kinds[0] if kinds else 'no kind of file known here'}, not a network")
    with sound("this pickle"):
        return read_pickle(data)


def _open_zip(path: Path) -> Source | Checkpoint:
    try:
        with zipfile.ZipFile(path) as file:
            _check_ratio(sum(entry.file_size for entry in file.infolist()), path.stat().st_size)
            content = next((name for name in file.namelist() if name.endswith("/data.pkl")), None)
            start = b"" if content is None else file.open(content).read(1 << 12)
        dump = is_dump(path)
    except (ConvertError, OSError):
        raise
    except Exception as error:  # what zipfile raises for a damaged file is anything
        raise ConvertError("is a zip file that is damaged or cut off") from error
    if dump:
        return read_npz(path)
    if content is None:
        raise ConvertError("is a zip file without networks")
    return checkpoint.read(path) if checkpoint.FORMAT.encode() in start else read_state_dicts(path)


def _unpack(path: Path, name: str, opener: Callable[[Any], Any], size: int) -> memoryview:
    data = bytearray()
    try:
        with opener(path) as file:
            while chunk := file.read(1 << 22):
                data += chunk
                _check_ratio(len(data), size)
    except (OSError, EOFError, MemoryError, lzma.LZMAError, zlib.error) as error:
        raise ConvertError(f"is a {name} file that is damaged or cut off") from error
    return memoryview(data)


def _check_ratio(unpacked: int, packed: int) -> None:
    if unpacked > max(SMALL, RATIO * packed):
        raise ConvertError(f"unpacks to over {unpacked >> 20} MB from {packed >> 10} KB; that is no network, refused")
