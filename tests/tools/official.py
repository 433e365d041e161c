"""Random networks of the official TensorFlow releases, built and written in their exact file forms.

`build` gives the state of one network: variable names, shapes and creation order are those of the official
build functions for any of their options, the values are random and nowhere zero. `write_pickle` stores states
the way the official trainers do, `write_theano_pickle` the way the first ProGAN code did under Python 2.
"""

from __future__ import annotations

import math
import pickle
import struct
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import FunctionType
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

State = dict[str, Any]
Options = dict[str, Any]
FloatArray = npt.NDArray[np.float32]
NumpyStyle = Literal["new", "old"]

# The options of the build functions that change variables or results, with their defaults.
_FMAPS: Options = {"fmap_base": 8192, "fmap_decay": 1.0, "fmap_max": 512}
_FMAPS2: Options = {"fmap_base": 16384, "fmap_decay": 1.0, "fmap_min": 1, "fmap_max": 512}
_SMALL: Options = {"num_channels": 1, "resolution": 32, "label_size": 0}
_LARGE: Options = {"num_channels": 3, "resolution": 1024, "label_size": 0}
_PG: Options = {**_SMALL, **_FMAPS, "use_wscale": True, "fused_scale": True, "structure": None}
_G_PAPER: Options = {
    **_PG, "latent_size": None, "normalize_latents": True, "use_pixelnorm": True, "pixelnorm_epsilon": 1e-8,
    "use_leakyrelu": True,
}  # fmt: skip
_MAPPING: Options = {
    "latent_size": 512, "label_size": 0, "dlatent_size": 512, "mapping_layers": 8, "mapping_fmaps": 512,
    "mapping_lrmul": 0.01, "mapping_nonlinearity": "lrelu", "normalize_latents": True,
}  # fmt: skip
_STYLE: Options = {
    **_LARGE, **_FMAPS, "dlatent_size": 512, "use_styles": True, "const_input_layer": True, "use_noise": True,
    "nonlinearity": "lrelu", "use_wscale": True, "use_pixel_norm": False, "use_instance_norm": True,
    "fused_scale": "auto", "blur_filter": [1, 2, 1], "structure": "auto",
}  # fmt: skip
_ACT2: Options = {"nonlinearity": "lrelu", "resample_kernel": [1, 3, 3, 1]}
_SYNTHESIS2: Options = {**_LARGE, **_FMAPS2, **_ACT2, "dlatent_size": 512}
_MBSTD: Options = {"mbstd_group_size": 4, "mbstd_num_features": 1}
_D_BASIC: Options = {
    **_SMALL, **_FMAPS, **_MBSTD, "nonlinearity": "lrelu", "use_wscale": True, "fused_scale": "auto",
    "blur_filter": [1, 2, 1], "structure": "auto",
}  # fmt: skip
_D2: Options = {**_LARGE, **_FMAPS2, **_ACT2, **_MBSTD}
_D_MAIN: Options = {
    **_D2, "architecture": "resnet", "conv_clamp": None, "mbstd_group_size": None, "mapping_layers": 0,
    "mapping_fmaps": None, "mapping_lrmul": 0.1, "augment_strength": 0, "use_pagan": False, "pagan_num": 16,
    "score_size": 1, "score_max": 1, "use_spectral_norm": False,
}  # fmt: skip
_DEFAULTS: dict[str, Options] = {
    "G_paper": _G_PAPER, "D_paper": {**_PG, "mbstd_group_size": 4},
    "SG1.G_mapping": {**_MAPPING, "use_wscale": True}, "SG1.G_synthesis": _STYLE, "D_basic": _D_BASIC,
    "SG2.G_mapping": _MAPPING,
    "G_synthesis_stylegan2": {**_SYNTHESIS2, "architecture": "skip", "use_attention": False},  # the last is a fork's
    "G_synthesis_stylegan_revised": {**_SYNTHESIS2, "structure": "auto"},
    "D_stylegan": {**_D2, "structure": "auto"},
    "D_stylegan2": {**_D2, "architecture": "resnet", "use_attention": False},
    "ADA.G_mapping": {**_MAPPING, "mapping_fmaps": None, "label_fmaps": None}, "D_main": _D_MAIN,
    "ADA.G_synthesis": {
        **_SYNTHESIS2, "architecture": "skip", "fmap_const": None, "use_noise": True, "conv_clamp": None,
    },
}  # fmt: skip

# The options that are the generator's own and do not reach its components.
TOP_LEVEL_OPTIONS = frozenset({
    "truncation_psi", "truncation_cutoff", "truncation_psi_val", "truncation_cutoff_val", "dlatent_avg_beta",
    "style_mixing_prob", "return_dlatents", "mapping_func", "synthesis_func",
})  # fmt: skip
VERSIONS = {"PG": 2, "PG-in-SG1": 3, "SG1": 3, "SG2": 4, "ADA": 5}
_RELEASES = {"G_paper": "PG", "D_paper": "PG", "G_style": "SG1", "D_basic": "SG1", "D_main": "ADA"}


def options(function: str, family: str, given: Mapping[str, Any]) -> Options:
    """A build function's options (it swallows unknown ones); the family tells namesakes apart."""
    known = _DEFAULTS.get(function) or _DEFAULTS[f"{family}.{function}"]
    return {**known, **{key: value for key, value in given.items() if key in known}}


def log2(resolution: int) -> int:
    return resolution.bit_length() - 1


def num_layers(resolution: int) -> int:
    """How many rows of W a style-based generator reads."""
    return 2 * log2(resolution) - 2


class Recipe:
    """The variables of one network in creation order: name, shape and spread of the random values."""

    def __init__(self, function: str, family: str, given: Mapping[str, Any]) -> None:
        self.o = options(function, family, given)
        self.variables: list[tuple[str, tuple[int, ...], float]] = []

    def add(self, name: str, *shape: int, std: float = 1.0) -> None:
        self.variables.append((name, shape, std))

    def nf(self, stage: int) -> int:
        count = int(self.o["fmap_base"] / 2.0 ** (stage * self.o["fmap_decay"]))
        return int(min(max(count, self.o.get("fmap_min", 0)), self.o["fmap_max"]))

    def weight(self, name: str, *shape: int, gain: float = math.sqrt(2), lrmul: float = 1.0) -> None:
        """Stored values are N(0,1)/lrmul if they are scaled at run time, else they carry the scale."""
        scale = 1.0 if self.o.get("use_wscale", True) else gain / math.sqrt(math.prod(shape[:-1]))
        self.add(name, *shape, std=scale / lrmul)

    def layer(self, scope: str, *shape: int, gain: float = math.sqrt(2), lrmul: float = 1.0) -> None:
        self.weight(f"{scope}/weight", *shape, gain=gain, lrmul=lrmul)
        self.add(f"{scope}/bias", shape[-1], std=0.2 / lrmul)

    def values(self, rng: np.random.Generator, lod: float) -> list[tuple[str, Any]]:
        """Float32 arrays; numpy scalars for the variables without dimensions."""
        filled: list[tuple[str, Any]] = []
        for name, shape, std in self.variables:
            value: Any = np.asarray(rng.standard_normal(shape) * std, dtype=np.float32)
            filled.append((name, np.float32(lod) if name == "lod" else value if shape else np.float32(value)))
        return filled


def _side(level: int) -> str:
    return f"{2**level}x{2**level}"


def _levels_with_rgb(o: Options, top: int, bottom: int = 2) -> list[int]:
    """The levels that have a ToRGB or FromRGB in a growing network."""
    return [top] if o["structure"] == "fixed" else list(range(bottom, top + 1))


def _g_paper(r: Recipe, release: str) -> None:
    o, top, nf = r.o, log2(r.o["resolution"]), r.nf
    o["latent_size"] = nf(0) if o["latent_size"] is None else o["latent_size"]
    rgb = _levels_with_rgb(o, top)
    r.add("lod")
    r.weight("4x4/Dense/weight", o["latent_size"] + o["label_size"], nf(1) * 16, gain=math.sqrt(2) / 4)
    r.add("4x4/Dense/bias", nf(1), std=0.2)
    r.layer("4x4/Conv", 3, 3, nf(1), nf(1))
    for res in range(2, top + 1):
        out, inp = nf(res - 1), nf(res - 2)
        if res > 2 and o["fused_scale"] and release == "PG":
            gain = math.sqrt(2 * out / inp)  # makes the fan-in 9 * inp
            r.weight(f"{_side(res)}/Conv0_up/weight", 3, 3, out, inp, gain=gain)
            r.add(f"{_side(res)}/Conv0_up/bias", out, std=0.2)
        elif res > 2:
            r.layer(f"{_side(res)}/{'Conv0_up' if o['fused_scale'] else 'Conv0'}", 3, 3, inp, out)
        if res > 2:
            r.layer(f"{_side(res)}/Conv1", 3, 3, out, out)
        if res in rgb:
            r.layer(f"ToRGB_lod{top - res}", 1, 1, out, o["num_channels"], gain=1)


def _growing_discriminator(r: Recipe, function: str, release: str) -> None:
    """D_paper, D_basic and D_stylegan: they differ in scope names and in the last layer."""
    o, top, nf = r.o, log2(r.o["resolution"]), r.nf
    down = "Conv1" if function == "D_paper" and not o["fused_scale"] else "Conv1_down"
    rgb = _levels_with_rgb(o, top)
    r.add("lod")
    for res in range(top, 1, -1):
        if res in rgb:
            r.layer(f"FromRGB_lod{top - res}", 1, 1, o["num_channels"], nf(res - 1))
        if res > 2:
            r.layer(f"{_side(res)}/Conv0", 3, 3, nf(res - 1), nf(res - 1))
            r.layer(f"{_side(res)}/{down}", 3, 3, nf(res - 1), nf(res - 2))
    extra = o.get("mbstd_num_features", 1) if o["mbstd_group_size"] > 1 else 0
    outputs = max(o["label_size"], 1)
    if function == "D_paper":
        outputs = 1 + o["label_size"] if release == "PG" else 1
    r.layer("4x4/Conv", 3, 3, nf(1) + extra, nf(1))
    r.layer("4x4/Dense0", nf(1) * 16, nf(0))
    r.layer("Output" if function == "D_stylegan" else "4x4/Dense1", nf(0), outputs, gain=1)


def _g_mapping(r: Recipe, family: str) -> None:
    o = r.o
    width, label_size = o["latent_size"], o["label_size"]
    if label_size and family == "ADA":
        label_fmaps = o["latent_size"] if o["label_fmaps"] is None else o["label_fmaps"]
        r.layer("LabelEmbed", label_size, label_fmaps)
        width += label_fmaps
    elif label_size:
        r.add("LabelConcat/weight", label_size, o["latent_size"])
        width *= 2
    hidden = o["dlatent_size"] if o["mapping_fmaps"] is None else o["mapping_fmaps"]
    for i in range(o["mapping_layers"]):
        out = o["dlatent_size"] if i == o["mapping_layers"] - 1 else hidden
        r.layer(f"Dense{i}", width, out, lrmul=o["mapping_lrmul"])
        width = out


def _style_layer_end(r: Recipe, scope: str, channels: int) -> None:
    if r.o["use_noise"]:
        r.add(f"{scope}/Noise/weight", channels, std=0.3)
    r.add(f"{scope}/bias", channels, std=0.2)
    if r.o["use_styles"]:
        r.weight(f"{scope}/StyleMod/weight", r.o["dlatent_size"], 2 * channels, gain=1)
        r.add(f"{scope}/StyleMod/bias", 2 * channels, std=0.3)


def _g_synthesis_style(r: Recipe) -> None:
    o, top, nf = r.o, log2(r.o["resolution"]), r.nf
    rgb = _levels_with_rgb(o, top)
    r.add("lod")
    for i in range(2 * top - 2 if o["use_noise"] else 0):
        r.add(f"noise{i}", 1, 1, 2 ** (i // 2 + 2), 2 ** (i // 2 + 2))
    if o["const_input_layer"]:
        r.add("4x4/Const/const", 1, nf(1), 4, 4)
    else:
        r.weight("4x4/Dense/weight", o["dlatent_size"], 16 * nf(1), gain=math.sqrt(2) / 4)
    _style_layer_end(r, "4x4/Const" if o["const_input_layer"] else "4x4/Dense", nf(1))
    for res in range(2, top + 1):
        shapes = {"Conv": (nf(1), nf(1))}
        if res > 2:
            shapes = {"Conv0_up": (nf(res - 2), nf(res - 1)), "Conv1": (nf(res - 1), nf(res - 1))}
        for scope, (inp, out) in shapes.items():
            r.weight(f"{_side(res)}/{scope}/weight", 3, 3, inp, out)
            _style_layer_end(r, f"{_side(res)}/{scope}", out)
        if res in rgb:
            r.layer(f"ToRGB_lod{top - res}", 1, 1, nf(res - 1), o["num_channels"], gain=1)


def _modulated(r: Recipe, scope: str, kernel: int, inp: int, out: int) -> None:
    r.add(f"{scope}/weight", kernel, kernel, inp, out)
    r.add(f"{scope}/mod_weight", r.o["dlatent_size"], inp)
    r.add(f"{scope}/mod_bias", inp, std=0.3)
    if kernel > 1 and r.o.get("use_noise", True):
        r.add(f"{scope}/noise_strength", std=0.3)
    r.add(f"{scope}/bias", out, std=0.2)


def _attention(r: Recipe, scope: str, channels: int) -> None:
    """The fifth level of skyflynil's fork has these."""
    for layer, inp, out in (
        ("f_conv", channels, channels // 8),
        ("g_conv", channels, channels // 8),
        ("h_conv", channels, channels // 2),
        ("attn_conv", channels // 2, channels),
    ):
        r.add(f"{scope}/{layer}/kernel", 1, 1, inp, out)
        r.add(f"{scope}/{layer}/bias", out, std=0.2)
        r.add(f"{scope}/{layer}/u", 1, out)
    r.add(f"{scope}/gamma", 1)


def _g_synthesis2(r: Recipe) -> None:
    """G_synthesis_stylegan2, G_synthesis_stylegan_revised and the G_synthesis of ADA."""
    o, top, nf = r.o, log2(r.o["resolution"]), r.nf
    growing, arch = "structure" in o, o.get("architecture")
    rgb = _levels_with_rgb(o, top) if growing else range(2, top + 1) if arch == "skip" else [max(top, 3)]
    const = o.get("fmap_const") or nf(1)
    if growing:
        r.add("lod")
    for i in range(2 * top - 3 if o.get("use_noise", True) else 0):
        r.add(f"noise{i}", 1, 1, 2 ** ((i + 5) // 2), 2 ** ((i + 5) // 2))
    r.add("4x4/Const/const", 1, const, 4, 4)
    _modulated(r, "4x4/Conv", 3, const, nf(1))
    for res in range(2, top + 1):
        if res > 2:
            _modulated(r, f"{_side(res)}/Conv0_up", 3, nf(res - 2), nf(res - 1))
            _modulated(r, f"{_side(res)}/Conv1", 3, nf(res - 1), nf(res - 1))
        if res == 6 and o.get("use_attention"):
            _attention(r, "64x64/attention_g", nf(5))
        if res > 2 and arch == "resnet":
            r.add(f"{_side(res)}/Skip/weight", 1, 1, nf(res - 2), nf(res - 1))
        if res in rgb:
            scope = f"ToRGB_lod{top - res}" if growing else f"{_side(res)}/ToRGB"
            _modulated(r, scope, 1, nf(res - 1), o["num_channels"])


def _spectral(r: Recipe, scope: str, inp: int, out: int) -> None:
    """A 3x3 convolution of the discriminator, with its power-iteration vector if spectral norm is on."""
    r.weight(f"{scope}/weight", 3, 3, inp, out)
    if r.o.get("use_spectral_norm"):
        r.add(f"{scope}/weight_sn", 1, out)
    r.add(f"{scope}/bias", out, std=0.2)


def _from_rgb(r: Recipe, res: int) -> None:
    out = r.nf(res - 1)
    r.add(f"{_side(res)}/FromRGB/weight", 1, 1, r.o["num_channels"], out)
    if r.o.get("use_pagan"):
        r.add(f"{_side(res)}/FromRGB/PAGAN/weight", r.o["pagan_num"], out)
    r.add(f"{_side(res)}/FromRGB/bias", out, std=0.2)


def _discriminator2(r: Recipe, function: str) -> None:
    """D_stylegan2 and D_main."""
    o, top, nf, arch = r.o, log2(r.o["resolution"]), r.nf, r.o["architecture"]
    outputs = max(o["label_size"], 1)
    extra = o["mbstd_num_features"] if function == "D_main" or o["mbstd_group_size"] > 1 else 0
    if function == "D_main":
        outputs = o["score_max"]
        if o["label_size"]:
            outputs = nf(0) if o["mapping_fmaps"] is None else o["mapping_fmaps"]
            r.layer("LabelEmbed", o["label_size"], outputs)
            for i in range(o["mapping_layers"]):
                r.layer(f"Mapping{i}", outputs, outputs, lrmul=o["mapping_lrmul"])
    for res in range(top, 2, -1):
        if arch == "skip" or res == top:
            _from_rgb(r, res)
        _spectral(r, f"{_side(res)}/Conv0", nf(res - 1), nf(res - 1))
        _spectral(r, f"{_side(res)}/Conv1_down", nf(res - 1), nf(res - 2))
        if res == 6 and o.get("use_attention"):
            _attention(r, "64x64/attention_d", nf(4))
        if arch == "resnet":
            r.add(f"{_side(res)}/Skip/weight", 1, 1, nf(res - 1), nf(res - 2))
    if arch == "skip":
        _from_rgb(r, 2)
    _spectral(r, "4x4/Conv", nf(1) + extra, nf(1))
    r.layer("4x4/Dense0", nf(1) * 16, nf(0))
    r.layer("Output", nf(0), outputs)


def _recipe(function: str, release: str, given: Mapping[str, Any]) -> Recipe:
    family = "SG1" if release.endswith("SG1") else release
    r = Recipe(function, family, given)
    if function == "G_paper":
        _g_paper(r, release)
    elif function in {"D_paper", "D_basic", "D_stylegan"}:
        _growing_discriminator(r, function, release)
    elif function == "G_mapping":
        _g_mapping(r, family)
    elif function == "G_synthesis" and family == "SG1":
        _g_synthesis_style(r)
    elif function.startswith("G_synthesis"):
        _g_synthesis2(r)
    else:
        _discriminator2(r, function)
    return r


def _signature(function: str, o: Options) -> State:
    """The shapes and names that ADA (version 5) adds to a state."""
    image = [None, o["num_channels"], o["resolution"], o["resolution"]]
    dlatents = [None, num_layers(o["resolution"]), o["dlatent_size"]]
    latents, labels = [None, o["latent_size"]], [None, o["label_size"]]
    forms: dict[str, tuple[list[Any], list[Any], list[str], str]] = {
        "G_main": ([latents, labels], image, ["latents_in", "labels_in"], "images_out"),
        "G_mapping": ([latents, labels], dlatents, ["latents_in", "labels_in"], "dlatents_out"),
        "G_synthesis": ([dlatents], image, ["dlatents_in"], "images_out"),
        "D_main": ([image, labels], [None, o["score_size"]], ["images_in", "labels_in"], "scores_out"),
    }
    shapes, out, names, out_name = forms[function]
    return {"input_shapes": shapes, "output_shapes": [out], "input_names": names, "output_names": [out_name]}


def build(
    function: str, seed: int, *, name: str | None = None, release: str | None = None, lod: float = 0.0,
    synthesis_lod: float | None = None, **static_kwargs: Any,
) -> State:  # fmt: skip
    """The state of a random network. Releases: PG, PG-in-SG1, SG1, SG2 (also for config A) and ADA."""
    release = release or _RELEASES.get(function, "SG2")
    rng, version = np.random.default_rng(seed), VERSIONS[release]
    components: dict[str, State] = {}
    if function in {"G_style", "G_main"}:
        family = "SG1" if function == "G_style" else release
        inner = {key: value for key, value in static_kwargs.items() if key not in TOP_LEVEL_OPTIONS}
        synthesis = "G_synthesis_stylegan2" if family == "SG2" else "G_synthesis"
        synthesis = static_kwargs.get("synthesis_func", synthesis)
        layers = num_layers(inner.get("resolution", 1024)) if inner.get("use_styles", True) else 1
        inner_lod = lod if synthesis_lod is None else synthesis_lod
        for key, part, extra in (
            ("synthesis", synthesis, {}),
            ("mapping", "G_mapping", {"dlatent_broadcast": layers}),
        ):
            values = _recipe(part, family, inner).values(rng, inner_lod)
            components[key] = _state(part, values, f"G_{key}", version=version, kwargs={**extra, **inner})
        recipe = Recipe("G_mapping", family, inner)
        if release != "ADA":
            recipe.add("lod")
        recipe.add("dlatent_avg", recipe.o["dlatent_size"], std=0.3)
    else:
        recipe = _recipe(function, release, static_kwargs)
    values = recipe.values(rng, lod)
    state = _state(function, values, name or function[0], version=version, kwargs=static_kwargs)
    return state | ({"components": components} if components else {})


def _state(function: str, variables: list[Any], name: str, *, version: int, kwargs: Options) -> State:
    state: State = {"version": version, "name": name, "static_kwargs": dict(kwargs)}
    if version > 2:
        state["components"] = {}
    state |= {"build_module_src": "", "build_func_name": function, "variables": variables}
    if version == 5:
        state |= _signature(function, {**_D_MAIN, **_MAPPING, **_LARGE, **kwargs})
    return state


# Writing pickles: everything is written by name, so none of the official modules has to exist.


class Reference:
    """A class or function of the official programs: pickled by its name, never run."""

    def __init__(self, module: str, name: str) -> None:
        self.__module__, self.__qualname__ = module, name

    def __call__(self, *args: object) -> None:
        raise NotImplementedError(self.__qualname__)

    def __reduce__(self) -> str:
        return self.__qualname__


class EasyDict(dict[str, Any]):
    """The attribute dictionary of the official code, for options that the user nested."""

    __module__ = "dnnlib.util"


class Network:
    """An official network object: its `__dict__` is the pickled state."""

    def __init__(self, state: State) -> None:
        nested = {key: Network(part) for key, part in state.get("components", {}).items()}
        self.__dict__.update(state | ({"components": nested} if "components" in state else {}))


def _save_global(pickler: Any, obj: Any, name: str | None = None) -> None:
    pickler.save_global(obj, name)


class OfficialPickler(pickle._Pickler):
    """A pickler that writes classes and functions by the names the official files have."""

    dispatch = {**pickle._Pickler.dispatch, FunctionType: _save_global}  # noqa: RUF012

    def __init__(self, file: Any, protocol: int, numpy_style: NumpyStyle, class_ref: tuple[str, str]) -> None:
        super().__init__(file, protocol)
        self.style_protocol, self.numpy_style, self.class_ref = protocol, numpy_style, class_ref

    def official_name(self, obj: Any, name: str | None) -> tuple[str, str]:
        if obj is Network:
            return self.class_ref
        module = obj.__module__.replace("numpy._core", "numpy.core")
        if self.numpy_style == "new":
            module = module.replace("numpy.core", "numpy._core")
        if self.style_protocol < 3:
            module = {"builtins": "__builtin__", "copyreg": "copy_reg"}.get(module, module)
        return sys.intern(module), sys.intern(name or obj.__qualname__)

    def save_global(self, obj: Any, name: str | None = None) -> None:
        out: Any = self
        module, qualname = self.official_name(obj, name)
        if self.style_protocol >= 4:
            out.save(module)
            out.save(qualname)
            out.write(pickle.STACK_GLOBAL)
        else:
            out.write(pickle.GLOBAL + f"{module}\n{qualname}\n".encode())
        out.memoize(obj)


def write_pickle(
    path: Path | str, networks: State | Sequence[State], *,
    protocol: int = 4, numpy_style: NumpyStyle = "new", class_ref: tuple[str, str] | None = None,
) -> None:  # fmt: skip
    """Write one network or a tuple of them, e.g. (G, D, Gs), as an official trainer does."""
    single = isinstance(networks, dict)
    states: Sequence[State] = [networks] if isinstance(networks, dict) else networks
    if class_ref is None:
        class_ref = ("tfutil" if states[0]["version"] == 2 else "dnnlib.tflib.network", "Network")
    objects = tuple(Network(state) for state in states)
    with Path(path).open("wb") as file:
        OfficialPickler(file, protocol, numpy_style, class_ref).dump(objects[0] if single else objects)


# The Theano release.


def _theano_scopes(function: str, resolution: int) -> list[str]:
    """The layers of a ProGAN network in the order in which the Theano code stores them."""
    top = log2(resolution)
    if function == "G_paper":
        convs = [f"{_side(res)}/Conv{i}" for res in range(3, top + 1) for i in (0, 1)]
        return ["4x4/Dense", "4x4/Conv", *convs, *(f"ToRGB_lod{lod}" for lod in range(top - 1))]
    levels = [
        scope
        for res in range(top, 2, -1)
        for scope in (f"{_side(res)}/Conv0", f"{_side(res)}/Conv1", f"FromRGB_lod{top - res + 1}")
    ]
    return ["FromRGB_lod0", *levels, "4x4/Conv", "4x4/Dense0", "4x4/Dense1"]


def _theano_weight(scope: str, w: FloatArray) -> FloatArray:
    """A TensorFlow weight as Theano stores it (without the scale)."""
    kind = scope.rpartition("/")[2]
    if kind == "Dense":  # a full 4x4 convolution of a 1x1 input: [out, in, 4, 4]
        stored = w.reshape(w.shape[0], -1, 4, 4).transpose(1, 0, 2, 3)
    elif kind == "Dense0":  # a valid 4x4 convolution, which Theano evaluates with a flipped kernel
        stored = w.T.reshape(w.shape[1], -1, 4, 4)[:, :, ::-1, ::-1]
    elif kind == "Dense1":
        stored = w
    elif w.shape[:2] == (1, 1):
        stored = w[0, 0]
    else:
        stored = w.transpose(3, 2, 0, 1)[:, :, ::-1, ::-1]
    return np.ascontiguousarray(stored)


_THEANO_DROPPED: Options = {
    "label_size": 0, "use_batchnorm": False, "tanh_at_end": None, "mbstat_func": "Tstdeps",
    "mbstat_avg": "all", "mbdisc_kernels": None, "use_layernorm": False,
}  # fmt: skip


def _theano_network(function: str, seed: int, lod: float, alias: str, kwargs: Options) -> tuple[State, State]:
    """One network as the Theano code pickles it, and the version-2 state it stands for."""
    converted = build(function, seed, release="PG", **kwargs, fused_scale=False, mbstd_group_size=16)
    variables, rng = dict(converted["variables"]), np.random.default_rng(seed + 1)
    params: list[Any] = []
    final: list[tuple[str, Any]] = []
    for scope in _theano_scopes(function, kwargs["resolution"]):
        weight, bias = variables[f"{scope}/weight"], variables[f"{scope}/bias"]
        params.append(_theano_weight(scope, weight))
        if kwargs.get("use_wscale", True):
            linear = "ToRGB" in scope or scope.endswith("Dense1")
            gain = 1.0 if linear else math.sqrt(2) / (4 if scope.endswith("Dense") else 1)
            he = gain / math.sqrt(math.prod(weight.shape[:-1]))
            scale = np.array(he * rng.uniform(0.5, 1.5), dtype=np.float32)
            params.append(scale)
            weight = (weight.astype(np.float64) * float(scale) / he).astype(np.float32)
        params.append(bias)
        final += [(f"{scope}/weight", weight), (f"{scope}/bias", bias)]
    converted |= {"name": function, "variables": [*final, ("lod", np.float32(lod))]}
    top_level = {"cur_lod": np.array(lod, np.float32)}
    if function == "D_paper":
        top_level["gdrop_strength"] = np.array(0.0, np.float32)
    spec = {"func": alias, **kwargs, **_THEANO_DROPPED}
    theano = {"build_func_spec": spec, "build_module_src": "", "param_values": params}
    return theano | {"toplevel_params": top_level}, converted


def theano_networks(
    seed: int, *, lod: float = 0.0, old_names: bool = False, **kwargs: Any
) -> tuple[tuple[State, ...], tuple[State, ...]]:
    """(G, D, Gs) as the Theano code pickles them, and the equivalent version-2 ProGAN states."""
    kwargs = {"num_channels": 3, "resolution": 16, "fmap_base": 128, "fmap_max": 16, **kwargs}
    pairs = []
    for i, function in enumerate(("G_paper", "D_paper", "G_paper")):
        alias = f"{function[0]}_progressive_8" if old_names else function
        pairs.append(_theano_network(function, seed + 100 * i, lod, alias, kwargs))
    return tuple(theano for theano, _ in pairs), tuple(converted for _, converted in pairs)


class Python2Pickler(OfficialPickler):
    """Writes text and bytes alike as Python 2's byte strings."""

    def _save_string(self, obj: str | bytes) -> None:
        out: Any = self
        raw = obj.encode("latin-1") if isinstance(obj, str) else obj
        short = len(raw) < 256
        size = struct.pack("<B" if short else "<i", len(raw))
        out.write((pickle.SHORT_BINSTRING if short else pickle.BINSTRING) + size + raw)
        out.memoize(obj)

    _savers: dict[type, Callable[[Any, Any], None]] = {str: _save_string, bytes: _save_string}  # noqa: RUF012
    dispatch = {**OfficialPickler.dispatch, **_savers}  # noqa: RUF012


def write_theano_pickle(path: Path | str, networks: Sequence[State]) -> None:
    """Write Theano-era states the way Python 2 did: protocol 2 with byte strings."""
    with Path(path).open("wb") as file:
        pickler = Python2Pickler(file, 2, "old", ("network", "Network"))
        pickler.dump(tuple(Network(state) for state in networks))
