"""The fast form of a generator, derived from the plain one for drawing; both draw the same to about 1e-5.

Gains are folded into weights, biases and noise, feature maps are channels-last, pointwise operations work in place,
large maps are made in strips (`strips.py`), styles scale whichever is smaller, weights or feature maps, and a CPU draws
a batch picture by picture. The plain form remains the one to read, to train and to look into.
"""

from __future__ import annotations

import copy
import math
import warnings
from collections.abc import Callable, Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from stylegan_torch import progan, stylegan1, stylegan2, stylegan3
from stylegan_torch.layers import (
    ACTIVATIONS,
    Linear,
    StyleGenerator,
    activate,
    check_shape,
    nearest_up_kernel,
    pick_noise,
    pixel_norm,
    upsample2d,
)
from stylegan_torch.strips import Conv, Depthwise, Finish, NearestUpConv, Stage, UpConv, run, run_rows, strip_rows

_IN_PLACE: dict[str, Callable[[Tensor], Tensor]] = {
    "linear": lambda x: x,
    "relu": F.relu_,
    "lrelu": lambda x: F.leaky_relu_(x, 0.2),
}
"""Activations f with f(ax) = a f(x) for positive a, so that their gain can be folded into what comes before."""
HALF = (torch.float16, torch.bfloat16)
_SMALL = 64
"""Levels below this side are drawn in float32 where the rest is in half precision: that costs little and helps much."""


def _folded_gain(activation: str) -> float:
    return ACTIVATIONS[activation][1] if activation in _IN_PLACE else 1.0


def _own(value: Tensor, dtype: torch.dtype | None = None) -> Tensor:
    """Return a copy that shares nothing with the plain form."""
    return value.detach().to(dtype or value.dtype, copy=True)


def finisher(
    activation: str,
    noise: Tensor | None = None,
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
        if scale is not None:
            y = y.mul_(scale)
        if bias is not None:
            y = y.add_(bias)
        if noise is not None:
            rows = noise[:, :, start : start + y.shape[2]]
            y = y.add_(rows) if strength is None else y.addcmul_(rows, strength)
        y = activate(y, activation) if in_place is None else in_place(y)
        return y if clamp is None else y.clamp_(-clamp, clamp)

    return finish


def normalized(finish: Finish, eps: float) -> Finish:
    """Return an end of a layer that is followed by pixel normalisation."""

    def finish_and_normalize(y: Tensor, start: int) -> Tensor:
        y = finish(y, start)
        power = torch.linalg.vector_norm(y, dim=1, keepdim=True).square_().div_(y.shape[1])
        return y.mul_(power.add_(eps).rsqrt_())

    return finish_and_normalize


class FoldedLinear(nn.Module):
    """A dense layer with its gains folded in."""

    weight: Tensor
    bias: Tensor | None

    def __init__(self, layer: Linear, added: float = 0.0) -> None:
        super().__init__()
        gain = _folded_gain(layer.activation) if layer.activation_gain else 1.0
        self.register_buffer("weight", layer.weight.detach() * (layer.gain * gain))
        bias = None if layer.bias is None else layer.bias.detach() * ((layer.bias_gain or 0.0) * gain) + added
        self.register_buffer("bias", bias)
        self.activation, self.folded = layer.activation, layer.activation in _IN_PLACE
        self.activation_gain = layer.activation_gain

    def forward(self, x: Tensor) -> Tensor:
        """Map [N, in] to [N, out]."""
        x = F.linear(x, self.weight, self.bias)
        return activate(x, self.activation, with_gain=self.activation_gain and not self.folded)


def fold_linear(module: nn.Module) -> nn.Module:
    """Fold the gains of all dense layers below a module, in place."""
    for name, child in module.named_children():
        if isinstance(child, Linear):
            setattr(module, name, FoldedLinear(child))
        else:
            fold_linear(child)
    return module


class ModulatedConv(nn.Module):
    """StyleGAN2's `SynthesisLayer` or `ToRGB`: makes the stage for a certain w and noise."""

    weight: Tensor
    energy: Tensor | None
    bias: Tensor
    blur: Tensor
    noise_const: Tensor

    def __init__(self, layer: Any, size: tuple[int, int], dtype: torch.dtype) -> None:
        super().__init__()
        cfg = layer.config
        self.is_rgb = isinstance(layer, stylegan2.ToRGB)
        self.activation = "linear" if self.is_rgb else cfg.activation
        self.clamp, self.dtype, self.size = cfg.conv_clamp, dtype, size
        gain = _folded_gain(self.activation)
        weight = layer.weight.detach() * layer.weight_gain
        out_channels, in_channels, k, _ = weight.shape
        self.register_buffer("energy", None if self.is_rgb else weight.square().sum(dim=(2, 3)).t().contiguous())
        self.register_buffer("bias", (layer.bias.detach() * gain).to(dtype))
        self.affine = FoldedLinear(layer.affine, cfg.style_bias)
        up_filter = getattr(layer, "up_filter", None)
        pixels = size[0] * size[1]
        self.scale_weights = out_channels * in_channels * k * k <= pixels * (out_channels + in_channels / 4)
        weight = weight * gain
        weight = weight if up_filter is None else weight.transpose(0, 1)
        weight = weight if self.scale_weights else weight.to(dtype)
        self.register_buffer("weight", weight.contiguous(memory_format=torch.channels_last))
        self.up = up_filter is not None
        if up_filter is not None:
            n = up_filter.shape[-1]
            self.before = k // 2 + (n + 1) // 2 - (k - 1)
            blur = (up_filter * 4).flip(0, 1).expand(out_channels, 1, n, n)
            self.register_buffer("blur", blur.to(dtype).contiguous())
        self.strength = 0.0
        if hasattr(layer, "noise_const"):
            self.register_buffer("noise_const", _own(layer.noise_const))
            self.strength = float(layer.noise_strength) * gain

    def stage(self, w: Tensor, noise: Tensor | None) -> Stage:
        """Return the layer for w [N, w_dim] and noise [1 or N, 1, H, W]."""
        styles = self.affine(w)
        factor = None if self.energy is None else torch.rsqrt(styles.square() @ self.energy + 1e-8)
        if noise is not None:
            noise = (noise * self.strength).to(self.dtype)
        if len(w) == 1 and self.scale_weights:
            weight = self.weight * self._per_channel(styles[0], factor if factor is None else factor[0])
            finish = finisher(self.activation, noise, self.clamp)
            return self._stage(weight.to(self.dtype), self.bias, finish, None)
        scale = None if factor is None else factor[:, :, None, None].to(self.dtype)
        finish = finisher(self.activation, noise, self.clamp, scale, self.bias[:, None, None])
        return self._stage(self.weight.to(self.dtype), None, finish, styles[:, :, None, None].to(self.dtype))

    def _per_channel(self, style: Tensor, factor: Tensor | None) -> Tensor:
        scale = style[None, :] if factor is None else factor[:, None] * style[None, :]
        return (scale.t() if self.up else scale)[:, :, None, None]

    def _stage(self, weight: Tensor, bias: Tensor | None, finish: Finish, scale: Tensor | None) -> Stage:
        if self.up:
            return UpConv(weight, self.blur, bias, self.before, finish, scale)
        return Conv(weight, bias, finish, scale)

    def forward(self, x: Tensor, w: Tensor, noise: Tensor | None = None) -> Tensor:
        """Map x [N, I, H, W] at once."""
        stage, height = self.stage(w, noise), x.shape[2]
        y = stage.run(x.to(self.dtype), 0, 0, stage.out_height(height), height)
        return y.float() if self.is_rgb else y


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


def _map(like: Tensor, channels: int, size: tuple[int, int]) -> Tensor:
    shape = (len(like), channels, *size)
    return torch.empty(shape, dtype=like.dtype, device=like.device, memory_format=torch.channels_last)


class Block2(stylegan2.SynthesisBlock):
    """A level of StyleGAN2 in its fast form."""

    conv0: Any
    conv1: Any
    torgb: Any

    def __init__(self, block: stylegan2.SynthesisBlock, size: tuple[int, int], dtype: torch.dtype) -> None:
        nn.Module.__init__(self)
        self.config, self.resolution, self.residual = block.config, block.resolution, block.residual
        self.dtype, self.size = dtype, size
        for name, layer in block.named_children():
            if isinstance(layer, stylegan2.SynthesisLayer | stylegan2.ToRGB):
                self.add_module(name, ModulatedConv(layer, size, dtype))
            else:
                self.add_module(name, copy.deepcopy(layer).to(dtype))
        if self.resolution == 4:
            self.register_buffer("const", _own(block.const, dtype)[None])
        self.enlarge = Enlargement(block.resample_filter)

    def enlarged(self, image: Tensor) -> Tensor:
        """Return the picture of the level below at twice its size."""
        return super().enlarged(image) if self.config.image_upsampling == "bilinear" else self.enlarge(image)

    def features(self, x: Tensor | None, ws: Tensor, noise: Sequence[Tensor | None]) -> Tensor:
        """Map the features of the level below (None at 4×4) to this level's, with the ws [N, 1 or 2, w_dim]."""
        if x is None:
            x = self.const.expand(len(ws), -1, -1, -1).contiguous(memory_format=torch.channels_last)
            return self.conv1(x, ws[:, 0], noise[0])
        x = x.to(self.dtype)
        y = self.attention(self.conv1(self.conv0(x, ws[:, 0], noise[0]), ws[:, 1], noise[1]))
        return (self.skip(x) + y) * 0.5**0.5 if self.residual else y

    def forward(
        self, x: Tensor | None, image: Tensor | None, ws: Tensor, noise: Sequence[Tensor | None]
    ) -> tuple[Tensor, Tensor | None]:
        """Map features and picture of the level below to this level's."""
        rows = strip_rows(len(self.conv1.bias), self.size[1], self.size[0])
        whole = self.residual or not isinstance(self.attention, nn.Identity)
        if x is None or whole or rows >= self.size[0] or not ws.is_cpu:
            return super().forward(x, image, ws, noise)
        return self._in_strips(x.to(self.dtype), image, ws, noise, rows)

    def _in_strips(
        self, x: Tensor, image: Tensor | None, ws: Tensor, noise: Sequence[Tensor | None], rows: int
    ) -> tuple[Tensor, Tensor | None]:
        stages = [self.conv0.stage(ws[:, 0], noise[0]), self.conv1.stage(ws[:, 1], noise[1])]
        rgb = self.torgb.stage(ws[:, -1], None) if hasattr(self, "torgb") else None
        last = self.resolution == self.config.img_resolution
        y = x.new_empty(0) if last else _map(x, len(self.conv1.bias), self.size)
        if image is not None:
            image = self.enlarged(image)
        elif rgb is not None:
            image = torch.zeros(len(x), self.config.img_channels, *self.size)
        for start, stop, strip in run(stages, x, rows):
            if not last:
                y[:, :, start:stop] = strip
            if rgb is not None and image is not None:
                image[:, :, start:stop] += rgb.run(strip, start, start, stop, self.size[0])
        return y, image


class Synthesis2(stylegan2.SynthesisNetwork):
    """StyleGAN2's synthesis network in its fast form."""

    def __init__(self, synthesis: stylegan2.SynthesisNetwork, dtype: torch.dtype) -> None:
        nn.Module.__init__(self)
        self.config, self.num_ws, self.w_dim = synthesis.config, synthesis.num_ws, synthesis.w_dim
        self.img_channels, self.img_resolution = synthesis.img_channels, synthesis.img_resolution
        self.block_resolutions = synthesis.block_resolutions
        height, width = self.config.base_size
        for level, block in enumerate(synthesis.blocks()):
            precision = torch.float32 if block.resolution < _SMALL else dtype
            self.add_module(f"b{block.resolution}", Block2(block, (height << level, width << level), precision))

    def forward(
        self,
        ws: Tensor,
        noise_mode: str = "const",
        noise: Sequence[Tensor] | None = None,
        force_fp32: bool = True,
    ) -> Tensor:
        """Draw images as the plain form does."""
        check_shape("ws", ws, self.num_ws, self.w_dim)
        return picture_by_picture(super().forward, self.noise_buffers(), ws, noise_mode, noise)


def picture_by_picture(
    draw: Callable[..., Tensor],
    buffers: Sequence[Tensor],
    ws: Tensor,
    noise_mode: str,
    noise: Sequence[Tensor] | None,
) -> Tensor:
    """Draw a batch one by one on a CPU, which has nothing to gain from more, and at once elsewhere."""
    if len(ws) < 2 or not ws.is_cpu:
        return draw(ws, noise_mode, noise)
    maps = [each for each in pick_noise(buffers, ws, noise_mode, noise) if each is not None]
    images = None
    for i in range(len(ws)):
        own = [each[i : i + 1] if len(each) > 1 else each for each in maps]
        image = draw(ws[i : i + 1], "none" if buffers and not maps else noise_mode, own or None)
        images = image.new_empty(len(ws), *image.shape[1:]) if images is None else images
        images[i] = image[0]
    assert images is not None
    return images


def assemble(stages: Sequence[Stage], x: Tensor, channels: int, size: tuple[int, int]) -> Tensor:
    """Return the whole result of a chain of stages, made in strips where that is faster."""
    rows = strip_rows(channels, size[1], size[0]) if x.is_cpu else size[0]
    if rows >= size[0]:
        return next(run(stages, x, size[0]))[2]
    y = _map(x, channels, size)
    for start, stop, strip in run(stages, x, rows):
        y[:, :, start:stop] = strip
    return y


def _conv(weight: Tensor, stage: str, bias: Tensor | None, finish: Finish) -> Stage:
    """Return the stage of a plain kernel [O, I, k, k]."""
    if stage == "up":
        return NearestUpConv(nearest_up_kernel(weight).contiguous(memory_format=torch.channels_last), bias, finish)
    return Conv(weight.contiguous(memory_format=torch.channels_last), bias, finish)


class PlainConv(nn.Module):
    """ProGAN's `Layer` in its fast form."""

    weight: Tensor
    bias: Tensor

    def __init__(self, layer: progan.Layer, dtype: torch.dtype) -> None:
        super().__init__()
        weight = layer.weight.detach() * (layer.weight_scale if layer.stored else layer.gain)
        self.register_buffer("weight", weight.to(dtype))
        self.register_buffer("bias", _own(layer.bias, dtype))
        self.kind, self.activation, self.eps, self.dtype = layer.stage, layer.activation, layer.eps, dtype

    def stage(self) -> Stage:
        """Return the layer."""
        finish = finisher(self.activation)
        finish = finish if self.eps is None else normalized(finish, self.eps)
        return _conv(self.weight, self.kind, self.bias, finish)

    def forward(self, x: Tensor) -> Tensor:
        """Map [N, I, H, W] at once."""
        stage, height = self.stage(), x.shape[2]
        return stage.run(x.to(self.dtype), 0, 0, stage.out_height(height), height)


class ProGANBlock(progan.SynthesisBlock):
    """A level of ProGAN in its fast form."""

    conv0: Any
    conv1: Any

    def __init__(self, block: progan.SynthesisBlock, side: int, dtype: torch.dtype) -> None:
        nn.Module.__init__(self)
        self.side, self.dtype = side, dtype
        for name, layer in block.named_children():
            fast = copy.deepcopy(layer) if name == "fc" else PlainConv(layer, dtype)  # type: ignore[arg-type]
            self.add_module(name, fast)

    def forward(self, x: Tensor) -> Tensor:
        """Map the features of the level below (at 4×4: the latents) to this level's."""
        if hasattr(self, "fc"):
            return self.conv1(self.fc(x).to(self.dtype).contiguous(memory_format=torch.channels_last))
        stages = [self.conv0.stage(), self.conv1.stage()]
        return assemble(stages, x.to(self.dtype), len(self.conv1.bias), (self.side, self.side))


class ProGANGenerator(progan.Generator):
    """ProGAN's generator in its fast form."""

    def __init__(self, G: progan.Generator, dtype: torch.dtype) -> None:
        nn.Module.__init__(self)
        for name in ("config", "z_dim", "c_dim", "img_size", "img_resolution", "img_channels"):
            setattr(self, name, getattr(G, name))
        for name, block in G.named_children():
            side = int(name[1:])
            self.add_module(name, ProGANBlock(block, side, dtype if side >= _SMALL else torch.float32))  # type: ignore[arg-type]

    def forward(self, z: Tensor, c: Tensor | None = None) -> Tensor:
        """Draw images as the plain form does."""
        if len(z) < 2 or not z.is_cpu:
            return super().forward(z, c).float()
        return torch.cat([self(z[i : i + 1], None if c is None else c[i : i + 1]) for i in range(len(z))])


class StyledConv(nn.Module):
    """StyleGAN's `SynthesisLayer` in its fast form."""

    weight: Tensor
    bias: Tensor | None
    noise_const: Tensor
    strength: Tensor
    const: Tensor
    blur: Tensor | None

    def __init__(self, layer: stylegan1.SynthesisLayer, size: tuple[int, int], dtype: torch.dtype) -> None:
        super().__init__()
        self.config, self.kind, self.size, self.dtype = layer.config, layer.stage, size, dtype
        if layer.stage == "const":
            self.register_buffer("const", _own(layer.const, dtype)[None])
        else:
            self.register_buffer("weight", (layer.weight.detach() * layer.weight_gain).to(dtype))
        self.register_buffer("bias", None if layer.bias is None else _own(layer.bias, dtype))
        if layer.config.use_noise:
            strength = layer.noise_strength.detach() * layer.noise_gain
            self.register_buffer("strength", strength[:, None, None].to(dtype))
        if hasattr(layer, "noise_const"):
            self.register_buffer("noise_const", _own(layer.noise_const))
        if hasattr(layer, "affine"):
            self.affine = FoldedLinear(layer.affine)
        blur = layer.blur_filter
        self.register_buffer("blur", None if blur is None else _own(blur, dtype))

    def forward(self, x: Tensor | None, w: Tensor, noise: Tensor | None) -> Tensor:
        """Map x [N, I, H, W] (None at the first layer) with w [N, w_dim] to [N, O, H', W']."""
        cfg = self.config
        early = self.bias if cfg.bias_first else None
        late = None if cfg.bias_first or self.bias is None else self.bias[:, None, None]
        noise = None if noise is None else noise.to(self.dtype)
        end = finisher(cfg.activation, noise, bias=late, strength=getattr(self, "strength", None))
        y = self._input(x, w, early, end)
        y = pixel_norm(y) if cfg.use_pixel_norm else y
        return self._style(y, w)

    def _input(self, x: Tensor | None, w: Tensor, early: Tensor | None, end: Finish) -> Tensor:
        if self.kind == "const":
            y = self.const.expand(len(w), -1, -1, -1)
            y = (y if early is None else y + early[:, None, None]).contiguous(memory_format=torch.channels_last).clone()
            return end(y, 0)
        if self.kind == "dense":
            y = (w.to(self.dtype) @ self.weight.t()).reshape(len(w), -1, *self.size)
            return end(
                (y if early is None else y + early[:, None, None]).contiguous(memory_format=torch.channels_last), 0
            )
        assert x is not None
        if self.blur is None:
            return assemble([_conv(self.weight, self.kind, early, end)], x.to(self.dtype), len(self.weight), self.size)
        taps = self.blur.expand(len(self.weight), 1, *self.blur.shape).contiguous()
        stages = [_conv(self.weight, self.kind, early, lambda y, start: y), Depthwise(taps, end)]
        return assemble(stages, x.to(self.dtype), len(self.weight), self.size)

    def _style(self, y: Tensor, w: Tensor) -> Tensor:
        """Apply AdaIN in one pass, after one for mean and variance."""
        cfg = self.config
        if not cfg.use_instance_norm and not cfg.use_styles:
            return y
        scale, shift = torch.ones_like(y[:, :, :1, :1]), torch.zeros_like(y[:, :, :1, :1])
        if cfg.use_instance_norm:
            variance, mean = torch.var_mean(
                y.float() if self.dtype in HALF else y, dim=(2, 3), keepdim=True, correction=0
            )
            scale = torch.rsqrt(variance + cfg.instance_norm_eps)
            shift = -mean * scale
        if cfg.use_styles:
            factor, offset = self.affine(w)[:, :, None, None].chunk(2, dim=1)
            factor = factor + cfg.style_bias
            scale, shift = scale * factor, shift * factor + offset
        return y.mul_(scale.to(y.dtype)).add_(shift.to(y.dtype))


class StyleGANSynthesis(stylegan1.SynthesisNetwork):
    """StyleGAN's synthesis network in its fast form."""

    def __init__(self, synthesis: stylegan1.SynthesisNetwork, dtype: torch.dtype) -> None:
        nn.Module.__init__(self)
        for name in ("config", "num_layers", "num_ws", "w_dim", "img_channels", "img_resolution", "block_resolutions"):
            setattr(self, name, getattr(synthesis, name))
        height, width = self.config.base_size
        for level, (name, block) in enumerate(synthesis.named_children()):
            fast = copy.copy(block)
            fast._modules = dict(block._modules)
            precision = torch.float32 if int(name[1:]) < _SMALL else dtype
            for part in ("conv0", "conv1"):
                layer: Any = getattr(block, part)
                setattr(fast, part, StyledConv(layer, (height << level, width << level), precision))
            if hasattr(block, "torgb"):
                fast.torgb = copy.deepcopy(block.torgb).to(precision)
            self.add_module(name, fast)

    def forward(
        self,
        ws: Tensor,
        noise_mode: str = "const",
        noise: Sequence[Tensor] | None = None,
        force_fp32: bool = True,
    ) -> Tensor:
        """Draw images as the plain form does."""
        check_shape("ws", ws, self.num_ws, self.w_dim)
        return picture_by_picture(super().forward, self.noise_buffers(), ws, noise_mode, noise).float()


class FilteredConv(nn.Module):
    """StyleGAN3's `SynthesisLayer` in its fast form.

    The non-linearity works on several times the samples of the result, so these exist for a strip at a time. Each kind
    of sample between the given ones has a small filter of its own; `up_filter` is [up, C, 1, taps, 1].
    """

    weight: Tensor
    energy: Tensor | None
    bias: Tensor
    up_filter: Tensor
    down_filter: Tensor

    def __init__(self, layer: stylegan3.SynthesisLayer, dtype: torch.dtype) -> None:
        super().__init__()
        self.spec, self.clamp, self.dtype = layer.spec, layer.clamp, dtype
        self.affine = FoldedLinear(layer.affine)
        weight, scale, energy = layer.weight.detach(), torch.rsqrt(layer.magnitude_ema), None
        if self.spec.is_rgb:
            weight = weight * (scale / math.sqrt(weight[0].numel()))
        else:
            weight = weight * torch.rsqrt(weight.square().mean(dim=(1, 2, 3), keepdim=True))
            energy = weight.square().sum(dim=(2, 3)).t().contiguous()
            weight = weight * scale
        self.register_buffer("energy", energy)
        self.register_buffer("weight", weight.contiguous(memory_format=torch.channels_last))
        self.register_buffer("bias", _own(layer.bias, dtype))
        if layer.up_filter is not None and layer.down_filter is not None:
            self._make_filters(layer.up_filter, layer.down_filter)

    def _make_filters(self, up_filter: Tensor, down_filter: Tensor) -> None:
        # The gains of up-sampling and of the non-linearity, which is homogeneous, are the filter's. Filters are
        # symmetric, so it does not matter which way round they are.
        up, channels = self.spec.up, len(self.weight)
        kinds = (up_filter * (up * 2.0**0.25)).unflatten(0, (-1, up)).flip(0).t()
        kinds = kinds[:, None, None, :, None].expand(up, channels, 1, -1, 1)
        down = down_filter[None] if down_filter.ndim == 1 else down_filter
        self.register_buffer("up_filter", kinds.to(self.dtype).contiguous())
        self.register_buffer("down_filter", down.expand(channels, 1, *down.shape).to(self.dtype).contiguous())

    def forward(self, x: Tensor, w: Tensor) -> Tensor:
        """Map x [N, I, H, W] with w [N, w_dim] to [N, O, H', W']."""
        x = x.to(self.dtype).contiguous(memory_format=torch.channels_last)
        if not self.spec.is_rgb:
            return self._filtered(self._conv(w), x)
        (top, bottom), (left, right) = self.spec.pad_y, self.spec.pad_x
        x = F.pad(x, (left, right, top, bottom))  # a crop, so it can come first
        y = next(run([self._conv(w)], x, x.shape[2]))[2]
        return y if self.clamp is None else y.clamp_(-self.clamp, self.clamp)

    def _conv(self, w: Tensor) -> Conv:
        styles, factor = self.affine(w), None
        if self.energy is not None:
            styles = styles * torch.rsqrt(styles.square().mean())
            factor = torch.rsqrt(styles.square() @ self.energy + 1e-8)
        padding = self.spec.kernel - 1
        if len(w) == 1:
            scale = styles[0, None, :] if factor is None else factor[0, :, None] * styles[0, None, :]
            weight = (self.weight * scale[:, :, None, None]).to(self.dtype)
            return Conv(weight, self.bias, lambda y, start: y, padding=padding)
        ends = None if factor is None else factor[:, :, None, None].to(self.dtype)
        finish = finisher("linear", scale=ends, bias=self.bias[:, None, None])
        return Conv(self.weight.to(self.dtype), None, finish, styles[:, :, None, None].to(self.dtype), padding)

    def _filtered(self, conv: Conv, x: Tensor) -> Tensor:
        spec, taps = self.spec, self.down_filter.shape[-1]
        (height, width), channels = spec.after.size, len(self.weight)
        rows = strip_rows(channels * spec.down, width, height) if x.is_cpu else height
        y = _map(x, channels, spec.after.size)
        fine = _map(x, channels, (0, (width - 1) * spec.down + taps))
        begin = end = 0  # the rows that `fine` has, at the rate of the non-linearity
        for start in range(0, height, rows):
            stop = min(start + rows, height)
            before, kept = fine, slice(start * spec.down - begin, end - begin)
            begin, made, end = start * spec.down, max(end, start * spec.down), (stop - 1) * spec.down + taps
            fine = _map(x, channels, (end - begin, before.shape[3]))
            fine[:, :, : made - begin] = before[:, :, kept]
            self._activate_into(fine[:, :, made - begin :], conv, x, made, end)
            y[:, :, start:stop] = self._down(fine)
        return y

    def _activate_into(self, fine: Tensor, conv: Conv, x: Tensor, begin: int, end: int) -> None:
        """Fill in rows `begin` to `end` of the non-linearity's result."""
        height, width = conv.out_height(x.shape[2]), fine.shape[3]
        low, high, kinds_y = self._kinds(begin, end, self.spec.pad_y[0])
        left, right, kinds_x = self._kinds(0, width, self.spec.pad_x[0])
        u = run_rows([conv], x, max(low, 0), min(high, height))
        u = F.pad(u, (-left, right - u.shape[3], max(-low, 0), max(high - height, 0)))
        wide = _map(u, u.shape[1], (u.shape[2], width))
        for f, places, inputs in kinds_x:
            wide[:, :, :, places] = F.conv2d(u[:, :, :, inputs], f.transpose(2, 3), groups=len(f))
        for f, places, inputs in kinds_y:
            part = F.conv2d(wide[:, :, inputs], f, groups=len(f))
            torch.ops.aten.leaky_relu.out(part, 0.2, out=fine[:, :, places])
        if self.clamp is not None:
            fine.clamp_(-self.clamp, self.clamp)

    def _kinds(self, begin: int, end: int, pad: int) -> tuple[int, int, list[tuple[Tensor, slice, slice]]]:
        """Return from where to where up-sampling takes samples, and each kind's filter, places and inputs.

        Sample m of the result is sample q = m - pad + n - 1 of the full convolution with the n taps, to which only the
        taps of its kind, q mod up, contribute.
        """
        up, taps = self.spec.up, self.up_filter.shape[3]
        shift = up * taps - 1 - pad
        low, high = (begin + shift) // up - taps + 1, (end - 1 + shift) // up + 1
        kinds = []
        for kind in range(up):
            first = (kind - begin - shift) % up
            count = len(range(first, end - begin, up))
            at = (begin + first + shift) // up - taps + 1 - low
            if count:
                kinds.append((self.up_filter[kind], slice(first, None, up), slice(at, at + count + taps - 1)))
        return low, high, kinds

    def _down(self, fine: Tensor) -> Tensor:
        f, down = self.down_filter, self.spec.down
        if f.shape[2] > 1:
            return F.conv2d(fine, f, stride=down, groups=len(f))
        fine = F.conv2d(fine, f, stride=(1, down), groups=len(f))
        return F.conv2d(fine, f.transpose(2, 3), stride=(down, 1), groups=len(f))


class StyleGAN3Synthesis(stylegan3.SynthesisNetwork):
    """StyleGAN3's synthesis network in its fast form."""

    def __init__(self, synthesis: stylegan3.SynthesisNetwork, dtype: torch.dtype) -> None:
        nn.Module.__init__(self)
        for name in ("config", "num_ws", "w_dim", "img_channels", "img_resolution", "layer_names"):
            setattr(self, name, getattr(synthesis, name))
        self.input = copy.deepcopy(synthesis.input)
        for name in synthesis.layer_names:
            layer: Any = synthesis.get_submodule(name)
            precision = torch.float32 if layer.spec.rate < 2 * _SMALL else dtype
            self.add_module(name, FilteredConv(layer, precision))

    def forward(
        self,
        ws: Tensor,
        noise_mode: str = "const",
        noise: Sequence[Tensor] | None = None,
        force_fp32: bool = True,
    ) -> Tensor:
        """Draw images as the plain form does."""
        check_shape("ws", ws, self.num_ws, self.w_dim)
        return picture_by_picture(super().forward, [], ws, noise_mode, noise).float()


def _style_generator(synthesis: type[nn.Module]) -> Callable[[Any, torch.dtype], nn.Module]:
    def make(G: Any, dtype: torch.dtype) -> nn.Module:
        return StyleGenerator(G.config, fold_linear(copy.deepcopy(G.mapping)), synthesis(G.synthesis, dtype))

    return make


_FORMS: dict[type[nn.Module], Callable[[Any, torch.dtype], nn.Module]] = {
    progan.Generator: ProGANGenerator,
    stylegan1.Generator: _style_generator(StyleGANSynthesis),
    stylegan2.Generator: _style_generator(Synthesis2),
    stylegan3.Generator: _style_generator(StyleGAN3Synthesis),
}


def optimize(G: Any, dtype: torch.dtype = torch.float32) -> Any:
    """Return the fast form of a generator: the same interface, its own tensors, for drawing only.

    Args:
        G: a generator of this package, in eval mode.
        dtype: of feature maps at 64² and above: float32, or bfloat16 (float16 on a GPU) for speed.

    It keeps no state between calls, so threads may share it. A network without a fast form is returned as it is, with a
    warning.
    """
    make = _FORMS.get(type(G))
    if make is None:
        warnings.warn(f"{type(G).__module__}.{type(G).__name__} has no fast form; using the plain one", stacklevel=2)
        return G
    return make(G, dtype).eval().requires_grad_(False)
