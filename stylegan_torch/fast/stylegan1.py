"""The fast form of StyleGAN's generator.

A map's statistics are taken while its strips are in the caches, and what AdaIN makes of it is left to the layer that
reads it, which does it strip by strip too: no pass over a whole map remains.
"""

from __future__ import annotations

import math
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from stylegan_torch.fast import strips
from stylegan_torch.fast.choices import HALF, laid_out
from stylegan_torch.fast.folding import (
    SMALL,
    DrawsOnly,
    FoldedLinear,
    Look,
    OneByOne,
    assemble,
    copy_settings,
    finisher,
    in_two_dimensions,
    is_watched,
    normalized,
    own,
    plain_conv,
    plain_kernel,
)
from stylegan_torch.fast.strips import Conv, Depthwise, Finish, Moments, Normalize, Stage
from stylegan_torch.networks import stylegan1
from stylegan_torch.networks.layers import layer_noise

_FLOAT16 = (torch.finfo(torch.float16).min, torch.finfo(torch.float16).max)
_DEFERS: ContextVar[bool] = ContextVar("_DEFERS", default=False)
"""Whether AdaIN is left to what reads a map; those who watch a network want finished maps."""

_CONSTANT = 1e4
"""Squared mean over variance of a map from which the mean is subtracted first: to leave it to the shift would be the
difference of large numbers."""


@dataclass(frozen=True)
class Unstyled:
    """A map [1, C, H, W] whose AdaIN is left to what reads it."""

    y: Tensor
    adain: Normalize


def _unread(x: Any) -> tuple[Any, list[Normalize]]:
    """Return a map and what comes before anything else that reads it."""
    return (x.y, [x.adain]) if isinstance(x, Unstyled) else (x, [])


class StyledConv(DrawsOnly):
    """StyleGAN's `SynthesisLayer` in its fast form; `kernel` is that of its stage, or of a dense layer."""

    kernel: Tensor
    bias: Tensor | None
    noise_const: Tensor
    strength: Tensor
    const: Tensor
    blur: Tensor | None

    def __init__(self, layer: stylegan1.SynthesisLayer, size: tuple[int, int], dtype: torch.dtype) -> None:
        super().__init__()
        cfg = layer.config
        self.config, self.kind, self.size, self.dtype = cfg, layer.stage, size, dtype
        if layer.stage == "const":
            self.register_buffer("const", own(layer.const, dtype)[None])
        else:
            weight = layer.weight.detach() * layer.weight_gain
            self.channels = len(weight) // (math.prod(size) if layer.stage == "dense" else 1)
            kernel = weight.to(dtype) if layer.stage == "dense" else plain_kernel(weight, layer.stage, dtype)
            self.register_buffer("kernel", kernel)
        self.register_buffer("bias", None if layer.bias is None else own(layer.bias, dtype))
        if cfg.use_noise:
            strength = layer.noise_strength.detach() * layer.noise_gain
            self.register_buffer("strength", strength[:, None, None].to(dtype))
        if hasattr(layer, "noise_const"):
            self.register_buffer("noise_const", own(layer.noise_const))
        if hasattr(layer, "affine"):
            self.affine = FoldedLinear(layer.affine)
        self.activates_first = layer.stage == "up" and cfg.activate_before_blur
        blur = layer.blur_filter
        if blur is None and self.activates_first:
            blur = layer.weight.new_ones(1)
        self.register_buffer("blur", None if blur is None else own(in_two_dimensions(blur), dtype))

    def forward(
        self,
        x: Tensor | Unstyled | None,
        w: Tensor,
        noise_mode: str = "const",
        fused_modconv: bool = True,
        gain: float = 1.0,
        *,
        noise: Tensor | None = None,
    ) -> Tensor | Unstyled:
        """Map x [N, I, H, W] (None at the first layer) with w [N, w_dim] to [N, O, H', W']."""
        cfg = self.config
        features, before = _unread(x)
        self.refuse_gradients(features, w, noise)
        noise = layer_noise(getattr(self, "noise_const", None), w, noise_mode, noise)
        noise = None if noise is None else noise.to(self.dtype)
        end = finisher(cfg.activation, noise, strength=getattr(self, "strength", None))
        end = normalized(end, 1e-8) if cfg.use_pixel_norm else end
        if not (_DEFERS.get() and cfg.use_instance_norm and self.dtype != torch.float16):
            y = self._style(self._input(features, w, end, before), w)
            return y if gain == 1 else y.mul_(gain)
        moments = Moments()
        y = self._input(features, w, end, before, moments.add)
        mean, variance = moments.total()
        variance = variance + cfg.instance_norm_eps
        if (mean.square() > _CONSTANT * variance).any():
            y.sub_(mean[:, None, None].to(y.dtype))
            mean = torch.zeros_like(mean)
        scale, shift = self._factors(torch.rsqrt(variance)[None, :, None, None], w)
        return Unstyled(y, Normalize(mean, scale.flatten(), shift.flatten()))

    def _input(
        self, x: Tensor | None, w: Tensor, end: Finish, before: list[Normalize], look: Look | None = None
    ) -> Tensor:
        """Return all but AdaIN, and show it strip by strip."""
        if x is None:
            y = self._first(w)
            y = end(y if self.bias is None else y.add_(self.bias[:, None, None]), 0)
            if look is not None:
                look(y)
            return y
        if self.blur is None:
            chain: list[Stage] = [plain_conv(self.kernel, self.kind, self.bias, end)]
        else:
            early, late = (self.bias, None) if self.config.bias_first else (None, self.bias)
            first = finisher(self.config.activation if self.activates_first else "linear")
            taps = self.blur.expand(self.channels, 1, *self.blur.shape).contiguous()
            chain = [plain_conv(self.kernel, self.kind, early, first), Depthwise(taps, end, late)]
        return assemble([*before, *chain], x.to(self.dtype), self.channels, self.size, look)

    def _first(self, w: Tensor) -> Tensor:
        """Return what the first layer starts from."""
        if self.kind == "const":
            return laid_out(self.const.expand(w.shape[0], -1, -1, -1)).clone()
        return laid_out((w.to(self.dtype) @ self.kernel.t()).reshape(w.shape[0], self.channels, *self.size))

    def _factors(self, scale: Tensor, w: Tensor) -> tuple[Tensor, Tensor]:
        """Return what to scale maps by [N, C, 1, 1], which is what they are divided by and the style, and to shift."""
        if not self.config.use_styles:
            return scale, torch.zeros_like(scale)
        factor, shift = self.affine(w)[:, :, None, None].chunk(2, dim=1)
        return scale * (factor + self.config.style_bias), shift

    def _style(self, y: Tensor, w: Tensor) -> Tensor:
        """Apply AdaIN, in place."""
        cfg = self.config
        if not cfg.use_instance_norm and not cfg.use_styles:
            return y
        scale = torch.ones_like(y[:, :, :1, :1], dtype=torch.float32)
        if cfg.use_instance_norm:
            values = y.float() if self.dtype in HALF else y
            variance, mean = torch.var_mean(values, dim=(2, 3), keepdim=True, correction=0)
            # Not left to the shift: where a map is almost constant, that would be the difference of large numbers.
            y = y.sub_(mean.to(y.dtype))
            scale = torch.rsqrt(variance + cfg.instance_norm_eps)
        scale, shift = self._factors(scale, w)
        if y.dtype == torch.float16:  # a constant map has a scale beyond its range, and zeros to be scaled
            scale = scale.clamp(*_FLOAT16)
        return torch.addcmul(shift.to(y.dtype), y, scale.to(y.dtype), out=y)


class StyledRGB(nn.Module):
    """StyleGAN's `ToRGB` in its fast form."""

    kernel: Tensor
    bias: Tensor

    def __init__(self, layer: stylegan1.ToRGB, size: tuple[int, int], dtype: torch.dtype) -> None:
        super().__init__()
        self.size = size
        self.register_buffer("kernel", (layer.weight.detach() * layer.weight_gain).to(dtype))
        self.register_buffer("bias", own(layer.bias, dtype))

    def forward(self, x: Tensor | Unstyled) -> Tensor:
        """Map features [N, I, H, W] to an image [N, img_channels, H, W]."""
        features, before = _unread(x)
        conv = Conv(self.kernel, self.bias, lambda y, start: y)
        return assemble([*before, conv], features, len(self.bias), self.size)


class StyleGANBlock(stylegan1.SynthesisBlock):
    """A level of StyleGAN in its fast form, whose layers are yet to be put in."""

    conv0: Any
    conv1: Any
    torgb: Any

    def __init__(self, block: nn.Module) -> None:
        nn.Module.__init__(self)
        copy_settings(block, self)


class StyleGANSynthesis(OneByOne, stylegan1.SynthesisNetwork):
    """StyleGAN's synthesis network in its fast form."""

    def __init__(self, synthesis: stylegan1.SynthesisNetwork, dtype: torch.dtype) -> None:
        nn.Module.__init__(self)
        copy_settings(synthesis, self)
        height, width = self.config.base_size
        block: Any
        for level, (name, block) in enumerate(synthesis.named_children()):
            fast, size = StyleGANBlock(block), (height << level, width << level)
            precision = torch.float32 if int(name[1:]) < SMALL else dtype
            for part in ("conv0", "conv1"):
                setattr(fast, part, StyledConv(getattr(block, part), size, precision))
            if hasattr(block, "torgb"):
                fast.torgb = StyledRGB(block.torgb, size, precision)
            self.add_module(name, fast)

    def forward(self, ws: Tensor, *arguments: Any, **keywords: Any) -> Any:
        """Draw images as the plain form does."""
        token = _DEFERS.set(strips.in_pieces(ws) and not is_watched(self))
        try:
            return super().forward(ws, *arguments, **keywords)
        finally:
            _DEFERS.reset(token)
