"""Network bending (Broad et al. 2021): features of layers are moved, turned, enlarged or multiplied on their way on."""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import partial

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from stylegan_torch.editing.composition import Bend, Composition, channel_numbers, parse_bend
from stylegan_torch.errors import StyleGANError
from stylegan_torch.networks import stylegan3
from stylegan_torch.networks.interface import Generator
from stylegan_torch.networks.layers import feature_layers, with_part

__all__ = ["Bend", "BendError", "bend", "bent", "parse_bend"]


class BendError(StyleGANError):
    """A network cannot be bent so."""


def bend(G: Generator, bends: Sequence[Bend]) -> Generator:
    """Return a generator some of whose layers' features are changed, in order; it has the parameters of `G`.

    Args:
        G: a generator with W, in any form; it is left as it is.
        bends: what is done.

    Raises:
        BendError: if there is no such layer. That there is no such channel is only known when something is drawn.
    """
    for each in bends:
        layers = feature_layers(G.synthesis) if G.has_w else {}
        if each.layer not in layers:
            raise BendError(f"there is no layer {each.layer!r}; it has {', '.join(layers) or 'none that can be bent'}")
        G = with_part(G, f"synthesis.{each.layer}", partial(_hook, each))
    return G


def _hook(change: Bend, layer: nn.Module) -> None:
    layer.register_forward_hook(lambda _, __, features: bent(features, change))


def bent(features: Tensor, change: Bend) -> Tensor:
    """Return features [N, C, H, W] with a change; beyond the edges they are mirrored.

    Raises:
        BendError: if they have no such channels.
    """
    count = features.shape[1]
    some = channel_numbers(change.channels) if change.channels else list(range(count))
    if max(some, default=0) >= count:
        raise BendError(f"{change.layer} has the channels 0 to {count - 1}, not {max(some)}")
    x = features if len(some) == count else features[:, some]
    if any(change.move) or change.turn or change.zoom != 1:
        x = _sampled(x, change)
    if change.gain != 1:
        x = x * change.gain
    if len(some) == count:
        return x
    y = features.clone()
    y[:, some] = x
    return y


def _sampled(x: Tensor, change: Bend) -> Tensor:
    """Return features [N, C, H, W] moved, turned and enlarged: each sample is looked up where it comes from."""
    height, width = x.shape[2:]
    down, right = (torch.arange(size, dtype=torch.float64) - (size - 1) / 2 for size in (height, width))
    py, px = torch.meshgrid(down - change.move[1] * height, right - change.move[0] * height, indexing="ij")
    cos, sin = math.cos(math.radians(change.turn)), math.sin(math.radians(change.turn))
    from_x, from_y = (cos * px - sin * py) / change.zoom, (sin * px + cos * py) / change.zoom
    places = torch.stack([from_x * (2 / width), from_y * (2 / height)], dim=-1).to(x)
    return F.grid_sample(x, places.expand(len(x), -1, -1, -1), padding_mode="reflection", align_corners=False)


def drawer_of(G: Generator, picture: Composition) -> Generator:
    """Return a generator, in any form, as it draws a composition's latents: bent, and its images moved and turned.

    Raises:
        BendError: if there is no such layer, or its images cannot be moved.
    """
    if picture.translate is not None or picture.rotate is not None:
        if not isinstance(G.config, stylegan3.GeneratorConfig):
            raise BendError("only StyleGAN3's images can be moved and turned")
        transform = stylegan3.image_transform(picture.translate or (0.0, 0.0), picture.rotate or 0.0).to(G.device)
        G = with_part(G, "synthesis.input", lambda layer: layer.register_buffer("transform", transform))
    return bend(G, picture.bends)
