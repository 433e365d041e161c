"""Reader of the official TensorFlow pickles and of Theano-era ProGAN's (docs/spec/TF.md 1).

The source text that such files carry is hashed and handed on as text, never run.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from typing import Any, cast

from torch import Tensor

from converter.contents import Contents
from converter.errors import ConvertError
from converter.foreign import ForeignFile, ForeignNetwork, mapping
from converter.forms.official_pickles import add, number, source_hash
from converter.forms.tensorflow import TF
from converter.forms.tensorflow.header import Interface, TFHeader
from converter.forms.tensorflow.theano import network_from_theano
from converter.safe.stand_ins import to_tensor
from converter.safe.unpickler import Names
from stylegan_torch.files.plain_json import plain, text


class TFNetwork:
    """Stands for the network object of a TensorFlow or Theano release."""

    def __init__(self, module: str) -> None:
        self.module = module
        self.state: dict[str, Any] = {}

    def build(self, state: object) -> None:
        """Take the state."""
        if not isinstance(state, dict):
            raise TypeError("state")
        self.state = state


def _tf_class(module: str) -> Callable[[], TFNetwork]:
    return lambda: TFNetwork(module)


def names() -> Names:
    """Return the classes of the networks in such pickles."""
    return {(module, "Network"): _tf_class(module) for module in ("dnnlib.tflib.network", "tfutil", "network")}


def read(contents: Contents) -> ForeignFile | None:
    """Return the networks of a pickle; None if it is not of this kind.

    Official files are (G, D, Gs), old ones also Gs alone. What others put beside them (encoders, clones, numbers) is
    passed over.
    """
    objects = list({id(item): item for _, item in contents.of(TFNetwork)}.values())
    if not objects:
        return None
    known = [item for item in objects if _function(item)[:2] in ("G_", "D_")]
    notes = [
        f"a network of the build function {_function(item)[:60]} passed over" for item in objects if item not in known
    ]
    generators = [item for item in known if _function(item).startswith("G")]
    if not known:
        raise ConvertError(f"holds no generator; its networks are of {', '.join(_function(o)[:60] for o in objects)}")
    averaged = next(
        (item for item in reversed(generators) if item.state.get("name") == "Gs"), (generators or [None])[-1]
    )
    chosen = {
        "G": next((item for item in generators if item is not averaged), None),
        "G_ema": averaged,
        "D": next((item for item in known if item not in generators), None),
    }
    networks = {role: replace(_network(item), role=role) for role, item in chosen.items() if item is not None}
    if len(networks) < len(known):
        notes.append(f"{len(known) - len(networks)} more networks of the same kinds passed over")
    return ForeignFile(networks, notes=tuple(notes))


def _function(item: TFNetwork) -> str:
    spec = item.state.get("build_func_spec")
    named = spec.get("func") if isinstance(spec, dict) else item.state.get("build_func_name")
    return named if isinstance(named, str) else ""


def _network(item: TFNetwork) -> ForeignNetwork:
    if "build_func_spec" in item.state:
        return network_from_theano(item.state, source_hash(item.state.get("build_module_src")))
    tensors: dict[str, Tensor] = {}
    code: dict[str, str] = {}
    header = _header(item, "", tensors, code, [])
    return ForeignNetwork("", TF.id, header, tensors, code)


def _header(
    item: object, prefix: str, tensors: dict[str, Tensor], code: dict[str, str], seen: list[TFNetwork], depth: int = 0
) -> TFHeader:
    if not isinstance(item, TFNetwork) or depth > 1:
        raise ConvertError("holds a network whose components are no networks")
    if any(item is other for other in seen):
        raise ConvertError("holds one network in two places")
    seen.append(item)
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
    interface = {key: plain(state[key], key) for key in Interface.__annotations__ if key in state}
    components = mapping(state.get("components") or {}, "components")
    return {
        "class": f"{item.module}.Network",
        "version": plain(state.get("version"), "version"),
        "name": _scope(state["name"]),
        "build_func_name": text(state["build_func_name"], "build_func_name"),
        "static_kwargs": plain(mapping(state["static_kwargs"], "static_kwargs"), "static_kwargs", number),
        "variables": names,
        "source_sha256": source_hash(state.get("build_module_src"), code),
        **cast(Interface, interface),
        "components": {
            str(key): _header(part, f"{getattr(part, 'state', {}).get('name')}/", tensors, code, seen, depth + 1)
            for key, part in components.items()
        },
    }


def _scope(value: object) -> str:
    name = text(value, "name of a network")
    if not re.fullmatch(r"[\w.-]+", name):
        raise ConvertError(f"holds a network with the improper name {name!r}")
    return name
