"""Community networks of which no samples exist, as literal float64 formulas by their own tensor names.

Tensors are as stored in PyTorch's layout: [out, in, kh, kw] and [out, in]. Pictures are NCHW.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np
import numpy.typing as npt

from tests.tools.oracle import Array, box, channels, correlate, fused_up, lerp, mbstd, near, norm2, pad

Tensors = Mapping[str, npt.NDArray[np.float32]]


class Net:
    """The tensors of one network, in float64."""

    def __init__(self, tensors: Tensors) -> None:
        self.tensors = tensors

    def __getitem__(self, name: str) -> Array:
        return np.asarray(self.tensors[name], np.float64)

    def __contains__(self, name: str) -> bool:
        return name in self.tensors


def lrelu(x: Array) -> Array:
    return np.maximum(x, 0.2 * x)


def conv(x: Array, weight: Array, padding: int = 0, stride: int = 1) -> Array:
    return correlate(pad(x, padding, padding), weight.transpose(2, 3, 1, 0), stride)


# rosinality's StyleGAN.


def _equalized(weight: Array) -> Array:
    """Every layer has the same gain: √(2 / fan_in)."""
    return weight * math.sqrt(2 / math.prod(weight.shape[1:]))


def _equal_conv(net: Net, scope: str, x: Array, padding: int) -> Array:
    y = conv(x, _equalized(net[f"{scope}.weight_orig"]), padding)
    return y + channels(net[f"{scope}.bias"], y)


def _stored_blur(x: Array, kernel: Array) -> Array:
    """Every channel has a stored kernel of its own [C, 1, 3, 3]."""
    return np.concatenate([conv(x[:, [i]], kernel[[i]], 1) for i in range(x.shape[1])], axis=1)


def _mean_of_shifts(weight: Array) -> Array:
    """A 3x3 kernel averaged over its four places in 4x4."""
    shifted = np.zeros((*weight.shape[:2], 4, 4))
    for i in (0, 1):
        for j in (0, 1):
            shifted[:, :, i : i + 3, j : j + 3] += weight / 4
    return shifted


def rosinality_stylegan_discriminator(tensors: Tensors, images: npt.ArrayLike, step: int, alpha: float = 1.0) -> Array:
    """Scores [N, 1] at resolution 4 · 2^step; pictures fade over to the level below by 1 - alpha."""
    net, x = Net(tensors), np.asarray(images, np.float64)
    last = max(int(name.split(".")[1]) for name in tensors if name.startswith("progression."))

    def from_rgb(i: int, image: Array) -> Array:
        if f"from_rgb.{i}.0.conv.bias" in net:
            return lrelu(_equal_conv(net, f"from_rgb.{i}.0.conv", image, 0))
        return _equal_conv(net, f"from_rgb.{i}.conv", image, 0)

    def block(i: int, x: Array) -> Array:
        x = lrelu(_equal_conv(net, f"progression.{i}.conv1.0.conv", x, 1))
        x = _stored_blur(x, net[f"progression.{i}.conv2.0.weight"])
        scope = f"progression.{i}.conv2.1"
        if f"{scope}.weight" in net:
            y = conv(x, _mean_of_shifts(_equalized(net[f"{scope}.weight"])), 1, stride=2)
            return lrelu(y + channels(net[f"{scope}.bias"], y))
        return lrelu(box(_equal_conv(net, f"{scope}.conv", x, 1), 2))

    first = last - step
    y = from_rgb(first, x)
    for i in range(first, last):
        y = block(i, y)
        if i == first and alpha < 1:
            y = lerp(from_rgb(i + 1, box(x, 2)), y, alpha)
    spread = np.sqrt(((y - y.mean(axis=0)) ** 2).mean(axis=0) + 1e-8).mean()
    y = np.concatenate([y, np.full_like(y[:, :1], spread)], axis=1)
    y = lrelu(_equal_conv(net, f"progression.{last}.conv1.0.conv", y, 1))
    y = lrelu(_equal_conv(net, f"progression.{last}.conv2.0.conv", y, 0))
    scores: Array = y[:, :, 0, 0] @ _equalized(net["linear.linear.weight_orig"]).T + net["linear.linear.bias"]
    return scores


# genforce's ProGAN.


def _scaled(weight: Array, gain: float = math.sqrt(2)) -> Array:
    return weight * gain / math.sqrt(math.prod(weight.shape[1:]))


def _dense(net: Net, scope: str, x: Array, gain: float = math.sqrt(2)) -> Array:
    y: Array = x @ _scaled(net[f"{scope}.weight"], gain).T + net[f"{scope}.bias"]
    return y


def _wide_conv(net: Net, scope: str, x: Array, padding: int, gain: float = math.sqrt(2)) -> Array:
    y = conv(x, _scaled(net[f"{scope}.weight"], gain), padding)
    return y + channels(net[f"{scope}.bias"], y)


def genforce_pggan_generator(tensors: Tensors, z: npt.ArrayLike, labels: npt.ArrayLike, fused: bool = False) -> Array:
    """Pictures; every layer normalises what it gets. Fused kernels are those of a transposed convolution."""
    net = Net(tensors)
    levels = sum(name.startswith("output") for name in tensors) // 2
    x = np.concatenate([norm2(np.asarray(z, np.float64)), np.asarray(labels, np.float64)], axis=1)[:, :, None, None]
    for layer in range(2 * levels):
        x = norm2(x)
        up = layer > 0 and layer % 2 == 0
        if up and fused:
            weight = net[f"layer{layer}.weight"].transpose(2, 3, 0, 1)
            y = fused_up(x, weight * math.sqrt(2 / math.prod(weight.shape[:3])))
            x = lrelu(y + channels(net[f"layer{layer}.bias"], y))
        else:
            x = lrelu(_wide_conv(net, f"layer{layer}", near(x, 2) if up else x, 1 if layer else 3))
    return _wide_conv(net, f"output{levels - 1}", norm2(x), 0, gain=1.0)


def genforce_pggan_discriminator(tensors: Tensors, images: npt.ArrayLike) -> Array:
    """All outputs [N, 1 + L] for a batch of at most 16, which is one group."""
    net = Net(tensors)
    levels = sum(name.startswith("input") for name in tensors) // 2
    x = lrelu(_wide_conv(net, "input0", np.asarray(images, np.float64), 0))
    for layer in range(2 * levels - 2):
        x = lrelu(_wide_conv(net, f"layer{layer}", x, 1))
        x = box(x, 2) if layer % 2 else x
    x = lrelu(_wide_conv(net, f"layer{2 * levels - 2}", mbstd(x, None, 1), 1))
    x = lrelu(_dense(net, f"layer{2 * levels - 1}", x.reshape(len(x), -1)))
    return _dense(net, f"layer{2 * levels}", x, gain=1.0)


# genforce's StyleGAN2-ADA: the network of the ADA release, for `oracle_torch`.


def genforce_stylegan2_as_ada(t: Tensors) -> dict[str, npt.NDArray[np.float32]]:
    """The tensors of a generator by their names in the ADA release, enlarging kernels turned, styles about 1."""
    levels = sum(name.startswith("synthesis.output") and name.endswith("style.bias") for name in t)
    ada = {"mapping.w_avg": t["truncation.w_avg"], "synthesis.b4.const": t["synthesis.early_layer.const"][0]}
    for name in (name for name in t if name.startswith("mapping.")):
        ada[name.replace("dense", "fc").replace("LabelEmbed", "embed")] = t[name]
    for k in range(2 * levels - 1):
        theirs, ours = f"synthesis.layer{k}", f"synthesis.b{4 << (k + 1) // 2}.conv{1 - k % 2}"
        ada |= _styled(t, theirs, ours)
        ada[f"{ours}.noise_strength"] = t[f"{theirs}.noise_strength"]
        ada[f"{ours}.noise_const"] = t[f"{theirs}.noise"][0, 0]
        if k % 2:
            ada[f"{ours}.weight"] = t[f"{theirs}.weight"][:, :, ::-1, ::-1]
            ada[f"{ours}.resample_filter"] = t[f"{theirs}.filter.kernel"][0, 0] / 4
    for b in range(levels):
        ada |= _styled(t, f"synthesis.output{b}", f"synthesis.b{4 << b}.torgb")
        ada[f"synthesis.b{4 << b}.resample_filter"] = t["synthesis.upsample.kernel"][0, 0] / 4
    return ada


def _styled(t: Tensors, theirs: str, ours: str) -> dict[str, npt.NDArray[np.float32]]:
    same = {f"{ours}.{leaf}": t[f"{theirs}.{leaf}"] for leaf in ("weight", "bias")}
    return {
        **same,
        f"{ours}.affine.weight": t[f"{theirs}.style.weight"],
        f"{ours}.affine.bias": t[f"{theirs}.style.bias"] + 1,
    }


def genforce_stylegan2_discriminator_as_ada(t: Tensors) -> dict[str, npt.NDArray[np.float32]]:
    """The same of a residual discriminator."""
    top = sum(name.startswith("skip_layer") and name.endswith(".weight") for name in t)
    scopes = {f"layer{2 * top}": "b4.conv", f"layer{2 * top + 1}": "b4.fc", f"layer{2 * top + 2}": "b4.out"}
    scopes |= {"input0": f"b{4 << top}.fromrgb", "LabelEmbed": "mapping.embed"}
    for b in range(top):
        ours = f"b{4 << (top - b)}"
        scopes |= {
            f"layer{2 * b}": f"{ours}.conv0",
            f"layer{2 * b + 1}": f"{ours}.conv1",
            f"skip_layer{b}": f"{ours}.skip",
        }
    ada = {}
    for name, value in t.items():
        scope, _, leaf = name.partition(".")
        ours = scopes[scope]
        if leaf == "filter.kernel":
            ada[f"{ours}.resample_filter"] = value[0, 0]
        else:
            ada[f"{ours}.{leaf}"] = value
    return ada


# mmgeneration's ProGAN.


def mmgen_pggan_generator(tensors: Tensors, z: npt.ArrayLike) -> Array:
    """Pictures in the order of channels of the file; a kernel of an enlargement is scaled by its second axis."""
    net = Net(tensors)
    levels = sum(name.startswith("torgb_layers.") for name in tensors) // 2

    def plain(scope: str, x: Array, padding: int, gain: float) -> Array:
        y = conv(x, _scaled(net[f"{scope}.conv.weight_orig"], gain), padding)
        return y + channels(net[f"{scope}.conv.bias"], y)

    x = norm2(np.asarray(z, np.float64)) @ _scaled(net["noise2feat.linear.weight_orig"], math.sqrt(2) / 4).T
    x = norm2(lrelu(x.reshape(len(x), -1, 4, 4) + net["noise2feat.bias"]))
    for block in range(2 * levels - 1):
        if block % 2:
            weight = _scaled(net[f"conv_blocks.{block}.conv.weight_orig"])
            y = _transposed(x, 4 * _mean_of_shifts(weight))
            y += channels(net[f"conv_blocks.{block}.conv.bias"], y)
        else:
            y = plain(f"conv_blocks.{block}", x, 1, math.sqrt(2))
        x = norm2(lrelu(y))
    return plain(f"torgb_layers.{levels - 1}", x, 0, 1.0)


def _transposed(x: Array, kernel: Array) -> Array:
    """Transposed convolution of stride 2, padding 1 by a kernel [in, out, 4, 4]."""
    n, _, h, w = x.shape
    y = np.zeros((n, kernel.shape[1], 2 * h + 2, 2 * w + 2))
    for a in range(4):
        for b in range(4):
            y[:, :, a : a + 2 * h : 2, b : b + 2 * w : 2] += np.einsum("nihw,io->nohw", x, kernel[:, :, a, b])
    return y[:, :, 1:-1, 1:-1]
