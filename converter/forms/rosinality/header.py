"""Headers of style-based-gan-pytorch's networks."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypedDict, cast

from converter import header

if TYPE_CHECKING:
    from converter.foreign import ForeignNetwork


class Assumed(TypedDict):
    """What files don't say: the side that was trained."""

    img_resolution: int


class StyleGAN1Header(header.Header):
    """What a network's header says."""

    assumed: Assumed


def header_of(network: ForeignNetwork) -> StyleGAN1Header:
    """Return the header of a network of this form."""
    return cast(StyleGAN1Header, network.header)
