"""Reader of ProGAN networks of the Theano era, whose parameters are a flat list without names (docs/spec/TF.md 1.6)."""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor

from converter.errors import ConvertError
from converter.foreign import ForeignNetwork, mapping
from converter.forms.tensorflow import THEANO
from converter.forms.tensorflow.header import TheanoHeader
from converter.safe.stand_ins import to_tensor
from stylegan_torch.files.plain_json import plain, text

FUNCTIONS = {
    "G_paper": "G_paper",
    "G_progressive_8": "G_paper",
    "D_paper": "D_paper",
    "D_progressive_8": "D_paper",
}

# What the TensorFlow networks cannot express must have this value, or be absent.
REQUIRED: dict[str, object] = {
    "label_size": 0,
    "use_batchnorm": False,
    "tanh_at_end": None,
    "mbstat_func": "Tstdeps",
    "mbstat_avg": "all",
    "mbdisc_kernels": None,
    "use_layernorm": False,
}


def layer_names(function: str, levels: int) -> list[str]:
    """Return the layers in the order of the flat list; `levels` is log2 of the resolution."""
    sides = [2**level for level in range(3, levels + 1)]
    if function == "G_paper":
        convs = [f"{side}x{side}/Conv{i}" for side in sides for i in (0, 1)]
        return ["4x4/Dense", "4x4/Conv", *convs, *(f"ToRGB_lod{lod}" for lod in range(levels - 1))]
    down = []
    for lod, side in enumerate(reversed(sides)):
        down += [f"{side}x{side}/Conv0", f"{side}x{side}/Conv1", f"FromRGB_lod{lod + 1}"]
    return ["FromRGB_lod0", *down, "4x4/Conv", "4x4/Dense0", "4x4/Dense1"]


def network_from_theano(state: Mapping[str, object], source_sha256: str | None) -> ForeignNetwork:
    """Name the parameters of one network; role is left to the caller.

    Raises:
        ConvertError: if it is not a network that the TensorFlow release could import, naming the keyword or parameter.
    """
    stored = plain(mapping(state["build_func_spec"], "build_func_spec"), "build_func_spec")
    spec = dict(stored)
    function = FUNCTIONS.get(str(spec.pop("func", None)))
    if function is None:
        raise ConvertError(f"holds a network of the unknown build function {stored.get('func')}")
    for key, value in REQUIRED.items():
        if spec.get(key, value) != value:
            raise ConvertError(f"{function}: keyword {key} is {spec[key]!r}; only {value!r} can be read")
    resolution = spec.get("resolution", 32)
    if not isinstance(resolution, int) or resolution < 4 or resolution > 1 << 14 or resolution & (resolution - 1):
        raise ConvertError(f"{function}: keyword resolution is {resolution!r}, which is not a power of two")
    parts = ["weight", "scale", "bias"] if spec.get("use_wscale", True) else ["weight", "bias"]
    names = [f"{layer}/{part}" for layer in layer_names(function, resolution.bit_length() - 1) for part in parts]
    values = state["param_values"]
    if not isinstance(values, list | tuple):
        raise ConvertError("param_values is no list")
    if len(values) != len(names):
        raise ConvertError(f"{function} has {len(values)} parameters where {len(names)} belong")
    tensors: dict[str, Tensor] = {name: to_tensor(v, name) for name, v in zip(names, values, strict=True)}
    toplevel = mapping(state.get("toplevel_params") or {}, "toplevel_params")
    for key, value in toplevel.items():
        tensors[text(key, "name in toplevel_params")] = to_tensor(value, key)
    header: TheanoHeader = {
        "build_func_name": function,
        "static_kwargs": spec,
        "build_func_spec": stored,
        "toplevel_params": list(toplevel),
        "variables": list(tensors),
        "source_sha256": source_sha256,
    }
    return ForeignNetwork("", THEANO.id, header, tensors)
