"""Writers of the plain state dicts that the modules of the official PyTorch releases load."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping

from converter.errors import ConvertError
from converter.foreign import ForeignNetwork
from converter.forms.fit import channel_base, made_anew, networks_in, record_of
from converter.forms.pytorch import STATE, STYLEGAN3_STATE
from converter.forms.pytorch.header import StateHeader
from converter.forms.pytorch.state import ASSUMED, assumed_of
from converter.forms.state_dict import Tensors, writer_of
from stylegan_torch.files.checkpoint import Checkpoint, StoredNetwork
from stylegan_torch.networks import stylegan2, stylegan3
from stylegan_torch.networks.registry import Config, kind_of

_FILTERED = re.compile(r"((?:synthesis\.)?b[0-9]+)\.(conv|conv0|conv1|skip|fromrgb)\.weight")
"""Layers that store a filter, in blocks that do, but for the last of a discriminator."""


def to_ada(checkpoint: Checkpoint) -> tuple[dict[str, Tensors], list[str]]:
    """Return the state dicts by role, filters included, and notes on what they don't say.

    Networks that came from such a file get their tensors back bit for bit.

    Raises:
        ConvertError: saying why the official classes cannot hold a network.
    """
    content: dict[str, Tensors] = {}
    notes: list[str] = []
    for network in networks_in(STATE, checkpoint, _anew, notes=notes):
        content[network.role] = network.tensors
        usual = ASSUMED[network.header["build_func_name"]]
        assumed = assumed_of(network)
        notes += _untold(network.role, usual, {name: assumed.get(name) for name in usual})
    return content, notes


def to_stylegan3(checkpoint: Checkpoint) -> tuple[Tensors, list[str]]:
    """Return the tensors of G_ema under the official names, which are ours too, and notes on what they don't say.

    Raises:
        ConvertError: if there is no generator of StyleGAN3, or none that the official class can hold.
    """
    network = checkpoint.networks.get("G_ema")
    if network is None or not isinstance(network.config, stylegan3.GeneratorConfig):
        raise ConvertError("format stylegan3 holds a G_ema of StyleGAN3, and there is none")
    config = network.config
    if config.aspect != 1 and record_of(checkpoint, "G_ema").get("form") != STYLEGAN3_STATE.id:
        height, width = config.img_size
        raise ConvertError(
            f"network G_ema has no place in format stylegan3: its images are {height}x{width}, not square"
        )
    usual = ASSUMED["StyleGAN3"]
    values = {name: getattr(config, name, config.mapping.lr_multiplier) for name in usual}
    notes = [f"{role} is left out: that form has no place for it" for role in checkpoint.networks if role != "G_ema"]
    return network.state_dict, [*notes, *_untold("G_ema", usual, values)]


write_ada = writer_of(to_ada)
write_stylegan3 = writer_of(to_stylegan3)


def _anew(role: str, network: StoredNetwork, notes: list[str]) -> ForeignNetwork:
    _refuse_sizes(network.config)
    names = list(network.state_dict)
    filters = _filters(names)
    header: StateHeader = {
        "build_func_name": kind_of(network.config)[1],
        "variables": [],
        "assumed": _assumed(network.config),
    }
    template = ForeignNetwork(role, STATE.id, header, {})
    own = {name: value for name, value in network.source.items() if name in filters}
    # No transform of theirs rounds, and the limit on activations is among what is told.
    return made_anew(template, network, [], stored=own, order=[*names, *filters])


def _refuse_sizes(config: Config) -> None:
    """Refuse what a state dict could hold, but the official classes can't be made with."""
    if not isinstance(config, stylegan2.GeneratorConfig | stylegan2.DiscriminatorConfig):
        raise ConvertError(f"it is of the family {kind_of(config)[0]}")
    channel_base(config.channels, config.img_resolution)
    if config.base_size != (4, 4):
        raise ConvertError(f"its first level is {'x'.join(map(str, config.base_size))}, not 4x4")
    first = config.channels[0]
    if isinstance(config, stylegan2.GeneratorConfig) and config.const_channels != first:
        raise ConvertError(f"its constant has {config.const_channels} feature maps, its first level {first}")
    if isinstance(config, stylegan2.DiscriminatorConfig) and config.fc_dim != first:
        raise ConvertError(f"its first dense layer is {config.fc_dim} wide, its last level {first}")


def _assumed(config: Config) -> dict[str, object]:
    """Return what a state dict doesn't tell of a network."""
    assert isinstance(config, stylegan2.GeneratorConfig | stylegan2.DiscriminatorConfig)
    mapping = config.mapping or stylegan2.MappingConfig(0, 0, 0)
    values: dict[str, object] = {
        "activation": config.activation,
        "mapping_activation": mapping.activation,
        "lr_multiplier": mapping.lr_multiplier,
        "conv_clamp": config.conv_clamp,
        "num_fp16_res": config.num_fp16_res,
        "resample_filter": list(config.resample_filter),
    }
    if isinstance(config, stylegan2.DiscriminatorConfig):
        values["epilogue_activation"] = config.epilogue_activation or config.activation
        values["mbstd_group_size"] = config.mbstd_group_size
    return values


def _filters(names: list[str]) -> list[str]:
    """Return what a network's filters are called, given its tensors."""
    layers = [match for match in map(_FILTERED.fullmatch, names) if match]
    blocks = dict.fromkeys(match[1] for match in layers if match[1] != "b4")
    scopes = [*blocks, *(f"{match[1]}.{match[2]}" for match in layers)]
    return [f"{scope}.resample_filter" for scope in scopes]


def _untold(role: str, usual: Mapping[str, object], values: Mapping[str, object]) -> Iterator[str]:
    """Yield what those who make the module must know, as it is not as usual."""
    odd = [f"{name}={json.dumps(value)}" for name, value in values.items() if value != usual[name]]
    if odd:
        yield f"a state dict doesn't say that {', '.join(odd)} of {role}; make_pickle.py and --assume do"
