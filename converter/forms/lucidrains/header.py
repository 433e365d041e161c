"""Headers of stylegan2-pytorch's networks."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypedDict, cast

from converter import header

if TYPE_CHECKING:
    from converter.foreign import ForeignNetwork


class Assumed(TypedDict):
    """What files don't say: the number by which the mapping network's weights and biases are multiplied."""

    lr_multiplier: float


class Header(header.Header):
    """What a network's header says.

    mapping, synthesis: what the program calls the two parts of the generator: S and G, or SE and GE.
    """

    mapping: str
    synthesis: str
    assumed: Assumed


def header_of(network: ForeignNetwork) -> Header:
    """Return the header of a network of this form."""
    return cast(Header, network.header)
