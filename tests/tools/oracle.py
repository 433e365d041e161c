"""The official TensorFlow networks as literal float64 formulas: slow, plain, independent of PyTorch.

Everything works on the states that `official` builds (or that a reader finds in an official file). Pictures
are NCHW, convolution weights [kh, kw, in, out], dense weights [in, out], all exactly as stored in the files.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from tests.tools.official import Options, State, log2, num_layers, options

Array = npt.NDArray[np.float64]
Noise = Sequence[npt.ArrayLike]
SQRT2 = math.sqrt(2)


# Resampling and convolution.


def filter_2d(taps: Any) -> Array:
    """A filter that sums to one; a list is made square by its outer product, None is the box."""
    k = np.asarray([1, 1] if taps is None else taps, np.float64)
    k = np.outer(k, k) if k.ndim == 1 else k
    normalised: Array = k / k.sum()
    return normalised


def insert_zeros(x: Array, up: int) -> Array:
    n, c, h, w = x.shape
    y = np.zeros((n, c, h * up, w * up))
    y[:, :, ::up, ::up] = x
    return y


def pad(x: Array, before: int, after: int) -> Array:
    """Zeros at top/left and bottom/right; negative amounts crop."""
    grow = (max(before, 0), max(after, 0))
    x = np.pad(x, ((0, 0), (0, 0), grow, grow))
    top, bottom = max(-before, 0), max(-after, 0)
    return x[:, :, top : x.shape[2] - bottom, top : x.shape[3] - bottom]


def correlate(x: Array, w: Array, stride: int = 1) -> Array:
    """y[i,j] = sum over a,b of x[i*stride+a, j*stride+b] w[a,b], without padding."""
    kh, kw, _, out = w.shape
    h, v = (x.shape[2] - kh) // stride + 1, (x.shape[3] - kw) // stride + 1
    y = np.zeros((x.shape[0], out, h, v))
    for a in range(kh):
        for b in range(kw):
            window = x[:, :, a : a + (h - 1) * stride + 1 : stride, b : b + (v - 1) * stride + 1 : stride]
            y += np.moveaxis(np.tensordot(window, w[a, b], axes=(1, 0)), -1, 1)
    return y


def corr(x: Array, w: Array) -> Array:
    """Same-size correlation with an odd kernel."""
    p = (w.shape[0] - 1) // 2
    return correlate(pad(x, p, p), w)


def upfirdn(x: Array, k: Array, pads: tuple[int, int], up: int = 1, down: int = 1) -> Array:
    """Insert zeros, pad, convolve truly (the filter is turned), keep every `down`-th sample."""
    x, n = pad(insert_zeros(x, up), *pads), len(k)
    h, w = x.shape[2] - n + 1, x.shape[3] - n + 1
    y = np.zeros((*x.shape[:2], h, w))
    for a in range(n):
        for b in range(n):
            y += k[a, b] * x[:, :, n - 1 - a : n - 1 - a + h, n - 1 - b : n - 1 - b + w]
    return y[:, :, ::down, ::down]


def up2(x: Array, k: Array) -> Array:
    n = len(k)
    return upfirdn(x, 4 * k, ((n + 1) // 2, (n - 2) // 2), up=2)


def down2(x: Array, k: Array) -> Array:
    n = len(k)
    return upfirdn(x, k, ((n - 1) // 2, (n - 2) // 2), down=2)


def conv_up2(x: Array, w: Array, k: Array) -> Array:
    """Zero-stuff (no trailing zero), correlate with full padding, then filter."""
    n, c = len(k), w.shape[0]
    t = correlate(pad(insert_zeros(x, 2)[:, :, :-1, :-1], c - 1, c - 1), w)
    return upfirdn(t, 4 * k, ((n + 2 - c) // 2, (n - c + 1) // 2))


def conv_down2(x: Array, w: Array, k: Array) -> Array:
    n, c = len(k), w.shape[0]
    return correlate(upfirdn(x, k, ((n - 2 + c) // 2, (n - 3 + c) // 2)), w, stride=2)


def four_taps(w: Array) -> Array:
    """A 3x3 kernel convolved with a 2x2 block of ones."""
    k = np.zeros((4, 4, *w.shape[2:]))
    for i in range(2):
        for j in range(2):
            k[i : i + 3, j : j + 3] += w
    return k


def fused_up(x: Array, w: Array) -> Array:
    """y[2i+a-1, 2j+b-1] += x[i,j] K[a,b]."""
    k, (n, _, h, v) = four_taps(w), x.shape
    y = np.zeros((n, w.shape[3], 2 * h + 2, 2 * v + 2))
    for a in range(4):
        for b in range(4):
            y[:, :, a : a + 2 * h : 2, b : b + 2 * v : 2] += np.einsum("nihw,io->nohw", x, k[a, b])
    return y[:, :, 1:-1, 1:-1]


def fused_down(x: Array, w: Array) -> Array:
    """y[i,j] = 1/4 sum over a,b of K[a,b] x[2i+a-1, 2j+b-1]."""
    return correlate(pad(x, 1, 1), four_taps(w) / 4, stride=2)


def near(x: Array, factor: int) -> Array:
    return x.repeat(factor, axis=2).repeat(factor, axis=3)


def box(x: Array, factor: int) -> Array:
    n, c, h, w = x.shape
    y: Array = x.reshape(n, c, h // factor, factor, w // factor, factor).mean(axis=(3, 5))
    return y


def blur(x: Array, taps: Any) -> Array:
    """StyleGAN's blur: a cross-correlation."""
    if taps is None:
        return x
    k = filter_2d(taps)
    n = len(k)
    return upfirdn(x, k[::-1, ::-1], ((n - 1) // 2, n // 2))


# Pointwise operations.


def norm2(x: Array, epsilon: float = 1e-8) -> Array:
    y: Array = x / np.sqrt((x**2).mean(axis=1, keepdims=True) + epsilon)
    return y


def instance_norm(x: Array) -> Array:
    x = x - x.mean(axis=(2, 3), keepdims=True)
    y: Array = x / np.sqrt((x**2).mean(axis=(2, 3), keepdims=True) + 1e-8)
    return y


def lerp(a: Array, b: Array, t: float) -> Array:
    return a + (b - a) * t


def _sigmoid(x: Array) -> Array:
    return 0.5 * (1 + np.tanh(x / 2))


def _elu(x: Array) -> Array:
    return np.where(x > 0, x, np.expm1(np.minimum(x, 0)))


_SELU = (1.0507009873554805, 1.6732632423543772)
ACTIVATIONS: dict[str, tuple[Callable[[Array], Array], float]] = {
    "linear": (lambda x: x, 1.0),
    "relu": (lambda x: np.maximum(x, 0), SQRT2),
    "lrelu": (lambda x: np.maximum(x, 0.2 * x), SQRT2),
    "tanh": (np.tanh, 1.0),
    "sigmoid": (_sigmoid, 1.0),
    "elu": (_elu, 1.0),
    "selu": (lambda x: _SELU[0] * np.where(x > 0, x, _SELU[1] * np.expm1(np.minimum(x, 0))), 1.0),
    "softplus": (lambda x: np.logaddexp(0, x), 1.0),
    "swish": (lambda x: x * _sigmoid(x), SQRT2),
}


def channels(b: Array, x: Array) -> Array:
    """A per-channel vector, shaped to be added to x."""
    return b.reshape(1, -1, *[1] * (x.ndim - 2))


def bias_act(x: Array, b: Array, act: str, clamp: float | None = None, gain: float = 1.0) -> Array:
    """clamp(gain f(x + b)) of StyleGAN2; an extra gain multiplies the limit too."""
    f, own_gain = ACTIVATIONS[act]
    y = f(x + channels(b, x)) * own_gain * gain
    return y if clamp is None else np.clip(y, -clamp * gain, clamp * gain)


def mbstd(x: Array, group: int | None, features: int) -> Array:
    """Append the deviation over groups of samples that lie M apart."""
    n, c, h, w = x.shape
    g = n if group is None else min(group, n)
    y = x.reshape(g, n // g, features, c // features, h, w)
    y = np.sqrt(((y - y.mean(axis=0)) ** 2).mean(axis=0) + 1e-8).mean(axis=(2, 3, 4))
    maps = np.stack([np.broadcast_to(y[i % (n // g)][:, None, None], (features, h, w)) for i in range(n)])
    return np.concatenate([x, maps], axis=1)


class Net:
    """One network: its variables in float64 and its options."""

    def __init__(self, state: State, family: str) -> None:
        self.v = {name: np.asarray(value, np.float64) for name, value in state["variables"]}
        self.o: Options = options(state["build_func_name"], family, state["static_kwargs"])
        self.top = log2(self.o.get("resolution", 4))
        self.lod = 0.0 if self.o.get("structure") == "fixed" else float(self.v.get("lod", 0.0))

    def w(self, scope: str, gain: float = SQRT2, lrmul: float = 1.0) -> Array:
        """A weight as used at run time."""
        stored = self.v[f"{scope}/weight"]
        scaled = self.o.get("use_wscale", True)
        return stored * (lrmul * (gain / np.sqrt(np.prod(stored.shape[:-1])) if scaled else 1.0))

    def w1(self, scope: str) -> Array:
        """A weight of StyleGAN2 or of a linear layer: no gain."""
        return self.w(scope, gain=1.0)

    def b(self, scope: str, x: Array) -> Array:
        return channels(self.v[f"{scope}/bias"], x)

    def act(self, x: Array, scope: str) -> Array:
        """Bias and plain activation of ProGAN and StyleGAN."""
        x = x + self.b(scope, x)
        leaky = self.o.get("use_leakyrelu", True) and self.o.get("nonlinearity", "lrelu") == "lrelu"
        return np.maximum(x, 0.2 * x if leaky else 0)


def side(level: int) -> str:
    return f"{2**level}x{2**level}"


def family(state: State) -> str:
    """PG, PG-in-SG1, SG1, SG2 or ADA."""
    function = state["build_func_name"]
    if function in {"G_paper", "D_paper"}:
        return "PG" if state["version"] == 2 else "PG-in-SG1"
    if function == "G_main":
        return "ADA" if state["components"]["synthesis"]["build_func_name"] == "G_synthesis" else "SG2"
    return {"G_style": "SG1", "D_basic": "SG1", "D_main": "ADA"}.get(function, "SG2")


# Growing.

Block = Callable[[int, Array], Array]


def grown_image(net: Net, x: Array, first: int, block: Block, to_rgb: Block) -> Array:
    """The picture for a lod; x enters the first level. Finer levels than needed are not evaluated."""
    for res in range(first, net.top + 1):
        level, y = net.top - res, block(res, x)
        if level == 0 or net.lod >= level:
            image = to_rgb(res, y)
            if net.lod > level and res > 2:
                image = lerp(image, near(to_rgb(res - 1, x), 2), net.lod - level)
            return near(image, 2**level)
        x = y
    return to_rgb(net.top, x)


def grown_features(net: Net, images: Array, block: Block, from_rgb: Block, res: int) -> Array:
    """X(res) of a growing discriminator."""
    level = net.top - res
    if level > 0 and net.lod < level:
        x = grown_features(net, images, block, from_rgb, res + 1)
    else:
        x = from_rgb(res, box(images, 2**level))
    x = block(res, x)
    if net.lod > level and res > 2:
        x = lerp(x, from_rgb(res - 1, box(images, 2 ** (level + 1))), net.lod - level)
    return x


# ProGAN and StyleGAN.


def _progan_image(state: State, z: Array, labels: Array) -> Array:
    net = Net(state, family(state))
    o, first_side = net.o, (len(z), -1, 4, 4)
    epsilon = o["pixelnorm_epsilon"]

    def end(x: Array, scope: str) -> Array:
        x = net.act(x, scope)
        return norm2(x, epsilon) if o["use_pixelnorm"] else x

    def block(res: int, x: Array) -> Array:
        if res == 2:
            x = end((x @ net.w("4x4/Dense", SQRT2 / 4)).reshape(first_side), "4x4/Dense")
            return end(corr(x, net.w("4x4/Conv")), "4x4/Conv")
        scope = f"{side(res)}/Conv0_up" if o["fused_scale"] else f"{side(res)}/Conv0"
        if o["fused_scale"]:
            w = net.v[f"{scope}/weight"]
            w = w.swapaxes(2, 3) if family(state) == "PG" else w
            w = w * (SQRT2 / np.sqrt(np.prod(w.shape[:3])) if o["use_wscale"] else 1.0)
            x = end(fused_up(x, w), scope)
        else:
            x = end(corr(near(x, 2), net.w(scope)), scope)
        return end(corr(x, net.w(f"{side(res)}/Conv1")), f"{side(res)}/Conv1")

    x = np.concatenate([z, labels], axis=1)
    x = norm2(x, epsilon) if o["normalize_latents"] else x
    return grown_image(net, x, 2, block, lambda res, x: _plain_rgb(net, res, x))


def _plain_rgb(net: Net, res: int, x: Array) -> Array:
    scope = f"ToRGB_lod{net.top - res}"
    return corr(x, net.w1(scope)) + net.b(scope, x)


def _mapping(state: State, fam: str, z: Array, labels: Array) -> Array:
    net = Net(state, fam)
    o, x = net.o, z
    if fam == "ADA":
        x = norm2(x) if o["normalize_latents"] else x
        if o["label_size"]:
            y = labels @ net.w1("LabelEmbed") + net.b("LabelEmbed", x)
            x = np.concatenate([x, norm2(y)], axis=1)
    else:
        if o["label_size"]:
            x = np.concatenate([x, labels @ net.v["LabelConcat/weight"]], axis=1)
        x = norm2(x) if o["normalize_latents"] else x
    for i in range(o["mapping_layers"]):
        b = net.v[f"Dense{i}/bias"] * o["mapping_lrmul"]
        if fam == "SG1":
            x = x @ net.w(f"Dense{i}", lrmul=o["mapping_lrmul"]) + b
            x = np.maximum(x, 0.2 * x if o["mapping_nonlinearity"] == "lrelu" else 0)
        else:
            x = x @ net.w(f"Dense{i}", 1.0, o["mapping_lrmul"])
            x = bias_act(x, b, o["mapping_nonlinearity"])
    return x


def _style_synthesis(net: Net, w: Array, noise: Sequence[Array]) -> Array:
    o = net.o

    def end(x: Array, scope: str, i: int) -> Array:
        if o["use_noise"]:
            x = x + noise[i] * channels(net.v[f"{scope}/Noise/weight"], x)
        x = net.act(x, scope)
        x = norm2(x) if o["use_pixel_norm"] else x
        x = instance_norm(x) if o["use_instance_norm"] else x
        if o["use_styles"]:
            s = w[:, i] @ net.w1(f"{scope}/StyleMod") + net.v[f"{scope}/StyleMod/bias"]
            scale, shift = np.split(s[:, :, None, None], 2, axis=1)
            x = x * (scale + 1) + shift
        return x

    def block(res: int, x: Array) -> Array:
        scope = f"{side(res)}/Conv0_up"
        fused = 2 * min(x.shape[2:]) >= 128 if o["fused_scale"] == "auto" else o["fused_scale"]
        x = fused_up(x, net.w(scope)) if fused else corr(near(x, 2), net.w(scope))
        x = end(blur(x, o["blur_filter"]), scope, 2 * res - 4)
        scope = f"{side(res)}/Conv1"
        return end(corr(x, net.w(scope)), scope, 2 * res - 3)

    if o["const_input_layer"]:
        x = end(net.v["4x4/Const/const"].repeat(len(w), axis=0), "4x4/Const", 0)
    else:
        x = (w[:, 0] @ net.w("4x4/Dense", SQRT2 / 4)).reshape(len(w), -1, 4, 4)
        x = end(x, "4x4/Dense", 0)
    x = end(corr(x, net.w("4x4/Conv")), "4x4/Conv", 1)
    return grown_image(net, x, 3, block, lambda res, x: _plain_rgb(net, res, x))


# StyleGAN2 and ADA.


def _modulated(net: Net, scope: str, x: Array, w: Array, *, demodulate: bool, k: Array | None) -> Array:
    """Scale the input channels by the style, convolve, scale the output channels back to unit variance."""
    v, weight = net.v, net.w1(scope)
    s = w @ v[f"{scope}/mod_weight"] / np.sqrt(w.shape[1]) + v[f"{scope}/mod_bias"] + 1
    x = x * s[:, :, None, None]
    y = corr(x, weight) if k is None else conv_up2(x, weight, k)
    if demodulate:
        d = 1 / np.sqrt(np.einsum("hwio,ni->no", weight**2, s**2) + 1e-8)
        y = y * d[:, :, None, None]
    return y


def _spectral_conv(net: Net, scope: str, x: Array) -> Array:
    """1x1 convolution by the kernel over its largest singular value, as the stored u estimates it."""

    def norm(v: Array) -> Array:
        return v / np.sqrt(np.maximum((v**2).sum(), 1e-12))

    kernel = net.v[f"{scope}/kernel"][0, 0]
    v = norm(net.v[f"{scope}/u"] @ kernel.T)
    sigma = (v @ kernel @ norm(v @ kernel).T).item()
    return np.einsum("nihw,io->nohw", x, kernel / sigma) + net.b(scope, x)


def attention(net: Net, scope: str, x: Array) -> Array:
    """Self-attention of skyflynil's fork; x itself where there is none."""
    if f"{scope}/gamma" not in net.v:
        return x
    n, _, h, w = x.shape

    def pooled(name: str) -> Array:
        y = _spectral_conv(net, f"{scope}/{name}", x)
        y = y.reshape(n, -1, h // 2, 2, w // 2, 2).max(axis=(3, 5))
        return y.reshape(n, y.shape[1], -1)

    g = _spectral_conv(net, f"{scope}/g_conv", x).reshape(n, -1, h * w)
    likeness = np.exp(np.einsum("ncq,nck->nqk", g, pooled("f_conv")))
    weights = likeness / likeness.sum(axis=2, keepdims=True)
    mixed = np.einsum("nqk,nck->ncq", weights, pooled("h_conv")).reshape(n, -1, h, w)
    return net.v[f"{scope}/gamma"] * _spectral_conv(net, f"{scope}/attn_conv", mixed) + x


def _synthesis2(net: Net, w: Array, noise: Sequence[Array]) -> Array:
    o, k = net.o, filter_2d(net.o["resample_kernel"])
    arch, clamp = o.get("architecture", "growing"), o.get("conv_clamp")

    def layer(scope: str, x: Array, i: int, up: bool = False) -> Array:
        x = _modulated(net, scope, x, w[:, i], demodulate=True, k=k if up else None)
        if o.get("use_noise", True):
            x = x + noise[i] * net.v[f"{scope}/noise_strength"]
        return bias_act(x, net.v[f"{scope}/bias"], o["nonlinearity"], clamp)

    def to_rgb(res: int, x: Array) -> Array:
        scope = f"ToRGB_lod{net.top - res}" if arch == "growing" else f"{side(res)}/ToRGB"
        x = _modulated(net, scope, x, w[:, 2 * res - 3], demodulate=False, k=None)
        return bias_act(x, net.v[f"{scope}/bias"], "linear", clamp)

    def block(res: int, x: Array) -> Array:
        t = x
        x = layer(f"{side(res)}/Conv0_up", x, 2 * res - 5, up=True)
        x = layer(f"{side(res)}/Conv1", x, 2 * res - 4)
        x = attention(net, f"{side(res)}/attention_g", x)
        return (x + conv_up2(t, net.w1(f"{side(res)}/Skip"), k)) / SQRT2 if arch == "resnet" else x

    x = layer("4x4/Conv", net.v["4x4/Const/const"].repeat(len(w), axis=0), 0)
    if arch == "growing":
        return grown_image(net, x, 3, block, to_rgb)
    image = to_rgb(2, x) if arch == "skip" else None
    for res in range(3, net.top + 1):
        x = block(res, x)
        if image is not None:
            image = up2(image, k) + to_rgb(res, x)
    return to_rgb(net.top, x) if image is None else image


# Whole generators.


def stored_noise(state: State) -> list[Array]:
    """The noise maps of a generator, in order."""
    variables = state["components"]["synthesis"]["variables"]
    return [np.asarray(v, np.float64) for name, v in variables if name.startswith("noise")]


def seed_inputs(state: State, seed: int) -> tuple[Array, list[Array]]:
    """z and the noise maps that the official scripts draw for a seed, rounded to float32."""
    rng = np.random.RandomState(seed)
    latents = options("G_mapping", family(state), state["static_kwargs"])["latent_size"]
    z = rng.randn(1, latents).astype(np.float32).astype(np.float64)
    return z, [rng.randn(*n.shape).astype(np.float32).astype(np.float64) for n in stored_noise(state)]


def default_truncation(state: State) -> tuple[float | None, int | None]:
    """The psi and cutoff that a generator uses when the caller gives none."""
    own: Options = {"truncation_psi": 0.5, "truncation_cutoff": None}
    if family(state) == "SG1":
        own = {"truncation_psi": 0.7, "truncation_cutoff": 8}
    own |= state["static_kwargs"]
    return own["truncation_psi"], own["truncation_cutoff"]


def _labels(labels: npt.ArrayLike | None, count: int, size: int) -> Array:
    return np.zeros((count, size)) if labels is None else np.asarray(labels, np.float64)


def mapping(state: State, z: npt.ArrayLike, labels: npt.ArrayLike | None = None) -> Array:
    """w [N, L, D] of a style-based generator, untruncated."""
    fam, kwargs, z = family(state), state["static_kwargs"], np.asarray(z, np.float64)
    w = _mapping(state["components"]["mapping"], fam, z, _labels(labels, len(z), kwargs.get("label_size", 0)))
    layers = num_layers(kwargs.get("resolution", 1024)) if kwargs.get("use_styles", True) else 1
    return w[:, None].repeat(layers if fam == "SG1" else num_layers(kwargs.get("resolution", 1024)), axis=1)


def truncate(state: State, w: Array, psi: float | None, cutoff: int | None) -> Array:
    """StyleGAN(1) truncates only if both numbers are given; the later ones need psi alone."""
    if psi is None or psi == 1 or (family(state) == "SG1" and (cutoff is None or cutoff <= 0)):
        return w
    average = np.asarray(dict(state["variables"])["dlatent_avg"], np.float64)
    rows = np.arange(w.shape[1])[None, :, None] < (w.shape[1] if cutoff is None else cutoff)
    return np.where(rows, average + (w - average) * psi, w)


def synthesis(state: State, w: npt.ArrayLike, noise: Noise | None = None, lod: float | None = None) -> Array:
    """Pictures from w; the synthesis component's own lod and stored noise unless others are given."""
    fam = family(state)
    net = Net(state["components"]["synthesis"], fam)
    net.lod = net.lod if lod is None or net.o.get("structure") == "fixed" else lod
    maps = stored_noise(state) if noise is None else [np.asarray(n, np.float64) for n in noise]
    return (_style_synthesis if fam == "SG1" else _synthesis2)(net, np.asarray(w, np.float64), maps)


def generator(
    state: State, z: npt.ArrayLike, labels: npt.ArrayLike | None = None, psi: float | None = 1.0,
    cutoff: int | None = None, *, noise: Noise | None = None,
) -> tuple[Array, Array]:  # fmt: skip
    """(w after truncation, pictures); for ProGAN w is z itself. Noise defaults to the stored maps."""
    z = np.asarray(z, np.float64)
    if state["build_func_name"] == "G_paper":
        return z, _progan_image(state, z, _labels(labels, len(z), state["static_kwargs"].get("label_size", 0)))
    w = truncate(state, mapping(state, z, labels), psi, cutoff)
    lod = dict(state["variables"]).get("lod")
    return w, synthesis(state, w, noise, None if lod is None else float(lod))


# Discriminators.


class Verdict(NamedTuple):
    """What a discriminator returns, and the spectral-norm vectors that it leaves behind."""

    scores: Array
    label_logits: Array
    u: dict[str, Array]


def _dense(net: Net, x: Array, scope: str, gain: float = SQRT2) -> Array:
    y: Array = x.reshape(len(x), -1) @ net.w(scope, gain)
    return y


def _discriminator1(state: State, images: Array, labels: Array) -> Verdict:
    """D_paper and D_basic."""
    fam, paper = family(state), state["build_func_name"] == "D_paper"
    net = Net(state, fam)
    o = net.o

    def from_rgb(res: int, x: Array) -> Array:
        scope = f"FromRGB_lod{net.top - res}"
        return net.act(corr(x, net.w(scope)), scope)

    def last(x: Array) -> Array:
        if o["mbstd_group_size"] > 1:
            x = mbstd(x, o["mbstd_group_size"], o.get("mbstd_num_features", 1))
        x = net.act(corr(x, net.w("4x4/Conv")), "4x4/Conv")
        x = net.act(_dense(net, x, "4x4/Dense0"), "4x4/Dense0")
        return _dense(net, x, "4x4/Dense1", 1.0) + net.b("4x4/Dense1", x)

    def block(res: int, x: Array) -> Array:
        if res == 2:
            return last(x)
        x = net.act(corr(x, net.w(f"{side(res)}/Conv0")), f"{side(res)}/Conv0")
        scope = f"{side(res)}/Conv1" if paper and not o["fused_scale"] else f"{side(res)}/Conv1_down"
        x = x if paper else blur(x, o["blur_filter"])
        if min(x.shape[2:]) >= 128 if o["fused_scale"] == "auto" else o["fused_scale"]:
            return net.act(fused_down(x, net.w(scope)), scope)
        y = corr(x, net.w(scope))
        return box(net.act(y, scope), 2) if paper else net.act(box(y, 2), scope)

    out = grown_features(net, images, block, from_rgb, 2)
    if not paper and o["label_size"]:
        out = (out * labels).sum(axis=1, keepdims=True)
    return Verdict(out[:, :1], out[:, 1:], {})


def _conv_weight(net: Net, scope: str, u: dict[str, Array]) -> Array:
    """A 3x3 weight, divided by its largest singular value as the stored vector estimates it."""
    w, name = net.w1(scope), f"{scope}/weight_sn"
    if name not in net.v:
        return w
    flat = w.reshape(-1, w.shape[-1])
    v = u.get(name, net.v[name]) @ flat.T
    v = v / np.sqrt((v**2).sum() + 1e-8)
    u2 = v @ flat
    inverse_sigma = 1 / np.sqrt((u2**2).sum() + 1e-8)
    u[name] = u2 * inverse_sigma
    normalised: Array = w * inverse_sigma
    return normalised


def _discriminator2(state: State, images: Array, labels: Array, u: dict[str, Array]) -> Verdict:
    """D_stylegan, D_stylegan2 and D_main (its random augmentations switched off: augment_strength 0)."""
    fam = family(state)
    net = Net(state, fam)
    o, act, clamp, k = (
        net.o,
        net.o["nonlinearity"],
        net.o.get("conv_clamp"),
        filter_2d(net.o["resample_kernel"]),
    )
    arch = o.get("architecture", "growing")
    if o.get("augment_strength", 0) != 0:
        raise NotImplementedError("augment_strength makes a discriminator random")

    def ba(x: Array, scope: str, limit: float | None = clamp) -> Array:
        return bias_act(x, net.v[f"{scope}/bias"], act, limit)

    def from_rgb(res: int, x: Array) -> Array:
        scope = f"FromRGB_lod{net.top - res}" if arch == "growing" else f"{side(res)}/FromRGB"
        return ba(corr(x, net.w1(scope)), scope)

    def block(res: int, x: Array) -> Array:
        t, scope, down = x, f"{side(res)}/Conv0", f"{side(res)}/Conv1_down"
        x = ba(corr(x, _conv_weight(net, scope, u)), scope)
        x = ba(conv_down2(x, _conv_weight(net, down, u), k), down)
        x = attention(net, f"{side(res)}/attention_d", x)
        return (x + conv_down2(t, net.w1(f"{side(res)}/Skip"), k)) / SQRT2 if arch == "resnet" else x

    if arch == "growing" and net.top > 2:
        x = grown_features(net, images, block, from_rgb, 3)
    else:
        x, image = from_rgb(net.top, images), images
        for res in range(net.top, 2, -1):
            x = block(res, x)
            if arch == "skip":
                image = down2(image, k)
                x = from_rgb(res - 1, image) + x
    group, features = o["mbstd_group_size"], o["mbstd_num_features"]
    if features > 0 if fam == "ADA" else group > 1:
        x = mbstd(x, group, features)
    x = ba(corr(x, _conv_weight(net, "4x4/Conv", u)), "4x4/Conv")
    x = ba(_dense(net, x, "4x4/Dense0", 1.0), "4x4/Dense0", None)
    x = _dense(net, x, "Output", 1.0) + net.b("Output", x)
    if o["label_size"] and fam == "ADA":
        labels = _label_projection(net, labels) / np.sqrt(x.shape[1])
    if o["label_size"]:
        x = (x * labels).sum(axis=1, keepdims=True)
    return Verdict(x[:, : o.get("score_size", 1)], x[:, :0], u)


def _label_projection(net: Net, labels: Array) -> Array:
    lrmul = net.o["mapping_lrmul"]
    e = labels @ net.w1("LabelEmbed")
    e = norm2(e + net.b("LabelEmbed", e))
    for i in range(net.o["mapping_layers"]):
        bias = net.v[f"Mapping{i}/bias"] * lrmul
        e = bias_act(e @ net.w(f"Mapping{i}", 1.0, lrmul), bias, net.o["nonlinearity"])
    return e


def discriminator(
    state: State, images: npt.ArrayLike, labels: npt.ArrayLike | None = None,
    u: dict[str, Array] | None = None,
) -> Verdict:  # fmt: skip
    """Scores (and ProGAN's label logits) of a batch; with spectral norm hand on `u` from call to call."""
    images = np.asarray(images, np.float64)
    given = _labels(labels, len(images), state["static_kwargs"].get("label_size", 0))
    if state["build_func_name"] in {"D_paper", "D_basic"}:
        return _discriminator1(state, images, given)
    return _discriminator2(state, images, given, dict(u or {}))


# Eight bits.


def to_uint8(images: npt.ArrayLike) -> npt.NDArray[np.uint8]:
    """NHWC bytes of the generate scripts of StyleGAN and later: float32, truncated."""
    x = np.asarray(images, np.float32) * np.float32(127.5) + np.float32(128)
    pixels: npt.NDArray[np.uint8] = np.clip(x, 0, 255).astype(np.uint8)
    return pixels.transpose(0, 2, 3, 1)


def to_uint8_rounded(images: npt.ArrayLike) -> npt.NDArray[np.uint8]:
    """NHWC bytes of ProGAN and of all image grids: rounded half to even."""
    x = np.asarray(images, np.float32) * np.float32(127.5) + np.float32(127.5)
    pixels: npt.NDArray[np.uint8] = np.clip(np.rint(x), 0, 255).astype(np.uint8)
    return pixels.transpose(0, 2, 3, 1)
