"""Foreign file in, our file, a dump or another program's file out: what the command does."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from threading import Event
from typing import Any

from converter.errors import ConvertError, naming, sound, within
from converter.foreign import Keywords, Network, Source, mapping, walk
from converter.form import Options
from converter.formats import by_suffix, suffixes_of, writers
from converter.forms.dump import write_npz
from converter.forms.registry import FORMS
from converter.reading import open_source
from converter.sources.locate import check_file, locate
from converter.translate import export_network, import_network, known_kind
from stylegan_torch import __version__
from stylegan_torch.files import checkpoint
from stylegan_torch.files.atomic import new_file, refuse_existing, spelled
from stylegan_torch.files.checkpoint import ROLES, Checkpoint
from stylegan_torch.networks.registry import Config, count_parameters

HASH_CHUNK = 1 << 20
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
    force: bool = False,
    format: str | None = None,
    assumed: Mapping[str, Any] | None = None,
    options: Options | None = None,
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
    with opened(src, networks, assumed) as (source, origin):
        if dst.suffix == ".npz":
            dump = _as_source(source, origin)
            for network in walk(dump.networks):
                import_network(network)  # what could not be read back is not written
            with new_file(dst, force) as file:
                write_npz(file, dump)
            return _summarize(dump, dump.origin)
        ours = _as_checkpoint(source, origin)
        read = _summarize(source, ours.provenance["origin"])
        if format is None:
            checkpoint.write(dst, ours, force)
            return read
        writer = writers()[format]
        with new_file(dst, force) as file:
            written, notes = writer.write(file, ours, options or Options())
        notes = [*read.notes, *notes, *writer.name_notes(dst.name)]
        return replace(_summarize(written, read.origin), notes=tuple(notes))


def inspect(src: str | Path, assumed: Mapping[str, Any] | None = None) -> Summary:
    """Tell what is in a file; runs nothing of it. `assumed` as of `convert`.

    Raises:
        StyleGANError: if it is no file of networks.
    """
    with opened(src, assumed=assumed) as (source, origin):
        return _summarize(source, origin.result())


def load(
    src: str | Path, networks: Iterable[str] | None = None, assumed: Mapping[str, Any] | None = None
) -> Checkpoint:
    """Read any file as `convert` would write it, e.g. `load("ffhq.pkl").network("G_ema")`; arguments as there.

    Tensors are views of the file where they can be; nothing is written to it, but it must not be overwritten in place
    while they are in use.

    Raises:
        StyleGANError: as `convert` does.
    """
    with opened(src, networks, assumed) as (source, origin):
        return _as_checkpoint(source, origin)


@contextmanager
def opened(
    src: str | Path, networks: Iterable[str] | None = None, assumed: Mapping[str, Any] | None = None
) -> Iterator[tuple[Source | Checkpoint, Future[dict[str, Any]]]]:
    """Open a file, and hash it meanwhile; errors inside the block name the file."""
    path = locate(src)
    check_file(path)
    with naming(path), ThreadPoolExecutor(1) as hasher:
        unneeded = Event()
        origin = hasher.submit(file_origin, path, unneeded)
        try:
            source = _select(open_source(path), networks)
            if assumed:
                source = _assuming(source, assumed)
            # A dump and a file of ours remember the file they came from; only an original is its own origin.
            known = source.origin if isinstance(source, Source) else source.provenance.get("origin")
            if known:
                unneeded.set()
                origin = hasher.submit(lambda: known)
            yield source, origin
        finally:
            unneeded.set()


def file_origin(path: Path, unneeded: Event) -> dict[str, Any]:
    """Return name, sha256 and size in bytes of a file; stops halfway once the answer is unneeded."""
    digest, buffer = hashlib.sha256(), memoryview(bytearray(HASH_CHUNK))
    with path.open("rb", buffering=0) as file:
        while (count := file.readinto(buffer)) and not unneeded.is_set():
            digest.update(buffer[:count])
    return {"name": spelled(path.name), "sha256": digest.hexdigest(), "size": path.stat().st_size}


def _select(source: Source | Checkpoint, networks: Iterable[str] | None) -> Source | Checkpoint:
    asked = [networks] if isinstance(networks, str) else source.networks if networks is None else networks
    known = {role.lower(): role for role in ROLES}
    roles = [known.get(role.lower(), role) for role in asked]
    if not roles:
        raise ConvertError("no network was asked for")
    for role in roles:
        if role not in source.networks:
            raise ConvertError(f"there is no network {role}, only {', '.join(source.networks)}")
    chosen: dict[str, Any] = {role: source.networks[role] for role in ROLES if role in roles}
    if isinstance(source, Source):
        return Source(chosen, source.origin, source.notes)
    return Checkpoint(chosen, source.provenance)


def _assuming(source: Source | Checkpoint, assumed: Mapping[str, Any]) -> Source:
    """Tell the networks of a file what it does not say."""
    networks = source.networks if isinstance(source, Source) else {}
    open_points = {role: _open_points(network) for role, network in networks.items()}
    known = sorted({name for names in open_points.values() for name in names})
    for name in assumed:
        if name not in known:
            raise ConvertError(f"leaves {', '.join(known) or 'nothing'} open, not {name}")
    said = Keywords("what to assume", dict(assumed))
    told = {}
    for role, network in networks.items():
        checks = FORMS[network.form].assumable
        values = {name: checks[name](said, name) for name in assumed if name in open_points[role]}
        header = {**network.header, "assumed": {**network.header["assumed"], **values}} if values else network.header
        told[role] = replace(network, header=header)
    return Source(told, source.origin, source.notes) if isinstance(source, Source) else Source(told)


def _open_points(network: Network) -> list[str]:
    """Return what a file leaves open of a network."""
    with within(f"network {network.role}"), sound("its record"):
        assumed = mapping(network.header.get("assumed", {}), "what is assumed")
        return [name for name in FORMS[network.form].assumable if name in assumed]


def _as_source(source: Source | Checkpoint, origin: Future[dict[str, Any]]) -> Source:
    if isinstance(source, Source):
        return replace(source, origin=origin.result())
    records = source.provenance.get("networks", {})
    missing = [role for role in source.networks if role not in records]
    if missing:
        raise ConvertError(f"has no record of the original form of network {missing[0]}, which .npz needs")
    networks = {role: export_network(role, net, records[role]) for role, net in source.networks.items()}
    return Source(networks, origin.result())


def _as_checkpoint(source: Source | Checkpoint, origin: Future[dict[str, Any]]) -> Checkpoint:
    if isinstance(source, Checkpoint):
        records = {role: value for role, value in _records(source).items() if role in source.networks}
        provenance = {**source.provenance, "origin": origin.result(), "networks": records}
        return Checkpoint(source.networks, provenance)
    networks = {net.role: import_network(net) for net in walk(source.networks)}
    provenance = {
        "created_by": f"stylegan-torch {__version__}",
        "origin": origin.result(),
        "networks": _records(source),
    }
    return Checkpoint(networks, provenance)


def _records(source: Source | Checkpoint) -> dict[str, dict[str, Any]]:
    if isinstance(source, Checkpoint):
        return dict(source.provenance.get("networks", {}))
    return {net.role: {"form": net.form, **net.header} for net in walk(source.networks)}


def _config(network: Network) -> Config:
    with within(f"network {network.role}"), sound("its record"):
        return known_kind(network).config(network)


def _summarize(source: Source | Checkpoint, origin: dict[str, Any]) -> Summary:
    if isinstance(source, Source):
        configs = {net.role: _config(net) for net in walk(source.networks)}
    else:
        configs = {role: net.config for role, net in source.networks.items()}
    with sound("its record"):
        counts = {role: count_parameters(config) for role, config in configs.items()}
    notes = source.notes if isinstance(source, Source) else ()
    return Summary(configs, counts, _records(source), origin, notes)
