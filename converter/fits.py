"""What the writers of other programs' forms share: does a form hold a network, or would it be read as another one?"""

from __future__ import annotations

import dataclasses
import json
from typing import Any

from converter.errors import ConvertError
from stylegan_torch import stylegan2
from stylegan_torch.checkpoint import Network
from stylegan_torch.layers import resolutions

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
            raise ConvertError(f"its {name} is {json.dumps(value)}, and there only {json.dumps(after.get(name))}")


def _essential(config: Any) -> dict[str, Any]:
    fields = {name: value for name, value in dataclasses.asdict(config).items() if name not in _FREE}
    if "epilogue_activation" in fields and fields["epilogue_activation"] is None:
        fields["epilogue_activation"] = config.activation
    mapping = fields.pop("mapping", None)
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
    high = max(channels)
    levels = list(zip(channels, resolutions(img_resolution), strict=True))
    base = -(-max(count * side for count, side in levels) // step) * step
    if any(min(base // side, high) != count for count, side in levels):
        raise ConvertError(f"its levels have {list(channels)} feature maps, and there they halve from level to level")
    return base


def styles_around_0(role: str, network: Network, notes: list[str]) -> Network:
    """Return a network whose style biases lack the 1 that a form's reader adds; notes what does not survive that."""
    config = network.config
    if not isinstance(config, stylegan2.GeneratorConfig) or config.style_bias:
        return network
    biases = {name: value for name, value in network.state_dict.items() if name.endswith("affine.bias")}
    shifted = {name: value - 1 for name, value in biases.items()}
    rounded = sum(int((shifted[name] + 1 != value).sum()) for name, value in biases.items())
    if rounded:
        notes.append(f"the last digit of {rounded} style biases of {role} is rounded: they are stored less 1 there")
    return Network(dataclasses.replace(config, style_bias=1.0), network.state_dict | shifted)


def note_clamp(role: str, config: Any, notes: list[str]) -> None:
    """Tell of a limit on activations that a form has no place for."""
    if getattr(config, "conv_clamp", None) is not None:
        notes.append(f"that form has no limit on activations, which is ±{config.conv_clamp:g} in {role}")
