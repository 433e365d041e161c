"""genforce: ProGAN, StyleGAN, StyleGAN2 and StyleGAN2-ADA, converted and training files (docs/spec/COMMUNITY.md 4).

Its arithmetic and its weights are the official TensorFlow networks', in PyTorch's layout; sizes follow from
the tensors. What its files don't say is in the header under `assumed`: the program's defaults.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from dataclasses import replace
from typing import TypedDict

from converter.contents import Found
from converter.errors import ConvertError, within
from converter.foreign import ForeignNetwork
from converter.forms.genforce import FORM
from converter.forms.genforce.header import Assumed, header_of
from converter.forms.state_dict import Tensors, count, shape_of, shapes_of, stored_filters, taps_of
from converter.forms.tensorflow.keywords import kept_lod
from converter.forms.tensorflow.progan import dense_from_4x4
from converter.table import (
    FLIP,
    NOISE,
    PLUS_ONE,
    SAME,
    TRANSPOSE,
    UNBATCH,
    Fields,
    Row,
    Table,
    Transform,
    chain,
    permute,
    product,
)
from stylegan_torch.networks import progan, stylegan1, stylegan2
from stylegan_torch.networks.layers import log2_resolution, resolutions

ASSUMED: dict[str, Assumed] = {
    "StyleGAN2Generator": {},
    "StyleGAN2Discriminator": {"mbstd_group_size": 4},
    "StyleGANGenerator": {"fused_from": 128},
    "StyleGANDiscriminator": {"mbstd_group_size": 4},
    "PGGANGenerator": {"label_size": 0, "fused_kernels": False},
    "PGGANDiscriminator": {"mbstd_group_size": 16, "fused_scale": False},
}
"""The program's defaults."""
_BOTH = {"weight": ("weight", SAME), "bias": ("bias", SAME)}


def read(found: Found) -> ForeignNetwork:
    """Return a network of a file."""
    return found.network(FORM.id, assumed=ASSUMED[found.kind])


def finish(networks: dict[str, ForeignNetwork]) -> dict[str, ForeignNetwork]:
    """Return networks that know what only the one beside each shows."""
    return {role: _with_sibling_facts(network, networks) for role, network in networks.items()}


def _with_sibling_facts(network: ForeignNetwork, networks: Mapping[str, ForeignNetwork]) -> ForeignNetwork:
    """Add to a ProGAN's network what only the one beside it shows: a generator's labels, a discriminator's order."""
    others = [other for other in networks.values() if (other.role == "D") != (network.role == "D")]
    said: Assumed = {}
    with within(f"network {network.role}"):
        if header_of(network)["build_func_name"] == "PGGANGenerator":
            said["fused_kernels"] = _is_fused(network.tensors)
    for other in others:
        with within(f"network {other.role}"):
            if header_of(other)["build_func_name"] == "PGGANDiscriminator":
                said["label_size"] = pggan_discriminator_config(other).num_label_logits
            elif header_of(other)["build_func_name"] == "PGGANGenerator":
                said["fused_scale"] = _is_fused(other.tensors)
    return replace(network, header={**network.header, "assumed": {**header_of(network)["assumed"], **said}})


def lod_of(tensors: Tensors, name: str) -> float:
    """Return the level of detail that a file says, 0 if it says none; raises ConvertError if it is none."""
    lod = float(tensors[name]) if name in tensors and tensors[name].numel() == 1 else 0.0
    if not 0 <= lod <= 16:
        raise ConvertError(f"variable {name} is {lod:g}, which is no level of detail")
    return lod


def _level(r: int) -> int:
    return log2_resolution(r) - 2


def _w_dim(tensors: Tensors) -> int:
    """Return the width of the average w, which Hammer's files have at the top."""
    return shape_of(tensors, "w_avg" if "w_avg" in tensors else "truncation.w_avg", 1)[0]


# StyleGAN2 and StyleGAN2-ADA.


def stylegan2_generator_config(network: ForeignNetwork) -> stylegan2.GeneratorConfig:
    """Return the config of a `StyleGAN2Generator`."""
    tensors = network.tensors
    levels = max(count(tensors, "synthesis.layer{}.weight") + 1, 2) // 2
    channels = tuple(shape_of(tensors, f"synthesis.layer{2 * j}.weight", 4)[0] for j in range(levels))
    skip = "synthesis.output0.weight" in tensors
    return stylegan2.GeneratorConfig(
        mapping=_mapping2(tensors),
        img_resolution=4 << (levels - 1),
        img_channels=shape_of(tensors, f"synthesis.output{0 if skip else levels - 1}.weight", 4)[0],
        channels=channels,
        const_channels=shape_of(tensors, "synthesis.early_layer.const", 4)[1],
        architecture="skip" if skip else "orig",
        resample_filter=taps_of(tensors, "synthesis.layer1.filter.kernel"),
        equalized_modulation=True,
    )


def _mapping2(tensors: Tensors) -> stylegan2.MappingConfig:
    z_dim, c_dim, embed_dim, embedded = shape_of(tensors, "mapping.dense0.weight", 2)[1], 0, 0, False
    if "mapping.label_weight" in tensors:
        c_dim, embed_dim = shape_of(tensors, "mapping.label_weight", 2)
    elif "mapping.LabelEmbed.weight" in tensors:
        (embed_dim, c_dim), embedded = shape_of(tensors, "mapping.LabelEmbed.weight", 2), True
    return stylegan2.MappingConfig(
        z_dim=z_dim - embed_dim,
        c_dim=c_dim,
        w_dim=_w_dim(tensors),
        num_layers=count(tensors, "mapping.dense{}.weight"),
        layer_dim=shape_of(tensors, "mapping.dense0.weight", 2)[0],
        embed_dim=embed_dim or z_dim,
        labels="embed" if embedded else "concat",
    )


def stylegan2_generator_table(network: ForeignNetwork, config: stylegan2.GeneratorConfig) -> Table:
    """Return the table of a `StyleGAN2Generator`."""
    styled = {"affine.weight": ("style.weight", SAME), "affine.bias": ("style.bias", PLUS_ONE), "bias": ("bias", SAME)}
    noisy = {**styled, "noise_strength": ("noise_strength", SAME), "noise_const": ("noise", NOISE)}
    flat = {"synthesis.b4.conv1": "synthesis.layer0", "synthesis.b{r}.conv1": "synthesis.layer{flat}"}
    rows = [
        Row("mapping.w_avg", "truncation.w_avg"),
        Row("mapping.fc{i}.{name}", "mapping.dense{i}.{name}"),
        *(
            [Row("mapping.embed.{name}", "mapping.LabelEmbed.{name}")]
            if config.mapping.labels == "embed"
            else [Row("mapping.embed.weight", "mapping.label_weight", TRANSPOSE)]
        ),
        Row("synthesis.b4.const", "synthesis.early_layer.const", UNBATCH),
        *product(flat, {**noisy, "weight": ("weight", SAME)}, "."),
        *product({"synthesis.b{r}.conv0": "synthesis.layer{up}"}, {**noisy, "weight": ("weight", FLIP)}, "."),
        *product({"synthesis.b{r}.torgb": "synthesis.output{level}"}, {**styled, "weight": ("weight", SAME)}, "."),
    ]
    kernels = stored_filters(r"synthesis\.(layer\d+\.filter|upsample)\.kernel", config.resample_filter, gain=4, ndim=4)
    return Table(rows, [kernels], lambda r, i: {"level": _level(r), "up": 2 * _level(r) - 1, "flat": 2 * _level(r)})


def stylegan2_discriminator_config(network: ForeignNetwork) -> stylegan2.DiscriminatorConfig:
    """Return the config of a `StyleGAN2Discriminator`."""
    tensors = network.tensors
    common, outputs = _discriminator_shapes(tensors)
    cmap = shape_of(tensors, "LabelEmbed.weight", 2) if "LabelEmbed.weight" in tensors else None
    c_dim = cmap[1] if cmap else outputs if outputs > 1 else 0
    mapping = stylegan2.MappingConfig(0, c_dim, outputs, num_layers=0, layer_dim=outputs, embed_dim=outputs)
    skip: stylegan2.Architecture = "skip" if "input1.weight" in tensors else "orig"
    return stylegan2.DiscriminatorConfig(
        **common,
        c_dim=c_dim,
        architecture="resnet" if "skip_layer0.weight" in tensors else skip,
        resample_filter=taps_of(tensors, "layer1.filter.kernel"),
        mbstd_group_size=header_of(network)["assumed"]["mbstd_group_size"],
        conditioning="project" if cmap else "select" if c_dim else "none",
        mapping=mapping if cmap else None,
        num_outputs=outputs,
    )


class _Shapes(TypedDict):
    """Fields that the configs of all discriminators have."""

    img_resolution: int
    img_channels: int
    channels: tuple[int, ...]
    fc_dim: int
    mbstd_num_features: int


def _discriminator_shapes(tensors: Tensors) -> tuple[_Shapes, int]:
    """Return what the configs of all discriminators have in common, and how many outputs there are."""
    blocks = max(count(tensors, "layer{}.weight") - 3, 0) // 2
    conv, fc = shape_of(tensors, f"layer{2 * blocks}.weight", 4), shape_of(tensors, f"layer{2 * blocks + 1}.weight", 2)
    above = [shape_of(tensors, f"layer{2 * b}.weight", 4)[1] for b in range(blocks - 1, -1, -1)]
    common: _Shapes = {
        "img_resolution": 4 << blocks,
        "img_channels": shape_of(tensors, "input0.weight", 4)[1],
        "channels": (conv[0], *above),
        "fc_dim": fc[0],
        "mbstd_num_features": conv[1] - conv[0],
    }
    return common, shape_of(tensors, f"layer{2 * blocks + 2}.weight", 2)[0]


def _discriminator_rows(resolution: int) -> tuple[list[Row], Fields]:
    """Return the rows that all discriminators share, and what fills their braces."""
    top = _level(resolution)
    scopes = {
        "b{r}.fromrgb": "input{block}",
        "b4.conv": f"layer{2 * top}",
        "b4.fc": f"layer{2 * top + 1}",
        "b4.out": f"layer{2 * top + 2}",
        "b{r}.conv0": "layer{first}",
        "b{r}.conv1": "layer{second}",
    }

    def fields(r: int, i: int) -> dict[str, int]:
        block = top - _level(r)
        return {"block": block, "first": 2 * block, "second": 2 * block + 1}

    return product(scopes, _BOTH, "."), fields


def stylegan2_discriminator_table(network: ForeignNetwork, config: stylegan2.DiscriminatorConfig) -> Table:
    """Return the table of a `StyleGAN2Discriminator`."""
    rows, fields = _discriminator_rows(config.img_resolution)
    rows += [
        Row("b{r}.skip.weight", "skip_layer{block}.weight"),
        Row("mapping.embed.{name}", "LabelEmbed.{name}"),
    ]
    kernels = stored_filters(r"((skip_)?layer\d+\.filter|downsample)\.kernel", config.resample_filter, ndim=4)
    return Table(rows, [kernels], fields)


# StyleGAN.


def stylegan_generator_config(network: ForeignNetwork) -> stylegan1.GeneratorConfig:
    """Return the config of a `StyleGANGenerator`."""
    tensors = network.tensors
    rgbs = shapes_of(tensors, "synthesis.output{}.weight", 4)
    z_dim, c_dim = shape_of(tensors, "mapping.dense0.weight", 2)[1], 0
    if "mapping.label_weight" in tensors:
        c_dim, label_dim = shape_of(tensors, "mapping.label_weight", 2)
        z_dim -= label_dim
    mapping = stylegan1.MappingConfig(
        z_dim=z_dim,
        c_dim=c_dim,
        w_dim=_w_dim(tensors),
        num_layers=count(tensors, "mapping.dense{}.weight"),
        layer_dim=shape_of(tensors, "mapping.dense0.weight", 2)[0],
    )
    blur = "synthesis.layer2.blur.kernel"
    return stylegan1.GeneratorConfig(
        mapping=mapping,
        img_resolution=2 << len(rgbs),
        img_channels=rgbs[0][0],
        channels=tuple(rgb[1] for rgb in rgbs),
        blur_filter=taps_of(tensors, blur) if blur in tensors or len(rgbs) == 1 else None,
        lod=lod_of(tensors, "synthesis.lod"),
        official_noise="stored",
    )


def stylegan_generator_table(network: ForeignNetwork, config: stylegan1.GeneratorConfig) -> Table:
    """Return the table of a `StyleGANGenerator`; kernels of fused enlargements are stored rotated."""
    leaves = {
        "bias": ("bias", SAME),
        "noise_strength": ("apply_noise.weight", SAME),
        "noise_const": ("apply_noise.noise", NOISE),
        "affine.weight": ("style.weight", SAME),
        "affine.bias": ("style.bias", SAME),
    }
    rows = [
        Row("mapping.w_avg", "truncation.w_avg"),
        Row("mapping.fc{i}.{name}", "mapping.dense{i}.{name}"),
        Row("mapping.embed.weight", "mapping.label_weight", TRANSPOSE),
        Row("synthesis.b4.conv0.const", "synthesis.layer0.const", UNBATCH),
        *(
            Row(f"synthesis.b{r}.conv0.weight", f"synthesis.layer{2 * _level(r)}.weight", FLIP)
            for r in resolutions(config.img_resolution)
            if 8 <= r >= header_of(network)["assumed"]["fused_from"]
        ),
        *product({"synthesis.b{r}.conv0": "synthesis.layer{even}"}, {**leaves, "weight": ("weight", SAME)}, "."),
        *product({"synthesis.b{r}.conv1": "synthesis.layer{odd}"}, {**leaves, "weight": ("weight", SAME)}, "."),
        *product({"synthesis.b{r}.torgb": "synthesis.output{level}"}, _BOTH, "."),
    ]
    kept = [
        stored_filters(r"synthesis\.layer\d+\.blur\.kernel", config.blur_filter),
        *kept_lod(config.lod, "synthesis.lod"),
    ]
    return Table(rows, kept, lambda r, i: {"level": _level(r), "even": 2 * _level(r), "odd": 2 * _level(r) + 1})


def stylegan_discriminator_config(network: ForeignNetwork) -> stylegan1.DiscriminatorConfig:
    """Return the config of a `StyleGANDiscriminator`."""
    tensors = network.tensors
    common, outputs = _discriminator_shapes(tensors)
    return stylegan1.DiscriminatorConfig(
        **common,
        c_dim=outputs if outputs > 1 else 0,
        blur_filter=taps_of(tensors, "layer1.blur.kernel"),
        mbstd_group_size=header_of(network)["assumed"]["mbstd_group_size"],
        lod=lod_of(tensors, "lod"),
    )


def stylegan_discriminator_table(network: ForeignNetwork, config: stylegan1.DiscriminatorConfig) -> Table:
    """Return the table of a `StyleGANDiscriminator`."""
    rows, fields = _discriminator_rows(config.img_resolution)
    kernels = stored_filters(r"layer\d+\.blur\.kernel", config.blur_filter)
    return Table(rows, [kernels, *kept_lod(config.lod, "lod")], fields)


# ProGAN.


def _is_fused(tensors: Tensors) -> bool:
    """Tell whether enlargements are fused, whose kernels are [in, out, k, k]; equal widths look as if they were not."""
    widths = [rgb[1] for rgb in shapes_of(tensors, "output{}.weight", 4)]
    return any(
        before != after and shape_of(tensors, f"layer{2 * b}.weight", 4)[:2] == (before, after)
        for b, (before, after) in enumerate(itertools.pairwise(widths), 1)
    )


def pggan_generator_config(network: ForeignNetwork) -> progan.GeneratorConfig:
    """Return the config of a `PGGANGenerator`."""
    tensors = network.tensors
    rgbs, labels = shapes_of(tensors, "output{}.weight", 4), header_of(network)["assumed"].get("label_size", 0)
    inputs = shape_of(tensors, "layer0.weight", 4)[1]
    if inputs <= labels:
        raise ConvertError(f"variable layer0.weight has {inputs} inputs, which are no latents and {labels} labels")
    return progan.GeneratorConfig(
        z_dim=inputs - labels,
        c_dim=labels,
        img_resolution=2 << len(rgbs),
        img_channels=rgbs[0][0],
        channels=tuple(rgb[1] for rgb in rgbs),
        normalize_z_first=labels > 0,
        lod=lod_of(tensors, "lod"),
    )


def pggan_generator_table(network: ForeignNetwork, config: progan.GeneratorConfig) -> Table:
    """Return the table of a `PGGANGenerator`; fused enlargements are stored [in, out, k, k] and rotated."""
    enlarge = chain(permute(1, 0, 2, 3), FLIP) if header_of(network)["assumed"].get("fused_kernels") else SAME
    first: Transform = chain(FLIP, dense_from_4x4(config.z_dim + config.c_dim))
    rows = [
        *product({"b4.fc": "layer0"}, {"weight": ("weight", first), "bias": ("bias", SAME)}, "."),
        *product({"b{r}.conv0": "layer{even}"}, {"weight": ("weight", enlarge), "bias": ("bias", SAME)}, "."),
        *product({"b{r}.conv1": "layer{odd}", "b{r}.torgb": "output{level}"}, _BOTH, "."),
    ]
    return Table(
        rows,
        kept_lod(config.lod, "lod"),
        lambda r, i: {"level": _level(r), "even": 2 * _level(r), "odd": 2 * _level(r) + 1},
    )


def pggan_discriminator_config(network: ForeignNetwork) -> progan.DiscriminatorConfig:
    """Return the config of a `PGGANDiscriminator`."""
    tensors = network.tensors
    common, outputs = _discriminator_shapes(tensors)
    return progan.DiscriminatorConfig(
        **common,
        c_dim=outputs - 1,
        num_label_logits=outputs - 1,
        pool_first=header_of(network)["assumed"]["fused_scale"],
        mbstd_group_size=header_of(network)["assumed"]["mbstd_group_size"],
        lod=lod_of(tensors, "lod"),
    )


def pggan_discriminator_table(network: ForeignNetwork, config: progan.DiscriminatorConfig) -> Table:
    """Return the table of a `PGGANDiscriminator`."""
    rows, fields = _discriminator_rows(config.img_resolution)
    return Table(rows, kept_lod(config.lod, "lod"), fields)
