"""mmgeneration's StyleGAN, with its own departures (docs/spec/COMMUNITY.md 7.2)."""

from __future__ import annotations

import math

from converter.foreign import ForeignNetwork
from converter.forms import completion
from converter.forms.mmgen.channels import MEAN_SAMPLES, in_rgb
from converter.forms.state_dict import count, shape_of, shapes_of, stored_filters, taps_of
from converter.table import NOISE, UNBATCH, Row, Table, repeated, scaled
from stylegan_torch.networks import stylegan1
from stylegan_torch.networks.layers import log2_resolution


def complete(network: ForeignNetwork) -> ForeignNetwork:
    """Make what files lack: the average w."""
    config = generator_config(network)
    return completion.completed(network, config, generator_table(network, config), samples=MEAN_SAMPLES)


def generator_config(network: ForeignNetwork) -> stylegan1.GeneratorConfig:
    """Return the config of a `StyleGANv1Generator`."""
    tensors = network.tensors
    w_dim, z_dim = shape_of(tensors, "style_mapping.1.linear.weight_orig", 2)
    depth = count(tensors, "style_mapping.{}.linear.weight_orig", 1)
    rgbs = shapes_of(tensors, "to_rgbs.{}.conv.weight_orig", 4)
    return stylegan1.GeneratorConfig(
        # Its layers have weights of 0.01/√fan_in and biases of 0.01; ours have √2 more of the former.
        mapping=stylegan1.MappingConfig(
            z_dim, 0, w_dim, num_layers=depth, layer_dim=w_dim, lr_multiplier=0.01 / math.sqrt(2.0)
        ),
        img_resolution=2 << len(rgbs),
        img_channels=rgbs[0][0],
        channels=tuple(rgb[1] for rgb in rgbs),
        blur_filter=taps_of(tensors, "convs.1.conv1.1.kernel"),
        instance_norm_eps=1e-5,
        style_bias=0.0,
        style_gain=math.sqrt(2.0),
        rgb_gain=math.sqrt(2.0),
        const_bias=False,
        bias_first=True,
        truncation_cutoff=None,
        official_noise="stored",
        activate_before_blur=True,
    )


def generator_table(network: ForeignNetwork, config: stylegan1.GeneratorConfig) -> Table:
    """Return the table of a `StyleGANv1Generator`."""
    rows = [
        Row("mapping.w_avg", "latent_avg"),
        Row("mapping.fc{i}.weight", "style_mapping.{layer}.linear.weight_orig"),
        Row("mapping.fc{i}.bias", "style_mapping.{layer}.bias", scaled(math.sqrt(2.0))),
        Row("synthesis.b4.conv0.const", "convs.0.conv1.input", UNBATCH),
        Row("synthesis.b{r}.torgb.weight", "to_rgbs.{level}.conv.weight_orig"),
        Row("synthesis.b{r}.torgb.bias", "to_rgbs.{level}.conv.bias"),
    ]
    for i, conv in enumerate(("conv1.0.conv", "conv2.conv")):
        ours, theirs = f"synthesis.b{{r}}.conv{i}", "convs.{level}"
        rows += [
            Row(f"{ours}.weight", f"{theirs}.{conv}.weight_orig"),
            Row(f"{ours}.bias", f"{theirs}.{conv}.bias"),
            Row(f"{ours}.affine.weight", f"{theirs}.adain{i + 1}.affine.weight_orig"),
            Row(f"{ours}.affine.bias", f"{theirs}.adain{i + 1}.affine.bias"),
            Row(f"{ours}.noise_const", f"injected_noise_{{{('even', 'odd')[i]}}}", NOISE),
            *(
                Row(f"synthesis.b{4 << b}.conv{i}.noise_strength", f"convs.{b}.noise_injector{i + 1}.weight", one)
                for b, one in enumerate(map(repeated, config.channels))
            ),
        ]
    kernels = stored_filters(r"convs\.\d+\.conv1\.1\.kernel", config.blur_filter)
    table = Table(rows, [kernels], _indices, r"latent_avg|injected_noise_\d+")
    return in_rgb(table, network, config.img_channels)


def _indices(r: int, i: int) -> dict[str, int]:
    level = log2_resolution(r) - 2
    return {"layer": i + 1, "level": level, "even": 2 * level, "odd": 2 * level + 1}
