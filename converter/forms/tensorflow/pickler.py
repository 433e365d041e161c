"""Writer of official TensorFlow pickles (docs/spec/TF.md 1.1); source text only where the networks bring it along."""

from __future__ import annotations

import hashlib
import pickle
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from types import BuiltinFunctionType
from typing import IO

import torch

from converter.foreign import ForeignNetwork, Keywords
from converter.forms.fit import originals
from converter.forms.tensorflow import TF
from converter.forms.tensorflow.header import TFHeader, bare_header, header_of
from converter.translate import export_network, known_kind
from stylegan_torch.files import checkpoint
from stylegan_torch.networks.layers import log2_resolution
from stylegan_torch.networks.registry import build, shapes, tensors_of

_NUMPY = ("numpy.core.multiarray", "numpy._core.multiarray")  # what numpy 1 and 2 call it
_STATE_KEYS = ("version", "name", "static_kwargs", "components", "build_module_src", "build_func_name", "variables")


class _Object:
    """A network object of the original program; pickled by the name of a class that need not exist here."""

    def __init__(self, cls: str, state: dict[str, object]) -> None:
        self.cls = cls
        self.state = state


class _Class:
    """A class reference in a pickle."""

    def __init__(self, path: str) -> None:
        self.module, _, self.name = path.rpartition(".")


class _Pickler(pickle._Pickler):
    """Writes `_Object` and `_Class` as what they stand for, numpy's functions by names that old releases have too."""

    write: Callable[[bytes], object]

    def save(self, obj: object, save_persistent_id: bool = True) -> None:
        """Write one object."""
        if isinstance(obj, _Class):
            self.write(pickle.GLOBAL + f"{obj.module}\n{obj.name}\n".encode())
        elif isinstance(obj, _Object):
            self.save(_Class(obj.cls))
            self.write(pickle.EMPTY_TUPLE + pickle.NEWOBJ)
            self.save(obj.state)
            self.write(pickle.BUILD)
        elif isinstance(obj, BuiltinFunctionType) and obj.__module__ in _NUMPY:
            self.save(_Class(f"{_NUMPY[0]}.{obj.__name__}"))
        else:
            super().save(obj, save_persistent_id)  # type: ignore[misc]


def write_pickle(path: Path, networks: Sequence[ForeignNetwork]) -> None:
    """Write networks of TensorFlow's form, usually (G, D, Gs), as one official pickle of protocol 4."""
    with path.open("wb") as file:
        dump_networks(file, networks)


def dump_networks(file: IO[bytes], networks: Sequence[ForeignNetwork]) -> None:
    """Write what `write_pickle` does to an open file."""
    _Pickler(file, protocol=4).dump(tuple(_object(header_of(network), "", network) for network in networks))


def carrying(network: ForeignNetwork, code: str) -> ForeignNetwork:
    """Return a network of TensorFlow's form that brings the source text of its build functions along."""
    sha256 = hashlib.sha256(code.encode()).hexdigest()
    return replace(network, header=_with_source(header_of(network), sha256), code={sha256: code})


def _with_source(header: TFHeader, sha256: str) -> TFHeader:
    parts = {key: _with_source(part, sha256) for key, part in header["components"].items()}
    return {**header, "source_sha256": sha256, "components": parts}


def _object(header: TFHeader, prefix: str, network: ForeignNetwork) -> _Object:
    parts = header["components"]
    values: dict[str, object] = {
        **header,
        "build_module_src": network.code.get(header.get("source_sha256") or "", ""),
        "components": {key: _object(part, f"{part['name']}/", network) for key, part in parts.items()},
        "variables": [(name, _value(network.tensors[prefix + name])) for name in header["variables"]],
    }
    keys = [*_STATE_KEYS, *(key for key in header if key.startswith(("input_", "output_")))]
    return _Object(header["class"], {key: values[key] for key in keys})


def _value(tensor: torch.Tensor) -> object:
    array = tensor.numpy()
    return array if array.ndim else array[()]


def fresh_network(
    role: str,
    name: str,
    function: str,
    keywords: Mapping[str, object],
    *,
    components: Iterable[tuple[str, str]] = (),
    finish: Callable[[torch.nn.Module], object] = lambda module: None,
) -> ForeignNetwork:
    """Return a freshly initialised StyleGAN2 network as the TensorFlow release would have saved it.

    Args:
        role: "G_ema", "G" or "D".
        name: the name in the file, such as "Gs".
        function: build function, such as "G_main".
        keywords: its static keywords.
        components: (key, build function) of a generator's parts.
        finish: may change the weights, which come from torch's global generator.
    """
    template = ForeignNetwork(role, TF.id, network_header(name, function, keywords, components=components), {})
    config = known_kind(template).config(template)
    module = build(config)
    finish(module)
    lods = ["lod"] if function == "G_main" else []  # of no use here, but made by StyleGAN2's G_main
    return official_network(template, checkpoint.StoredNetwork(config, tensors_of(module)), lods)


def network_header(
    name: str, function: str, keywords: Mapping[str, object], *, components: Iterable[tuple[str, str]] = ()
) -> TFHeader:
    """Return the header of a StyleGAN2 network without variables; arguments as of `fresh_network`."""
    levels = log2_resolution(Keywords(function, {"resolution": None}, dict(keywords)).resolution("resolution"))
    own: dict[str, dict[str, object]] = {"mapping": {"dlatent_broadcast": 2 * levels - 2}}
    parts = {key: bare_header(f"G_{key}", part, {**keywords, **own.get(key, {})}) for key, part in components}
    return bare_header(name, function, dict(keywords), components=parts)


def official_network(
    template: ForeignNetwork, ours: checkpoint.StoredNetwork, more: Iterable[str] = ()
) -> ForeignNetwork:
    """Return the network that a header without variables and a network of ours describe.

    Args:
        template: has the header.
        ours: has the tensors; its config is what the header says.
        more: variables that are not ours, such as "lod".
    """
    header, config = header_of(template), known_kind(template).config(template)
    table = known_kind(template).table(template, config)
    parts: dict[str, TFHeader] = {key: {**part, "variables": []} for key, part in header["components"].items()}
    variables = list(more)
    for name in shapes(config):
        theirs, _ = table.source_name(name)
        owner = next((part for part in parts.values() if theirs.startswith(f"{part['name']}/")), None)
        if owner is None:
            variables.append(theirs)
        else:
            owner["variables"].append(theirs.removeprefix(f"{owner['name']}/"))
    record = {"form": template.form, **header, "variables": variables, "components": parts}
    return export_network(
        template.role, checkpoint.StoredNetwork(config, ours.state_dict, originals(ours, table)), record
    )
