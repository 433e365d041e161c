"""Headers of mmgeneration's networks."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, TypedDict, cast

from converter import header

if TYPE_CHECKING:
    from converter.foreign import ForeignNetwork


class Assumed(TypedDict):
    """What files don't say: the order of the channels of pictures."""

    channel_order: Literal["bgr", "rgb"]


class Header(header.Header):
    """What a network's header says."""

    assumed: Assumed


def header_of(network: ForeignNetwork) -> Header:
    """Return the header of a network of this form."""
    return cast(Header, network.header)
