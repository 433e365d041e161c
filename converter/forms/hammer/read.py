"""Hammer: StyleGAN and StyleGAN2 (docs/spec/COMMUNITY.md 11), by most names and sizes genforce's.

StyleGAN2's values are those of StyleGAN2-ADA's PyTorch release, which are ours: nothing is rotated, and styles are
around 1. Its StyleGAN is read by its names alone: values are taken as genforce's.
"""

from __future__ import annotations

from dataclasses import replace

from converter.contents import Found
from converter.errors import ConvertError
from converter.foreign import ForeignNetwork
from converter.forms.genforce import read as genforce
from converter.forms.hammer import FORM
from converter.forms.hammer.header import Assumed
from converter.forms.state_dict import stored_filters, taps_of
from converter.forms.tensorflow.keywords import kept_lod
from converter.table import CHANNELS, FLIP, PLUS_ONE, SAME, Row, Table
from stylegan_torch.networks import stylegan1, stylegan2

ASSUMED: dict[str, Assumed] = {"StyleGAN2Generator": {}, "StyleGANGenerator": {"fused_from": 128}}
"""The program's defaults."""


def read(found: Found) -> ForeignNetwork:
    """Return a network of a file."""
    return found.network(FORM.id, assumed=ASSUMED[found.kind])


def notes(networks: dict[str, ForeignNetwork]) -> list[str]:
    """Return what to say of networks that are read by their names alone."""
    if all(network.header["build_func_name"] != "StyleGANGenerator" for network in networks.values()):
        return []
    return ["Hammer's StyleGAN is read as genforce's with other names; no picture of that program was compared"]


def _named(table: Table) -> list[Row]:
    """Return genforce's rows with Hammer's names."""
    names = {"truncation.w_avg": "w_avg", "apply_noise.noise": "noise", "apply_noise.weight": "noise_strength"}

    def named(theirs: str) -> str:
        end = next((end for end in names if theirs.endswith(end)), "")
        return theirs.removesuffix(end) + names.get(end, "")

    return [replace(row, theirs=named(row.theirs)) for row in table.rows]


def _refuse_classes(c_dim: int) -> None:
    if c_dim:
        raise ConvertError(f"it has {c_dim} classes, and what Hammer does with them is not known here")


def stylegan2_generator_config(network: ForeignNetwork) -> stylegan2.GeneratorConfig:
    """Return the config of a `StyleGAN2Generator`."""
    config = genforce.stylegan2_generator_config(network)
    _refuse_classes(config.c_dim)
    return replace(config, resample_filter=taps_of(network.tensors, "synthesis.layer1.filter"))


def stylegan2_generator_table(network: ForeignNetwork, config: stylegan2.GeneratorConfig) -> Table:
    """Return the table of a `StyleGAN2Generator`."""
    table = genforce.stylegan2_generator_table(network, config)
    ours = {FLIP: SAME, PLUS_ONE: SAME}
    rows = [replace(row, transform=ours.get(row.transform, row.transform)) for row in _named(table)]
    filters = stored_filters(r"synthesis\.(layer\d+\.)?filter", config.resample_filter)
    return Table(rows, [filters], table.fields)


def stylegan_generator_config(network: ForeignNetwork) -> stylegan1.GeneratorConfig:
    """Return the config of a `StyleGANGenerator`."""
    config, tensors = genforce.stylegan_generator_config(network), network.tensors
    _refuse_classes(config.c_dim)
    blur, single = "synthesis.layer2.filter", len(config.channels) == 1
    return replace(config, blur_filter=taps_of(tensors, blur) if blur in tensors or single else None)


def stylegan_generator_table(network: ForeignNetwork, config: stylegan1.GeneratorConfig) -> Table:
    """Return the table of a `StyleGANGenerator`."""
    table = genforce.stylegan_generator_table(network, config)
    kept = [
        stored_filters(r"synthesis\.layer\d+\.filter", config.blur_filter, ndim=4),
        *kept_lod(config.lod, "synthesis.lod"),
    ]
    rows = [replace(row, transform=CHANNELS) if row.ours.endswith(".noise_strength") else row for row in _named(table)]
    return Table(rows, kept, table.fields)
