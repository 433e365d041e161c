"""An open file, of another program or of ours alike: its networks, each turned into ours once, when asked for."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import Future
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any, TypedDict

from torch import Tensor

from converter.errors import ConvertError, sound, within
from converter.foreign import ForeignFile, ForeignNetwork, Keywords, mapping, walk
from converter.forms.dump import header_of_record
from converter.forms.registry import FORMS
from converter.header import check
from converter.translate import check_network, export_network, import_network, known_kind, promise_network
from stylegan_torch import __version__
from stylegan_torch.files import checkpoint
from stylegan_torch.files.checkpoint import ROLES, Checkpoint
from stylegan_torch.files.pages import Pages
from stylegan_torch.files.promised import Promised, PromisedNetwork
from stylegan_torch.files.tensors import nonfinite
from stylegan_torch.networks.registry import Config
from stylegan_torch.types import JsonObject


class Origin(TypedDict):
    """Which file networks came from."""

    name: str
    sha256: str
    size: int


Record = Mapping[str, Any]
"""How the original wrote a network: its form, build function, keywords and so on."""


@dataclass(frozen=True)
class OpenedNetwork:
    """One network of an open file. Either `foreign` or `ours` is there from the start.

    role: "G_ema", "G" or "D".
    foreign: as another program's file has it; None in a file of ours.
    ours: as a file of ours has it; None in another program's.
    record: how the original wrote it; None in files that were not converted.
    pages: those of the file.
    """

    role: str
    foreign: ForeignNetwork | None = None
    ours: checkpoint.StoredNetwork | None = None
    record: Record | None = None
    pages: Pages = field(default_factory=Pages)

    @cached_property
    def config(self) -> Config:
        """Its config; raises ConvertError if its tensors contradict it."""
        if self.ours:
            return self.ours.config
        assert self.foreign
        known = next((vars(self)[name] for name in ("stored", "promised") if name in vars(self)), None)
        return known.config if known else check_network(self.foreign)

    @cached_property
    def stored(self) -> checkpoint.StoredNetwork:
        """It as ours; raises ConvertError, naming the keyword or tensor at fault."""
        if self.ours:
            return self.ours
        assert self.foreign
        return import_network(self.foreign)

    @cached_property
    def promised(self) -> PromisedNetwork:
        """It as ours, with tensors that are made when they are asked for; raises ConvertError as `stored`."""
        if self.ours:
            return PromisedNetwork(self.ours.config, self.ours.state_dict, self.ours.source)
        assert self.foreign
        return promise_network(self.foreign, self.pages)

    @property
    def tensors(self) -> Mapping[str, Tensor]:
        """All that its file has of it."""
        if self.ours:
            return {**self.ours.source, **self.ours.state_dict}
        assert self.foreign
        return self.foreign.tensors

    def original(self) -> ForeignNetwork:
        """Return it as the original has it, bit for bit; raises ConvertError if that is not known."""
        if self.foreign:
            return self.foreign
        if self.record is None:
            raise ConvertError(f"has no record of the original form of network {self.role}, which .npz needs")
        return export_network(self.role, self.stored, dict(self.record))

    def assuming(self, said: Mapping[str, Any]) -> OpenedNetwork:
        """Return it with what its file leaves open, said; names that are not open here are passed over."""
        if not self.foreign:
            return self
        checks, keywords = FORMS[self.foreign.form].assumable, Keywords("what to assume", dict(said))
        values = {name: checks[name](keywords, name) for name in said if name in self.open_points}
        if not values:
            return self
        header = {**self.foreign.header, "assumed": {**self.foreign.header["assumed"], **values}}
        return _of_foreign(replace(self.foreign, header=header), self.pages)

    @cached_property
    def open_points(self) -> list[str]:
        """What its file leaves open."""
        if not self.foreign:
            return []
        with within(f"network {self.role}"), sound("its record"):
            known_kind(self.foreign)
            assumed = mapping(self.foreign.header.get("assumed", {}), "what is assumed")
            return [name for name in FORMS[self.foreign.form].assumable if name in assumed]


def _of_foreign(network: ForeignNetwork, pages: Pages) -> OpenedNetwork:
    return OpenedNetwork(network.role, foreign=network, record={"form": network.form, **network.header}, pages=pages)


@dataclass(frozen=True)
class OpenedFile:
    """An open file; `networks` by role in the order G_ema, G, D.

    notes: what was passed over.
    provenance: what a file of ours says of where it came from; None for other files.
    source: name, sha256 and size of the file itself.
    expected: what is as long as that.
    """

    networks: dict[str, OpenedNetwork]
    source: Future[dict[str, Any]]
    notes: tuple[str, ...] = ()
    provenance: dict[str, Any] | None = None
    known_origin: dict[str, Any] = field(default_factory=dict)
    expected: dict[str, Any] = field(default_factory=dict)

    @property
    def origin(self) -> dict[str, Any]:
        """Name, sha256 and size of the file the networks came from; dumps and files of ours remember it."""
        return self.known_origin or self.source.result()

    def select(self, roles: Iterable[str] | None) -> OpenedFile:
        """Return it with some of its networks, all if None; raises ConvertError if one is not there."""
        asked = [roles] if isinstance(roles, str) else self.networks if roles is None else roles
        known = {role.lower(): role for role in ROLES}
        wanted = [known.get(role.lower(), role) for role in asked]
        if not wanted:
            raise ConvertError("no network was asked for")
        for role in wanted:
            if role not in self.networks:
                raise ConvertError(f"there is no network {role}, only {', '.join(self.networks)}")
        return replace(self, networks={role: net for role, net in self.networks.items() if role in wanted})

    def assuming(self, said: Mapping[str, Any] | None) -> OpenedFile:
        """Return it with what it leaves open, said; raises ConvertError for what it doesn't."""
        if not said:
            return self
        known = sorted({name for network in self.networks.values() for name in network.open_points})
        for name in said:
            if name not in known:
                raise ConvertError(f"leaves {', '.join(known) or 'nothing'} open, not {name}")
        return replace(self, networks={role: net.assuming(said) for role, net in self.networks.items()})

    def program(self) -> ForeignFile:
        """Return it as another program's file; raises ConvertError for one of ours."""
        if self.provenance is not None:
            raise ConvertError("was converted; only the original pickle carries the program")
        return self.original()

    def original(self, origin: dict[str, Any] | None = None) -> ForeignFile:
        """Return the networks as the original has them; raises ConvertError if that is not known of one.

        Args:
            origin: what it is to say of its file; by default what is true, which may take until that is hashed.
        """
        originals = {role: network.original() for role, network in self.networks.items()}
        pages = next((network.pages for network in self.networks.values()), Pages())
        return ForeignFile(originals, self.origin if origin is None else origin, self.notes, pages)

    def checkpoint(self) -> Checkpoint:
        """Return what a file of ours would hold of it."""
        return Checkpoint({role: network.stored for role, network in self.networks.items()}, self.told(self.origin))

    def promised(self) -> Promised:
        """Return what `checkpoint` does, with tensors that are made when they are asked for, before the file is hashed.

        Of its provenance, what is expected has another hash.
        """
        networks = {role: network.promised for role, network in self.networks.items()}
        expected = self.told(self.known_origin or self.expected)
        return Promised(networks, lambda: self.told(self.origin), expected)

    def told(self, origin: Mapping[str, Any]) -> JsonObject:
        """Return what a file of ours would say of where its networks came from."""
        base = {"created_by": f"stylegan-torch {__version__}"} if self.provenance is None else self.provenance
        return {**base, "origin": dict(origin), "networks": self.records}

    def nonfinite(self) -> Iterator[str]:
        """Yield notes on networks that have NaN or infinity among their numbers, by the names of their own file."""
        for role, network in self.networks.items():
            if what := nonfinite(network.pages.of(network.tensors)):
                yield f"network {role}: {what}; they are kept, and drawn with only if --allow-nonfinite is given"

    @property
    def records(self) -> dict[str, dict[str, Any]]:
        """How the original wrote each network, where that is known."""
        return {role: dict(net.record) for role, net in self.networks.items() if net.record is not None}


def open_contents(content: ForeignFile | Checkpoint, source: Future[dict[str, Any]]) -> OpenedFile:
    """Return what was read of a file as an open file."""
    if isinstance(content, ForeignFile):
        networks = {network.role: _of_foreign(network, content.pages) for network in walk(content.networks)}
        return OpenedFile(networks, source, content.notes, known_origin=_origin(content.origin))
    records = mapping(content.provenance.get("networks", {}), "what it says of its networks")
    for role, record in records.items():
        with within(f"network {role}"):
            header_of_record(mapping(record, "its record"))
    ours = {
        role: OpenedNetwork(role, ours=content.networks[role], record=records.get(role))
        for role in ROLES
        if role in content.networks
    }
    origin = _origin(content.provenance.get("origin"))
    return OpenedFile(ours, source, provenance=content.provenance, known_origin=origin)


def _origin(said: Any) -> dict[str, Any]:
    """Return what a file says of where its networks came from, which may be nothing; raises ConvertError if odd."""
    if not said:
        return {}
    with within("what it says of its origin"):
        check(said, Origin)
    return dict(said)
