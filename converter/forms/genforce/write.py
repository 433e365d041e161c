"""Writer of genforce files: ProGAN, StyleGAN, StyleGAN2 and StyleGAN2-ADA (docs/spec/COMMUNITY.md 4)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import IO, Any

import torch
from torch import Tensor

from converter.errors import ConvertError
from converter.foreign import Network
from converter.form import Options, Written
from converter.forms.fit import channel_base, note_clamp, note_rounded, originals, placing, refuse_others
from converter.forms.genforce import FORM
from converter.forms.genforce import read as genforce
from converter.forms.state_dict import USUAL_TAPS, expanded_filter, write_state_dicts
from converter.translate import export_network, known_kind
from stylegan_torch.files import checkpoint
from stylegan_torch.files.checkpoint import Checkpoint
from stylegan_torch.networks import progan, stylegan2
from stylegan_torch.networks.registry import kind_of

_KEYS = {"G": "generator", "D": "discriminator", "G_ema": "generator_smooth"}
_CLASSES = {"progan": "PGGAN", "stylegan1": "StyleGAN", "stylegan2": "StyleGAN2"}
_TOLD = {"mbstd_group_size": "minibatch_std_group_size", "fused_scale": "fused_scale"}
"""What files don't tell, but constructors of theirs can be told."""


def write(file: IO[bytes], checkpoint: Checkpoint, options: Options) -> Written:
    """Write a file.

    Raises:
        ConvertError: saying why the form cannot hold a network.
    """
    content, notes = to_genforce(checkpoint)
    write_state_dicts(file, content)
    return Written(checkpoint, notes)


def to_genforce(checkpoint: Checkpoint) -> tuple[dict[str, Any], list[str]]:
    """Return the content of a file, and notes on what is not as it was.

    Networks that came from such a file get their tensors back bit for bit.

    Raises:
        ConvertError: saying why the form cannot hold a network.
    """
    records = checkpoint.provenance.get("networks", {})
    content: dict[str, Any] = {}
    notes: list[str] = []
    for role, key in _KEYS.items():
        network, record = checkpoint.networks.get(role), records.get(role, {})
        if network is None:
            continue
        if record.get("form") == FORM.id:
            content[key] = export_network(role, network, record).tensors
            _tell(role, record["build_func_name"], record.get("assumed", {}), notes)
        else:
            with placing(role, "genforce"):
                content[key] = _anew(role, network, notes)
    return content, notes


def _tell(role: str, function: str, assumed: dict[str, Any], notes: list[str]) -> None:
    for name, value in assumed.items():
        if name in _TOLD and value != genforce.ASSUMED[function][name]:
            notes.append(f"genforce must be told that {_TOLD[name]} of {role} is {value}; the file can't say so")


def _anew(role: str, network: checkpoint.Network, notes: list[str]) -> dict[str, Tensor]:
    config: Any = network.config
    family, kind = kind_of(config)
    if family not in _CLASSES:
        raise ConvertError(f"it is of the family {family}")
    _refuse_sizes(config)
    function = f"{_CLASSES[family]}{kind}"
    assumed = {**genforce.ASSUMED[function], **_told(config)}
    template = Network(role, FORM.id, {"build_func_name": function, "variables": [], "assumed": assumed}, {})
    table = known_kind(template).table(template, config)
    stored = dict(_stored(family, kind, config))
    order = [*(table.source_name(name)[0] for name in network.state_dict), *stored]
    tensors = table.export_tensors(network.state_dict, {**originals(network), **stored}, order)
    note_rounded(role, table, network, tensors, notes)
    written = Network(role, FORM.id, {**template.header, "variables": order}, tensors)
    refuse_others(config, known_kind(written).config(written))
    note_clamp(role, config, notes)
    _tell(role, function, assumed, notes)
    return tensors


def _refuse_sizes(config: Any) -> None:
    """Refuse what a file could hold, but no constructor of theirs makes."""
    base, first = channel_base(config.channels, config.img_resolution), config.channels[0]
    if isinstance(config, stylegan2.GeneratorConfig) and config.architecture == "resnet":
        raise ConvertError("its architecture is resnet, which that program can't make a generator with")
    if getattr(config, "const_channels", first) != first:
        raise ConvertError(f"its constant has {config.const_channels} feature maps, its first level {first}")
    if getattr(config, "fc_dim", first) not in (first, min(base // 2, max(config.channels))):
        raise ConvertError(f"its first dense layer is {config.fc_dim} wide, its last level {first}")
    if getattr(config, "resample_filter", USUAL_TAPS) != USUAL_TAPS:
        raise ConvertError(f"its filter is {list(config.resample_filter)}, not {list(USUAL_TAPS)}")


def _told(config: Any) -> dict[str, Any]:
    if isinstance(config, progan.GeneratorConfig):
        return {"label_size": config.c_dim}
    fields = {"mbstd_group_size": "mbstd_group_size", "fused_scale": "pool_first"}
    return {name: getattr(config, field) for name, field in fields.items() if hasattr(config, field)}


def _stored(family: str, kind: str, config: Any) -> Iterator[tuple[str, Tensor]]:
    """Yield what those networks store besides our tensors: the growing state, and the filter of every resampling."""
    levels = range(1, len(config.channels))
    if family != "stylegan2":
        yield ("synthesis.lod" if (family, kind) == ("stylegan1", "Generator") else "lod"), torch.tensor(config.lod)
    if family == "stylegan1" and config.blur_filter:
        for level in levels:
            up, width = kind == "Generator", config.channels[level]
            name = f"synthesis.layer{2 * level}" if up else f"layer{2 * (len(levels) - level) + 1}"
            yield f"{name}.blur.kernel", expanded_filter(config.blur_filter, width)
    if family == "stylegan2" and kind == "Generator":
        kernel = expanded_filter(config.resample_filter, 1, gain=4)
        for level in levels:
            yield f"synthesis.layer{2 * level - 1}.filter.kernel", kernel
        if config.architecture == "skip":
            yield "synthesis.upsample.kernel", kernel
    if family == "stylegan2" and kind == "Discriminator":
        kernel = expanded_filter(config.resample_filter, 1)
        for block in range(len(levels)):
            yield f"layer{2 * block + 1}.filter.kernel", kernel
            if config.architecture == "resnet":
                yield f"skip_layer{block}.filter.kernel", kernel
        if config.architecture == "skip":
            yield "downsample.kernel", kernel
