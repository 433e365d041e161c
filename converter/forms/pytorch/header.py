"""Headers of networks of the official PyTorch releases (docs/spec/TORCH.md 1 to 4)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, NotRequired, cast

from converter import header

if TYPE_CHECKING:
    from converter.foreign import ForeignNetwork

ClassName = Literal["Generator", "Discriminator"]
Repository = Literal["stylegan2-ada-pytorch", "stylegan3"]
"""Where the classes are from, which have the same names in both and other defaults."""


class Header(header.Header):
    """What a module says.

    init_args, init_kwargs: what the class was made with.
    buffers: those of the variables that are no parameters.
    source_sha256: of the source text that the file carries; None if it has none.
    """

    class_name: ClassName
    init_args: list[object]
    init_kwargs: dict[str, object]
    repository: Repository
    buffers: NotRequired[list[str]]
    source_sha256: NotRequired[str | None]


def header_of(network: ForeignNetwork) -> Header:
    """Return the header of a network of this form."""
    return cast(Header, network.header)


class StateHeader(header.Header):
    """What is made up for a state dict, which has tensors only.

    assumed: constructor arguments that its tensors don't tell.
    """

    assumed: dict[str, object]
