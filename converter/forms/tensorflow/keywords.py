"""What the TensorFlow releases share: feature maps, growing state, components (docs/spec/TF.md 0, 1.1, 4.3)."""

from __future__ import annotations

import math
import re
from typing import TypedDict

import numpy as np
import torch

from converter.errors import ConvertError
from converter.foreign import ForeignNetwork, Header, Keywords
from converter.forms.dump import all_variables
from converter.forms.tensorflow.header import TFHeader, header_of
from converter.table import Kept
from stylegan_torch.networks.layers import log2_resolution


def feature_maps(kw: Keywords, stage: int, low: int = 0) -> int:
    """Return the channel count of a stage: fmap_base / 2^(stage · fmap_decay), truncated, then limited.

    Args:
        kw: has fmap_base, fmap_decay and fmap_max.
        stage: 0, 1, …
        low: fmap_min, for the releases that have it; fmap_max wins over it.

    Raises:
        ConvertError: if no channels are left.
    """
    base, decay, high = kw.number("fmap_base"), kw.number("fmap_decay"), kw.integer("fmap_max", 1)
    try:
        count = min(max(int(base / math.pow(2.0, stage * decay)), low), high)
    except (OverflowError, ZeroDivisionError):
        count = high
    if count < 1:
        raise ConvertError(f"{kw.function}: keywords fmap_base, fmap_decay, fmap_max leave stage {stage} no channels")
    return count


def level_channels(kw: Keywords, resolution: int, low: int = 0) -> tuple[int, ...]:
    """Return the channel counts of the levels 4², 8², … up to `resolution`."""
    return tuple(feature_maps(kw, level - 1, low) for level in range(2, log2_resolution(resolution) + 1))


def level_names(header: Header) -> list[str]:
    """Return what names the levels of a network in its variables, such as "8x8", coarsest first."""
    names = (f"/{name}" for name in all_variables(header))
    found = {match.groups() for name in names for match in re.finditer(r"/(\d{1,5})x(\d{1,5})(?=/)", name)}
    return ["x".join(sides) for sides in sorted(found, key=lambda sides: int(sides[0]) * int(sides[1]))]


def picture_side(network: ForeignNetwork, kw: Keywords) -> int:
    """Return the keyword `resolution`; where a file lacks it, what its variables say, never what a program assumes.

    Raises:
        ConvertError: if neither says it.
    """
    if kw.get("resolution") is not None:
        return kw.resolution("resolution")
    levels = level_names(network.header)
    if not levels:
        raise ConvertError(f"{kw.function}: neither a keyword nor a variable tells the resolution")
    return 2 << len(levels)


class Growing(TypedDict):
    """Config fields of a progressively grown network."""

    growing: bool
    lod: float


NOT_GROWN: Growing = {"growing": True, "lod": 0.0}
"""Those fields of other networks."""


def growing_state(network: ForeignNetwork, kw: Keywords, variable: str = "lod") -> Growing:
    """Return the config fields `growing` and `lod` of a progressively grown network."""
    structure = kw.choice("structure", None, "auto", "linear", "recursive", "fixed")
    lod = network.tensors.get(variable)
    return {"growing": structure != "fixed", "lod": 0.0 if lod is None or lod.numel() != 1 else float(lod)}


def kept_lod(lod: float, *names: str) -> list[Kept]:
    """Carry the growing state, whose value the config has: that of the whole network overrides the synthesis's own."""
    return [Kept("|".join(map(re.escape, names)), default=lambda _: torch.tensor(np.float32(lod)))]


def component(network: ForeignNetwork, key: str, functions: tuple[str, ...]) -> TFHeader:
    """Return the header of a generator's component.

    Raises:
        ConvertError: if it is absent or built by an unknown function.
    """
    whole = header_of(network)
    header = whole["components"].get(key)
    if header is None:
        raise ConvertError(f"{whole['build_func_name']} has no component {key}")
    if header["build_func_name"] not in functions:
        raise ConvertError(f"component {key} has the unknown build function {header['build_func_name']}")
    return header
