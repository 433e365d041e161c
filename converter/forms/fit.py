"""What the writers of other programs' forms share: does a form hold a network, or would it be read as another one?"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from torch import Tensor

from converter.errors import ConvertError
from converter.table import Table
from stylegan_torch.files.checkpoint import Network
from stylegan_torch.networks import stylegan2

_FREE = {
    "truncation_psi",
    "truncation_cutoff",
    "official_noise",
    "num_fp16_res",
    "equalized_modulation",
    "clamp_last_fromrgb",
    "conv_clamp",
}
"""Fields that change no picture beyond rounding, or that writers tell of (conv_clamp)."""


def refuse_others(wanted: Any, read: Any) -> None:
    """Raise ConvertError unless a form is read as the network it was written from.

    Args:
        wanted: the config of the network.
        read: the config that its reader makes of what was written.
    """
    if type(wanted) is not type(read):
        raise ConvertError("that form holds another family")
    after = _essential(read)
    for name, value in _essential(wanted).items():
        if value != after.get(name):
            raise ConvertError(f"its {name} is {_short(value)}, and there only {_short(after.get(name))}")


def _short(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:g}"
    return f"[{', '.join(map(_short, value))}]" if isinstance(value, list | tuple) else json.dumps(value)


def _essential(config: Any) -> dict[str, Any]:
    fields = {name: value for name, value in dataclasses.asdict(config).items() if name not in _FREE}
    if "epilogue_activation" in fields and fields["epilogue_activation"] is None:
        fields["epilogue_activation"] = config.activation
    mapping = fields.pop("mapping", None)
    if mapping and "w_avg_beta" in mapping:
        mapping["w_avg"] = mapping.pop("w_avg_beta") is not None
    if mapping and not mapping["c_dim"]:
        mapping = {name: value for name, value in mapping.items() if name not in ("labels", "embed_dim")}
    if mapping and not mapping["num_layers"]:
        mapping = {name: value for name, value in mapping.items() if name not in ("lr_multiplier", "layer_dim")}
    return fields | {f"mapping.{name}": value for name, value in (mapping or {}).items()}


def channel_base(channels: tuple[int, ...], img_resolution: int, step: int = 1) -> int:
    """Return the number, a multiple of `step`, from which programs work out feature maps: min(base // side, highest).

    Raises:
        ConvertError: if there is none.
    """
    base = stylegan2.channel_base(channels, img_resolution, step)
    if base is None:
        raise ConvertError(f"its levels have {list(channels)} feature maps, and there min(base // side, highest)")
    return base


def originals(network: Network) -> dict[str, Tensor]:
    """Return what a network keeps of tensors that its own form stores otherwise, by our names."""
    return {name: value for name, value in network.source.items() if name in network.state_dict}


def note_rounded(role: str, table: Table, network: Network, tensors: dict[str, Tensor], notes: list[str]) -> None:
    """Tell of style biases that a form stores less 1, where that takes their last digit."""
    rows = {name: (value, *table.source_name(name)) for name, value in network.state_dict.items()}
    lost = sum(
        int((transform.to_ours(tensors[theirs]) != value).sum())
        for value, theirs, transform in rows.values()
        if transform.rounds
    )
    if lost:
        notes.append(f"the last digit of {lost} style biases of {role} is rounded: that form stores them less 1")


@contextmanager
def placing(role: str, format: str) -> Iterator[None]:
    """Say of errors that a network has no place in a format, and how to leave it out."""
    hint = "; --networks g_ema leaves it out" if role == "D" and format != "nvidia" else ""
    try:
        yield
    except ConvertError as error:
        raise ConvertError(f"network {role} has no place in format {format}: {error}{hint}") from error


def note_clamp(role: str, config: Any, notes: list[str]) -> None:
    """Tell of a limit on activations that a form has no place for."""
    if getattr(config, "conv_clamp", None) is not None:
        limit = f"±{config.conv_clamp:g}"
        notes.append(f"that form lacks the limit of {limit} on activations of {role}: images that reach it change")
