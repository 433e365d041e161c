"""The networks of the stylegan2-ada-pytorch release as literal float64 formulas, independent of PyTorch.

A network is its tensors by dotted name, as stored ([out, in, kh, kw] and [out, in]), and the keyword
arguments of its constructor. Everything is evaluated as if all levels were full precision.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from tests.tools.official import log2
from tests.tools.oracle import Array, bias_act, corr, correlate, insert_zeros, mbstd, norm2, pad, upfirdn

Tensors = Mapping[str, npt.NDArray[np.float32]]
HALF = float(np.sqrt(0.5))


class Net:
    """The tensors below one module, in float64."""

    def __init__(self, tensors: Tensors, prefix: str = "") -> None:
        self.tensors, self.prefix = tensors, prefix

    def __getitem__(self, name: str) -> Array:
        return np.asarray(self.tensors[self.prefix + name], np.float64)

    def __contains__(self, name: str) -> bool:
        return self.prefix + name in self.tensors

    def sub(self, name: str) -> Net:
        return Net(self.tensors, f"{self.prefix}{name}.")

    def filter(self) -> Array:
        """The stored filter in two dimensions; long ones are stored as one axis."""
        f = self["resample_filter"]
        return np.outer(f, f) if f.ndim == 1 else f


def image_up(x: Array, f: Array) -> Array:
    n = len(f)
    return upfirdn(x, 4 * f, ((n + 1) // 2, (n - 2) // 2), up=2)


def image_down(x: Array, f: Array) -> Array:
    n = len(f)
    return upfirdn(x, f, ((n - 1) // 2, (n - 2) // 2), down=2)


def hwio(w: Array) -> Array:
    return w.transpose(2, 3, 1, 0)


def conv_up(x: Array, w: Array, f: Array) -> Array:
    """Transposed convolution with stride 2, side 2H-2+k, then the filter; a 1x1 kernel comes first."""
    n, k = len(f), w.shape[2]
    if k == 1:
        return image_up(corr(x, hwio(w)), f)
    turned = w[:, :, ::-1, ::-1]
    t = correlate(pad(insert_zeros(x, 2)[:, :, :-1, :-1], k - 1, k - 1), hwio(turned))
    p = k // 2
    return upfirdn(t, 4 * f, (p + (n + 1) // 2 - (k - 1), p + (n - 2) // 2 - (k - 2)))


def conv_down(x: Array, w: Array, f: Array) -> Array:
    n, k = len(f), w.shape[2]
    if k == 1:
        return corr(image_down(x, f), hwio(w))
    p = k // 2
    return correlate(upfirdn(x, f, (p + (n - 1) // 2, p + (n - 2) // 2)), hwio(w), stride=2)


def fully_connected(net: Net, x: Array, act: str = "linear", lr: float = 1.0) -> Array:
    w = net["weight"]
    return bias_act(x @ (w * lr / np.sqrt(w.shape[1])).T, net["bias"] * lr, act)


def _mapping(net: Net, z: Array, c: Array, kwargs: Mapping[str, Any], layers: int = 8) -> Array:
    """w without its broadcast; z may have no columns (in the discriminator)."""
    x = norm2(z) if z.shape[1] else z
    if c.shape[1]:
        x = np.concatenate([x, norm2(fully_connected(net.sub("embed"), c))], axis=1)
    act, lr = kwargs.get("activation", "lrelu"), kwargs.get("lr_multiplier", 0.01)
    for i in range(kwargs.get("num_layers", layers)):
        x = fully_connected(net.sub(f"fc{i}"), x, act, lr)
    return x


def mapping(
    tensors: Tensors, kwargs: Mapping[str, Any], z: npt.ArrayLike, c: npt.ArrayLike | None = None, *,
    psi: float = 1.0, cutoff: int | None = None,
) -> Array:  # fmt: skip
    """w [N, num_ws, w_dim], truncated."""
    net, z = Net(tensors, "mapping."), np.asarray(z, np.float64)
    labels = np.zeros((len(z), kwargs["c_dim"])) if c is None else np.asarray(c, np.float64)
    w = _mapping(net, z, labels, kwargs.get("mapping_kwargs", {}))
    w = w[:, None].repeat(2 * log2(kwargs["img_resolution"]) - 2, axis=1)
    if psi != 1:
        w[:, :cutoff] = net["w_avg"] + psi * (w[:, :cutoff] - net["w_avg"])
    return w


def modulated(x: Array, weight: Array, s: Array, f: Array | None, demodulate: bool) -> Array:
    """Each sample has its own kernel: the weight times the sample's style, scaled to unit norm."""
    rows = []
    for sample, style in zip(x, s, strict=True):
        w = weight * style[None, :, None, None]
        if demodulate:
            w = w / np.sqrt((w**2).sum(axis=(1, 2, 3), keepdims=True) + 1e-8)
        rows.append(corr(sample[None], hwio(w)) if f is None else conv_up(sample[None], w, f))
    return np.concatenate(rows)


class _Synthesis:
    """The synthesis network for one set of options."""

    def __init__(self, tensors: Tensors, kwargs: Mapping[str, Any], noise_mode: str) -> None:
        self.net, self.noise_mode = Net(tensors, "synthesis."), noise_mode
        o = kwargs.get("synthesis_kwargs", {})
        self.top, self.arch = log2(kwargs["img_resolution"]), o.get("architecture", "skip")
        self.act, self.clamp = o.get("activation", "lrelu"), o.get("conv_clamp")

    def layer(self, net: Net, x: Array, w: Array, up: bool = False, gain: float = 1.0) -> Array:
        s = fully_connected(net.sub("affine"), w)
        x = modulated(x, net["weight"], s, net.filter() if up else None, demodulate=True)
        if self.noise_mode == "const" and "noise_const" in net:
            x = x + net["noise_const"] * net["noise_strength"]
        return bias_act(x, net["bias"], self.act, self.clamp, gain)

    def to_rgb(self, net: Net, x: Array, w: Array) -> Array:
        weight = net["weight"]
        s = fully_connected(net.sub("affine"), w) / np.sqrt(weight.shape[1])
        return bias_act(modulated(x, weight, s, None, demodulate=False), net["bias"], "linear", self.clamp)

    def block(self, net: Net, x: Array, w0: Array, w1: Array) -> Array:
        if self.arch != "resnet":
            return self.layer(net.sub("conv1"), self.layer(net.sub("conv0"), x, w0, up=True), w1)
        skip = net.sub("skip")
        t = conv_up(x, skip["weight"] / np.sqrt(x.shape[1]), skip.filter()) * HALF
        x = self.layer(net.sub("conv0"), x, w0, up=True)
        return t + self.layer(net.sub("conv1"), x, w1, gain=HALF)

    def image(self, w: Array) -> Array:
        net, i = self.net.sub("b4"), 0
        x = self.layer(net.sub("conv1"), net["const"][None].repeat(len(w), axis=0), w[:, 0])
        image = self.to_rgb(net.sub("torgb"), x, w[:, 1]) if "torgb.weight" in net else None
        for res in range(3, self.top + 1):
            net, i = self.net.sub(f"b{2**res}"), 2 * res - 5
            x = self.block(net, x, w[:, i], w[:, i + 1])
            image = None if image is None else image_up(image, net.filter())
            if "torgb.weight" in net:
                rgb = self.to_rgb(net.sub("torgb"), x, w[:, i + 2])
                image = rgb if image is None else image + rgb
        if image is None:
            raise ValueError("the network has no ToRGB layer")
        return image


def synthesis(
    tensors: Tensors,
    kwargs: Mapping[str, Any],
    w: npt.ArrayLike,
    noise_mode: Literal["const", "none"] = "const",
) -> Array:
    """Pictures from w."""
    return _Synthesis(tensors, kwargs, noise_mode).image(np.asarray(w, np.float64))


def generator(
    tensors: Tensors, kwargs: Mapping[str, Any], z: npt.ArrayLike, c: npt.ArrayLike | None = None, *,
    psi: float = 1.0, cutoff: int | None = None, noise_mode: Literal["const", "none"] = "const",
) -> tuple[Array, Array]:  # fmt: skip
    """(w after truncation, pictures)."""
    w = mapping(tensors, kwargs, z, c, psi=psi, cutoff=cutoff)
    return w, synthesis(tensors, kwargs, w, noise_mode)


class _Discriminator:
    """The discriminator for one set of options."""

    def __init__(self, tensors: Tensors, kwargs: Mapping[str, Any]) -> None:
        self.net, self.kwargs, self.arch = Net(tensors), kwargs, kwargs.get("architecture", "resnet")
        self.clamp, self.top = kwargs.get("conv_clamp"), log2(kwargs["img_resolution"])
        self.act = kwargs.get("block_kwargs", {}).get("activation", "lrelu")

    def conv(
        self, net: Net, x: Array, act: str, *, down: bool = False, gain: float = 1.0, clamped: bool = True
    ) -> Array:
        w = net["weight"] / np.sqrt(np.prod(net["weight"].shape[1:]))
        y = conv_down(x, w, net.filter()) if down else corr(x, hwio(w))
        return bias_act(y, net["bias"], act, self.clamp if clamped else None, gain)

    def block(self, net: Net, x: Array) -> Array:
        y = self.conv(net.sub("conv0"), x, self.act)
        if self.arch != "resnet":
            return self.conv(net.sub("conv1"), y, self.act, down=True)
        skip = net.sub("skip")
        t = conv_down(x, skip["weight"] / np.sqrt(x.shape[1]), skip.filter()) * HALF
        return t + self.conv(net.sub("conv1"), y, self.act, down=True, gain=HALF)

    def features(self, image: Array, epilogue_act: str) -> Array:
        """What enters the 4x4 end, after its own FromRGB (which has no clamp)."""
        x = np.zeros(())
        for res in range(self.top, 2, -1):
            net = self.net.sub(f"b{2**res}")
            if "fromrgb.weight" in net:
                x = x + self.conv(net.sub("fromrgb"), image, self.act)
            x = self.block(net, x)
            image = image_down(image, net.filter()) if self.arch == "skip" else image
        if self.arch == "skip":
            x = x + self.conv(self.net.sub("b4.fromrgb"), image, epilogue_act, clamped=False)
        return x

    def logits(self, images: Array, c: Array) -> Array:
        o, net = self.kwargs.get("epilogue_kwargs", {}), self.net.sub("b4")
        act, features = o.get("activation", "lrelu"), o.get("mbstd_num_channels", 1)
        x = self.features(images, act)
        x = mbstd(x, o.get("mbstd_group_size", 4), features) if features > 0 else x
        x = self.conv(net.sub("conv"), x, act)
        x = fully_connected(net.sub("fc"), x.reshape(len(x), -1), act)
        x = fully_connected(net.sub("out"), x)
        if self.kwargs["c_dim"] == 0:
            return x
        cmap = _mapping(self.net.sub("mapping"), np.zeros((len(x), 0)), c, self.kwargs.get("mapping_kwargs", {}))
        total: Array = (x * cmap).sum(axis=1, keepdims=True) / np.sqrt(x.shape[1])
        return total


def discriminator(
    tensors: Tensors, kwargs: Mapping[str, Any], images: npt.ArrayLike, c: npt.ArrayLike | None = None
) -> Array:
    """Logits [N, 1]."""
    images = np.asarray(images, np.float64)
    labels = np.zeros((len(images), kwargs["c_dim"])) if c is None else np.asarray(c, np.float64)
    return _Discriminator(tensors, kwargs).logits(images, labels)
