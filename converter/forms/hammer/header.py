"""Headers of Hammer's networks."""

from __future__ import annotations

from typing import NotRequired, TypedDict

from converter import header


class Assumed(TypedDict):
    """What files don't say: the side from which enlargement and convolution are one, with kernels stored rotated."""

    fused_from: NotRequired[int]


class Header(header.Header):
    """What a network's header says."""

    assumed: Assumed
