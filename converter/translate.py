"""Foreign networks to ours and back, by the kind of network that their form says they are."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import torch

from converter.errors import ConvertError, sound, within
from converter.foreign import ForeignNetwork
from converter.form import Kind
from converter.forms.dump import all_variables, header_of_record
from converter.forms.registry import FORMS
from converter.table import Table
from stylegan_torch.files import checkpoint
from stylegan_torch.files.pages import Pages
from stylegan_torch.files.promised import PromisedNetwork
from stylegan_torch.networks.registry import Config, shapes


def known_kind(network: ForeignNetwork) -> Kind:
    """Return how a network's config and table are made.

    Raises:
        ConvertError: naming an unknown form or build function.
    """
    function, form = network.header["build_func_name"], FORMS.get(network.form)
    if form is None or not form.kinds:
        raise ConvertError(f"is of the form {network.form}, which nothing installed here reads")
    known = form.kinds
    if function not in known:
        raise ConvertError(f"has the unknown build function {function}; known: {', '.join(known)}")
    return known[function]


def check_network(network: ForeignNetwork) -> Config:
    """Return the config of a foreign network, whose tensors are checked against it but not moved.

    Raises:
        ConvertError: naming the network, and the keyword or tensor at fault.
    """
    with within(f"network {network.role}"), sound("its record"):
        config, table = _plan(network)
        table.check_all(shapes(config), network.tensors)
    return config


def import_network(network: ForeignNetwork) -> checkpoint.StoredNetwork:
    """Turn a foreign network into ours.

    Raises:
        ConvertError: naming the network, and the keyword or tensor at fault.
    """
    promised = promise_network(network, Pages())
    with within(f"network {network.role}"), sound("its record"):
        return checkpoint.StoredNetwork(promised.config, dict(promised.state_dict), dict(promised.source))


def promise_network(network: ForeignNetwork, pages: Pages) -> PromisedNetwork:
    """Return a foreign network as ours, each tensor of which is made whenever it is asked for.

    Args:
        network: the network.
        pages: those of its file.

    Raises:
        ConvertError: naming the network, and the keyword or tensor at fault.
    """
    with within(f"network {network.role}"), sound("its record"):
        config, table = _plan(network)
        tensors = known_kind(network).complete(network).tensors
        ours, kept = table.import_tensors(shapes(config), pages.of(tensors))
    return PromisedNetwork(config, ours, kept)


def try_import(network: ForeignNetwork, pages: Pages) -> None:
    """Make all of our tensors of a foreign network, one after another; arguments and errors as of `promise_network`."""
    promised = promise_network(network, pages)
    with within(f"network {network.role}"), sound("its record"):
        for tensors in (promised.state_dict, promised.source):
            for name in tensors:
                tensors[name]


def _plan(network: ForeignNetwork) -> tuple[Config, Table]:
    how = known_kind(network)
    config = how.config(network)
    return config, how.table(network, config)


def export_network(role: str, ours: checkpoint.StoredNetwork, record: dict[str, Any]) -> ForeignNetwork:
    """Turn one of our networks back into the foreign one it came from, bit for bit.

    Args:
        role: "G_ema", "G" or "D".
        ours: the network.
        record: what the provenance says of it.

    Raises:
        ConvertError: naming what is missing for that.
    """
    with within(f"network {role}"), sound("its record"):
        form, header = header_of_record(record)
        lod = torch.tensor(getattr(ours.config, "lod", 0.0))
        template = ForeignNetwork(role, form, header, {"lod": lod, "cur_lod": lod, **ours.source})
        table = known_kind(template).table(template, ours.config)
        tensors = table.export_tensors(ours.state_dict, ours.source, all_variables(header))
    return replace(template, tensors=tensors)
