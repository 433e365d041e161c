"""The packages that embedded sources import, as data: `dnnlib` with its parts, and ProGAN's `tfutil`."""

from __future__ import annotations

from types import ModuleType

from . import resampling, tf_layers, tflib
from .easydict import EasyDict
from .embedded import PACKAGES, find_object
from .network import Network
from .tensorflow1 import TENSORFLOW, StandIn


def _call_by_name(*args: object, func_name: str, **kwargs: object) -> object:
    return find_object(func_name)(*args, **kwargs)


def _public(module: ModuleType) -> dict[str, object]:
    return {
        name: value
        for name, value in vars(module).items()
        if not name.startswith("_") and getattr(value, "__module__", "") == module.__name__
    }


_UTIL = StandIn(
    "dnnlib.util", {"EasyDict": EasyDict, "get_obj_by_name": find_object, "call_func_by_name": _call_by_name}
)
_RESAMPLING = _public(resampling)
_FUSED = {"fused_bias_act": _RESAMPLING.pop("fused_bias_act")}
_HELPERS = {**_public(tflib), "TfExpression": tflib.TfExpression, "TfExpressionEx": tflib.TfExpressionEx}
_AUTOSUMMARY = {"autosummary": _HELPERS.pop("autosummary")}

_OPS = StandIn(
    "dnnlib.tflib.ops",
    {
        "upfirdn_2d": StandIn("dnnlib.tflib.ops.upfirdn_2d", _RESAMPLING),
        "fused_bias_act": StandIn("dnnlib.tflib.ops.fused_bias_act", _FUSED),
    },
)
_TFLIB = StandIn(
    "dnnlib.tflib",
    {
        **_HELPERS,
        "Network": Network,
        "network": StandIn("dnnlib.tflib.network", {"Network": Network}),
        "tfutil": StandIn("dnnlib.tflib.tfutil", _HELPERS),
        "autosummary": StandIn("dnnlib.tflib.autosummary", _AUTOSUMMARY),
        "ops": _OPS,
    },
)


def install() -> None:
    """Let embedded sources find the packages."""
    contrib = {"layers": StandIn("tensorflow.contrib.layers", tf_layers.CONTRIB)}
    TENSORFLOW.__dict__["layers"] = StandIn("tensorflow.layers", tf_layers.LAYERS)
    TENSORFLOW.__dict__["contrib"] = StandIn("tensorflow.contrib", contrib)
    PACKAGES["dnnlib"] = StandIn("dnnlib", {"EasyDict": EasyDict, "util": _UTIL, "tflib": _TFLIB})
    PACKAGES["tfutil"] = StandIn("tfutil", {**_HELPERS, **_AUTOSUMMARY, "Network": Network})
