"""Reader of the official TensorFlow pickles and of Theano-era ProGAN's (docs/spec/TF.md 1).

The source text that such files carry is hashed and handed on as text, never run.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import replace
from typing import Any

from torch import Tensor

from converter.errors import ConvertError
from converter.foreign import Header, Network, Source, mapping
from converter.forms.official_pickles import add, number, source_hash
from converter.forms.tensorflow import TF
from converter.forms.tensorflow.theano import network_from_theano
from converter.safe.stand_ins import to_tensor
from converter.safe.unpickler import Names
from stylegan_torch.files.plain_json import plain, text


class TFNetwork:
    """Stands for the network object of a TensorFlow or Theano release."""

    def __init__(self, module: str) -> None:
        self.module = module
        self.state: dict[str, Any] = {}
        self.read = False

    def build(self, state: Any) -> None:
        """Take the state."""
        if not isinstance(state, dict):
            raise TypeError("state")
        self.state = state


def _tf_class(module: str) -> Any:
    return lambda: TFNetwork(module)


def names() -> Names:
    """Return the classes of the networks in such pickles."""
    return {(module, "Network"): _tf_class(module) for module in ("dnnlib.tflib.network", "tfutil", "network")}


def read(top: Any) -> Source | None:
    """Return the networks of a pickle; None if it is not of this kind."""
    objects = top if isinstance(top, tuple | list) else [top]
    if not objects or not all(isinstance(item, TFNetwork) for item in objects):
        return None
    return Source(_networks(objects))


def _networks(objects: Iterable[TFNetwork]) -> dict[str, Network]:
    networks = []
    for item in objects:
        if "build_func_spec" in item.state:
            networks.append(network_from_theano(item.state, source_hash(item.state.get("build_module_src"))))
        else:
            tensors: dict[str, Tensor] = {}
            code: dict[str, str] = {}
            header = _header(item, "", tensors, code)
            networks.append(Network("", TF.id, header, tensors, code))
    generators = [net for net in networks if net.header["build_func_name"].startswith("G")]
    others = [net for net in networks if not net.header["build_func_name"].startswith("G")]
    if len(generators) > 2 or len(others) > 1:
        raise ConvertError(f"holds {len(generators)} generators and {len(others)} other networks; expected G, D and Gs")
    named = dict(zip(["G", "G_ema"] if len(generators) == 2 else ["G_ema"], generators, strict=False))
    named.update(zip(["D"], others, strict=False))
    return {role: replace(net, role=role) for role, net in named.items()}


def _header(item: Any, prefix: str, tensors: dict[str, Tensor], code: dict[str, str], depth: int = 0) -> Header:
    if not isinstance(item, TFNetwork) or depth > 1:
        raise ConvertError("holds a network whose components are no networks")
    if item.read:
        raise ConvertError("holds one network in two places")
    item.read = True
    state = item.state
    missing = [key for key in ("name", "static_kwargs", "build_func_name", "variables") if key not in state]
    if missing:
        raise ConvertError(f"holds a network without {missing[0]}")
    variables, names = state["variables"], []
    if not isinstance(variables, list) or not all(isinstance(item, tuple) and len(item) == 2 for item in variables):
        raise ConvertError("holds a network whose variables are no list of names and values")
    for name, value in variables:
        names.append(text(name, "name of a variable"))
        add(tensors, prefix + name, to_tensor(value, prefix + name))
    header: Header = {
        "class": f"{item.module}.Network",
        "version": plain(state.get("version"), "version"),
        "name": _scope(state["name"]),
        "build_func_name": text(state["build_func_name"], "build_func_name"),
        "static_kwargs": plain(mapping(state["static_kwargs"], "static_kwargs"), "static_kwargs", number),
        "variables": names,
        "source_sha256": source_hash(state.get("build_module_src"), code),
    }
    header |= {
        key: plain(state[key], key)
        for key in ("input_shapes", "output_shapes", "input_names", "output_names")
        if key in state
    }
    components = mapping(state.get("components") or {}, "components")
    header["components"] = {
        str(key): _header(part, f"{getattr(part, 'state', {}).get('name')}/", tensors, code, depth + 1)
        for key, part in components.items()
    }
    return header


def _scope(value: Any) -> str:
    name = text(value, "name of a network")
    if not re.fullmatch(r"[\w.-]+", name):
        raise ConvertError(f"holds a network with the improper name {name!r}")
    return name
