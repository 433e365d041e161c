"""State dicts of StyleGAN3's module: layers are read off names and tensors, cutoffs are assumed, and held against the
filters that are stored (docs/spec/TORCH.md 7, 9)."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from dataclasses import replace

import torch
from torch import Tensor

from converter.errors import ConvertError
from converter.foreign import ForeignNetwork
from converter.forms.pytorch import state, stylegan3
from converter.forms.state_dict import Tensors, bounded, shape_of
from converter.table import Table
from stylegan_torch.networks import stylegan3 as networks

_GEOMETRY = ("num_critical", "first_cutoff", "first_stopband", "last_stopband_rel", "margin_size", "lrelu_upsampling")
"""Those by which sizes and filters of layers follow."""
_LAYER = re.compile(r"synthesis\.L([0-9]{1,3})_([0-9]{1,5})_([0-9]{1,5})\.")
_TOLERANCE = 5e-3
"""Relative; what half precision, bfloat16 too, makes of a filter."""


def generator_config(network: ForeignNetwork) -> networks.GeneratorConfig:
    """Return the config of a `Generator`.

    Raises:
        ConvertError: if what is assumed gives other layers or filters than there are.
    """
    tensors, assumed = network.tensors, state.assumed_of(network)
    names, widths, channels = _layers(tensors)
    margin, upsampling = assumed.integer("margin_size"), assumed.integer("lrelu_upsampling", 1, 64)
    # Widths are a rate, which is a power of two, and two margins; halved in StyleGAN-Human's networks.
    rate = max(widths[0] - 2 * margin, 0)
    aspect = 1.0 if rate and not rate & (rate - 1) else 0.5
    side = int(widths[-1] / aspect)
    if side & (side - 1) or side < 4:
        raise ConvertError(f"its last layer {names[-1]} is {widths[-1]} wide, which no network of this kind is")
    bounded(side, side)
    first = f"synthesis.{names[0]}"
    w_dim = shape_of(tensors, f"{first}.affine.weight", 2)[1]
    taps = tensors[f"{first}.up_filter"].numel() if f"{first}.up_filter" in tensors else 6 * upsampling
    config = networks.GeneratorConfig(
        mapping=state.mapping_config(tensors, assumed, w_dim=w_dim, w_avg_beta=0.998),
        img_resolution=side,
        img_channels=channels[-1],
        channel_max=max(channels[:-1]),
        num_layers=len(names) - 1,
        num_critical=assumed.integer("num_critical", 0, len(names) - 2),
        first_cutoff=_positive(assumed.number("first_cutoff"), "first_cutoff"),
        first_stopband=_positive(assumed.number("first_stopband"), "first_stopband"),
        last_stopband_rel=_positive(assumed.number("last_stopband_rel"), "last_stopband_rel"),
        margin_size=margin,
        output_scale=assumed.number("output_scale"),
        conv_kernel=shape_of(tensors, f"{first}.weight", 4)[-1],
        filter_size=max(1, taps // upsampling),
        lrelu_upsampling=upsampling,
        use_radial_filters=any(n.endswith(".down_filter") and value.ndim == 2 for n, value in tensors.items()),
        conv_clamp=assumed.optional_number("conv_clamp"),
        num_fp16_res=assumed.integer("num_fp16_res"),
        aspect=aspect,
    )
    config = replace(config, channel_base=_channel_base(config, channels[:-1]))
    for what in _differences(config, names, tensors):
        said = ", ".join(f"{name}={assumed.get(name):g}" for name in _GEOMETRY)
        raise ConvertError(f"{what} that {said} give; if they are others, say so with --assume")
    return config


def generator_table(network: ForeignNetwork, config: networks.GeneratorConfig) -> Table:
    """Return the table of a `Generator`."""
    return stylegan3.generator_table(network, config)


def _layers(tensors: Tensors) -> tuple[list[str], list[int], list[int]]:
    """Return names, widths and feature maps of the layers, the RGB layer's last."""
    found = sorted({tuple(map(int, match.groups())) for match in map(_LAYER.match, tensors) if match})
    if [layer[0] for layer in found] != list(range(len(found))) or len(found) < 3:
        known = ", ".join(f"L{layer[0]}" for layer in found[:40]) or "none"
        raise ConvertError(f"has the layers {known}, of which some are missing or there twice")
    return [f"L{i}_{width}_{count}" for i, width, count in found], [w for _, w, _ in found], [c for *_, c in found]


def _channel_base(config: networks.GeneratorConfig, channels: list[int]) -> int:
    """Return the roundest number of those that give layers as many feature maps as they have: base / 2 / cutoff."""
    low, high = 1.0, math.inf
    for count, signal in zip(channels, networks.signals(config), strict=False):
        low = max(low, 2 * signal.cutoff * (count - 0.5))
        if count < config.channel_max:
            high = min(high, 2 * signal.cutoff * (count + 0.5))
    high = min(high, 2 * low)
    steps = (1 << power for power in range(30, -1, -1))
    return next((base for step in steps if (base := math.ceil(low / step) * step) <= high), round(low))


def _differences(config: networks.GeneratorConfig, names: list[str], tensors: Tensors) -> Iterator[str]:
    """Yield which layers and filters are other ones than a config says."""
    for name, spec in zip(names, networks.layer_specs(config), strict=True):
        if name != spec.name:
            yield f"layer {name} is not the {spec.name}"
        radial = config.use_radial_filters and not spec.is_critical
        sizes = {"up": (spec.up_taps,), "down": (spec.down_taps,) * (2 if radial else 1)}
        stored = {kind: tensors.get(f"synthesis.{name}.{kind}_filter") for kind in sizes}
        for kind, size in sizes.items():
            value = stored[kind]
            if size[0] > 1 and (value is None or value.shape != size):  # before filters of any size are made
                yield f"variable synthesis.{name}.{kind}_filter is not the filter"
        for (kind, value), wanted in zip(stored.items(), networks.layer_filters(spec, radial), strict=True):
            if value is not None and wanted is not None and not _same(value, wanted):
                yield f"variable synthesis.{name}.{kind}_filter is not the filter"


def _same(stored: Tensor, wanted: Tensor) -> bool:
    return torch.allclose(stored, wanted, rtol=0, atol=_TOLERANCE * float(wanted.abs().max()))


def _positive(value: float, name: str) -> float:
    if not value > 0:
        raise ConvertError(f"what is assumed: {name} is {value:g}, which is not above 0")
    return value
