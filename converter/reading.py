"""From a file to what it holds: maps it, unpacks it, looks at its first bytes, and asks the forms."""

from __future__ import annotations

import mmap
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import safetensors
import safetensors.torch

from converter.contents import look
from converter.errors import ConvertError, sound
from converter.foreign import ForeignFile, ForeignNetwork
from converter.forms.dump import is_dump, read_npz
from converter.forms.networks import read_contents, read_pickle, read_torch
from converter.forms.registry import FORMS
from converter.safe.budget import budget, spend
from converter.safe.containers import decompressed, member_of, open_zip, zip_member
from converter.safe.torch_file import OLD_MAGIC, pickle_in
from converter.sources.unlike import not_a_network
from stylegan_torch.files import checkpoint
from stylegan_torch.files.atomic import opened_by_name
from stylegan_torch.files.checkpoint import Checkpoint
from stylegan_torch.files.pages import Pages

_MOST_WRAPPINGS = 4
"""Compressions and archives, one in another."""


def open_source(path: Path, member: str | None = None) -> ForeignFile | Checkpoint:
    """Read any file we know, by its content; the tensors are views of the file.

    Args:
        path: the file.
        member: which file of an archive; None = the only one that may be a network.

    Raises:
        ConvertError: saying what is wrong with the file.
    """
    try:
        with budget(path.stat().st_size):
            file = mapped(path)
            source = _open(path, memoryview(file), member)
    except OSError as error:
        raise ConvertError(f"cannot be read: {error.strerror or error}") from error
    if not isinstance(source, ForeignFile):
        return source
    with sound("its record"):
        notes = (*_completion_notes(source.networks), *source.notes)
    return replace(source, notes=notes, pages=Pages(file))


def _completion_notes(networks: dict[str, ForeignNetwork]) -> Iterator[str]:
    """Yield notes on what is made for networks, since the file lacks it."""
    for id in dict.fromkeys(network.form for network in networks.values()):
        form = FORMS.get(id)
        if form and form.notes:
            yield from form.notes({role: network for role, network in networks.items() if network.form == id})


def mapped(path: Path) -> mmap.mmap:
    """Return a file as memory. Its pages are private: tensors that share them can be changed, the file never is."""
    with path.open("rb") as file:
        return mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_COPY)


def _open(path: Path, data: memoryview, member: str | None) -> ForeignFile | Checkpoint:
    inside: list[str] = []
    for _ in range(_MOST_WRAPPINGS):
        if not data:
            raise ConvertError("is empty once it is unpacked")
        unpacked = decompressed(data)
        if unpacked is not None:
            data, inside = unpacked, [*inside, ""]
            continue
        if _is_zip(data) and (source := _open_zip(path, data, inside)) is not None:
            _refuse_member(member)
            return source
        found = member_of(data, member)
        if found is None:
            _refuse_member(member)
            return _open_plain(path, data, inside)
        (name, data), member = found, None
        inside.append(name)
    raise ConvertError(f"is packed more than {_MOST_WRAPPINGS} times: unpack it first")


def _refuse_member(member: str | None) -> None:
    if member is not None:
        raise ConvertError(f"is no archive, so there is no {member[:80]} in it")


def _is_zip(data: memoryview) -> bool:
    return bytes(data[:4]) == b"PK\x03\x04"


def _open_zip(path: Path, data: memoryview, inside: list[str]) -> ForeignFile | Checkpoint | None:
    """Read a zip file that is itself one of networks; None if it is an archive of files."""
    archive = open_zip(data)
    names = archive.namelist()
    content = pickle_in(names)
    if content is not None:
        start = bytes(zip_member(data, archive, archive.getinfo(content))[: 1 << 12])
        return _ours(path, inside) if checkpoint.FORMAT.encode() in start else read_torch(data)
    if is_dump(names):
        return read_npz(data)
    known = not_a_network(data, names)
    if known:
        raise ConvertError(f"is {known}")
    return None


def _open_plain(path: Path, data: memoryview, inside: list[str]) -> ForeignFile | Checkpoint:
    head = bytes(data[:32])
    if head.startswith(OLD_MAGIC):
        return read_torch(data)
    if head[8:9] == b"{" and 2 <= int.from_bytes(head[:8], "little") <= len(data) - 8:
        return _open_safetensors(path, data, inside)
    if _is_pickle(data):
        try:
            return read_pickle(data)
        except ConvertError as error:
            damage = not_a_network(data)
            if damage is None:
                raise
            raise ConvertError(f"is {damage}") from error
    raise ConvertError(f"is {not_a_network(data) or 'no kind of file known here'}, not a network")


def _is_pickle(data: memoryview) -> bool:
    if data[0] == 0x80:
        return len(data) > 1 and data[1] <= 5
    return data[0] in b"(]}cl" and data[-1] == ord(".")  # protocols 0 and 1 have no mark of their own


def _open_safetensors(path: Path, data: memoryview, inside: list[str]) -> ForeignFile | Checkpoint:
    header = bytes(data[8 : 8 + int.from_bytes(data[:8], "little")])
    spend("values", header.count(b'"dtype"'))
    try:
        if inside:
            if b'"stylegan_torch"' in header:
                return _ours(path, inside)
            tensors = safetensors.torch.load(bytes(data))
        else:
            with opened_by_name(path) as name, safetensors.safe_open(name, framework="pt") as file:
                if "stylegan_torch" in (file.metadata() or {}):
                    return checkpoint.read(path)
                tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except safetensors.SafetensorError as error:
        raise ConvertError("is a safetensors file that is damaged or cut off") from error
    return read_contents(look(tensors), "a safetensors file")


def _ours(path: Path, inside: list[str]) -> Checkpoint:
    if inside:
        raise ConvertError("holds a file of ours in another one: unpack it first")
    return checkpoint.read(path)
