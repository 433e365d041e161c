"""The pages of every form by name: how each kind of network is read, and turned back into what it came from."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any, NamedTuple

import torch

from converter.errors import ConvertError, sound, within
from converter.foreign import Network
from converter.forms.akanimax import networks as akanimax
from converter.forms.dump import all_variables
from converter.forms.genforce import read as genforce
from converter.forms.pytorch import stylegan2 as torch_pages
from converter.forms.pytorch import stylegan3 as stylegan3_pages
from converter.forms.rosinality import stylegan1 as rosinality1
from converter.forms.rosinality import stylegan2 as rosinality2
from converter.forms.tensorflow import progan as progan_pages
from converter.forms.tensorflow import stylegan1 as stylegan1_pages
from converter.forms.tensorflow import stylegan2 as stylegan2_pages
from converter.forms.yuuho import networks as yuuho
from converter.table import Table
from stylegan_torch.files import checkpoint
from stylegan_torch.networks.registry import shapes


class Page(NamedTuple):
    """How one kind of network of one form is read.

    config: its config, from header and tensors.
    table: the rows of its tensors.
    complete: makes what some files of this form lack.
    """

    config: Callable[[Network], Any]
    table: Callable[[Network, Any], Table]
    complete: Callable[[Network], Network] = lambda network: network


def _page(module: Any, kind: str) -> Page:
    return Page(getattr(module, f"{kind}_config"), getattr(module, f"{kind}_table"))


_PROGAN = {"G_paper": _page(progan_pages, "generator"), "D_paper": _page(progan_pages, "discriminator")}
_SG2_D = _page(stylegan2_pages, "discriminator")

# form -> build function or class -> its config and its table
PAGES: dict[str, dict[str, Page]] = {
    "theano": _PROGAN,
    "tf": {
        **_PROGAN,
        "G_style": _page(stylegan1_pages, "generator"),
        "D_basic": _page(stylegan1_pages, "discriminator"),
        "G_main": _page(stylegan2_pages, "generator")._replace(complete=stylegan2_pages.complete),
        "D_stylegan": _SG2_D,
        "D_stylegan2": _SG2_D,
        "D_main": _SG2_D,
    },
    "torch": {
        "Generator": _page(torch_pages, "generator"),
        "Discriminator": _page(torch_pages, "discriminator"),
    },
    "stylegan3": {"Generator": _page(stylegan3_pages, "generator")},
    genforce.FORM: {
        f"{family}{kind}": _page(genforce, f"{family.lower()}_{kind.lower()}")
        for family in ("PGGAN", "StyleGAN", "StyleGAN2")
        for kind in ("Generator", "Discriminator")
    },
    **{
        form: {
            "StyleGAN": Page(yuuho.stylegan_config, yuuho.stylegan_table),
            "StyleGAN2": Page(yuuho.stylegan2_config, yuuho.stylegan2_table),
        }
        for form in (yuuho.ARRAYS, yuuho.STATE)
    },
    rosinality1.FORM: {
        "StyledGenerator": _page(rosinality1, "generator")._replace(complete=rosinality1.complete),
        "Discriminator": _page(rosinality1, "discriminator"),
    },
    akanimax.FORM: {
        "Generator": _page(akanimax, "generator"),
        "Discriminator": _page(akanimax, "discriminator"),
    },
    rosinality2.FORM: {
        "Generator": _page(rosinality2, "generator")._replace(complete=rosinality2.complete),
        "Discriminator": _page(rosinality2, "discriminator"),
    },
}


def page(network: Network) -> Page:
    """Return how a network's config and table are made.

    Raises:
        ConvertError: naming an unknown build function.
    """
    function = network.header["build_func_name"]
    known = PAGES[network.form]
    if function not in known:
        raise ConvertError(
            f"network {network.role} has the unknown build function {function}; known: {', '.join(known)}"
        )
    return known[function]


def import_network(network: Network) -> checkpoint.Network:
    """Turn a foreign network into ours.

    Raises:
        ConvertError: naming the network, and the keyword or tensor at fault.
    """
    with within(f"network {network.role}"), sound("its record"):
        how = page(network)
        config = how.config(network)
        table = how.table(network, config)
        ours, kept = table.import_tensors(shapes(config), how.complete(network).tensors)
    return checkpoint.Network(config, ours, kept)


def export_network(role: str, ours: checkpoint.Network, record: dict[str, Any]) -> Network:
    """Turn one of our networks back into the foreign one it came from, bit for bit.

    Args:
        role: "G_ema", "G" or "D".
        ours: the network.
        record: what the provenance says of it.

    Raises:
        ConvertError: naming what is missing for that.
    """
    with within(f"network {role}"), sound("its record"):
        header = {key: value for key, value in record.items() if key != "form"}
        lod = torch.tensor(getattr(ours.config, "lod", 0.0))
        template = Network(role, record["form"], header, {"lod": lod, "cur_lod": lod, **ours.source})
        table = page(template).table(template, ours.config)
        tensors = table.export_tensors(ours.state_dict, ours.source, all_variables(header))
    return replace(template, tensors=tensors)
