"""yuuho/stylegans-pytorch: the generators of StyleGAN and StyleGAN2, as numpy arrays under TensorFlow's names and as
state dicts (docs/spec/COMMUNITY.md 5). The arithmetic is the official one, but that StyleGAN2's pictures are enlarged
bilinearly."""

from __future__ import annotations

from dataclasses import replace
from typing import TypedDict

import torch

from converter.foreign import ForeignNetwork
from converter.forms.state_dict import count, shape_of, shapes_of
from converter.forms.tensorflow import TF
from converter.forms.tensorflow import stylegan1 as tf_stylegan1
from converter.forms.tensorflow import stylegan2 as tf_stylegan2
from converter.forms.tensorflow.header import bare_header
from converter.forms.yuuho import ARRAYS, STATE
from converter.table import FLIP, NOISE, PLUS_ONE, SAME, UNBATCH, Kept, Row, Table, chain, permute, product
from stylegan_torch.networks import stylegan1, stylegan2
from stylegan_torch.networks.layers import log2_resolution, resolutions

_FUSED_FROM = 128
_TRUNCATION = {"StyleGAN": 8, "StyleGAN2": 10}
"""How many rows of w their programs truncate, by 0.7."""
_ENLARGING = permute(1, 0, 2, 3)
"""[in, out, k, k] to [out, in, k, k]."""


class _Sizes(TypedDict):
    img_resolution: int
    img_channels: int
    channels: tuple[int, ...]


class _MappingSizes(TypedDict):
    z_dim: int
    c_dim: int
    w_dim: int
    num_layers: int
    layer_dim: int


def _sizes(network: ForeignNetwork) -> _Sizes:
    """Return the fields that the configs of both generations share."""
    tensors = network.tensors
    if network.form == STATE.id:
        shapes = shapes_of(tensors, "toRGBs.{}.0.weight", 4)
        return {
            "img_channels": shapes[0][0],
            "channels": tuple(s[1] for s in shapes),
            "img_resolution": 2 << len(shapes),
        }
    names = "G_synthesis/ToRGB_lod{}/weight" if network.header["build_func_name"] == "StyleGAN" else _RGB2
    levels = next((n for n in range(1, 20) if names.format(n, 4 << n) not in tensors), 0)
    order = range(levels - 1, -1, -1) if "lod" in names else range(levels)
    shapes = [shape_of(tensors, names.format(n, 4 << n), 4) for n in order]
    return {"img_channels": shapes[0][3], "channels": tuple(s[2] for s in shapes), "img_resolution": 2 << levels}


_RGB2 = "G_synthesis/{1}x{1}/ToRGB/weight"


def _mapping_sizes(network: ForeignNetwork) -> _MappingSizes:
    tensors = network.tensors
    if network.form == STATE.id:
        depth = sum(f"mapping.{4 * i + 1}.weight" in tensors for i in range(256))
        width, z_dim = shape_of(tensors, "mapping.1.weight", 2)
        w_dim = shape_of(tensors, f"mapping.{4 * depth + 1}.avg_style", 1)[0]
    else:
        depth = count(tensors, "G_mapping/Dense{}/weight")
        z_dim, width = shape_of(tensors, "G_mapping/Dense0/weight", 2)
        w_dim = shape_of(tensors, "dlatent_avg", 1)[0]
    return {"z_dim": z_dim, "c_dim": 0, "w_dim": w_dim, "num_layers": depth, "layer_dim": width}


def _as_official(network: ForeignNetwork) -> ForeignNetwork:
    """Return the network with a header as the official file's, for the official table."""
    function, synthesis = _OFFICIAL[network.header["build_func_name"]]
    parts = {"mapping": "G_mapping", "synthesis": synthesis}
    components = {key: bare_header(f"G_{key}", part, {}) for key, part in parts.items()}
    return replace(network, form=TF.id, header=bare_header(network.role, function, {}, components=components))


_OFFICIAL = {"StyleGAN": ("G_style", "G_synthesis"), "StyleGAN2": ("G_main", "G_synthesis_stylegan2")}
"""The official build functions of generator and synthesis."""


# StyleGAN.


def stylegan_config(network: ForeignNetwork) -> stylegan1.GeneratorConfig:
    """Return the config of a `StyleGAN` generator."""
    lod = network.tensors.get("style_mixing_rate" if network.form == STATE.id else "lod")
    return stylegan1.GeneratorConfig(
        mapping=stylegan1.MappingConfig(**_mapping_sizes(network)),
        **_sizes(network),
        lod=float(lod) if lod is not None and lod.numel() == 1 else 0.0,
        truncation_cutoff=_TRUNCATION["StyleGAN"],
        official_noise="stored",
    )


def stylegan_table(network: ForeignNetwork, config: stylegan1.GeneratorConfig) -> Table:
    """Return the table of a `StyleGAN` generator."""
    if network.form == ARRAYS.id:
        return tf_stylegan1.generator_table(_as_official(network), config)
    rows = [
        *_mapping_rows(config.mapping.num_layers, bias=3),
        Row("synthesis.b4.conv0.const", "const", UNBATCH),
        Row("synthesis.b{r}.torgb.weight", "toRGBs.{level}.0.weight"),
        Row("synthesis.b{r}.torgb.bias", "toRGBs.{level}.1.bias"),
    ]
    for k in range(2 * len(config.channels)):
        side = 4 << (k // 2)
        fused = k % 2 == 0 and side >= _FUSED_FROM
        # Where weight, noise and bias are among the parts of block k.
        weight, noise, bias = (0, 2, 3) if k % 2 else (0, 0, 1) if k == 0 else (0, 3, 4) if fused else (1, 4, 5)
        layer = f"synthesis.b{side}.conv{k % 2}"
        rows += [
            Row(f"{layer}.weight", f"blocks.{k}.{weight}.weight", chain(_ENLARGING, FLIP) if fused else SAME),
            Row(f"{layer}.noise_strength", f"blocks.{k}.{noise}.noise_scaler"),
            Row(f"{layer}.noise_const", f"blocks.{k}.{noise}.const_noise", NOISE),
            Row(f"{layer}.bias", f"blocks.{k}.{bias}.bias"),
            Row(f"{layer}.affine.weight", f"adains.{k}.0.fc.weight"),
            Row(f"{layer}.affine.bias", f"adains.{k}.0.bias.bias"),
        ]
    return Table(rows, [_rates(config.lod)], lambda r, i: {"level": log2_resolution(r) - 2})


def _mapping_rows(depth: int, bias: int) -> list[Row]:
    return [
        Row("mapping.w_avg", f"mapping.{4 * depth + 1}.avg_style"),
        *(Row(f"mapping.fc{i}.weight", f"mapping.{4 * i + 1}.weight") for i in range(depth)),
        *(Row(f"mapping.fc{i}.bias", f"mapping.{4 * i + bias}.bias") for i in range(depth)),
    ]


def _rates(lod: float) -> Kept:
    """Carry what this program calls the growing state, [1] each."""
    return Kept("(image|style)_mixing_rate", lambda name: torch.tensor([lod]))


# StyleGAN2.


def stylegan2_config(network: ForeignNetwork) -> stylegan2.GeneratorConfig:
    """Return the config of a `StyleGAN2` generator."""
    sizes = _sizes(network)
    return stylegan2.GeneratorConfig(
        mapping=stylegan2.MappingConfig(**_mapping_sizes(network), labels="concat"),
        **sizes,
        const_channels=sizes["channels"][0],
        image_upsampling="bilinear",
        equalized_modulation=True,
        truncation_psi=0.7,
        truncation_cutoff=_TRUNCATION["StyleGAN2"],
    )


def stylegan2_table(network: ForeignNetwork, config: stylegan2.GeneratorConfig) -> Table:
    """Return the table of a `StyleGAN2` generator."""
    if network.form == ARRAYS.id:
        return tf_stylegan2.generator_table(_as_official(network), config)
    rows = [
        *_mapping_rows(config.mapping.num_layers, bias=2),
        Row("synthesis.b4.const", "const_input", UNBATCH),
        Row("synthesis.b{r}.torgb.bias", "toRGBs.{level}.1.bias"),
        *product({"synthesis.b{r}.torgb": "toRGBs.{level}.0"}, _STYLED, "."),
    ]
    for r in resolutions(config.img_resolution):
        for conv, k in ((0, 2 * log2_resolution(r) - 5), (1, 2 * log2_resolution(r) - 4)):
            if k < 0:
                continue
            layer, noise = f"synthesis.b{r}.conv{conv}", 1 if conv else 2
            weight = SAME if conv else _ENLARGING
            rows += [
                *product({layer: f"blocks.{k}.0"}, {**_STYLED, "weight": ("weight", weight)}, "."),
                Row(f"{layer}.noise_strength", f"blocks.{k}.{noise}.noise_scaler", UNBATCH),
                Row(f"{layer}.noise_const", f"blocks.{k}.{noise}.const_noise", NOISE),
                Row(f"{layer}.bias", f"blocks.{k}.{noise + 1}.bias"),
            ]
    return Table(rows, [_rates(0.0)], lambda r, i: {"level": log2_resolution(r) - 2})


_STYLED = {
    "weight": ("weight", SAME),
    "affine.weight": ("fc.weight", SAME),
    "affine.bias": ("bias.bias", PLUS_ONE),
}
