"""State dicts of StyleGAN2-ADA's modules: sizes and filters are read off the tensors (docs/spec/TORCH.md 9).

What they don't tell is assumed to be as the official training scripts have it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from math import isqrt
from typing import cast

from torch import Tensor

from converter.contents import Found
from converter.errors import ConvertError
from converter.foreign import ForeignNetwork, Keywords
from converter.forms.pytorch import STATE, STYLEGAN3_STATE, stylegan2, stylegan3
from converter.forms.pytorch.header import StateHeader
from converter.forms.state_dict import Tensors, bounded, count, shape_of, taps_of
from converter.forms.tensorflow.stylegan2 import base_size
from converter.table import Table
from stylegan_torch.networks import stylegan2 as networks
from stylegan_torch.networks.layers import ACTIVATIONS, resolutions

_TRAINED: dict[str, object] = {
    "activation": "lrelu",
    "mapping_activation": "lrelu",
    "lr_multiplier": 0.01,
    "conv_clamp": 256.0,
    "num_fp16_res": 4,
}
_UNTOLD = (
    "num_critical",
    "first_cutoff",
    "first_stopband",
    "last_stopband_rel",
    "margin_size",
    "lrelu_upsampling",
    "output_scale",
    "conv_clamp",
    "num_fp16_res",
)
ASSUMED: dict[str, dict[str, object]] = {
    "Generator": _TRAINED,
    "Discriminator": {**_TRAINED, "epilogue_activation": "lrelu", "mbstd_group_size": 4},
    "StyleGAN3": {"lr_multiplier": 0.01, **{name: stylegan3.SYNTHESIS[name] for name in _UNTOLD}},
}
"""By kind of network, the constructor arguments that its tensors don't tell."""
_SQUARE = (4, 4)


def read(found: Found) -> ForeignNetwork:
    """Return a network of a file, of this form or StyleGAN3's."""
    form = STYLEGAN3_STATE if found.kind == "StyleGAN3" else STATE
    network = found.network(form.id, assumed=dict(ASSUMED[found.kind]))
    if found.kind != "Discriminator" or _positions(network.tensors) == 16:
        return network
    return _with_size(network, _likely_size(_positions(network.tensors)))


def finish(read: dict[str, ForeignNetwork]) -> dict[str, ForeignNetwork]:
    """Return the networks of a file; how high and wide a discriminator's last level is, its generator shows."""
    const = next((n.tensors["synthesis.b4.const"] for n in read.values() if "synthesis.b4.const" in n.tensors), None)
    D = read.get("D")
    if D is None or const is None or const.ndim != 3 or const[0].numel() != _positions(D.tensors):
        return read
    size = (int(const.shape[1]), int(const.shape[2]))
    return read if size == _SQUARE else {**read, "D": _with_size(D, size)}


def said_activation(said: Keywords, name: str) -> object:
    """Return an activation that the user says."""
    return said.choice(name, *ACTIVATIONS)


def said_size(said: Keywords, name: str) -> object:
    """Return height and width that the user says."""
    return list(base_size({"init_res": said.get(name)}))


def assumed_of(network: ForeignNetwork) -> Keywords:
    """Return what is assumed of a network."""
    header = cast(StateHeader, network.header)
    # A filter is said only of a network that is about to be written, whose stored ones are held against it.
    more = {"mapping_activation": "lrelu", "base_size": list(_SQUARE), "resample_filter": None}
    usual = {**more, **ASSUMED[header["build_func_name"]]}
    return Keywords("what is assumed", usual, header["assumed"])


def mapping_config(
    tensors: Tensors, assumed: Keywords, *, w_dim: int, w_avg_beta: float = 0.995
) -> networks.MappingConfig:
    """Return the config of a mapping network, a discriminator's too."""
    depth = count(tensors, "mapping.fc{}.weight")
    embedded = "mapping.embed.weight" in tensors
    embed_dim, c_dim = shape_of(tensors, "mapping.embed.weight", 2) if embedded else (0, 0)
    inputs = shape_of(tensors, "mapping.fc0.weight", 2)[1] if depth else w_dim
    return networks.MappingConfig(
        z_dim=inputs - embed_dim,
        c_dim=c_dim,
        w_dim=w_dim,
        num_layers=depth,
        layer_dim=shape_of(tensors, f"mapping.fc{depth - 1}.weight", 2)[1] if depth > 1 else w_dim,
        embed_dim=embed_dim if embedded else w_dim,
        lr_multiplier=assumed.number("lr_multiplier"),
        activation=assumed.choice("mapping_activation", *ACTIVATIONS),
        w_avg_beta=w_avg_beta if "mapping.w_avg" in tensors else None,
    )


def generator_config(network: ForeignNetwork) -> networks.GeneratorConfig:
    """Return the config of a `Generator`."""
    tensors, assumed = network.tensors, assumed_of(network)
    sides = _sides(tensors, "synthesis.b{}.conv1.weight")
    const_channels, height, width = shape_of(tensors, "synthesis.b4.const", 3)
    bounded(height * sides[-1] // 4, width * sides[-1] // 4)
    w_dim = shape_of(tensors, "synthesis.b4.conv1.affine.weight", 2)[1]
    return networks.GeneratorConfig(
        mapping=mapping_config(tensors, assumed, w_dim=w_dim),
        img_resolution=sides[-1],
        img_channels=shape_of(tensors, f"synthesis.b{sides[-1]}.torgb.weight", 4)[0],
        channels=tuple(shape_of(tensors, f"synthesis.b{r}.conv1.weight", 4)[0] for r in sides),
        const_channels=const_channels,
        base_size=(height, width),
        architecture=_architecture(tensors, "synthesis.b8.skip.weight", "synthesis.b4.torgb.weight"),
        resample_filter=assumed.taps("resample_filter") or _taps(tensors, "synthesis.b8.resample_filter"),
        activation=assumed.choice("activation", *ACTIVATIONS),
        use_noise="synthesis.b4.conv1.noise_strength" in tensors,
        conv_clamp=assumed.optional_number("conv_clamp"),
        num_fp16_res=assumed.integer("num_fp16_res"),
    )


def generator_table(network: ForeignNetwork, config: networks.GeneratorConfig) -> Table:
    """Return the table of a `Generator`."""
    return stylegan2.generator_table(network, config)


def discriminator_config(network: ForeignNetwork) -> networks.DiscriminatorConfig:
    """Return the config of a `Discriminator`."""
    tensors, assumed = network.tensors, assumed_of(network)
    sides = [4, *_sides(tensors, "b{}.conv1.weight", 8)]
    bounded(sides[-1], sides[-1])
    width, inputs = shape_of(tensors, "b4.conv.weight", 4)[:2]
    levels = [width, *(shape_of(tensors, f"b{r}.conv0.weight", 4)[0] for r in sides[1:])]
    outputs = shape_of(tensors, "b4.out.weight", 2)[0]
    conditional = "mapping.embed.weight" in tensors
    mapping = mapping_config(tensors, assumed, w_dim=outputs) if conditional else None
    return networks.DiscriminatorConfig(
        img_resolution=sides[-1],
        img_channels=shape_of(tensors, f"b{sides[-1]}.fromrgb.weight", 4)[1],
        channels=tuple(levels),
        fc_dim=shape_of(tensors, "b4.fc.weight", 2)[0],
        c_dim=mapping.c_dim if mapping else 0,
        architecture=_architecture(tensors, "b8.skip.weight", "b4.fromrgb.weight"),
        resample_filter=assumed.taps("resample_filter") or _taps(tensors, "b8.resample_filter"),
        activation=assumed.choice("activation", *ACTIVATIONS),
        epilogue_activation=assumed.choice("epilogue_activation", *ACTIVATIONS),
        conv_clamp=assumed.optional_number("conv_clamp"),
        num_fp16_res=assumed.integer("num_fp16_res"),
        mbstd_group_size=assumed.optional_integer("mbstd_group_size", 1),
        mbstd_num_features=inputs - width,
        conditioning="project" if mapping else "none",
        # The class remembers what it doesn't use.
        mapping=replace(mapping, z_dim=0, w_avg_beta=0.995) if mapping else None,
        num_outputs=outputs,
        base_size=base_size({"init_res": assumed.get("base_size")}),
    )


def discriminator_table(network: ForeignNetwork, config: networks.DiscriminatorConfig) -> Table:
    """Return the table of a `Discriminator`."""
    return stylegan2.discriminator_table(network, config)


def _sides(tensors: Tensors, pattern: str, first: int = 4) -> list[int]:
    """Return the sides from `first` on for which there is a tensor.

    Raises:
        ConvertError: naming one that is missing before another.
    """
    last = max((side for side in resolutions(1 << 14) if pattern.format(side) in tensors), default=4)
    sides = [side for side in resolutions(last) if side >= first]
    for side in sides:
        if pattern.format(side) not in tensors:
            raise ConvertError(f"variable {pattern.format(side)} is missing")
    return sides


def _architecture(tensors: Tensors, resnet: str, skip: str) -> networks.Architecture:
    return "resnet" if resnet in tensors else "skip" if skip in tensors else "orig"


def _taps(tensors: Mapping[str, Tensor], name: str) -> tuple[float, ...]:
    """Return the taps of a filter: stored as they are from 8 on, else as their outer product."""
    kernel = tensors.get(name)
    if kernel is None or kernel.ndim != 1 or not 0 < kernel.numel() <= 64:
        return taps_of(tensors, name)
    return tuple(kernel.tolist())


def _positions(tensors: Tensors) -> int:
    """Return how many samples a feature map has that enters a discriminator's first dense layer."""
    return shape_of(tensors, "b4.fc.weight", 2)[1] // max(1, shape_of(tensors, "b4.conv.weight", 4)[0])


def _likely_size(positions: int) -> tuple[int, int]:
    """Return height and width of so many samples, as near to a square as can be, rather high than wide."""
    width = next((n for n in range(isqrt(positions), 0, -1) if positions % n == 0), 1)
    return positions // width, width


def _with_size(network: ForeignNetwork, size: tuple[int, int]) -> ForeignNetwork:
    header = cast(StateHeader, network.header)
    assumed = {**header["assumed"], "base_size": list(size)}
    return replace(network, header={**header, "assumed": assumed})
