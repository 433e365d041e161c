"""Foreign file in, our file, a dump or another program's file out: what the command does."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from threading import Event
from typing import Any

from converter.errors import ConvertError, naming, sound
from converter.foreign import walk
from converter.form import Options
from converter.formats import by_suffix, suffixes_of, writers
from converter.forms.dump import write_npz
from converter.opened import OpenedFile, open_contents
from converter.reading import mapped, open_source
from converter.sources.locate import check_file, locate
from converter.translate import try_import
from stylegan_torch.files import promised
from stylegan_torch.files.atomic import new_file, refuse_existing, spelled
from stylegan_torch.files.checkpoint import Checkpoint
from stylegan_torch.files.pages import Pages
from stylegan_torch.networks.registry import Config, count_parameters

HASH_CHUNK = 8 << 20
"""Bytes; large enough that the hashing thread seldom waits for its turn."""


@dataclass(frozen=True)
class Summary:
    """What a file holds, or what a conversion wrote.

    configs: by role.
    parameters: numbers of trainable values, by role.
    records: by role, how the original wrote the network: build function, keywords and so on.
    origin: name, sha256 and size in bytes of the file the networks came from.
    notes: what was passed over, or is not as it was.
    """

    configs: dict[str, Config]
    parameters: dict[str, int]
    records: dict[str, dict[str, Any]]
    origin: dict[str, Any]
    notes: tuple[str, ...] = ()


def convert(
    src: str | Path,
    dst: str | Path,
    networks: Iterable[str] | None = None,
    *,
    force: bool = False,
    format: str | None = None,
    assumed: Mapping[str, Any] | None = None,
    options: Options | None = None,
    sha256: str | None = None,
) -> Summary:
    """Convert any file we read to `.pt`, `.safetensors` or `.npz`, or to another program's form.

    It is what `stylegan-convert` does.

    Args:
        src: a file, a URL or a catalogue name.
        dst: the file to write; its suffix decides the format.
        networks: roles among "G_ema", "G", "D"; None = all the file has.
        force: replace an existing `dst`.
        format: what `--format` takes; None = what the suffix of `dst` says.
        assumed: what the file doesn't say, instead of what we assume: `img_resolution`, the side of the pictures, for
            files that hold more levels than were trained; `mbstd_group_size` and others as `inspect` shows them.
        options: what some formats leave to choose.
        sha256: hash that the file at `src` must have, in hex; it is looked at before anything in the file is.

    Raises:
        StyleGANError: one line that names what is wrong; nothing is written then.
    """
    dst = Path(dst)
    if format is not None and format not in writers():
        raise ConvertError(f"there is no format {format}, only {', '.join(writers())}")
    if dst.suffix not in suffixes_of(format):
        raise ConvertError(f"{dst}: the name must end in {', '.join(suffixes_of(format))}")
    format = format or by_suffix(dst.suffix)
    refuse_existing([dst], force)
    with opened(src, networks, assumed, sha256) as file:
        if dst.suffix == ".npz":
            dump = file.original(file.expected)
            for network in walk(dump.networks):
                try_import(network, dump.pages)  # what could not be read back is not written
            with new_file(dst, force) as target:
                write_npz(target, replace(dump, origin=file.origin))
            return _summarize(file)
        if format is None:
            ours = file.promised()
            read = _summarize(file, ours.expected["origin"])
            promised.write(dst, ours, force)
            return replace(read, origin=file.origin)
        content = file.checkpoint()
        read = _summarize(file)
        writer = writers()[format]
        with new_file(dst, force) as target:
            written, notes, beside = writer.write(target, content, replace(options or Options(), name=dst.name))
            for more, data in beside.items():
                with new_file(dst.with_name(dst.name + more), force) as other:
                    other.write(data)
                    dst.unlink(missing_ok=True)  # an old file that would go with the new one
        configs = {role: network.config for role, network in written.networks.items()}
        notes = [*read.notes, *notes, *writer.name_notes(dst.name)]
        return _summary(configs, written.provenance.get("networks", {}), read.origin, notes)


def inspect(src: str | Path, assumed: Mapping[str, Any] | None = None, *, sha256: str | None = None) -> Summary:
    """Tell what is in a file; runs nothing of it. Arguments as of `convert`.

    Raises:
        StyleGANError: if it is no file of networks.
    """
    with opened(src, assumed=assumed, sha256=sha256) as file:
        return _summarize(file)


def load(
    src: str | Path,
    networks: Iterable[str] | None = None,
    assumed: Mapping[str, Any] | None = None,
    *,
    sha256: str | None = None,
) -> Checkpoint:
    """Read any file as `convert` would write it, e.g. `load("ffhq.pkl").network("G_ema")`; arguments as there.

    Tensors are views of the file where they can be; nothing is written to it, but it must not be overwritten in place
    while they are in use.

    Raises:
        StyleGANError: as `convert` does.
    """
    with opened(src, networks, assumed, sha256) as file:
        return file.checkpoint()


@contextmanager
def opened(
    src: str | Path,
    networks: Iterable[str] | None = None,
    assumed: Mapping[str, Any] | None = None,
    sha256: str | None = None,
) -> Iterator[OpenedFile]:
    """Open a file, and hash it meanwhile; errors inside the block name the file."""
    path, member = locate(src, sha256)
    check_file(path)
    with naming(path, member), ThreadPoolExecutor(1) as hasher:
        unneeded = Event()
        try:
            source = hasher.submit(file_origin, path, unneeded, member)
            file = open_contents(open_source(path, member), source).select(networks).assuming(assumed)
            file = replace(file, expected=_origin(path, member, "0" * 64))
            if file.known_origin:
                unneeded.set()
            yield file
        finally:
            unneeded.set()


def file_origin(path: Path, unneeded: Event, member: str | None = None) -> dict[str, Any]:
    """Return name, sha256 and size in bytes of a file; stops halfway once the answer is unneeded.

    The name tells which `member` of an archive is meant.
    """
    digest = hashlib.sha256()
    with mapped(path) as file, memoryview(file) as data:
        pages = Pages(file)
        for start in range(0, len(data), HASH_CHUNK):
            if unneeded.is_set():
                break
            with data[start : start + HASH_CHUNK] as chunk:
                digest.update(chunk)
                pages.passed(len(chunk))
    return _origin(path, member, digest.hexdigest())


def _origin(path: Path, member: str | None, sha256: str) -> dict[str, Any]:
    name = f"{path.name}!{member}" if member else path.name
    return {"name": spelled(name), "sha256": sha256, "size": path.stat().st_size}


def _summarize(file: OpenedFile, origin: dict[str, Any] | None = None) -> Summary:
    configs = {role: network.config for role, network in file.networks.items()}
    notes = [*file.notes, *file.nonfinite()]
    return _summary(configs, file.records, origin or file.origin, notes)


def _summary(
    configs: dict[str, Config], records: dict[str, dict[str, Any]], origin: dict[str, Any], notes: Iterable[str]
) -> Summary:
    with sound("its record"):
        counts = {role: count_parameters(config) for role, config in configs.items()}
    return Summary(configs, counts, records, origin, tuple(notes))
