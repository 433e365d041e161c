"""Headers of pytorch_GAN_zoo's networks."""

from __future__ import annotations

from typing import TYPE_CHECKING, NotRequired, TypedDict, cast

from converter import header

if TYPE_CHECKING:
    from converter.foreign import ForeignNetwork


class Assumed(TypedDict):
    """What files without settings don't say: alpha."""

    alpha: float


class Header(header.Header):
    """What a network's header says.

    alpha: the share of the level below in a picture, 0 when the finest one is grown.
    """

    alpha: NotRequired[float]
    assumed: NotRequired[Assumed]


def header_of(network: ForeignNetwork) -> Header:
    """Return the header of a network of this form."""
    return cast(Header, network.header)
