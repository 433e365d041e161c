"""The fast form of StyleGAN's generator."""

from __future__ import annotations

import copy
import math
from typing import Any

import torch
from torch import Tensor, nn

from stylegan_torch.fast.choices import HALF, laid_out
from stylegan_torch.fast.folding import (
    SMALL,
    DrawsOnly,
    FoldedLinear,
    OneByOne,
    assemble,
    copy_settings,
    finisher,
    in_two_dimensions,
    own,
    plain_conv,
)
from stylegan_torch.fast.strips import Depthwise, Finish, Stage
from stylegan_torch.networks import stylegan1
from stylegan_torch.networks.layers import layer_noise, pixel_norm

_FLOAT16 = (torch.finfo(torch.float16).min, torch.finfo(torch.float16).max)


class StyledConv(DrawsOnly):
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
            self.register_buffer("const", own(layer.const, dtype)[None])
        else:
            self.register_buffer("weight", (layer.weight.detach() * layer.weight_gain).to(dtype))
        self.register_buffer("bias", None if layer.bias is None else own(layer.bias, dtype))
        if layer.config.use_noise:
            strength = layer.noise_strength.detach() * layer.noise_gain
            self.register_buffer("strength", strength[:, None, None].to(dtype))
        if hasattr(layer, "noise_const"):
            self.register_buffer("noise_const", own(layer.noise_const))
        if hasattr(layer, "affine"):
            self.affine = FoldedLinear(layer.affine)
        blur = layer.blur_filter
        self.register_buffer("blur", None if blur is None else own(in_two_dimensions(blur), dtype))

    def forward(
        self,
        x: Tensor | None,
        w: Tensor,
        noise_mode: str = "const",
        fused_modconv: bool = True,
        gain: float = 1.0,
        *,
        noise: Tensor | None = None,
    ) -> Tensor:
        """Map x [N, I, H, W] (None at the first layer) with w [N, w_dim] to [N, O, H', W']."""
        self.refuse_gradients(x, w, noise)
        cfg = self.config
        noise = layer_noise(getattr(self, "noise_const", None), w, noise_mode, noise)
        early = self.bias if cfg.bias_first else None
        late = None if cfg.bias_first or self.bias is None else self.bias[:, None, None]
        noise = None if noise is None else noise.to(self.dtype)
        end = finisher(cfg.activation, noise, bias=late, strength=getattr(self, "strength", None))
        y = self._input(x, w, early, end)
        if cfg.use_pixel_norm:
            y = pixel_norm(y.float()).to(y.dtype) if y.dtype == torch.float16 else pixel_norm(y)
        y = self._style(y, w)
        return y if gain == 1 else y.mul_(gain)

    def _input(self, x: Tensor | None, w: Tensor, early: Tensor | None, end: Finish) -> Tensor:
        if self.kind == "const":
            y = self.const.expand(w.shape[0], -1, -1, -1)
            return end(laid_out(y if early is None else y + early[:, None, None]).clone(), 0)
        if self.kind == "dense":
            channels = len(self.weight) // math.prod(self.size)
            y = (w.to(self.dtype) @ self.weight.t()).reshape(w.shape[0], channels, *self.size)
            return end(laid_out(y if early is None else y + early[:, None, None]), 0)
        assert x is not None
        activated = self.kind == "up" and self.config.activate_before_blur
        first = finisher(self.config.activation) if activated else lambda y, start: y
        if self.blur is None:
            stages: list[Stage] = [
                plain_conv(self.weight, self.kind, early, lambda y, start: end(first(y, start), start))
            ]
        else:
            taps = self.blur.expand(len(self.weight), 1, *self.blur.shape).contiguous()
            stages = [plain_conv(self.weight, self.kind, early, first), Depthwise(taps, end)]
        return assemble(stages, x.to(self.dtype), len(self.weight), self.size)

    def _style(self, y: Tensor, w: Tensor) -> Tensor:
        """Apply AdaIN, in place."""
        cfg = self.config
        if not cfg.use_instance_norm and not cfg.use_styles:
            return y
        scale, shift = torch.ones_like(y[:, :, :1, :1]), torch.zeros_like(y[:, :, :1, :1])
        if cfg.use_instance_norm:
            values = y.float() if self.dtype in HALF else y
            variance, mean = torch.var_mean(values, dim=(2, 3), keepdim=True, correction=0)
            # Not left to the shift: where a map is almost constant, that would be the difference of large numbers.
            y = y.sub_(mean.to(y.dtype))
            scale = torch.rsqrt(variance + cfg.instance_norm_eps)
        if cfg.use_styles:
            factor, shift = self.affine(w)[:, :, None, None].chunk(2, dim=1)
            scale = scale * (factor + cfg.style_bias)
        if y.dtype == torch.float16:  # a constant map has a scale beyond its range, and zeros to be scaled
            scale = scale.clamp(*_FLOAT16)
        return torch.addcmul(shift.to(y.dtype), y, scale.to(y.dtype), out=y)


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
        for level, (name, block) in enumerate(synthesis.named_children()):
            fast = StyleGANBlock(block)
            precision = torch.float32 if int(name[1:]) < SMALL else dtype
            for part in ("conv0", "conv1"):
                layer = getattr(block, part)
                setattr(fast, part, StyledConv(layer, (height << level, width << level), precision))
            if hasattr(block, "torgb"):
                fast.torgb = copy.deepcopy(block.torgb).to(precision)
            self.add_module(name, fast)
