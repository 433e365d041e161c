"""Headers of pro_gan_pytorch's networks."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, cast

from converter import header

if TYPE_CHECKING:
    from converter.foreign import ForeignNetwork


class Header(header.Header):
    """What a network's header says.

    version: of the program.
    use_eql: whether weights are equalized.
    """

    version: Literal[2, 3]
    use_eql: bool


def header_of(network: ForeignNetwork) -> Header:
    """Return the header of a network of this form."""
    return cast(Header, network.header)
