"""Headers of networks of the TensorFlow releases, and of ProGAN's in Theano (docs/spec/TF.md 1.1, 1.6)."""

from __future__ import annotations

from typing import TYPE_CHECKING, NotRequired, TypedDict, cast

from converter import header

if TYPE_CHECKING:
    from converter.foreign import ForeignNetwork

_Class = TypedDict("_Class", {"class": str})
"""The class of the original object; a class body has no place for a field of that name."""


class BuiltHeader(header.Header):
    """What both eras say.

    static_kwargs: keywords of the build function.
    source_sha256: of the source text that the file carries; None if it has none.
    """

    static_kwargs: dict[str, object]
    source_sha256: NotRequired[str | None]


class Interface(TypedDict):
    """What some releases say of a network's inputs and outputs."""

    input_shapes: NotRequired[object]
    output_shapes: NotRequired[object]
    input_names: NotRequired[object]
    output_names: NotRequired[object]


class TFHeader(BuiltHeader, Interface, _Class):
    """A network of TensorFlow's.

    version: of the object's state.
    name: its scope, such as "Gs".
    components: a generator's networks by key, such as "synthesis"; their variables lack the scope.
    """

    version: object
    name: str
    components: dict[str, TFHeader]


class TheanoHeader(BuiltHeader):
    """A network of Theano's.

    build_func_spec: `static_kwargs` as they were stored.
    toplevel_params: those of the variables that have names in the file.
    """

    build_func_spec: dict[str, object]
    toplevel_params: list[str]


def bare_header(
    name: str, function: str, keywords: dict[str, object], *, components: dict[str, TFHeader] | None = None
) -> TFHeader:
    """Return the header of a network without variables, as StyleGAN2's release would write it."""
    return {
        "class": "dnnlib.tflib.network.Network",
        "version": 4,
        "name": name,
        "build_func_name": function,
        "static_kwargs": keywords,
        "variables": [],
        "components": components or {},
    }


def header_of(network: ForeignNetwork) -> TFHeader:
    """Return the header of a network of TensorFlow's."""
    return cast(TFHeader, network.header)


def built_header_of(network: ForeignNetwork) -> BuiltHeader:
    """Return the header of a network of either era."""
    return cast(BuiltHeader, network.header)
