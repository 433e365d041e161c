"""Readers of the official network pickles: TensorFlow, Theano-era ProGAN, and PyTorch (StyleGAN2-ADA, StyleGAN3).

The three share one file type, so one pass over the file builds stand-ins, and what they are decides the rest
(spec TF.md 1, TORCH.md 1 to 4). The source text that such files carry is hashed and handed on as text, never run.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable
from dataclasses import replace
from typing import Any

from torch import Tensor

from converter.errors import ConvertError, within
from converter.foreign import Header, Network, mapping
from converter.forms.tensorflow.theano import network_from_theano
from converter.forms.yuuho import networks as yuuho
from converter.safe.stand_ins import CONTAINER_NAMES, NUMPY_NAMES, TORCH_NAMES, Array, to_tensor
from converter.safe.unpickler import Names, load
from stylegan_torch.files.plain_json import plain, text

ARGS, KWARGS = "constructor arguments init_args", "constructor arguments init_kwargs"


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


class TorchModule:
    """Stands for a persistent module object of the PyTorch release."""

    def __init__(self, meta: Any) -> None:
        self.class_name = text(meta["class_name"], "class name")
        self.source = meta["module_src"]
        self.state = mapping(meta["state"], "state")
        self.read = False


def _tf_class(module: str) -> Any:
    return lambda: TFNetwork(module)


_OTHER_CLASSES = {
    "TriPlaneGenerator": "EG3D",
    "SuperresGenerator": "StyleGAN-XL",
    "ProjectedDiscriminator": "StyleGAN-XL or StyleGAN-T",
}
"""Classes of programs that build on the official releases, but are other networks."""

NAMES: Names = {
    **NUMPY_NAMES,
    **TORCH_NAMES,
    **CONTAINER_NAMES,
    **{(module, "Network"): _tf_class(module) for module in ("dnnlib.tflib.network", "tfutil", "network")},
    ("torch_utils.persistence", "_reconstruct_persistent_obj"): TorchModule,
}


def read_pickle(data: memoryview) -> tuple[dict[str, Network], tuple[str, ...]]:
    """Read the networks of an official pickle, and notes on what was passed over.

    Raises:
        ConvertError: if the pickle is unsafe, damaged, or holds something else.
    """
    top = load(data, NAMES).value
    if isinstance(top, dict):
        arrays = yuuho.read_arrays(top)
        return _torch_networks(top) if arrays is None else (arrays, ())
    objects = top if isinstance(top, tuple | list) else [top]
    if not objects or not all(isinstance(item, TFNetwork) for item in objects):
        raise ConvertError(f"is a pickle of {_describe(top)}, not of networks")
    return _tf_networks(objects), ()


def _describe(top: Any) -> str:
    if isinstance(top, dict):
        return "a dict with keys " + ", ".join(str(key)[:40] for key in list(top)[:8])
    return f"a {type(top).__name__}"


def source_hash(source: Any, code: dict[str, str] | None = None) -> str | None:
    """Return the sha256 of embedded source text, None if there is none; `code` collects the text by it."""
    if not source:
        return None
    if not isinstance(source, str | memoryview):
        raise ConvertError("build_module_src is not a text")
    content = source.encode("utf-8", "surrogatepass") if isinstance(source, str) else bytes(source)
    sha256 = hashlib.sha256(content).hexdigest()
    if code is not None:
        code[sha256] = content.decode("utf-8", "replace")
    return sha256


def _tf_networks(objects: Iterable[TFNetwork]) -> dict[str, Network]:
    networks = []
    for item in objects:
        if "build_func_spec" in item.state:
            networks.append(network_from_theano(item.state, source_hash(item.state.get("build_module_src"))))
        else:
            tensors: dict[str, Tensor] = {}
            code: dict[str, str] = {}
            header = _tf_header(item, "", tensors, code)
            networks.append(Network("", "tf", header, tensors, code))
    generators = [net for net in networks if net.header["build_func_name"].startswith("G")]
    others = [net for net in networks if not net.header["build_func_name"].startswith("G")]
    if len(generators) > 2 or len(others) > 1:
        raise ConvertError(f"holds {len(generators)} generators and {len(others)} other networks; expected G, D and Gs")
    named = dict(zip(["G", "G_ema"] if len(generators) == 2 else ["G_ema"], generators, strict=False))
    named.update(zip(["D"], others, strict=False))
    return {role: replace(net, role=role) for role, net in named.items()}


def _tf_header(item: Any, prefix: str, tensors: dict[str, Tensor], code: dict[str, str], depth: int = 0) -> Header:
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
        _add(tensors, prefix + name, to_tensor(value, prefix + name))
    header: Header = {
        "class": f"{item.module}.Network",
        "version": plain(state.get("version"), "version"),
        "name": _scope(state["name"]),
        "build_func_name": text(state["build_func_name"], "build_func_name"),
        "static_kwargs": plain(mapping(state["static_kwargs"], "static_kwargs"), "static_kwargs", _number),
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
        str(key): _tf_header(part, f"{getattr(part, 'state', {}).get('name')}/", tensors, code, depth + 1)
        for key, part in components.items()
    }
    return header


def _scope(value: Any) -> str:
    name = text(value, "name of a network")
    if not re.fullmatch(r"[\w.-]+", name):
        raise ConvertError(f"holds a network with the improper name {name!r}")
    return name


def _add(tensors: dict[str, Tensor], name: str, value: Tensor) -> None:
    if name in tensors:
        raise ConvertError(f"holds variable {name} twice")
    tensors[name] = value


def _torch_networks(top: dict[Any, Any]) -> tuple[dict[str, Network], tuple[str, ...]]:
    networks = {}
    for role in ("G", "D", "G_ema"):
        if top.get(role) is not None:
            if not isinstance(top[role], TorchModule):
                raise ConvertError(f"is a pickle of {_describe(top)}, whose {role} is no network of a known release")
            expected = "Discriminator" if role == "D" else "Generator"
            if top[role].class_name in _OTHER_CLASSES:
                raise ConvertError(
                    f"network {role} is of {_OTHER_CLASSES[top[role].class_name]}, which is not read here"
                )
            if top[role].class_name != expected:
                raise ConvertError(f"network {role} is of the unknown class {top[role].class_name}, not {expected}")
            if _has_clip(top[role]):
                raise ConvertError(f"network {role} is of StyleGAN-T, which is not read here")
            with within(f"network {role}"):
                networks[role] = _torch_network(role, top[role])
    if not networks:
        raise ConvertError(f"is a pickle of {_describe(top)}, not of networks")
    notes = (
        ("an augment pipe is passed over: drawing and scoring do not need it",)
        if top.get("augment_pipe") is not None
        else ()
    )
    return networks, notes


def _has_clip(module: TorchModule) -> bool:
    """Tell whether a generator's mapping network reads text, as StyleGAN-T's does."""
    parts = module.state.get("_modules")
    mapping_network = parts.get("mapping") if isinstance(parts, dict) else None
    inner = mapping_network.state.get("_modules") if isinstance(mapping_network, TorchModule) else None
    return isinstance(inner, dict) and "clip" in inner


def _torch_network(role: str, module: TorchModule) -> Network:
    tensors: dict[str, Tensor] = {}
    buffers: list[str] = []
    flat_arguments = _collect(module, "", tensors, buffers)
    header: Header = {
        "class_name": module.class_name,
        "build_func_name": module.class_name,
        "init_args": _arguments(module.state.get("_init_args", ())),
        "init_kwargs": plain(mapping(module.state.get("_init_kwargs", {}), KWARGS), KWARGS, _number),
        "repository": "stylegan3" if flat_arguments else "stylegan2-ada-pytorch",
        "variables": list(tensors),
        "buffers": buffers,
        "source_sha256": source_hash(module.source),
    }
    # The classes of the two releases have the same names.
    form = "stylegan3" if "synthesis.input.freqs" in tensors else "torch"
    return Network(role, form, header, tensors)


def _arguments(value: Any) -> list[Any]:
    if not isinstance(value, tuple | list):
        raise ConvertError(f"{ARGS} is a {type(value).__name__}, not a tuple")
    return list(plain(value, ARGS, _number))


def _collect(module: Any, prefix: str, tensors: dict[str, Tensor], buffers: list[str], depth: int = 0) -> bool:
    """Gather the tensors below a module; tell whether its dense layers are those of the StyleGAN3 repository."""
    if not isinstance(module, TorchModule) or depth > 8:
        raise ConvertError(f"holds {prefix.rstrip('.') or 'a network'}, which is no module of a known release")
    if module.read:
        raise ConvertError(f"holds module {prefix.rstrip('.') or 'of a network'} in two places")
    module.read = True
    found = module.class_name == "FullyConnectedLayer" and "in_features" in module.state
    for kind in ("_parameters", "_buffers"):
        for name, value in mapping(module.state.get(kind), f"{prefix}{kind}").items():
            if value is not None:
                full = prefix + text(name, f"name in {prefix}{kind}")
                _add(tensors, full, to_tensor(value, full))
                if kind == "_buffers":
                    buffers.append(full)
    for name, child in mapping(module.state.get("_modules"), f"{prefix}_modules").items():
        if child is not None:
            found |= _collect(child, f"{prefix}{name}.", tensors, buffers, depth + 1)
    return found


def _number(value: Any) -> Any:
    """Replace a numpy scalar or short array, which some keywords are, by plain numbers."""
    return value.value.tolist() if isinstance(value, Array) and value.value.size <= 1000 else value
