"""Headers of genforce's networks."""

from __future__ import annotations

from typing import TYPE_CHECKING, NotRequired, TypedDict, cast

from converter import header

if TYPE_CHECKING:
    from converter.foreign import ForeignNetwork


class Assumed(TypedDict):
    """What files don't say.

    label_size: how many inputs of the first layer are labels, by the discriminator in the same file.
    fused_kernels: whether kernels of enlargements are [in, out, k, k], which shows unless all widths are the same.
    fused_from: the side from which enlargement and convolution are one, whose kernels are then stored rotated.
    fused_scale: whether the convolutions of a discriminator that shrink do so before bias and activation.
    """

    mbstd_group_size: NotRequired[int | None]
    fused_from: NotRequired[int]
    label_size: NotRequired[int]
    fused_kernels: NotRequired[bool]
    fused_scale: NotRequired[bool]


class Header(header.Header):
    """What a network's header says."""

    assumed: Assumed


def header_of(network: ForeignNetwork) -> Header:
    """Return the header of a network of this form."""
    return cast(Header, network.header)
