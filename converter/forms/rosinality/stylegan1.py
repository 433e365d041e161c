"""rosinality/style-based-gan-pytorch: StyleGAN with its own departures, all in the config (docs/spec/COMMUNITY.md 2).

Its files hold all levels to 1024² whatever side was trained, which they do not tell: `assumed` in the header does.
"""

from __future__ import annotations

import math
from collections.abc import Iterable

from converter.contents import Found
from converter.errors import ConvertError
from converter.foreign import ForeignNetwork
from converter.forms.completion import completed
from converter.forms.rosinality import STYLEGAN1
from converter.forms.rosinality.header import header_of
from converter.forms.state_dict import count, shape_of, stored_filters
from converter.forms.tensorflow.progan import FOUR_TO_DENSE
from converter.table import CHANNELS, FLIP, NOISE, SAME, UNBATCH, Kept, Row, Table, chain, permute, product
from stylegan_torch.networks import stylegan1
from stylegan_torch.networks.layers import log2_resolution, resolutions

MEAN_SAMPLES = 1024 * 10
"""How many w the sampling script averages."""
_TO_RGB = "generator.to_rgb.{}.conv.weight_orig"
_FROM_RGB = {True: "from_rgb.{}.0.conv.weight_orig", False: "from_rgb.{}.conv.weight_orig"}
"""By whether an activation follows, which it does since August 2019."""


def read(found: Found) -> ForeignNetwork:
    """Return a network of a file."""
    assumed = {"img_resolution": 2 << _stored_levels(found.values)}
    return found.network(STYLEGAN1.id, assumed=assumed)


def completion_notes(networks: dict[str, ForeignNetwork]) -> list[str]:
    """Return notes on what `complete` makes."""
    if all(role == "D" for role in networks):
        return []
    mean = f"the average w is that of {MEAN_SAMPLES} z, as its program takes"
    return [f"files of this kind have no noise maps, which are always random, and no average w; {mean}; noise is made"]


def _stored_levels(names: Iterable[str]) -> int:
    """Return how many levels the file has of a network, trained or not."""
    return max(1, *(count(names, pattern) for pattern in (_TO_RGB, *_FROM_RGB.values())))


def _trained_sides(network: ForeignNetwork) -> list[int]:
    """Return the sides of the levels that were trained."""
    side, most = header_of(network)["assumed"]["img_resolution"], _stored_levels(network.tensors)
    if side not in resolutions(2 << most):
        raise ConvertError(f"has levels to {2 << most}x{2 << most}, and none of {side}x{side}")
    return resolutions(side)


def generator_config(network: ForeignNetwork) -> stylegan1.GeneratorConfig:
    """Return the config of a `StyledGenerator`."""
    tensors, sides = network.tensors, _trained_sides(network)
    w_dim, z_dim = shape_of(tensors, "style.1.linear.weight_orig", 2)
    stored = range(_stored_levels(tensors))
    fused = [4 << b for b in stored if f"generator.progression.{b}.conv1.0.weight" in tensors]
    depth = sum(f"style.{2 * i + 1}.linear.weight_orig" in tensors for i in range(256))
    rgbs = [shape_of(tensors, _TO_RGB.format(b), 4) for b in range(len(sides))]
    return stylegan1.GeneratorConfig(
        mapping=stylegan1.MappingConfig(z_dim, 0, w_dim, num_layers=depth, layer_dim=w_dim, lr_multiplier=1.0),
        img_resolution=sides[-1],
        img_channels=rgbs[0][0],
        channels=tuple(rgb[1] for rgb in rgbs),
        instance_norm_eps=1e-5,
        style_bias=0.0,
        style_gain=math.sqrt(2.0),
        rgb_gain=math.sqrt(2.0),
        equalized_noise=True,
        shared_noise=True,
        const_bias=False,
        bias_first=True,
        average_from=min(fused, default=None),
        truncation_cutoff=None,
        official_noise="stored",
    )


def complete(network: ForeignNetwork) -> ForeignNetwork:
    """Make what no file of this kind has: noise maps, which are always random there, and the average w."""
    config = generator_config(network)
    return completed(network, config, generator_table(network, config), samples=MEAN_SAMPLES)


def generator_table(network: ForeignNetwork, config: stylegan1.GeneratorConfig) -> Table:
    """Return the table of a `StyledGenerator`; levels beyond the trained ones are carried along."""
    rows = [
        Row("mapping.w_avg", "mean_style"),
        Row("mapping.fc{i}.weight", "style.{layer}.linear.weight_orig"),
        Row("mapping.fc{i}.bias", "style.{layer}.linear.bias"),
        Row("synthesis.b4.conv0.const", "generator.progression.0.conv1.input", UNBATCH),
        Row("synthesis.b{r}.conv0.noise_const", "noise.{level}", NOISE),
        Row("synthesis.b{r}.torgb.weight", "generator.to_rgb.{level}.conv.weight_orig"),
        Row("synthesis.b{r}.torgb.bias", "generator.to_rgb.{level}.conv.bias"),
    ]
    for i in (0, 1):
        ours, theirs = f"synthesis.b{{r}}.conv{i}", "generator.progression.{level}"
        rows += [
            Row(f"{ours}.noise_strength", f"{theirs}.noise{i + 1}.weight_orig", CHANNELS),
            Row(f"{ours}.affine.weight", f"{theirs}.adain{i + 1}.style.linear.weight_orig"),
            Row(f"{ours}.affine.bias", f"{theirs}.adain{i + 1}.style.linear.bias"),
        ]
    for r in resolutions(config.img_resolution):
        ours, theirs = f"synthesis.b{r}", f"generator.progression.{log2_resolution(r) - 2}"
        fused = config.average_from is not None and r >= config.average_from
        conv, name = ("conv1.0", "weight") if fused else ("conv1.1.conv", "weight_orig")
        rows += [
            Row(f"{ours}.conv0.weight", f"{theirs}.{conv}.{name}", chain(permute(1, 0, 2, 3), FLIP) if fused else SAME),
            Row(f"{ours}.conv0.bias", f"{theirs}.{conv}.bias"),
            Row(f"{ours}.conv1.weight", f"{theirs}.conv2.conv.weight_orig"),
            Row(f"{ours}.conv1.bias", f"{theirs}.conv2.conv.bias"),
        ]
    trained = log2_resolution(config.img_resolution) - 1
    untrained = "|".join(str(b) for b in range(trained, 16))
    kept = [
        Kept(rf"generator\.(progression|to_rgb)\.({untrained})\..*"),
        stored_filters(r"generator\.progression\.\d+\.conv1\.[12]\.weight(_flip)?", config.blur_filter, ndim=4),
    ]
    return Table(
        rows, kept, lambda r, i: {"level": log2_resolution(r) - 2, "layer": 2 * i + 1}, r"mean_style|noise\.\d+"
    )


def discriminator_config(network: ForeignNetwork) -> stylegan1.DiscriminatorConfig:
    """Return the config of a `Discriminator`."""
    tensors, sides = network.tensors, _trained_sides(network)
    activated, last = _FROM_RGB[True].format(0) in tensors, _stored_levels(tensors) - 1
    rgbs = [shape_of(tensors, _FROM_RGB[activated].format(last - b), 4) for b in range(len(sides))]
    conv, fc = (shape_of(tensors, f"progression.{last}.{name}.0.conv.weight_orig", 4) for name in ("conv1", "conv2"))
    return stylegan1.DiscriminatorConfig(
        img_resolution=sides[-1],
        img_channels=rgbs[0][1],
        channels=tuple(rgb[0] for rgb in rgbs),
        fc_dim=fc[0],
        mbstd_group_size=None,
        mbstd_num_features=conv[1] - conv[0],
        score_gain=math.sqrt(2.0),
        rgb_activation=activated,
    )


def discriminator_table(network: ForeignNetwork, config: stylegan1.DiscriminatorConfig) -> Table:
    """Return the table of a `Discriminator`, whose finest level is number 0; untrained levels are carried along.

    Fused and unfused convolutions do the same and differ in name only.
    """
    names, rgb = set(header_of(network)["variables"]), _FROM_RGB[config.rgb_activation].removesuffix(".weight_orig")
    last = _stored_levels(names) - 1
    layers = {
        "b4.out": "linear.linear",
        "b4.conv": f"progression.{last}.conv1.0.conv",
        "b{r}.fromrgb": rgb.format("{block}"),
        "b{r}.conv0": "progression.{block}.conv1.0.conv",
    }
    rows = [
        *product(layers, {"weight": ("weight_orig", SAME), "bias": ("bias", SAME)}, "."),
        Row("b4.fc.weight", f"progression.{last}.conv2.0.conv.weight_orig", FOUR_TO_DENSE),
        Row("b4.fc.bias", f"progression.{last}.conv2.0.conv.bias"),
    ]
    for level, r in enumerate(resolutions(config.img_resolution)):
        theirs = f"progression.{last - level}.conv2.1"
        conv, weight = (theirs, "weight") if f"{theirs}.weight" in names else (f"{theirs}.conv", "weight_orig")
        rows += [Row(f"b{r}.conv1.weight", f"{conv}.{weight}"), Row(f"b{r}.conv1.bias", f"{conv}.bias")]
    untrained = "|".join(str(b) for b in range(last + 1 - len(config.channels)))
    kept = [
        Kept(rf"(progression|from_rgb)\.({untrained})\..*"),
        stored_filters(r"progression\.\d+\.conv2\.0\.weight(_flip)?", config.blur_filter, ndim=4),
    ]
    return Table(rows, kept, lambda r, i: {"block": last + 2 - log2_resolution(r)})
