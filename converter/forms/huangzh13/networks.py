"""huangzh13/StyleGAN.pytorch: lernapparat's blocks under other names, usually without blur (docs/spec/COMMUNITY.md 9).

Its files hold all levels, however many were trained, which they do not tell: `assumed` in the header does.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from converter.contents import Found
from converter.errors import ConvertError
from converter.foreign import ForeignNetwork
from converter.forms.huangzh13 import FORM
from converter.forms.lernapparat.networks import (
    INSTANCE_NORM_EPS,
    MEAN_SAMPLES,
    block_rows,
    blur_of,
    channels_of,
    completed,
    mapping_config,
)
from converter.forms.rosinality.header import header_of
from converter.forms.state_dict import count, shape_of, stored_filters
from converter.table import TRANSPOSE, Kept, Row, Table
from stylegan_torch.networks import stylegan1
from stylegan_torch.networks.layers import log2_resolution, resolutions

_RGB = "g_synthesis.to_rgb.{}.weight"
_AVERAGE = "truncation.avg_latent"
_EMBEDDING = "class_embedding.weight"


def read(found: Found) -> ForeignNetwork:
    """Return a network of a file."""
    return found.network(FORM.id, assumed={"img_resolution": 2 << _stored_levels(found.values)})


def completion_notes(networks: dict[str, ForeignNetwork]) -> list[str]:
    """Return notes on what `complete` makes."""
    notes = ["files of this kind have no noise maps, which are always random; noise is made"]
    if any(_AVERAGE not in network.tensors for network in networks.values()):
        notes.append(f"this file has no average w; that of {MEAN_SAMPLES} is made")
    return notes


def _stored_levels(names: Iterable[str]) -> int:
    """Return how many levels the file has, trained or not."""
    return max(1, count(names, _RGB), 1 + count(names, "g_synthesis.blocks.{}.conv1.weight"))


def _blocks(side: int) -> list[str]:
    return ["g_synthesis.init_block", *(f"g_synthesis.blocks.{n}" for n in range(log2_resolution(side) - 2))]


def generator_config(network: ForeignNetwork) -> stylegan1.GeneratorConfig:
    """Return the config of a `Generator`; the embedding of a label has as many values as z."""
    tensors, side = network.tensors, header_of(network)["assumed"]["img_resolution"]
    most = 2 << _stored_levels(tensors)
    if side not in resolutions(most):
        raise ConvertError(f"has levels to {most}x{most}, and none of {side}x{side}")
    mapping = mapping_config(tensors, "g_mapping.map.dense{}")
    if _EMBEDDING in tensors:
        c_dim, z_dim = shape_of(tensors, _EMBEDDING, 2)
        mapping = replace(mapping, z_dim=z_dim, c_dim=c_dim)
    blurred = any(name.endswith(".intermediate.kernel") for name in tensors)
    return stylegan1.GeneratorConfig(
        mapping=mapping,
        img_resolution=side,
        img_channels=shape_of(tensors, _RGB.format(0), 4)[0],
        channels=channels_of(tensors, _blocks(side)),
        blur_filter=blur_of(tensors, _blocks(side)) if blurred else None,
        instance_norm_eps=INSTANCE_NORM_EPS,
        truncation_psi=1.0,
        truncation_cutoff=None,
        official_noise="stored",
    )


def generator_table(network: ForeignNetwork, config: stylegan1.GeneratorConfig) -> Table:
    """Return the table of a `Generator`; levels beyond the trained ones are carried along."""
    rows = [
        Row("mapping.w_avg", _AVERAGE),
        Row("mapping.embed.weight", _EMBEDDING, TRANSPOSE),
        Row("mapping.fc{i}.{name}", "g_mapping.map.dense{i}.{name}"),
        Row("synthesis.b{r}.torgb.{name}", "g_synthesis.to_rgb.{level}.{name}"),
    ]
    sides = resolutions(config.img_resolution)
    for r, block in zip(sides, _blocks(config.img_resolution), strict=True):
        rows += block_rows(r, block)
    untrained = "|".join(rf"blocks\.{level - 1}\..*|to_rgb\.{level}\.(weight|bias)" for level in range(len(sides), 16))
    kept = [
        Kept(rf"g_synthesis\.({untrained})"),
        stored_filters(r"g_synthesis\.blocks\.\d+\.conv0_up\.intermediate\.kernel", config.blur_filter, ndim=4),
    ]
    return Table(rows, kept, lambda r, i: {"level": log2_resolution(r) - 2}, rf"{_AVERAGE}|noise\d+")


def complete(network: ForeignNetwork) -> ForeignNetwork:
    """Make noise maps, which are always random there, and the average w if it lacks one."""
    config = generator_config(network)
    return completed(network, config, generator_table(network, config))
