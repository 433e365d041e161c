"""rosinality/stylegan2-pytorch, which pSp, e4e, ReStyle, StyleCLIP, StyleGAN-NADA and many more build on
(docs/spec/COMMUNITY.md 1). Their arithmetic is StyleGAN2's; what their files don't say follows from the tensors."""

from __future__ import annotations

import math
from dataclasses import replace

from torch import Tensor

from converter.contents import Found, plain_tensor
from converter.errors import ConvertError
from converter.foreign import ForeignNetwork
from converter.forms import completion
from converter.forms.rosinality import STYLEGAN2
from converter.forms.state_dict import Rename, count, shape_of, stored_filters, taps_of
from converter.table import CHANNELS, NOISE, SAME, UNBATCH, Row, Table, product
from stylegan_torch.networks import stylegan2

MEAN_SAMPLES = 4096
"""How many w the sampling script averages where a file has no average."""


def read(found: Found, form: str = STYLEGAN2.id) -> ForeignNetwork:
    """Return a network of a file, a generator with the average w that stands beside it."""
    network = found.network(form)
    average = None if found.is_discriminator else found.beside("latent_avg")
    if average is None or "latent_avg" in network.tensors:
        return network
    tensors = {**network.tensors, "latent_avg": average_w(plain_tensor(average, "latent_avg"))}
    return replace(network, tensors=tensors, header={**network.header, "variables": list(tensors)})


def average_w(value: Tensor) -> Tensor:
    """Return an average w [w] that a program stores once, [1, w], or for every layer, [num_ws, w]."""
    rows = value.reshape(-1, value.shape[-1]) if value.ndim in (1, 2) and value.numel() else value[None]
    if value.ndim > 2 or not bool((rows == rows[0]).all()):
        raise ConvertError(f"variable latent_avg has shape {list(value.shape)} and is not the same for every layer")
    return rows[0].clone()  # each generator has its own


def completion_notes(networks: dict[str, ForeignNetwork]) -> list[str]:
    """Return notes on what `complete` makes."""
    return completion.completion_notes(networks, average="latent_avg", noise="noises.", samples=MEAN_SAMPLES)


def complete(network: ForeignNetwork) -> ForeignNetwork:
    """Make what older and training files lack: noise maps (which were always random then), and the average w."""
    config = generator_config(network)
    return completion.completed(network, config, generator_table(network, config), samples=MEAN_SAMPLES)


def generator_config(network: ForeignNetwork, name: Rename = str) -> stylegan2.GeneratorConfig:
    """Return the config of a `Generator`, read off its tensors; `name` is what its program calls them."""
    tensors = network.tensors
    levels = count(tensors, name("to_rgbs.{}.conv.weight")) + 1
    convs = ["conv1", *(f"convs.{2 * j + 1}" for j in range(levels - 1))]
    channels = tuple(shape_of(tensors, name(f"{conv}.conv.weight"), 5)[1] for conv in convs)
    w_dim, z_dim = shape_of(tensors, name("style.1.weight"), 2)
    if z_dim == 2 * w_dim:
        raise ConvertError(
            f"variable {name('style.1.weight')} takes {z_dim} numbers for a w of {w_dim}: this network had labels, "
            "whose embedding was lost on the way, so it cannot draw what it drew; convert the original instead"
        )
    _, const_channels, height, width = shape_of(tensors, name("input.input"), 4)
    depth = count(tensors, name("style.{}.weight"), 1)
    return stylegan2.GeneratorConfig(
        mapping=stylegan2.MappingConfig(z_dim=z_dim, c_dim=0, w_dim=w_dim, num_layers=depth, layer_dim=w_dim),
        img_resolution=4 * 2 ** (levels - 1),
        img_channels=shape_of(tensors, name("to_rgb1.conv.weight"), 5)[1],
        channels=channels,
        const_channels=const_channels,
        base_size=(height, width),
        resample_filter=taps_of(tensors, name("convs.0.conv.blur.kernel")),
        equalized_modulation=True,
    )


def generator_table(network: ForeignNetwork, config: stylegan2.GeneratorConfig) -> Table:
    """Return the table of a `Generator`."""
    convs = {
        "synthesis.b4.conv1": "conv1",
        "synthesis.b{r}.conv0": "convs.{up}",
        "synthesis.b{r}.conv1": "convs.{flat}",
    }
    rgbs = {"synthesis.b4.torgb": "to_rgb1", "synthesis.b{r}.torgb": "to_rgbs.{level}"}
    styled = {
        "weight": ("conv.weight", UNBATCH),
        "affine.weight": ("conv.modulation.weight", SAME),
        "affine.bias": ("conv.modulation.bias", SAME),
    }
    rows = [
        Row("mapping.w_avg", "latent_avg"),
        Row("mapping.fc{i}.weight", "style.{layer}.weight"),
        Row("mapping.fc{i}.bias", "style.{layer}.bias"),
        Row("synthesis.b4.const", "input.input", UNBATCH),
        Row("synthesis.b4.conv1.noise_const", "noises.noise_0", NOISE),
        Row("synthesis.b{r}.conv0.noise_const", "noises.noise_{odd}", NOISE),
        Row("synthesis.b{r}.conv1.noise_const", "noises.noise_{even}", NOISE),
        *product(convs, {**styled, "noise_strength": ("noise.weight", UNBATCH), "bias": ("activate.bias", SAME)}, "."),
        *product(rgbs, {**styled, "bias": ("bias", CHANNELS)}, "."),
    ]
    blur = stored_filters(
        r"convs\.\d+\.conv\.blur\.kernel|to_rgbs\.\d+\.upsample\.kernel", config.resample_filter, gain=4
    )
    return Table(rows, [blur], _indices, r"latent_avg|noises\.noise_\d+")


def _indices(r: int, i: int) -> dict[str, int]:
    level = int(math.log2(r)) - 3  # 0 is 8×8
    return {
        "layer": i + 1,
        "level": level,
        "up": 2 * level,
        "flat": 2 * level + 1,
        "odd": 2 * level + 1,
        "even": 2 * level + 2,
    }


def discriminator_config(network: ForeignNetwork, name: Rename = str) -> stylegan2.DiscriminatorConfig:
    """Return the config of a `Discriminator`, read off its tensors; `name` is what its program calls them."""
    tensors = network.tensors
    levels = count(tensors, name("convs.{}.conv1.0.weight"), 1)
    before = [shape_of(tensors, name(f"convs.{i}.conv1.0.weight"), 4)[1] for i in range(levels, 0, -1)]
    final = shape_of(tensors, name("final_conv.0.weight"), 4)
    return stylegan2.DiscriminatorConfig(
        img_resolution=4 * 2**levels,
        img_channels=shape_of(tensors, name("convs.0.0.weight"), 4)[1],
        channels=(final[0], *before),
        fc_dim=shape_of(tensors, name("final_linear.0.weight"), 2)[0],
        resample_filter=taps_of(tensors, name("convs.1.conv2.0.kernel")),
        mbstd_num_features=final[1] - final[0],
    )


def discriminator_table(network: ForeignNetwork, config: stylegan2.DiscriminatorConfig) -> Table:
    """Return the table of a `Discriminator`."""
    top = int(math.log2(config.img_resolution))
    rows = [
        Row(f"b{config.img_resolution}.fromrgb.weight", "convs.0.0.weight"),
        Row(f"b{config.img_resolution}.fromrgb.bias", "convs.0.1.bias"),
        Row("b{r}.conv0.weight", "convs.{block}.conv1.0.weight"),
        Row("b{r}.conv0.bias", "convs.{block}.conv1.1.bias"),
        Row("b{r}.conv1.weight", "convs.{block}.conv2.1.weight"),
        Row("b{r}.conv1.bias", "convs.{block}.conv2.2.bias"),
        Row("b{r}.skip.weight", "convs.{block}.skip.1.weight"),
        Row("b4.conv.weight", "final_conv.0.weight"),
        Row("b4.conv.bias", "final_conv.1.bias"),
        *product(
            {"b4.fc": "final_linear.0", "b4.out": "final_linear.1"}, {n: (n, SAME) for n in ("weight", "bias")}, "."
        ),
    ]
    blur = stored_filters(r"convs\.\d+\.(conv2|skip)\.0\.kernel", config.resample_filter)
    return Table(rows, [blur], lambda r, i: {"block": top - int(math.log2(r)) + 1})
