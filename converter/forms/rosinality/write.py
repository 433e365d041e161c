"""Writer of rosinality/stylegan2-pytorch files, which pSp, e4e, ReStyle, StyleCLIP, StyleGAN-NADA and more load."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import NamedTuple

import torch
from torch import Tensor

from converter import foreign
from converter.errors import ConvertError
from converter.forms.fit import made_anew, networks_in
from converter.forms.rosinality import STYLEGAN2
from converter.forms.state_dict import Rename, writer_of
from converter.header import Header
from stylegan_torch.files.checkpoint import Checkpoint, StoredNetwork, same_bits
from stylegan_torch.networks import stylegan2
from stylegan_torch.networks.registry import Config, kind_of, shapes

_KEYS = {"G_ema": "g_ema", "G": "g", "D": "d"}
AVERAGE = "latent_avg"
_WIDTHS = (512, 512, 512, 512)
"""Feature maps of the levels 4² to 32²; from 64² on they are 256·m, halved at every level."""


class Template(NamedTuple):
    """How a program with the same networks has them.

    form: id of its form.
    kind: what stands before "Generator" and "Discriminator" in the names of its kinds.
    name: what it calls a tensor.
    kernels: whether it stores the filters.
    """

    form: str
    kind: str = ""
    name: Rename = str
    kernels: bool = True


_TEMPLATE = Template(STYLEGAN2.id)


def to_rosinality(checkpoint: Checkpoint) -> tuple[dict[str, object], list[str]]:
    """Return the content of a file, and notes on what is lost.

    Networks that came from such a file get their tensors back bit for bit.

    Raises:
        ConvertError: saying why the form cannot hold a network.
    """
    if "G_ema" not in checkpoint.networks:
        raise ConvertError("format rosinality needs network G_ema")
    states: dict[str, dict[str, Tensor]] = {}
    notes: list[str] = []
    shared: dict[str, Tensor] = {}
    for network in networks_in(STYLEGAN2, checkpoint, anew, notes=notes):
        tensors = dict(network.tensors)
        average = tensors.pop(AVERAGE, None)
        if network.role == "G_ema" and average is not None:
            shared[AVERAGE] = average
        elif average is not None and not same_bits(average, shared.get(AVERAGE, average)):
            notes.append(f"the average w of {network.role} is lost: that form has one for all, which is that of G_ema")
        states[_KEYS[network.role]] = tensors
    return {"g_ema": states.pop("g_ema"), **shared, **states}, notes


write = writer_of(to_rosinality)


def anew(role: str, network: StoredNetwork, notes: list[str], template: Template = _TEMPLATE) -> foreign.ForeignNetwork:
    """Return a network of ours in this form, or in that of a program with the same networks.

    Raises:
        ConvertError: saying why it cannot be held.
    """
    for reason in _obstacles(network.config):
        raise ConvertError(reason)
    config = network.config
    if isinstance(config, stylegan2.GeneratorConfig):
        network = _with_noise(network, config)
        order = _generator_variables(config)
    elif isinstance(config, stylegan2.DiscriminatorConfig):
        order = _discriminator_variables(config)
    header: Header = {"build_func_name": template.kind + kind_of(config)[1], "variables": []}
    names = [template.name(name) for name in order if template.kernels or not name.endswith(".kernel")]
    return made_anew(foreign.ForeignNetwork(role, template.form, header, {}), network, notes, order=names)


def _with_noise(network: StoredNetwork, config: stylegan2.GeneratorConfig) -> StoredNetwork:
    """Return a network with noise of strength 0, if it has none."""
    noisy = replace(config, use_noise=True)
    silence = {name: torch.zeros(shape) for name, shape in shapes(noisy).items() if name not in network.state_dict}
    return replace(network, config=noisy, state_dict={**network.state_dict, **silence})


def _obstacles(config: Config) -> Iterator[str]:
    """Yield why a network does not fit."""
    if not isinstance(config, stylegan2.GeneratorConfig | stylegan2.DiscriminatorConfig):
        yield "it is no StyleGAN2"
        return
    if config.c_dim:
        yield f"it has {config.c_dim} classes"
    if config.base_size != (4, 4):
        height, width = config.img_size
        yield f"its images are {height}x{width}, not square"
    if config.attention:
        yield "it has self-attention"
    if config.img_channels != 3:
        yield f"its images have {config.img_channels} channels, not 3"
    architecture = "skip" if isinstance(config, stylegan2.GeneratorConfig) else "resnet"
    if config.architecture != architecture:
        yield f"its architecture is {config.architecture}, not {architecture}"
    if config.activation != "lrelu":
        yield f"its activation is {config.activation}, not lrelu"
    if config.resample_filter != (1.0, 3.0, 3.0, 1.0):
        yield f"its filter is {list(config.resample_filter)}, not [1, 3, 3, 1]"
    wide = config.channels[4] if len(config.channels) > 4 else 512
    expected = (*_WIDTHS, *(wide >> i for i in range(12)))[: len(config.channels)]
    if config.channels != expected or wide % 256:
        yield f"its levels have {list(config.channels)} feature maps, not 512 up to 32x32 and then 256·m, 128·m …"
    if isinstance(config, stylegan2.GeneratorConfig):
        yield from _generator_obstacles(config)
    else:
        yield from _discriminator_obstacles(config)


def _generator_obstacles(config: stylegan2.GeneratorConfig) -> Iterator[str]:
    mapping = config.mapping
    widths = {"z": mapping.z_dim, "w": mapping.w_dim, "mapping": mapping.layer_dim, "constant": config.const_channels}
    for name, width in widths.items():
        if width != 512 and (name != "mapping" or mapping.num_layers > 1):
            yield f"its {name} is {width} wide, not 512"
    if not mapping.num_layers:
        yield "it has no mapping layers"
    if mapping.lr_multiplier != 0.01 or mapping.activation != "lrelu" or not mapping.normalize_z:
        yield "its mapping network is not of the usual kind"


def _discriminator_obstacles(config: stylegan2.DiscriminatorConfig) -> Iterator[str]:
    if config.mbstd_group_size != 4:
        yield f"its minibatch-stddev groups have {config.mbstd_group_size or 'all'} members, not 4"
    if config.mbstd_num_features != 1:
        yield f"its minibatch-stddev layer makes {config.mbstd_num_features} features, not 1"
    if config.spectral_norm or config.num_outputs != 1 or config.epilogue_activation not in (None, "lrelu"):
        yield "it is of a comparison method"
    if config.fc_dim != 512:
        yield f"its first dense layer is {config.fc_dim} wide, not 512"


def _generator_variables(config: stylegan2.GeneratorConfig) -> Iterator[str]:
    styled = ("conv.weight", "conv.modulation.weight", "conv.modulation.bias")
    for i in range(config.mapping.num_layers):
        yield from (f"style.{i + 1}.weight", f"style.{i + 1}.bias")
    yield "input.input"
    levels = len(config.channels) - 1
    for conv in ("conv1", *(f"convs.{k}" for k in range(2 * levels))):
        yield f"{conv}.conv.weight"
        if conv.startswith("convs.") and int(conv[6:]) % 2 == 0:
            yield f"{conv}.conv.blur.kernel"
        yield from (f"{conv}.{leaf}" for leaf in (*styled[1:], "noise.weight", "activate.bias"))
        if conv == "conv1":
            yield from (f"to_rgb1.{leaf}" for leaf in ("bias", *styled))
    for j in range(levels):
        yield from (f"to_rgbs.{j}.{leaf}" for leaf in ("bias", "upsample.kernel", *styled))
    yield from (f"noises.noise_{k}" for k in range(2 * levels + 1))
    yield AVERAGE


def _discriminator_variables(config: stylegan2.DiscriminatorConfig) -> Iterator[str]:
    yield from ("convs.0.0.weight", "convs.0.1.bias")
    leaves = ("conv1.0.weight", "conv1.1.bias", "conv2.0.kernel", "conv2.1.weight", "conv2.2.bias")
    for i in range(1, len(config.channels)):
        yield from (f"convs.{i}.{leaf}" for leaf in (*leaves, "skip.0.kernel", "skip.1.weight"))
    yield from ("final_conv.0.weight", "final_conv.1.bias")
    yield from (f"final_linear.{i}.{leaf}" for i in (0, 1) for leaf in ("weight", "bias"))
