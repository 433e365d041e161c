"""Writer of Hammer files: generators of StyleGAN and StyleGAN2 (docs/spec/COMMUNITY.md 11)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import IO

import torch
from torch import Tensor

from converter.errors import ConvertError
from converter.foreign import ForeignNetwork
from converter.form import Options, Written
from converter.forms.fit import channel_base, made_anew, networks_in
from converter.forms.hammer import FORM
from converter.forms.hammer.header import Header
from converter.forms.hammer.read import ASSUMED, notes
from converter.forms.state_dict import USUAL_TAPS, Tensors, writer_of
from stylegan_torch.files.checkpoint import Checkpoint, StoredNetwork
from stylegan_torch.networks import stylegan1, stylegan2
from stylegan_torch.networks.layers import make_filter
from stylegan_torch.networks.registry import kind_of

_KEYS = {"G": "generator", "G_ema": "generator_smooth"}
_Held = stylegan1.GeneratorConfig | stylegan2.GeneratorConfig
"""Configs of what the form holds."""


def to_hammer(checkpoint: Checkpoint) -> tuple[dict[str, dict[str, Tensors]], list[str]]:
    """Return the content of a file, and notes on what is not as it was.

    Networks that came from such a file get their tensors back bit for bit.

    Raises:
        ConvertError: saying why the form cannot hold a network.
    """
    said: list[str] = []
    networks = {made.role: made for made in networks_in(FORM, checkpoint, _anew, notes=said, roles=_KEYS)}
    return {"models": {_KEYS[role]: made.tensors for role, made in networks.items()}}, [*said, *notes(networks)]


def write(file: IO[bytes], checkpoint: Checkpoint, options: Options) -> Written:
    """Write the generators; arguments as of `Writer`."""
    generators = {role: network for role, network in checkpoint.networks.items() if role in _KEYS}
    if not generators:
        raise ConvertError("format hammer needs a generator")
    left_out = ["D is left out: what Hammer calls its tensors is not known here"] if "D" in checkpoint.networks else []
    written = writer_of(to_hammer)(file, Checkpoint(generators, checkpoint.provenance), options)
    return Written(written.checkpoint, [*left_out, *written.notes])


def _anew(role: str, network: StoredNetwork, said: list[str]) -> ForeignNetwork:
    config = network.config
    if not isinstance(config, _Held):
        raise ConvertError(f"it is of the family {kind_of(config)[0]}")
    channel_base(config.channels, config.img_resolution)
    function = "StyleGAN2Generator" if isinstance(config, stylegan2.GeneratorConfig) else "StyleGANGenerator"
    if isinstance(config, stylegan2.GeneratorConfig):
        _refuse_others(config)
    header: Header = {"build_func_name": function, "variables": [], "assumed": ASSUMED[function]}
    return made_anew(ForeignNetwork(role, FORM.id, header, {}), network, said, stored=dict(_stored(config)))


def _refuse_others(config: stylegan2.GeneratorConfig) -> None:
    """Refuse what a file could hold, but is known of no file."""
    if config.architecture != "skip":
        raise ConvertError(f"its architecture is {config.architecture}, not skip")
    if config.const_channels != config.channels[0]:
        first = config.channels[0]
        raise ConvertError(f"its constant has {config.const_channels} feature maps, its first level {first}")
    if config.resample_filter != USUAL_TAPS:
        raise ConvertError(f"its filter is {list(config.resample_filter)}, not {list(USUAL_TAPS)}")


def _stored(config: _Held) -> Iterator[tuple[str, Tensor]]:
    """Yield what those networks store besides our tensors: filters, and StyleGAN's growing state."""
    levels = range(1, len(config.channels))
    if isinstance(config, stylegan2.GeneratorConfig):
        yield "synthesis.filter", make_filter(config.resample_filter)
        for level in levels:
            yield f"synthesis.layer{2 * level - 1}.filter", make_filter(config.resample_filter)
    else:
        yield "synthesis.lod", torch.tensor(config.lod)
        for level in levels if config.blur_filter else ():
            yield f"synthesis.layer{2 * level}.filter", make_filter(config.blur_filter or ())[None, None]
