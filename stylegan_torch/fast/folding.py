"""What the fast forms of all families are made of."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any, Self, TypeVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from stylegan_torch.fast import strips
from stylegan_torch.fast.choices import choices_for, laid_out
from stylegan_torch.fast.precision import card_float32
from stylegan_torch.fast.strips import Conv, Finish, NearestUpConv, Stage, run, strip_rows
from stylegan_torch.networks.layers import (
    ACTIVATIONS,
    Linear,
    activate,
    check_shape,
    nearest_up_kernel,
    pick_noise,
    upsample2d,
)

Look = Callable[[Tensor], None]
"""Is shown a strip while it is in the caches."""
_IN_PLACE: dict[str, Callable[[Tensor], Tensor]] = {
    "linear": lambda x: x,
    "relu": F.relu_,
    "lrelu": lambda x: F.leaky_relu_(x, 0.2),
}
"""Activations f with f(ax) = a f(x) for positive a, so that their gain can be folded into what comes before."""
SMALL = 64
"""Levels below this side are drawn in float32 where the rest is in half precision: that costs little and helps much."""


def folded_gain(activation: str) -> float:
    """Return the gain of an activation where it can be folded into what comes before, otherwise 1."""
    return ACTIVATIONS[activation][1] if activation in _IN_PLACE else 1.0


def copy_settings(source: nn.Module, target: nn.Module) -> None:
    """Give a module the plain attributes of another: all but tensors and sub-modules."""
    for name, value in vars(source).items():
        if not name.startswith("_"):
            setattr(target, name, value)


def own(value: Tensor, dtype: torch.dtype | None = None) -> Tensor:
    """Return a copy that shares nothing with the plain form."""
    return value.detach().to(dtype or value.dtype, copy=True)


def finisher(
    activation: str,
    noise: Tensor | None = None,
    *,
    clamp: float | None = None,
    scale: Tensor | None = None,
    bias: Tensor | None = None,
    strength: Tensor | None = None,
) -> Finish:
    """Return what ends a layer: y · scale + bias + noise · strength, activation, limit.

    Args:
        activation: its gain must be folded in already if it can be.
        noise: [1 or N, 1, H, W].
        clamp: limit of the result.
        scale: [N, C, 1, 1], for results of unscaled weights.
        bias: [C, 1, 1], where the convolution has none.
        strength: [C, 1, 1], where every feature map has its own.
    """
    in_place = _IN_PLACE.get(activation)

    def finish(y: Tensor, start: int) -> Tensor:
        if scale is not None and bias is not None and not strips.in_pieces(y):
            y = torch.addcmul(bias, y, scale, out=y)  # reading and writing is what takes a card's time
        else:
            y = y if scale is None else y.mul_(scale)
            y = y if bias is None else y.add_(bias)
        if noise is not None:
            rows = noise[:, :, start : start + y.shape[2]]
            y = y.add_(rows) if strength is None else add_product(y, rows, strength)
        y = activate(y, activation) if in_place is None else in_place(y)
        return y if clamp is None else y.clamp_(-clamp, clamp)

    return finish


def add_product(y: Tensor, noise: Tensor, strength: Tensor) -> Tensor:
    """Add noise [1 or N, 1, H, W] · strength [C, 1, 1] in place: as matrices, if a picture lies so, for speed."""
    if not strips.in_pieces(y) or len(y) > 1 or not y.is_contiguous(memory_format=torch.channels_last):
        return y.addcmul_(noise, strength)
    y.permute(0, 2, 3, 1).view(-1, y.shape[1]).addmm_(noise.reshape(-1, 1), strength.view(1, -1))
    return y


def normalized(finish: Finish, eps: float) -> Finish:
    """Return an end of a layer that is followed by pixel normalisation."""

    def finish_and_normalize(y: Tensor, start: int) -> Tensor:
        y = finish(y, start)
        wide = torch.float32 if y.dtype == torch.float16 else None  # float16 overflows at 65504
        power = torch.linalg.vector_norm(y, dim=1, keepdim=True, dtype=wide).square_().div_(y.shape[1])
        return y.mul_(power.add_(eps).rsqrt_())

    return finish_and_normalize


class FoldedLinear(nn.Module):
    """A dense layer with its gains folded in, so that they are 1."""

    activation: str
    activation_gain: bool

    def __init__(self, layer: Linear) -> None:
        super().__init__()
        copy_settings(layer, self)
        gain = folded_gain(layer.activation) if layer.activation_gain else 1.0
        bias = None if layer.bias is None else layer.bias.detach() * ((layer.bias_gain or 0.0) * gain)
        self.weight = nn.Parameter(layer.weight.detach() * (layer.weight_gain * gain), requires_grad=False)
        self.bias = None if bias is None else nn.Parameter(bias, requires_grad=False)
        self.weight_gain = self.bias_gain = 1.0
        self.folded = layer.activation in _IN_PLACE

    def forward(self, x: Tensor) -> Tensor:
        """Map [N, in], of any dtype, to [N, out]."""
        x = F.linear(x.to(self.weight.dtype), self.weight, self.bias)
        return activate(x, self.activation, with_gain=self.activation_gain and not self.folded)


_Module = TypeVar("_Module", bound=nn.Module)


def fold_linear(module: _Module) -> _Module:
    """Fold the gains of all dense layers below a module, in place."""
    for name, child in module.named_children():
        if isinstance(child, Linear):
            setattr(module, name, FoldedLinear(child))
        else:
            fold_linear(child)
    return module


class Enlargement(nn.Module):
    """Twofold enlargement of pictures by a filter, as one convolution to the four kinds of pixels."""

    kernel: Tensor

    def __init__(self, f: Tensor) -> None:
        super().__init__()
        reach = f.shape[-1] // 4 + 1
        impulse = torch.zeros(1, 1, 4 * reach + 1, 4 * reach + 1)
        impulse[0, 0, 2 * reach, 2 * reach] = 1
        answer = upsample2d(impulse, f.cpu())[0, 0]
        # What an input pixel gives to those around it, kind by kind; flipped, what those take from around them.
        side = len(answer) // 2
        kinds = answer.reshape(side, 2, side, 2).permute(1, 3, 0, 2).flatten(0, 1)
        window = slice(reach, 3 * reach + 1)
        self.register_buffer("kernel", kinds[:, window, window].flip(1, 2)[:, None].to(f.device))

    def forward(self, image: Tensor) -> Tensor:
        """Map [N, C, H, W] to [N, C, 2H, 2W]."""
        N, C, H, W = image.shape
        y = F.conv2d(image.reshape(N * C, 1, H, W), self.kernel, padding=self.kernel.shape[-1] // 2)
        return F.pixel_shuffle(y, 2).reshape(N, C, 2 * H, 2 * W)


def in_two_dimensions(f: Tensor) -> Tensor:
    """Return a filter [n], which is meant for both axes, or [n, n] as [n, n]."""
    return f if f.ndim == 2 else f.outer(f)


def empty_map(like: Tensor, channels: int, size: tuple[int, int]) -> Tensor:
    """Return an unset map [N, channels, *size] of the batch, dtype and device of another, in strips or to filter."""
    shape, layout = (like.shape[0], channels, *size), choices_for(like).filtered
    return torch.empty(shape, dtype=like.dtype, device=like.device, memory_format=layout)


def assemble(
    stages: Sequence[Stage], x: Tensor, channels: int, size: tuple[int, int], look: Look | None = None
) -> Tensor:
    """Return the whole result of a chain of stages, made in strips where that is faster; `look` is shown each."""
    widest = max(channels, x[0].numel() // (size[0] * size[1]))
    rows = strip_rows(x, widest, size)
    y = x.new_empty(0) if rows >= size[0] else empty_map(x, channels, size)
    for start, stop, strip in run(stages, x, rows):
        if look is not None:
            look(strip)
        if rows >= size[0]:
            return strip
        y[:, :, start:stop] = strip
    return y


def plain_kernel(weight: Tensor, stage: str, dtype: torch.dtype) -> Tensor:
    """Return the kernel, in the layout for convolutions, of the stage of a kernel [O, I, k, k]."""
    return laid_out((nearest_up_kernel(weight) if stage == "up" else weight).to(dtype))


def plain_conv(kernel: Tensor, stage: str, bias: Tensor | None, finish: Finish) -> Stage:
    """Return the stage of a plain kernel, as of `plain_kernel`."""
    return NearestUpConv(kernel, bias, finish) if stage == "up" else Conv(kernel, bias, finish)


def one_by_one(batch: Tensor) -> bool:
    """Tell whether pictures are better drawn one by one."""
    return strips.in_pieces(batch) and len(batch) > 1


_KNOWN = ("stylegan_torch.", "torch.nn.")
"""Where the layers of a network are from unless somebody put in others."""
_NO_GRADIENTS = "the fast form draws without gradients: use the plain one (load(..., fast=False)) for them"
_NO_PRECISION = "the fast form has the precision that it was made with: choose it by optimize(G, dtype)"


class DrawsOnly(nn.Module):
    """A network, or part of one, that gives no gradients and keeps its precision, and says so if asked for others.

    `tf32` is whether a card may round in float32.
    """

    tf32 = False

    def float32(self, x: Tensor) -> AbstractContextManager[None]:
        """Return a context in which a card calculates as this network shall, with inputs such as `x`."""
        return nullcontext() if x.is_cpu else card_float32(self.tf32)

    def requires_grad_(self, requires_grad: bool = True) -> Self:
        """Refuse to be trained.

        Raises:
            ValueError: if gradients are asked for.
        """
        if requires_grad:
            raise ValueError(_NO_GRADIENTS)
        return super().requires_grad_(False)

    def refuse_gradients(self, *inputs: Tensor | None) -> None:
        """Raise ValueError if gradients of an input are asked for."""
        if torch.is_grad_enabled() and any(x is not None and x.requires_grad for x in inputs):
            raise ValueError(_NO_GRADIENTS)

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> Self:
        if fn(torch.zeros(1)).dtype != torch.float32:
            raise ValueError(_NO_PRECISION)
        result: Self = super()._apply(fn, recurse)  # type: ignore[no-untyped-call]
        return result


def is_watched(module: nn.Module) -> bool:
    """Tell whether somebody looks into a module, by hooks or layers of his own, which want whole batches and maps."""
    return any(
        part._forward_hooks or part._forward_pre_hooks or not type(part).__module__.startswith(_KNOWN)
        for part in module.modules()
    )


class OneByOne(DrawsOnly):
    """Lets a synthesis network draw a batch one by one on a CPU, which has nothing to gain from more."""

    num_ws: int
    w_dim: int
    noise_buffers: Callable[[], list[Tensor]]

    def forward(
        self,
        ws: Tensor,
        noise_mode: str = "const",
        noise: Sequence[Tensor] | None = None,
        force_fp32: bool = True,
        return_features: bool = False,
        *,
        fused_modconv: bool | None = None,
        update_emas: bool = False,
    ) -> Tensor:
        """Draw images as the plain form does.

        Raises:
            ValueError: if features or gradients are asked for.
        """
        if return_features:
            raise ValueError("the fast form has no features to return; ask the plain form")
        self.refuse_gradients(ws, *(noise or ()), *self.parameters())
        check_shape("ws", ws, self.num_ws, self.w_dim)
        if strips.in_pieces(ws) and not len(ws):
            return self.forward(ws.new_zeros(1, *ws.shape[1:]), "none")[:0]
        together: Any = super()
        if not one_by_one(ws) or is_watched(self):
            with self.float32(ws):
                return together.forward(ws, noise_mode, noise).float()
        buffers, images = self.noise_buffers(), None
        maps = [each for each in pick_noise(buffers, ws, noise_mode, noise) if each is not None]
        mode = "none" if buffers and not maps else noise_mode
        for i in range(len(ws)):
            maps_of_one = [each[i : i + 1] if len(each) > 1 else each for each in maps]
            image = together.forward(ws[i : i + 1], mode, maps_of_one or None)
            images = image.new_empty((len(ws), *image.shape[1:]), dtype=torch.float32) if images is None else images
            images[i] = image[0]
        assert images is not None
        return images
