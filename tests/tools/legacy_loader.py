"""What NVIDIA's PyTorch tools make of a TensorFlow pickle, written from docs/spec/TF.md 1 and 6.1.

A pickle is opened with Python's own unpickler, as they do, and turned into the constructor arguments and tensors of the
PyTorch release, which `oracle_torch` evaluates. Keywords that those tools don't know are refused, as they do.
"""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import numpy as np

from tests.tools.official import log2

Arrays = dict[str, np.ndarray[Any, Any]]
Loaded = tuple[dict[str, Any], Arrays]
"""Constructor arguments, and tensors by dotted name."""

_G_KEYWORDS = {
    *("latent_size", "label_size", "dlatent_size", "resolution", "num_channels", "mapping_layers", "label_fmaps"),
    *("mapping_fmaps", "mapping_nonlinearity", "mapping_lrmul", "fmap_base", "fmap_max", "num_fp16_res", "conv_clamp"),
    *("architecture", "resample_kernel", "use_noise", "nonlinearity"),
    *("truncation_psi", "truncation_cutoff", "style_mixing_prob", "structure"),
}
_D_KEYWORDS = {
    *("label_size", "resolution", "num_channels", "architecture", "fmap_base", "fmap_max", "num_fp16_res"),
    *("conv_clamp", "mapping_fmaps", "mapping_layers", "mapping_lrmul", "nonlinearity", "resample_kernel"),
    *("freeze_layers", "mbstd_group_size", "mbstd_num_features", "structure"),
}


_NUMPY = (
    np.float32(0).__reduce__()[0].__module__
)  # what this numpy calls the module that numpy 1 calls numpy.core.multiarray


class _Stub(dict[str, Any]):
    def __setstate__(self, state: dict[str, Any]) -> None:
        self.update(state)


class _Unpickler(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        if (module, name) == ("dnnlib.tflib.network", "Network"):
            return _Stub
        if module == "numpy.core.multiarray" and name in ("_reconstruct", "scalar"):
            return super().find_class(_NUMPY, name)
        if (module, name) in (("numpy", "ndarray"), ("numpy", "dtype")):
            return super().find_class(module, name)
        raise pickle.UnpicklingError(f"{module}.{name}")


def load(path: Path) -> dict[str, Loaded]:
    """G, D and G_ema of an official pickle."""
    with path.open("rb") as file:
        networks = _Unpickler(file).load()
    assert isinstance(networks, tuple) and len(networks) == 3
    for network in networks:
        assert network["version"] >= 4
        assert not network["build_module_src"]
    G, D, G_ema = networks
    return {"G": _generator(G), "D": _discriminator(D), "G_ema": _generator(G_ema)}


def _variables(network: _Stub, prefix: str = "") -> Arrays:
    found = {prefix + name: np.asarray(value) for name, value in network["variables"]}
    for key, part in network["components"].items():
        found |= _variables(part, f"{prefix}{key}/")
    return found


def _filter(taps: Any) -> np.ndarray[Any, Any]:
    f = np.asarray(taps, np.float64)
    f = f if f.size >= 8 else np.outer(f, f)
    return f / f.sum()


def _oihw(w: np.ndarray[Any, Any], rotate: bool = False) -> np.ndarray[Any, Any]:
    return (w[::-1, ::-1] if rotate else w).transpose(3, 2, 0, 1)


def _dense(t: Arrays, theirs: str, ours: str) -> Arrays:
    return {f"{ours}.weight": t[f"{theirs}/weight"].T, f"{ours}.bias": t[f"{theirs}/bias"]}


def _generator(network: _Stub) -> Loaded:
    kw, t = network["static_kwargs"], _variables(network)
    assert set(kw) <= _G_KEYWORDS, set(kw) - _G_KEYWORDS
    get = kw.get
    kwargs = {
        "z_dim": get("latent_size", 512),
        "c_dim": get("label_size", 0),
        "w_dim": get("dlatent_size", 512),
        "img_resolution": get("resolution", 1024),
        "img_channels": get("num_channels", 3),
        "mapping_kwargs": {
            "num_layers": get("mapping_layers", 8),
            "activation": get("mapping_nonlinearity", "lrelu"),
            "lr_multiplier": get("mapping_lrmul", 0.01),
        },
        "synthesis_kwargs": {
            "conv_clamp": get("conv_clamp"),
            "architecture": get("architecture", "skip"),
            "activation": get("nonlinearity", "lrelu"),
        },
    }
    out: Arrays = {"mapping.w_avg": t["dlatent_avg"]}
    if kwargs["c_dim"]:
        out |= _dense(t, "mapping/LabelEmbed", "mapping.embed")
    for i in range(kwargs["mapping_kwargs"]["num_layers"]):
        out |= _dense(t, f"mapping/Dense{i}", f"mapping.fc{i}")
    out["synthesis.b4.const"] = t["synthesis/4x4/Const/const"][0]
    for res in range(2, log2(kwargs["img_resolution"]) + 1):
        _level(t, out, res, _filter(get("resample_kernel", [1, 3, 3, 1])))
    for res in range(2, log2(kwargs["img_resolution"]) + 1):  # what the constructor would make
        high = min(2 * get("fmap_base", 16384) // 2**res, get("fmap_max", 512))
        assert out[f"synthesis.b{2**res}.conv1.weight"].shape[0] == high
    return kwargs, out


def _level(t: Arrays, out: Arrays, res: int, f: np.ndarray[Any, Any]) -> None:
    r = 2**res
    scope, block = f"synthesis/{r}x{r}", f"synthesis.b{r}"
    convs = {"conv0": ("Conv0_up", 2 * res - 5), "conv1": ("Conv1", 2 * res - 4)} if res > 2 else {"conv1": ("Conv", 0)}
    for name, (conv, i) in convs.items():
        out |= {
            f"{block}.{name}.weight": _oihw(t[f"{scope}/{conv}/weight"], rotate=name == "conv0"),
            f"{block}.{name}.bias": t[f"{scope}/{conv}/bias"],
            f"{block}.{name}.affine.weight": t[f"{scope}/{conv}/mod_weight"].T,
            f"{block}.{name}.affine.bias": t[f"{scope}/{conv}/mod_bias"] + np.float32(1),
            f"{block}.{name}.resample_filter": f,
        }
        if f"{scope}/{conv}/noise_strength" in t:
            out[f"{block}.{name}.noise_strength"] = t[f"{scope}/{conv}/noise_strength"]
            out[f"{block}.{name}.noise_const"] = t[f"synthesis/noise{i}"][0, 0]
    if f"{scope}/ToRGB/weight" in t:
        out |= {
            f"{block}.torgb.weight": _oihw(t[f"{scope}/ToRGB/weight"]),
            f"{block}.torgb.bias": t[f"{scope}/ToRGB/bias"],
            f"{block}.torgb.affine.weight": t[f"{scope}/ToRGB/mod_weight"].T,
            f"{block}.torgb.affine.bias": t[f"{scope}/ToRGB/mod_bias"] + np.float32(1),
        }
    if f"{scope}/Skip/weight" in t:
        out[f"{block}.skip.weight"] = _oihw(t[f"{scope}/Skip/weight"], rotate=True)
        out[f"{block}.skip.resample_filter"] = f
    out[f"{block}.resample_filter"] = f


def _discriminator(network: _Stub) -> Loaded:
    kw, t = network["static_kwargs"], _variables(network)
    assert set(kw) <= _D_KEYWORDS, set(kw) - _D_KEYWORDS
    get = kw.get
    act = get("nonlinearity", "lrelu")
    kwargs = {
        "c_dim": get("label_size", 0),
        "img_resolution": get("resolution", 1024),
        "img_channels": get("num_channels", 3),
        "architecture": get("architecture", "resnet"),
        "conv_clamp": get("conv_clamp"),
        "block_kwargs": {"activation": act},
        "mapping_kwargs": {
            "num_layers": get("mapping_layers", 0),
            "activation": act,
            "lr_multiplier": get("mapping_lrmul", 0.1),
        },
        "epilogue_kwargs": {
            "mbstd_group_size": get("mbstd_group_size"),
            "mbstd_num_channels": get("mbstd_num_features", 1),
            "activation": act,
        },
    }
    f, top = _filter(get("resample_kernel", [1, 3, 3, 1])), log2(kwargs["img_resolution"])
    out: Arrays = {}
    for res in range(2, top + 1):
        scope, block = f"{2**res}x{2**res}", f"b{2**res}"
        names = {"fromrgb": "FromRGB", "conv0": "Conv0", "conv1": "Conv1_down", "conv": "Conv", "skip": "Skip"}
        for name, theirs in names.items():
            if f"{scope}/{theirs}/weight" in t:
                out[f"{block}.{name}.weight"] = _oihw(t[f"{scope}/{theirs}/weight"])
                out[f"{block}.{name}.resample_filter"] = f
            if f"{scope}/{theirs}/bias" in t:
                out[f"{block}.{name}.bias"] = t[f"{scope}/{theirs}/bias"]
        out[f"{block}.resample_filter"] = f
    out |= _dense(t, "4x4/Dense0", "b4.fc") | _dense(t, "Output", "b4.out")
    if kwargs["c_dim"]:
        out |= _dense(t, "LabelEmbed", "mapping.embed")
        for i in range(kwargs["mapping_kwargs"]["num_layers"]):
            out |= _dense(t, f"Mapping{i}", f"mapping.fc{i}")
    return kwargs, out
