"""Writer of genforce files: ProGAN, StyleGAN, StyleGAN2 and StyleGAN2-ADA (docs/spec/COMMUNITY.md 4)."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor

from converter.errors import ConvertError
from converter.foreign import ForeignNetwork
from converter.forms.fit import channel_base, made_anew, networks_in
from converter.forms.genforce import FORM
from converter.forms.genforce.header import Assumed, Header, header_of
from converter.forms.genforce.read import ASSUMED
from converter.forms.state_dict import USUAL_TAPS, Tensors, expanded_filter, writer_of
from stylegan_torch.files import checkpoint
from stylegan_torch.files.checkpoint import Checkpoint
from stylegan_torch.networks import lucidrains, progan, stylegan1, stylegan2, stylegan3
from stylegan_torch.networks.registry import kind_of

_KEYS = {"G": "generator", "D": "discriminator", "G_ema": "generator_smooth"}
_CLASSES = {"progan": "PGGAN", "stylegan1": "StyleGAN", "stylegan2": "StyleGAN2"}
_STYLEGAN2 = (stylegan2.GeneratorConfig, stylegan2.DiscriminatorConfig)
_DISCRIMINATORS = (progan.DiscriminatorConfig, stylegan1.DiscriminatorConfig, stylegan2.DiscriminatorConfig)
_Held = (
    progan.GeneratorConfig
    | progan.DiscriminatorConfig
    | stylegan1.GeneratorConfig
    | stylegan1.DiscriminatorConfig
    | stylegan2.GeneratorConfig
    | stylegan2.DiscriminatorConfig
)
"""Configs of what the form may hold."""
_ARGUMENTS = {"mbstd_group_size": "minibatch_std_group_size", "fused_scale": "fused_scale"}
"""What files don't say, but constructors of theirs can be told, and how."""


def to_genforce(checkpoint: Checkpoint) -> tuple[dict[str, Tensors], list[str]]:
    """Return the content of a file, and notes on what is not as it was.

    Networks that came from such a file get their tensors back bit for bit.

    Raises:
        ConvertError: saying why the form cannot hold a network.
    """
    content: dict[str, Tensors] = {}
    notes: list[str] = []
    for network in networks_in(FORM, checkpoint, _anew, notes=notes, roles=_KEYS):
        content[_KEYS[network.role]] = network.tensors
        _note_untold(network.role, header_of(network), notes)
    return content, notes


write = writer_of(to_genforce)


def _note_untold(role: str, header: Header, notes: list[str]) -> None:
    usual = ASSUMED[header["build_func_name"]]
    for name, value in header["assumed"].items():
        if name in _ARGUMENTS and value != usual.get(name):
            notes.append(f"genforce must be told that {_ARGUMENTS[name]} of {role} is {value}; the file can't say so")


def _anew(role: str, network: checkpoint.StoredNetwork, notes: list[str]) -> ForeignNetwork:
    config = network.config
    family, kind = kind_of(config)
    if isinstance(config, stylegan3.GeneratorConfig | lucidrains.GeneratorConfig):
        raise ConvertError(f"it is of the family {family}")
    _refuse_sizes(config)
    function = f"{_CLASSES[family]}{kind}"
    assumed: Assumed = {**ASSUMED[function], **_untold(config)}
    header: Header = {"build_func_name": function, "variables": [], "assumed": assumed}
    return made_anew(ForeignNetwork(role, FORM.id, header, {}), network, notes, stored=dict(_stored(config)))


def _refuse_sizes(config: _Held) -> None:
    """Refuse what a file could hold, but no constructor of theirs makes."""
    base, first = channel_base(config.channels, config.img_resolution), config.channels[0]
    if isinstance(config, stylegan2.GeneratorConfig) and config.architecture == "resnet":
        raise ConvertError("its architecture is resnet, which that program can't make a generator with")
    if isinstance(config, stylegan2.GeneratorConfig) and config.const_channels != first:
        raise ConvertError(f"its constant has {config.const_channels} feature maps, its first level {first}")
    if isinstance(config, _DISCRIMINATORS) and config.fc_dim not in (first, min(base // 2, max(config.channels))):
        raise ConvertError(f"its first dense layer is {config.fc_dim} wide, its last level {first}")
    if isinstance(config, _STYLEGAN2) and config.resample_filter != USUAL_TAPS:
        raise ConvertError(f"its filter is {list(config.resample_filter)}, not {list(USUAL_TAPS)}")


def _untold(config: _Held) -> Assumed:
    """Return what a file does not say of a network."""
    if isinstance(config, progan.GeneratorConfig):
        return {"label_size": config.c_dim}
    if isinstance(config, progan.DiscriminatorConfig):
        return {"mbstd_group_size": config.mbstd_group_size, "fused_scale": config.pool_first}
    if isinstance(config, stylegan1.DiscriminatorConfig | stylegan2.DiscriminatorConfig):
        return {"mbstd_group_size": config.mbstd_group_size}
    return {}


def _stored(config: _Held) -> Iterator[tuple[str, Tensor]]:
    """Yield what those networks store besides our tensors: the growing state, and the filter of every resampling."""
    levels = range(1, len(config.channels))
    if not isinstance(config, _STYLEGAN2):
        yield ("synthesis.lod" if isinstance(config, stylegan1.GeneratorConfig) else "lod"), torch.tensor(config.lod)
    if isinstance(config, stylegan1.GeneratorConfig | stylegan1.DiscriminatorConfig) and config.blur_filter:
        for level in levels:
            up, width = isinstance(config, stylegan1.GeneratorConfig), config.channels[level]
            name = f"synthesis.layer{2 * level}" if up else f"layer{2 * (len(levels) - level) + 1}"
            yield f"{name}.blur.kernel", expanded_filter(config.blur_filter, width)
    if isinstance(config, stylegan2.GeneratorConfig):
        kernel = expanded_filter(config.resample_filter, 1, gain=4)
        for level in levels:
            yield f"synthesis.layer{2 * level - 1}.filter.kernel", kernel
        if config.architecture == "skip":
            yield "synthesis.upsample.kernel", kernel
    if isinstance(config, stylegan2.DiscriminatorConfig):
        kernel = expanded_filter(config.resample_filter, 1)
        for block in range(len(levels)):
            yield f"layer{2 * block + 1}.filter.kernel", kernel
            if config.architecture == "resnet":
                yield f"skip_layer{block}.filter.kernel", kernel
        if config.architecture == "skip":
            yield "downsample.kernel", kernel
