"""Building blocks every family shares: activations, normalisation, resampling, equalized layers, noise, growing.

All feature maps are NCHW; on a CPU they lie channels-last, which it convolves fastest. Resampling filters follow
`upfirdn` (docs/spec/TF.md 0.1). A fresh map costs more than the arithmetic on it, so functions that end in `_` work in
the memory of their argument, which must be of no use to others.
"""

from __future__ import annotations

import copy
import itertools
import math
from collections import OrderedDict
from collections.abc import Callable, Sequence
from contextvars import ContextVar
from typing import TypeVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from stylegan_torch.errors import NoAverageError
from stylegan_torch.types import Arguments

_SQRT2 = math.sqrt(2.0)
_OWN_EPS = 1e-5
"""PyTorch's own epsilon. Programs that have it use PyTorch's own layer: so do we, as a constant map is all rounding."""

# name -> (function, gain that keeps the variance of a unit normal input about 1)
ACTIVATIONS: dict[str, tuple[Callable[[Tensor], Tensor], float]] = {
    "linear": (lambda x: x, 1.0),
    "relu": (F.relu, _SQRT2),
    "lrelu": (lambda x: F.leaky_relu(x, 0.2), _SQRT2),
    "tanh": (torch.tanh, 1.0),
    "sigmoid": (torch.sigmoid, 1.0),
    "elu": (F.elu, 1.0),
    "selu": (F.selu, 1.0),
    "softplus": (F.softplus, 1.0),
    "swish": (F.silu, _SQRT2),
}
_IN_PLACE: dict[str, Callable[[Tensor], Tensor]] = {
    "linear": lambda x: x,
    "relu": F.relu_,
    "lrelu": lambda x: F.leaky_relu_(x, 0.2),
}
"""Activations f with f(ax) = a f(x) for positive a, so that their gain can come before them, where it costs less."""


def activate(x: Tensor, activation: str, clamp: float | None = None, *, with_gain: bool = True) -> Tensor:
    """Apply an activation and its gain (StyleGAN2 on; earlier papers put it into the weights), clip to ±`clamp`."""
    function, gain = ACTIVATIONS[activation]
    x = function(x)
    x = x * gain if with_gain and gain != 1 else x
    return x if clamp is None else x.clamp(-clamp, clamp)


def early_gain(activation: str) -> float:
    """Return the gain of an activation if it can come before it, otherwise 1."""
    return ACTIVATIONS[activation][1] if activation in _IN_PLACE else 1.0


def activate_(x: Tensor, activation: str, clamp: float | None = None, *, with_gain: bool = True) -> Tensor:
    """Do what `activate` does, except for a gain that can come before it, in the memory of `x`."""
    in_place = _IN_PLACE.get(activation)
    if in_place is None:
        return activate(x, activation, clamp, with_gain=with_gain)
    x = in_place(x)
    if clamp is None:
        return x
    return F.hardtanh(x, -clamp, clamp) if x.requires_grad else x.clamp_(-clamp, clamp)


def laid_out(x: Tensor) -> Tensor:
    """Return a map or kernel [., ., ., .] as its device convolves it fastest: channels-last on a CPU."""
    mapped = not torch.compiler.is_compiling() and torch._C._functorch.is_batchedtensor(x)  # vmap cannot lay it out
    if mapped or not x.is_cpu:
        return x
    return x.contiguous(memory_format=torch.channels_last)


def pixel_norm(x: Tensor, eps: float = 1e-8) -> Tensor:
    """Divide by the root mean square over dimension 1 (ProGAN section 4.2): per pixel, or per row of a matrix."""
    y = _wide(x)
    return (y * torch.rsqrt(y.square().mean(dim=1, keepdim=True) + eps)).to(x.dtype)


def _wide(x: Tensor) -> Tensor:
    """Return what can be squared: float16 overflows at 256 then, and has no epsilons."""
    return x.float() if x.dtype == torch.float16 else x


def instance_norm(x: Tensor, eps: float = 1e-8) -> Tensor:
    """Give every feature map of every sample zero mean and unit variance (the AdaIN of StyleGAN section 2)."""
    if eps == _OWN_EPS:
        return F.instance_norm(x, eps=eps)
    y = _centred(x)
    return (y * _inverse_deviation(y, eps)).to(x.dtype)


def adain(x: Tensor, scale: Tensor, shift: Tensor, eps: float | None = 1e-8) -> Tensor:
    """Normalise as `instance_norm` does, unless `eps` is None, then scale and shift, [N, C, 1, 1] both."""
    if eps is None or eps == _OWN_EPS:
        return torch.addcmul(shift, x if eps is None else F.instance_norm(x, eps=eps), scale)
    y = _centred(x)
    return torch.addcmul(shift, y, scale * _inverse_deviation(y, eps)).to(x.dtype)


def _centred(x: Tensor) -> Tensor:
    """Return maps less their means, in what can be squared."""
    x = _wide(x)
    return x - x.mean(dim=(2, 3), keepdim=True)


def _inverse_deviation(x: Tensor, eps: float) -> Tensor:
    """Return 1 / the standard deviation of maps with zero mean."""
    return torch.rsqrt(x.square().mean(dim=(2, 3), keepdim=True) + eps)


def minibatch_stddev(x: Tensor, group_size: int | None, num_features: int = 1, *, unbiased: bool = False) -> Tensor:
    """Append `num_features` constant maps with the spread inside groups of samples (ProGAN section 3).

    `x` is [N, C, H, W]; the result is [N, C + num_features, H, W]. A group has min(`group_size`, N) members (None:
    the whole batch), which stand N / group apart in the batch, as in the original programs. An `unbiased` variance is
    divided by the members less 1.

    Raises:
        ValueError: if N is not a multiple of the group size.
    """
    N, C, H, W = x.shape
    group = N if group_size is None else min(group_size, N)
    if N % group:
        raise ValueError(f"a batch of {N} cannot be split into minibatch-stddev groups of {group}")
    y = _wide(x).reshape(group, -1, num_features, C // num_features, H, W)
    y = (y - y.mean(dim=0)).square().mean(dim=0)
    if unbiased and group > 1:
        y = y * (group / (group - 1))
    y = (y + 1e-8).sqrt().mean(dim=(2, 3, 4))
    y = y.reshape(-1, num_features, 1, 1).repeat(group, 1, H, W).to(x.dtype)
    return torch.cat([x, y], dim=1)


def make_filter(taps: Sequence[float]) -> Tensor:
    """Return a resampling filter of sum 1 on the CPU: [n, n], or [n] (applied twice) from 8 taps on.

    The device is explicit so that a network built on the meta device has real filters.
    """
    f = torch.tensor(taps, dtype=torch.float32, device="cpu")
    if f.numel() < 8:
        f = f.outer(f)
    return f / f.sum()


def upfirdn2d(
    x: Tensor,
    f: Tensor,
    *,
    up: int = 1,
    down: int = 1,
    pad: tuple[int, int] = (0, 0),
    pad_x: tuple[int, int] | None = None,
    gain: float = 1.0,
) -> Tensor:
    """Insert zeros, pad, convolve with `f`, keep every `down`-th sample; the same on both axes (docs/spec/TF.md 0.1).

    Args:
        x: [N, C, H, W].
        f: [n, n], or [n] to be applied along both axes.
        up: factor of the zero insertion; every sample is followed by up - 1 zeros.
        down: factor of the sub-sampling that starts with the first sample.
        pad: zeros before and after each axis; negative crops.
        pad_x: those of the rows, if not the same as of the columns.
        gain: factor on the filter, counted in two dimensions.
    """
    pad_x = pad if pad_x is None else pad_x
    x = laid_out(x)
    if f.ndim == 1:
        x = _fir(x, f[None, :] * math.sqrt(gain), (1, up), (1, down), (0, 0), pad_x)
        return _fir(x, f[:, None] * math.sqrt(gain), (up, 1), (down, 1), pad, (0, 0))
    return _fir(x, f * gain, (up, up), (down, down), pad, pad_x)


def _fir(
    x: Tensor,
    f: Tensor,
    up: tuple[int, int],
    down: tuple[int, int],
    pad_y: tuple[int, int],
    pad_x: tuple[int, int],
) -> Tensor:
    f, channels = f.to(x.dtype), x.shape[1]
    if up == (1, 1):
        x, padding = _padded(x, pad_y, pad_x)
        weight = f.flip(0, 1).expand(channels, 1, *f.shape)
        return F.conv2d(x, weight, stride=down, padding=padding, groups=channels)
    # A strided transposed convolution inserts the zeros and convolves at once; its full output is then cropped. What it
    # crops by itself is the same on both sides, which taps of zero make it.
    (height, width), crops, more = f.shape, [], []
    for taps, factor, (before, after) in ((width, up[1], pad_x), (height, up[0], pad_y)):
        first, last = taps - 1 - before, taps - factor - after
        crops.append(max(first, last))
        more += [max(last - first, 0), max(first - last, 0)]
    weight = F.pad(f, more) if any(more) else f
    own = (max(crops[1], 0), max(crops[0], 0))
    y = F.conv_transpose2d(x, weight.expand(channels, 1, *weight.shape), stride=up, padding=own, groups=channels)
    if min(crops) < 0:
        y = F.pad(y, [max(-crop, 0) for crop in crops for _ in range(2)])
    return y if down == (1, 1) else y[:, :, :: down[0], :: down[1]]


def _padded(x: Tensor, pad_y: tuple[int, int], pad_x: tuple[int, int]) -> tuple[Tensor, tuple[int, int]]:
    """Return what a convolution is to be given so that it has so many zeros around, and how many it shall add."""
    if pad_y[0] == pad_y[1] >= 0 and pad_x[0] == pad_x[1] >= 0:
        return x, (pad_y[0], pad_x[0])
    return F.pad(x, pad_x + pad_y), (0, 0)


def upsample2d(x: Tensor, f: Tensor) -> Tensor:
    """Enlarge twofold with filter `f`."""
    n = f.shape[-1]
    return upfirdn2d(x, f, up=2, pad=((n + 1) // 2, (n - 2) // 2), gain=4)


def downsample2d(x: Tensor, f: Tensor) -> Tensor:
    """Reduce twofold with filter `f`."""
    n = f.shape[-1]
    return upfirdn2d(x, f, down=2, pad=((n - 1) // 2, (n - 2) // 2))


def conv2d(x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """Cross-correlate with an odd kernel [O, I, k, k], zero padded to keep the size."""
    return F.conv2d(laid_out(x), laid_out(weight), bias, padding=weight.shape[-1] // 2)


META_STANDS_FOR: ContextVar[str] = ContextVar("META_STANDS_FOR", default="cpu")
"""The device whose way of calculating networks on the device "meta" take."""


def scaled_conv2d(
    x: Tensor,
    weight: Tensor,
    before: Tensor,
    after: Tensor | None,
    bias: Tensor | None = None,
    *,
    convolve: Callable[[Tensor, Tensor, Tensor | None], Tensor] = conv2d,
    up: int = 1,
) -> Tensor:
    """Convolve with kernels that every sample scales by numbers of its own.

    Whichever is smaller is scaled: the kernel, once for each sample, or its maps before and after.

    Args:
        x: [N, I, H, W].
        weight: [O, I, k, k].
        before, after: [N, I] and [N, O], for what goes in and what comes out.
        bias: [O], added to the result.
        convolve: maps x, weight and bias to about `up` times the size.
    """
    weight = laid_out(weight)
    if _kernel_is_smaller(x, weight, up):
        scales = before[:, None] if after is None else after[:, :, None] * before[:, None]
        samples = torch.split(x, 1) if len(x) > 1 else [x]
        each = [convolve(x, weight * scale[:, :, None, None], bias) for x, scale in zip(samples, scales, strict=True)]
        return each[0] if len(each) == 1 else torch.cat(each)
    x = x * before[:, :, None, None]
    if after is None:
        return convolve(x, weight, bias)
    y = convolve(x, weight, None)
    after = after[:, :, None, None]
    return y * after if bias is None else torch.addcmul(bias[:, None, None], y, after)


def _kernel_is_smaller(x: Tensor, weight: Tensor, up: int) -> bool:
    """Tell whether a kernel is smaller than the maps of a sample; never on a card or in a graph, which batches suit."""
    device = META_STANDS_FOR.get() if x.is_meta else x.device.type
    if device != "cpu" or torch.compiler.is_compiling() or torch._C._get_tracing_state() or not x.shape[0]:
        return False
    outputs, inputs = weight.shape[:2]
    return weight.numel() < x.shape[2] * x.shape[3] * (inputs + outputs * up**2)


def conv2d_up(x: Tensor, weight: Tensor, f: Tensor, bias: Tensor | None = None) -> Tensor:
    """Enlarge twofold by a transposed convolution, then smooth with `f` (docs/spec/TORCH.md 6.2)."""
    n, k = f.shape[-1], weight.shape[-1]
    if k == 1:
        x = upsample2d(conv2d(x, weight), f)
    else:
        p = k // 2
        x = F.conv_transpose2d(laid_out(x), laid_out(weight.transpose(0, 1)), stride=2)
        x = upfirdn2d(x, f, pad=(p + (n + 1) // 2 - (k - 1), p + (n - 2) // 2 - (k - 2)), gain=4)
    return x if bias is None else x.add_(bias[:, None, None])


def conv2d_down(x: Tensor, weight: Tensor, f: Tensor, bias: Tensor | None = None) -> Tensor:
    """Smooth with `f`, then reduce twofold by a strided convolution (docs/spec/TORCH.md 6.2)."""
    n, k = f.shape[-1], weight.shape[-1]
    if k == 1:
        return F.conv2d(downsample2d(x, f), weight, bias)
    p = k // 2
    x = upfirdn2d(x, f, pad=(p + (n - 1) // 2, p + (n - 2) // 2))
    return F.conv2d(x, laid_out(weight), bias, stride=2)


def blur2d(x: Tensor, f: Tensor) -> Tensor:
    """Cross-correlate every channel with `f`, zero padded to keep the size (StyleGAN section 2, [1, 2, 1])."""
    n = f.shape[-1]
    return upfirdn2d(x, f.flip(tuple(range(f.ndim))), pad=((n - 1) // 2, n // 2))


def nearest_up2d(x: Tensor, factor: int = 2) -> Tensor:
    """Repeat every pixel `factor` times on both axes."""
    return x if factor == 1 else F.interpolate(x, scale_factor=factor, mode="nearest")


def box_down2d(x: Tensor, factor: int = 2) -> Tensor:
    """Average over blocks of `factor` × `factor` pixels."""
    return x if factor == 1 else F.avg_pool2d(x, factor)


_TWO_TAPS = torch.tensor([[1.0, 1.0, 0.0, 0.0], [0.0, 1.0, 1.0, 0.0], [0.0, 0.0, 1.0, 1.0]], device="cpu")
_FOUR_TAPS = torch.kron(_TWO_TAPS, _TWO_TAPS)
"""[9, 16]; convolves a 3×3 kernel with a 2×2 block of ones, giving 4×4 (docs/spec/TF.md 0.2)."""


def _kernel_of_taps(taps: Tensor) -> Tensor:
    """Return taps [a, 16, b] as a kernel [a, b, 4, 4], which lies channels-last without a copy."""
    return taps.reshape(len(taps), 4, 4, -1).permute(0, 3, 1, 2)


def nearest_up_kernel(weight: Tensor) -> Tensor:
    """Return the kernel [I, O, 4, 4] of the transposed convolution that equals `conv2d(nearest_up2d(x), weight)`."""
    taps = _FOUR_TAPS.flip(0).t().to(weight)
    return _kernel_of_taps(taps @ weight.flatten(2).permute(1, 2, 0))


def _box_down_kernel(weight: Tensor) -> Tensor:
    """Return the kernel [O, I, 4, 4] of the strided convolution that equals `box_down2d(conv2d(x, weight))`."""
    taps = (_FOUR_TAPS / 4).t().to(weight)
    return _kernel_of_taps(taps @ weight.flatten(2).transpose(1, 2))


def conv2d_nearest_up(x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """Equal `conv2d(nearest_up2d(x), weight)` for a 3×3 kernel, in one strided convolution."""
    return F.conv_transpose2d(laid_out(x), nearest_up_kernel(weight), bias, stride=2, padding=1)


def conv2d_box_down(x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """Equal `box_down2d(conv2d(x, weight))` for a 3×3 kernel, in one strided convolution."""
    return F.conv2d(laid_out(x), _box_down_kernel(weight), bias, stride=2, padding=1)


def normal(*shape: int, std: float = 1.0) -> nn.Parameter:
    """Return a parameter drawn from N(0, std²); unset on the meta device, where networks are made to be filled."""
    value = torch.empty(shape)
    return nn.Parameter(value if value.is_meta else value.normal_(0.0, std))


class Linear(nn.Module):
    """Dense layer, equalized (ProGAN section 4.1): x (weight · weight_gain)ᵀ + bias · bias_gain, activated.

    `weight` [out, in] is stored as the training left it; `lr_multiplier` only sets how large it starts.
    """

    def __init__(
        self,
        in_features: int,
        out_features: int,
        *,
        weight_gain: float,
        bias_gain: float | None = 1.0,
        bias_init: float = 0.0,
        lr_multiplier: float = 1.0,
        activation: str = "linear",
        activation_gain: bool = True,
    ) -> None:
        super().__init__()
        self.weight = normal(out_features, in_features, std=1 / lr_multiplier)
        self.bias = None if bias_gain is None else nn.Parameter(torch.full((out_features,), bias_init))
        self.in_features, self.out_features = in_features, out_features
        self.weight_gain = weight_gain
        self.bias_gain = bias_gain
        self.activation = activation
        self.activation_gain = activation_gain

    def forward(self, x: Tensor) -> Tensor:
        """Map [N, in], of any dtype, to [N, out]."""
        x = x.to(self.weight.dtype)
        bias = None if self.bias is None or self.bias_gain is None else self.bias * self.bias_gain
        return activate(
            F.linear(x, self.weight * self.weight_gain, bias), self.activation, with_gain=self.activation_gain
        )


def truncate(ws: Tensor, w_avg: Tensor | None, psi: float, cutoff: int | None) -> Tensor:
    """Pull the first `cutoff` rows (None: all) of `ws` [N, num_ws, w_dim] towards `w_avg` (StyleGAN appendix B).

    Raises:
        NoAverageError: if there is no `w_avg` to pull them to.
    """
    if psi == 1:
        return ws
    if w_avg is None:
        raise NoAverageError
    cutoff = ws.shape[1] if cutoff is None else max(cutoff, 0)
    return torch.cat([w_avg.lerp(ws[:, :cutoff], psi), ws[:, cutoff:]], dim=1)


@torch.no_grad()
def follow_mean(average: Tensor | None, values: Tensor, beta: float | None) -> None:
    """Let a running average [...], if there is one, follow the mean of values [N, ...] in place; `beta` of it stays."""
    if average is not None and beta is not None:
        average.copy_(values.detach().mean(dim=0).lerp(average, beta))


def check_shape(name: str, x: Tensor, *shape: int) -> None:
    """Raise ValueError unless `x` is [N, *shape]."""
    if x.shape[1:] != shape:
        raise ValueError(f"{name} must be [N, {', '.join(map(str, shape))}], not {list(x.shape)}")


def any_tensor(module: nn.Module) -> Tensor:
    """Return a tensor that has the dtype and device of a module."""
    for tensor in itertools.chain(module.parameters(), module.buffers()):
        return tensor
    return torch.empty(0)


def cast(name: str, x: Tensor, like: Tensor) -> Tensor:
    """Return an input in the dtype of a network's tensor `like`.

    Raises:
        ValueError: if it is no tensor, or on another device than the network.
    """
    if not isinstance(x, Tensor):
        raise ValueError(f"{name} is a {type(x).__name__}, not a tensor: torch.from_numpy makes one of an array")
    if x.device != like.device:
        raise ValueError(f"{name} is on {x.device}, the network on {like.device}: move one of them with .to(device)")
    return x.to(like.dtype)


def like_weight(x: Tensor, weight: Tensor) -> Tensor:
    """Return features in the dtype of a weight, unless autocast chooses dtypes."""
    return x if x.dtype == weight.dtype or torch.is_autocast_enabled(x.device.type) else x.to(weight.dtype)


def given(**arguments: object) -> Arguments:
    """Return the arguments that say something, so that a layer put in place of one of ours need not know the others."""
    return {name: value for name, value in arguments.items() if value is not None and value is not False}


def labels_or_zeros(c: Tensor | None, c_dim: int, like: Tensor) -> Tensor:
    """Return labels as [N, c_dim] of the dtype and device of `like` [N, ...]; None means all zeros.

    Raises:
        ValueError: if a conditional network is given labels of another shape, or on another device.
    """
    if c is None or c_dim == 0:
        return like.new_zeros(like.shape[0], c_dim)
    if c.shape != (like.shape[0], c_dim):
        raise ValueError(f"labels must be [{like.shape[0]}, {c_dim}] (one-hot), not {list(c.shape)}")
    return cast("labels", c, like)


def check_noise(noise: Sequence[Tensor] | None, sizes: Sequence[Sequence[int]], N: int) -> None:
    """Raise ValueError unless explicit noise is [1 or N, 1, H, W] for each of the layers of these sizes (H, W)."""
    if noise is None:
        return
    if len(noise) != len(sizes):
        raise ValueError(f"this network has {len(sizes)} noisy layers, got {len(noise)} noise tensors")
    for i, (each, (height, width)) in enumerate(zip(noise, sizes, strict=True)):
        if each.ndim != 4 or each.shape[0] not in (1, N) or each.shape[1:] != (1, height, width):
            raise ValueError(f"noise {i} must be [1 or {N}, 1, {height}, {width}], not {list(each.shape)}")


def layer_noise(
    stored: Tensor | None, like: Tensor, noise_mode: str, noise: Tensor | None = None, *, batch: int | None = None
) -> Tensor | None:
    """Return the noise [1 or N, 1, H, W] of one layer, or None.

    Args:
        stored: its map [H, W]; None = the layer has no noise.
        like: [N, ...], gives batch size, dtype and device.
        noise_mode: "const" (the stored map), "random" (fresh N(0, 1) for every sample) or "none".
        noise: explicit noise; overrides `noise_mode`.
        batch: the batch size, if not that of `like`.

    Raises:
        ValueError: for an unknown mode, or explicit noise on another device.
    """
    if noise is not None:
        return cast("noise", noise, like)
    if noise_mode not in ("const", "random", "none"):
        raise ValueError(f"noise_mode must be 'const', 'random' or 'none', not {noise_mode!r}")
    if stored is None or noise_mode == "none":
        return None
    if noise_mode == "const":
        return stored.to(like.dtype)[None, None]
    return torch.randn(
        like.shape[0] if batch is None else batch, 1, *stored.shape, dtype=like.dtype, device=like.device
    )


def pick_noise(
    buffers: Sequence[Tensor], like: Tensor, noise_mode: str, noise: Sequence[Tensor] | None
) -> list[Tensor | None]:
    """Return the noise of every noisy layer, in layer order, as `layer_noise` does for one.

    Args:
        buffers: the stored maps [H, W].
        like: [N, ...], gives batch size, dtype and device.
        noise_mode: "const", "random" or "none".
        noise: explicit maps [1 or N, 1, H, W], one a layer; overrides `noise_mode`.

    Raises:
        ValueError: for an unknown mode, or explicit noise of the wrong number, shape or device.
    """
    check_noise(noise, [stored.shape for stored in buffers], like.shape[0])
    maps: Sequence[Tensor | None] = noise or [None] * len(buffers)
    return [layer_noise(stored, like, noise_mode, each) for stored, each in zip(buffers, maps, strict=True)]


_Network = TypeVar("_Network", bound=nn.Module)
WithFeatures = tuple[Tensor, dict[str, Tensor]]
"""Images, and what each layer made on the way to them, by the layer's name."""


def feature_layers(synthesis: nn.Module) -> dict[str, nn.Module]:
    """Return the layers of a synthesis network that read a w, and its RGB layers, by name."""
    layers = {name: module for name, module in synthesis.named_modules() if hasattr(module, "affine")}
    return layers | {name: module for name, module in synthesis.named_modules() if name.endswith("torgb")}


def with_part(network: _Network, name: str, change: Callable[[nn.Module], None]) -> _Network:
    """Return a network in which one part is a copy that was changed; all else, parameters too, is the network's own.

    Hooks of the copy are its own, so to change it by adding some leaves the network as it is.
    """
    whole = copy.copy(network)
    first, _, rest = name.partition(".")
    if first:
        part = with_part(network.get_submodule(first), rest, change)
        whole._modules = {**whole._modules, first: part}
    else:
        whole._forward_hooks, whole._buffers = OrderedDict(whole._forward_hooks), dict(whole._buffers)
        change(whole)
    return whole


def with_features(synthesis: nn.Module, draw: Callable[[], Tensor | WithFeatures]) -> WithFeatures:
    """Return what `draw` draws, and what each layer of a synthesis network makes on the way, by the layer's name.

    Layers are those that read a w: convolutions (after their activation), RGB layers, and StyleGAN3's input.
    """
    features: dict[str, Tensor] = {}
    layers = feature_layers(synthesis)
    handles = [
        module.register_forward_hook(lambda _, __, output, name=name: features.__setitem__(name, output))
        for name, module in layers.items()
    ]
    try:
        images = draw()
        assert isinstance(images, Tensor)
        return images, features
    finally:
        for handle in handles:
            handle.remove()


class _EnoughError(Exception):
    """What a network was run for is there."""

    def __init__(self, features: Tensor) -> None:
        super().__init__()
        self.features = features


def up_to(synthesis: nn.Module, name: str) -> Callable[..., Tensor]:
    """Return a call of a synthesis network that ends after a layer or level of it, and gives its features.

    The parameters are the network's own; the network itself is left as it is, so that others may use it meanwhile.
    """

    def stop(_: nn.Module, __: object, output: Tensor | tuple[Tensor, ...]) -> None:
        raise _EnoughError(output[0] if isinstance(output, tuple) else output)

    def end(last: nn.Module) -> None:
        last._forward_hooks = OrderedDict()
        last.register_forward_hook(stop)

    part = with_part(synthesis, name, end)

    def call(*arguments: object, **keywords: object) -> Tensor:
        try:
            part(*arguments, **keywords)
        except _EnoughError as enough:
            return enough.features
        raise ValueError(f"the network ends before {name}")

    return call


def growth(lod: float, max_level: int) -> tuple[int, float]:
    """Split a level of detail into the finest level in use and the weight of the next coarser one (ProGAN figure 2).

    Level l works at 1/2^l of the full resolution; `lod` 0 is the finished network. The weight is not clipped beyond
    `max_level`, as in the original programs.
    """
    level = max(min(math.floor(lod), max_level), 0)
    return level, max(lod - level, 0.0)


def log2_resolution(resolution: int) -> int:
    """Return log2 of a picture side.

    Raises:
        ValueError: if it is not a power of two of at least 4.
    """
    if resolution < 4 or resolution & (resolution - 1):
        raise ValueError(f"img_resolution must be a power of two of at least 4, not {resolution}")
    return resolution.bit_length() - 1


def resolutions(img_resolution: int) -> list[int]:
    """Return the picture sides 4, 8, …, `img_resolution` of a network's levels."""
    return [2**level for level in range(2, log2_resolution(img_resolution) + 1)]
