"""Random networks of the official stylegan2-ada-pytorch release, written as its persistence pickles.

`persistence_network` builds a tree of module instances with the tensors, plain attributes and constructor
arguments that the official classes have; `write_persistence_pickle` stores trees the way the training loop
does, either as in the days of the release (protocol 3, torch 1.7, NumPy 1) or as an installation of today.
"""

from __future__ import annotations

import io
import pickle
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np

from tests.tools.official import EasyDict, FloatArray, OfficialPickler, Options, Reference, log2

Era = Literal["released", "today"]
FILTER = [1, 3, 3, 1]
_GAINED = ("relu", "lrelu", "swish")  # the activations followed by a gain of sqrt 2
_SQRT2 = np.sqrt(2)  # one shared NumPy scalar
_MODULE = Reference("torch_utils.persistence", "_reconstruct_persistent_obj")
_PARAMETER = Reference("torch._utils", "_rebuild_parameter")
_TENSOR = Reference("torch._utils", "_rebuild_tensor_v2")
_STORAGE = Reference("torch.storage", "_load_from_bytes")
_FLOAT_STORAGE = Reference("torch", "FloatStorage")

_HOOKS_RELEASED = [
    "_backward_hooks", "_forward_hooks", "_forward_pre_hooks", "_state_dict_hooks",
    "_load_state_dict_pre_hooks",
]  # fmt: skip
_HOOKS_TODAY = [
    "_backward_pre_hooks", "_backward_hooks", "_is_full_backward_hook", "_forward_hooks",
    "_forward_hooks_with_kwargs", "_forward_hooks_always_called", "_forward_pre_hooks",
    "_forward_pre_hooks_with_kwargs", "_state_dict_hooks", "_state_dict_pre_hooks",
    "_load_state_dict_pre_hooks", "_load_state_dict_post_hooks",
]  # fmt: skip


_AUGMENTATIONS = {
    **dict.fromkeys(("xflip", "rotate90", "xint", "scale", "rotate", "aniso", "xfrac", "brightness"), 0.0),
    **dict.fromkeys(("contrast", "lumaflip", "hue", "saturation", "imgfilter", "noise", "cutout"), 0.0),
    "xint_max": 0.125, "scale_std": 0.2, "rotate_max": 1.0, "aniso_std": 0.2, "xfrac_std": 0.125,
    "brightness_std": 0.2, "contrast_std": 0.5, "hue_max": 1.0, "saturation_std": 1.0, "imgfilter_std": 1.0,
    "noise_std": 0.1, "cutout_size": 0.5,
}  # fmt: skip


@dataclass
class Module:
    """One instance of an official class, before pickling."""

    class_name: str
    init_args: tuple[Any, ...] = ()
    init_kwargs: Options = field(default_factory=dict)
    parameters: dict[str, FloatArray] = field(default_factory=dict)
    buffers: dict[str, FloatArray] = field(default_factory=dict)
    modules: dict[str, Module] = field(default_factory=dict)
    attributes: Options = field(default_factory=dict)

    def tensors(self, prefix: str = "") -> dict[str, FloatArray]:
        """Every parameter and buffer by its dotted name."""
        found = {prefix + name: value for name, value in {**self.parameters, **self.buffers}.items()}
        for name, child in self.modules.items():
            found |= child.tensors(f"{prefix}{name}.")
        return found


def channels_of(resolution: int, kwargs: Mapping[str, Any]) -> int:
    return int(min(kwargs.get("channel_base", 32768) // resolution, kwargs.get("channel_max", 512)))


def filter_buffer(taps: Any) -> FloatArray:
    """What the release stores for a list of taps: 2-D below eight taps, else 1-D."""
    k = np.asarray(taps, np.float32)
    k = np.outer(k, k) if k.ndim == 1 and k.size < 8 else k
    normalised: FloatArray = (k / k.sum()).astype(np.float32)
    return normalised


def _split(kwargs: Mapping[str, Any], *own: str) -> tuple[Options, Options]:
    """The keywords that a constructor names itself, and those that it passes on."""
    return {k: v for k, v in kwargs.items() if k in own}, {k: v for k, v in kwargs.items() if k not in own}


class Builder:
    """Builds the official modules with random tensors."""

    def __init__(self, seed: int) -> None:
        self.rng = np.random.default_rng(seed)

    def random(self, *shape: int, std: float = 1.0, mean: float = 0.0, nhwc: bool = False) -> FloatArray:
        """Random values; `nhwc` stores a weight in channels-last memory order."""
        x: FloatArray = np.asarray(self.rng.standard_normal(shape) * std + mean, dtype=np.float32)
        return x.transpose(0, 2, 3, 1).copy("C").transpose(0, 3, 1, 2) if nhwc else x

    def fc(self, inp: int, out: int, mean: float = 0.0, **kwargs: Any) -> Module:
        lr = kwargs.get("lr_multiplier", 1)
        m = Module("FullyConnectedLayer", (inp, out), kwargs)
        m.parameters["weight"] = self.random(out, inp, std=1 / lr)
        m.parameters["bias"] = self.random(out, std=0.2 / lr, mean=mean)
        gain = lr / np.sqrt(inp)
        activation = kwargs.get("activation", "linear")
        m.attributes = {"activation": activation, "weight_gain": gain, "bias_gain": lr}
        return m

    def affine(self, w_dim: int, out: int) -> Module:
        return self.fc(w_dim, out, mean=1.0, bias_init=1)

    def conv(self, inp: int, out: int, *, frozen: bool = False, **kwargs: Any) -> Module:
        """A Conv2dLayer; frozen ones (Freeze-D) keep their tensors among the buffers."""
        m = Module("Conv2dLayer", (inp, out), kwargs)
        size, act = kwargs["kernel_size"], kwargs.get("activation", "linear")
        m.buffers["resample_filter"] = filter_buffer(kwargs.get("resample_filter", FILTER))
        tensors = m.buffers if frozen else m.parameters
        tensors["weight"] = self.random(out, inp, size, size, nhwc=kwargs.get("channels_last", False))
        m.attributes = {
            "activation": act, "up": kwargs.get("up", 1), "down": kwargs.get("down", 1),
            "conv_clamp": kwargs.get("conv_clamp"), "padding": size // 2,
            "weight_gain": 1 / np.sqrt(inp * size**2), "act_gain": _SQRT2 if act in _GAINED else 1,
        }  # fmt: skip
        if kwargs.get("bias", True):
            tensors["bias"] = self.random(out, std=0.2)
        else:
            m.attributes["bias"] = None
        return m

    def mapping(self, **kwargs: Any) -> Module:
        z_dim, c_dim, w_dim, num_ws = (kwargs[name] for name in ("z_dim", "c_dim", "w_dim", "num_ws"))
        m = Module("MappingNetwork", (), kwargs)
        layers, beta = kwargs.get("num_layers", 8), kwargs.get("w_avg_beta", 0.995)
        m.attributes = {"z_dim": z_dim, "c_dim": c_dim, "w_dim": w_dim, "num_ws": num_ws}
        m.attributes |= {"num_layers": layers, "w_avg_beta": beta}
        embed = (kwargs.get("embed_features") or w_dim) if c_dim else 0
        hidden = kwargs.get("layer_features") or w_dim
        act, lr = kwargs.get("activation", "lrelu"), kwargs.get("lr_multiplier", 0.01)
        if c_dim:
            m.modules["embed"] = self.fc(c_dim, embed)
        sizes = [z_dim + embed] + [hidden] * (layers - 1) + [w_dim]
        for i in range(layers):
            m.modules[f"fc{i}"] = self.fc(sizes[i], sizes[i + 1], activation=act, lr_multiplier=lr)
        if num_ws is not None and beta is not None:
            m.buffers["w_avg"] = self.random(w_dim, std=0.3)
        return m

    def synthesis_layer(self, inp: int, out: int, **kwargs: Any) -> Module:
        m = Module("SynthesisLayer", (inp, out), kwargs)
        res, act = kwargs["resolution"], kwargs.get("activation", "lrelu")
        noise = kwargs.get("use_noise", True)
        m.attributes = {
            "resolution": res, "up": kwargs.get("up", 1), "use_noise": noise, "activation": act,
            "conv_clamp": kwargs.get("conv_clamp"), "padding": 1,
            "act_gain": _SQRT2 if act in _GAINED else 1,
        }  # fmt: skip
        m.buffers["resample_filter"] = filter_buffer(kwargs.get("resample_filter", FILTER))
        m.modules["affine"] = self.affine(kwargs["w_dim"], inp)
        m.parameters["weight"] = self.random(out, inp, 3, 3, nhwc=kwargs.get("channels_last", False))
        if noise:
            m.buffers["noise_const"] = self.random(res, res)
            m.parameters["noise_strength"] = self.random(std=0.3)
        m.parameters["bias"] = self.random(out, std=0.2)
        return m

    def to_rgb(self, inp: int, out: int, **kwargs: Any) -> Module:
        m = Module("ToRGBLayer", (inp, out), kwargs)
        m.attributes = {"conv_clamp": kwargs.get("conv_clamp"), "weight_gain": 1 / np.sqrt(inp)}
        m.modules["affine"] = self.affine(kwargs["w_dim"], inp)
        m.parameters["weight"] = self.random(out, inp, 1, 1, nhwc=kwargs["channels_last"])
        m.parameters["bias"] = self.random(out, std=0.2)
        return m

    def synthesis_block(self, inp: int, out: int, **kwargs: Any) -> Module:
        m = Module("SynthesisBlock", (inp, out), kwargs)
        names = ("w_dim", "resolution", "img_channels", "is_last", "use_fp16")
        own, layer = _split(kwargs, *names, "architecture", "resample_filter", "conv_clamp", "fp16_channels_last")
        taps, arch = own.get("resample_filter", FILTER), own.get("architecture", "skip")
        nhwc = own["use_fp16"] and own.get("fp16_channels_last", False)
        w_dim, rgb = own["w_dim"], own["is_last"] or arch == "skip"
        tail = {"conv_clamp": own.get("conv_clamp"), "channels_last": nhwc}
        common = {"w_dim": w_dim, "resolution": own["resolution"]}
        m.attributes = {
            "in_channels": inp, **{name: own[name] for name in names[:4]}, "architecture": arch,
            "use_fp16": own["use_fp16"], "channels_last": nhwc, "num_conv": 2 if inp else 1,
            "num_torgb": int(rgb),
        }  # fmt: skip
        m.buffers["resample_filter"] = filter_buffer(taps)
        if inp:
            up = {**common, "up": 2, "resample_filter": taps, **tail, **layer}
            m.modules["conv0"] = self.synthesis_layer(inp, out, **up)
        else:
            m.parameters["const"] = self.random(out, own["resolution"], own["resolution"])
        m.modules["conv1"] = self.synthesis_layer(out, out, **common, **tail, **layer)
        if rgb:
            m.modules["torgb"] = self.to_rgb(out, own["img_channels"], w_dim=w_dim, **tail)
        if inp and arch == "resnet":
            skip = {"kernel_size": 1, "bias": False, "up": 2, "resample_filter": taps, "channels_last": nhwc}
            m.modules["skip"] = self.conv(inp, out, **skip)
        return m

    def synthesis(self, **kwargs: Any) -> Module:
        m = Module("SynthesisNetwork", (), kwargs)
        dims = ("w_dim", "img_resolution", "img_channels")
        own, block = _split(kwargs, *dims, "channel_base", "channel_max", "num_fp16_res")
        top = log2(own["img_resolution"])
        sides = [2**i for i in range(2, top + 1)]
        m.attributes = {
            "w_dim": own["w_dim"],
            "img_resolution": own["img_resolution"],
            "img_resolution_log2": top,
        }
        m.attributes |= {
            "img_channels": own["img_channels"],
            "block_resolutions": sides,
            "num_ws": 2 * top - 2,
        }
        for res in sides:
            inp = channels_of(res // 2, own) if res > 4 else 0
            here = {"w_dim": own["w_dim"], "resolution": res, "img_channels": own["img_channels"]}
            here |= {"is_last": res == sides[-1], "use_fp16": _is_fp16(res, own)}
            m.modules[f"b{res}"] = self.synthesis_block(inp, channels_of(res, own), **here, **block)
        return m

    def generator(self, **kwargs: Any) -> Module:
        m = Module("Generator", (), kwargs)
        z_dim, c_dim, w_dim = kwargs["z_dim"], kwargs["c_dim"], kwargs["w_dim"]
        image = {"img_resolution": kwargs["img_resolution"], "img_channels": kwargs["img_channels"]}
        num_ws = 2 * log2(kwargs["img_resolution"]) - 2
        m.attributes = {"z_dim": z_dim, "c_dim": c_dim, "w_dim": w_dim, **image, "num_ws": num_ws}
        m.modules["synthesis"] = self.synthesis(w_dim=w_dim, **image, **kwargs.get("synthesis_kwargs", {}))
        mapping = {"z_dim": z_dim, "c_dim": c_dim, "w_dim": w_dim, "num_ws": num_ws}
        m.modules["mapping"] = self.mapping(**mapping, **kwargs.get("mapping_kwargs", {}))
        return m

    def discriminator_block(self, inp: int, tmp: int, out: int, **kwargs: Any) -> Module:
        m = Module("DiscriminatorBlock", (inp, tmp, out), kwargs)
        arch, act = kwargs["architecture"], kwargs.get("activation", "lrelu")
        taps, frozen = kwargs.get("resample_filter", FILTER), kwargs.get("freeze_layers", 0)
        nhwc = kwargs["use_fp16"] and kwargs.get("fp16_channels_last", False)
        clamp, first = kwargs["conv_clamp"], kwargs["first_layer_idx"]
        tail = {"conv_clamp": clamp, "channels_last": nhwc}

        def add(name: str, inp: int, out: int, **options: Any) -> None:
            options["trainable"] = first + len(m.modules) >= frozen
            m.modules[name] = self.conv(inp, out, frozen=not options["trainable"], **options)

        m.buffers["resample_filter"] = filter_buffer(taps)
        plain = {"activation": act, "trainable": True, **tail}
        if inp == 0 or arch == "skip":
            add("fromrgb", kwargs["img_channels"], tmp, kernel_size=1, **plain)
        add("conv0", tmp, tmp, kernel_size=3, **plain)
        down = {"down": 2, "trainable": True, "resample_filter": taps}
        add("conv1", tmp, out, kernel_size=3, activation=act, **down, **tail)
        if arch == "resnet":
            add("skip", tmp, out, kernel_size=1, bias=False, **down, channels_last=nhwc)
        m.attributes = {
            "in_channels": inp, "resolution": kwargs["resolution"], "img_channels": kwargs["img_channels"],
            "first_layer_idx": first, "architecture": arch, "use_fp16": kwargs["use_fp16"],
            "channels_last": nhwc, "num_layers": len(m.modules),
        }  # fmt: skip
        return m

    def epilogue(self, inp: int, **kwargs: Any) -> Module:
        m = Module("DiscriminatorEpilogue", (inp,), kwargs)
        arch, act, cmap_dim = kwargs["architecture"], kwargs.get("activation", "lrelu"), kwargs["cmap_dim"]
        m.attributes = {"in_channels": inp, "cmap_dim": cmap_dim, "resolution": 4}
        m.attributes |= {"img_channels": kwargs["img_channels"], "architecture": arch}
        if arch == "skip":
            m.modules["fromrgb"] = self.conv(kwargs["img_channels"], inp, kernel_size=1, activation=act)
        features = kwargs.get("mbstd_num_channels", 1)
        if features > 0:
            mbstd = {"group_size": kwargs.get("mbstd_group_size", 4), "num_channels": features}
            m.modules["mbstd"] = Module("MinibatchStdLayer", (), mbstd, attributes=dict(mbstd))
        else:
            m.attributes["mbstd"] = None
        clamp = kwargs["conv_clamp"]
        m.modules["conv"] = self.conv(inp + features, inp, kernel_size=3, activation=act, conv_clamp=clamp)
        m.modules["fc"] = self.fc(inp * 16, inp, activation=act)
        m.modules["out"] = self.fc(inp, cmap_dim or 1)
        return m

    def discriminator(self, **kwargs: Any) -> Module:
        m = Module("Discriminator", (), kwargs)
        c_dim, top = kwargs["c_dim"], log2(kwargs["img_resolution"])
        sides = [2**i for i in range(top, 2, -1)]
        common = {
            "img_channels": kwargs["img_channels"],
            "architecture": kwargs.get("architecture", "resnet"),
        }
        common["conv_clamp"] = kwargs.get("conv_clamp")
        cmap_dim = kwargs.get("cmap_dim") or channels_of(4, kwargs)
        cmap_dim, layers = cmap_dim if c_dim else 0, 0
        m.attributes = {
            "c_dim": c_dim,
            "img_resolution": kwargs["img_resolution"],
            "img_resolution_log2": top,
        }
        m.attributes |= {"img_channels": kwargs["img_channels"], "block_resolutions": sides}
        for res in sides:
            tmp, out = channels_of(res, kwargs), channels_of(res // 2, kwargs)
            inp = tmp if res < sides[0] else 0
            here = {"resolution": res, "first_layer_idx": layers, "use_fp16": _is_fp16(res, kwargs)}
            options = {**here, **kwargs.get("block_kwargs", {}), **common}
            m.modules[f"b{res}"] = self.discriminator_block(inp, tmp, out, **options)
            layers += len(m.modules[f"b{res}"].modules)
        if c_dim:
            mapping = {"z_dim": 0, "c_dim": c_dim, "w_dim": cmap_dim, "num_ws": None, "w_avg_beta": None}
            m.modules["mapping"] = self.mapping(**mapping, **kwargs.get("mapping_kwargs", {}))
        options = {"cmap_dim": cmap_dim, "resolution": 4, **kwargs.get("epilogue_kwargs", {}), **common}
        m.modules["b4"] = self.epilogue(channels_of(4, kwargs), **options)
        return m

    def augment_pipe(self, **strengths: float) -> Module:
        m = Module("AugmentPipe", (), strengths)
        m.buffers["p"] = self.random()
        m.attributes = {name: float(strengths.get(name, value)) for name, value in _AUGMENTATIONS.items()}
        m.attributes["imgfilter_bands"] = [1, 1, 1, 1]
        m.buffers["Hz_geom"], m.buffers["Hz_fbank"] = self.random(12), self.random(4, 43)
        return m


def _is_fp16(resolution: int, kwargs: Mapping[str, Any]) -> bool:
    top = 2 ** log2(kwargs["img_resolution"])
    return bool(resolution >= max(2 * top // 2 ** kwargs.get("num_fp16_res", 0), 8))


def persistence_network(kind: Literal["G", "D"], seed: int, **init_kwargs: Any) -> Module:
    """A random Generator or Discriminator for the official constructor arguments."""
    sizes: Options = {"c_dim": 0, "img_resolution": 32, "img_channels": 3}
    if kind == "G":
        sizes |= {"z_dim": 32, "w_dim": 32}
    kwargs = {**init_kwargs, **{name: size for name, size in sizes.items() if name not in init_kwargs}}
    nested = {name: EasyDict(value) for name, value in kwargs.items() if isinstance(value, dict)}
    builder = Builder(seed)
    build = builder.generator if kind == "G" else builder.discriminator
    return build(**{**kwargs, **nested})


# Pickling.


class _StoragePickler(pickle._Pickler):
    """Writes tuples marked as persistent ids, as the legacy torch container has them."""

    def persistent_id(self, obj: Any) -> Any:
        return obj.key if isinstance(obj, _StorageKey) else None

    def save_global(self, obj: Any, name: str | None = None) -> None:
        out: Any = self
        out.write(pickle.GLOBAL + f"{obj.__module__}\n{name}\n".encode())
        out.memoize(obj)


@dataclass
class _StorageKey:
    key: tuple[Any, ...]


def storage_bytes(x: FloatArray, key: str) -> bytes:
    """A complete legacy torch container with one CPU float storage: the array's memory, in its own order."""
    info = {
        "protocol_version": 1001,
        "little_endian": True,
        "type_sizes": {"short": 2, "int": 4, "long": 4},
    }
    out = io.BytesIO()
    for part in (0x1950A86A20F9469CFC6C, 1001, info):
        pickle.dump(part, out, protocol=2)
    persistent = _StorageKey(("storage", _FLOAT_STORAGE, key, "cpu", x.size, None))
    _StoragePickler(out, 2).dump(persistent)
    pickle.dump([key], out, protocol=2)
    out.write(x.size.to_bytes(8, "little"))
    order = sorted(range(x.ndim), key=lambda axis: -x.strides[axis])
    out.write(x.transpose(order).astype("<f4").tobytes())
    return out.getvalue()


class _Reduced:
    """An object that is pickled as a call of a named function."""

    def __init__(self, function: Reference, *args: Any) -> None:
        self.call = (function, args)

    def __reduce__(self) -> tuple[Any, ...]:
        return self.call


class PersistenceWriter:
    """Turns modules into what the official persistence code pickles."""

    def __init__(self, era: Era) -> None:
        self.mapping: type[dict[str, Any]] = OrderedDict if era == "released" else dict
        self.hooks = _HOOKS_RELEASED if era == "released" else _HOOKS_TODAY
        self.storages = 0

    def tensor(self, x: FloatArray) -> _Reduced:
        self.storages += 1
        storage = _Reduced(_STORAGE, storage_bytes(x, str(94000000000000 + 64 * self.storages)))
        strides = tuple(step // x.itemsize for step in x.strides)
        return _Reduced(_TENSOR, storage, 0, x.shape, strides, False, OrderedDict())

    def parameter(self, x: FloatArray) -> _Reduced:
        return _Reduced(_PARAMETER, self.tensor(x), False, OrderedDict())

    def module(self, m: Module) -> _Reduced:
        parameters = {name: self.parameter(x) for name, x in m.parameters.items()}
        buffers = {name: self.tensor(x) for name, x in m.buffers.items()}
        state: Options = {"training": False, "_parameters": self.mapping(parameters)}
        state |= {"_buffers": self.mapping(buffers), "_non_persistent_buffers_set": set()}
        for name in self.hooks:
            state[name] = None if name == "_is_full_backward_hook" else OrderedDict()
        state["_modules"] = self.mapping({name: self.module(child) for name, child in m.modules.items()})
        state |= {**m.attributes, "_init_args": m.init_args, "_init_kwargs": m.init_kwargs}
        meta = {"type": "class", "version": 6, "module_src": "", "class_name": m.class_name, "state": state}
        return _Reduced(_MODULE, meta)


def write_persistence_pickle(
    path: Path | str, *, G: Module, D: Module, G_ema: Module, era: Era = "today", augment_pipe: bool = False
) -> None:
    """Write a training snapshot: protocol 3 with NumPy 1 names if `released`, else 4 with NumPy 2 names."""
    writer = PersistenceWriter(era)
    strengths = {"xflip": 1, "rotate90": 1, "xint": 1, "scale": 1, "brightness": 1, "contrast": 1}
    pipe = writer.module(Builder(0).augment_pipe(**strengths)) if augment_pipe else None
    snapshot = {
        "training_set_kwargs": {
            "class_name": "training.dataset.ImageFolderDataset", "path": "data.zip",
            "use_labels": bool(G.init_kwargs["c_dim"]), "max_size": 1000, "xflip": False,
            "resolution": G.init_kwargs["img_resolution"],
        },
        "G": writer.module(G), "D": writer.module(D), "G_ema": writer.module(G_ema), "augment_pipe": pipe,
    }  # fmt: skip
    released = era == "released"
    with Path(path).open("wb") as file:
        pickler = OfficialPickler(file, 3 if released else 4, "old" if released else "new", ("", ""))
        pickler.dump(snapshot)
