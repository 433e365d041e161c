"""The fast form of StyleGAN2's generator."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from contextvars import ContextVar
from typing import Any

import torch
from torch import Tensor, nn

from stylegan_torch.fast.choices import choices_for, laid_out
from stylegan_torch.fast.folding import (
    SMALL,
    DrawsOnly,
    Enlargement,
    FoldedLinear,
    OneByOne,
    copy_settings,
    empty_map,
    finisher,
    folded_gain,
    in_two_dimensions,
    is_watched,
    own,
)
from stylegan_torch.fast.strips import (
    Conv,
    Finish,
    PhaseUpConv,
    Stage,
    UpConv,
    for_graphs,
    phase_kernel,
    run,
    strip_rows,
)
from stylegan_torch.networks import stylegan2
from stylegan_torch.networks.layers import layer_noise


class ModulatedConv(DrawsOnly):
    """StyleGAN2's `SynthesisLayer` or `ToRGB`: makes the stage for a certain w and noise."""

    conv_clamp: float | None
    weight: Tensor
    energy: Tensor | None
    bias: Tensor
    blur: Tensor
    noise_const: Tensor

    def __init__(self, layer: Any, size: tuple[int, int], dtype: torch.dtype) -> None:
        super().__init__()
        copy_settings(layer, self)
        if hasattr(layer, "resample_filter"):
            self.register_buffer("resample_filter", own(layer.resample_filter))
        self.is_rgb = isinstance(layer, stylegan2.ToRGB)
        self.activation = "linear" if self.is_rgb else layer.activation
        self.dtype, self.size = dtype, size
        gain = folded_gain(self.activation)
        weight = layer.weight.detach() * layer.weight_gain
        out_channels, in_channels, k, _ = weight.shape
        if dtype == torch.float16 and not self.is_rgb:
            # Demodulation undoes any factor of a row of weights, and this one keeps float16 from overflowing
            # (docs/spec/TORCH.md 6.5).
            weight = weight / (weight.abs().amax(dim=(1, 2, 3), keepdim=True) * (in_channels * k * k) ** 0.5)
        self.register_buffer("energy", None if self.is_rgb else weight.square().sum(dim=(2, 3)).t().contiguous())
        self.register_buffer("bias", (layer.bias.detach() * gain).to(dtype))
        self.affine = FoldedLinear(layer.affine)
        self.enlarges = getattr(layer, "up", 1) > 1
        self.phases = self.enlarges and choices_for(weight, dtype).phases
        weight = weight * gain
        if self.enlarges:
            n = layer.resample_filter.shape[-1]
            self.before = k // 2 + (n + 1) // 2 - (k - 1)
            blur = (in_two_dimensions(layer.resample_filter) * 4).flip(0, 1)
            weight = phase_kernel(weight, blur, self.before) if self.phases else weight.transpose(0, 1)
            self.register_buffer("blur", blur.expand(out_channels, 1, n, n).to(dtype).contiguous())
        small = weight.numel() <= size[0] * size[1] * (out_channels + in_channels / 4)
        self.scale_weights = small and not for_graphs()
        weight = weight if self.scale_weights else weight.to(dtype)
        self.register_buffer("weight", laid_out(weight, dtype))
        self.strength = 0.0
        if hasattr(layer, "noise_const"):
            self.register_buffer("noise_const", own(layer.noise_const))
            self.register_buffer("noise_strength", own(layer.noise_strength))
            self.strength = float(layer.noise_strength) * gain

    def stage(self, w: Tensor, noise: Tensor | None) -> Stage:
        """Return the layer for w [N, w_dim] and noise [1 or N, 1, H, W]."""
        styles = self.affine(w)
        if self.dtype == torch.float16 and self.energy is not None:
            styles = styles / styles.abs().amax(dim=1, keepdim=True)
        factor = None if self.energy is None else torch.rsqrt(styles.square() @ self.energy + 1e-8)
        if noise is not None:
            noise = (noise * self.strength).to(self.dtype)
        if self.scale_weights and len(styles) == 1:
            weight = self.weight * self._per_channel(styles[0], factor if factor is None else factor[0])
            finish = finisher(self.activation, noise, clamp=self.conv_clamp)
            return self._stage(weight.to(self.dtype), self.bias, finish, None)
        scale = None if factor is None else factor[:, :, None, None].to(self.dtype)
        bias = self.bias[:, None, None]
        finish = finisher(self.activation, noise, clamp=self.conv_clamp, scale=scale, bias=bias)
        return self._stage(self.weight.to(self.dtype), None, finish, styles[:, :, None, None].to(self.dtype))

    def _per_channel(self, style: Tensor, factor: Tensor | None) -> Tensor:
        scale = style[None, :] if factor is None else factor[:, None] * style[None, :]
        if self.phases:
            scale = scale.repeat(4, 1)
        elif self.enlarges:
            scale = scale.t()
        return scale[:, :, None, None]

    def _stage(self, weight: Tensor, bias: Tensor | None, finish: Finish, scale: Tensor | None) -> Stage:
        if self.phases:
            return PhaseUpConv(weight, None if bias is None else bias.repeat(4), finish, scale)
        if self.enlarges:
            return UpConv(weight, self.blur, bias, self.before, finish, scale)
        return Conv(weight, bias, finish, scale)

    def pick_noise(self, like: Tensor, noise_mode: str, given: Tensor | None) -> Tensor | None:
        """Return the layer's noise [1 or N, 1, H, W], or None."""
        return layer_noise(getattr(self, "noise_const", None), like, noise_mode, given)

    def forward(
        self,
        x: Tensor,
        w: Tensor,
        noise_mode: str = "const",
        fused_modconv: bool = True,
        gain: float = 1.0,
        *,
        noise: Tensor | None = None,
    ) -> Tensor:
        """Map x [N, I, H, W] at once."""
        self.refuse_gradients(x, w, noise)
        stage, height = self.stage(w, self.pick_noise(w, noise_mode, noise)), x.shape[2]
        y = stage.run(x.to(self.dtype), 0, 0, stage.out_height(height), height)
        y = y.float() if self.is_rgb else y
        return y if gain == 1 else y.mul_(gain)


_DRAWING: ContextVar[bool] = ContextVar("_DRAWING", default=False)
"""Whether a whole network draws, which has no use for the features of its last level unless somebody watches that."""


class StyleGAN2Block(stylegan2.SynthesisBlock):
    """A level of StyleGAN2 in its fast form."""

    conv0: Any
    conv1: Any
    torgb: Any

    def __init__(self, block: stylegan2.SynthesisBlock, size: tuple[int, int], dtype: torch.dtype) -> None:
        nn.Module.__init__(self)
        copy_settings(block, self)
        self.dtype, self.size = dtype, size
        for name, layer in block.named_children():
            if isinstance(layer, stylegan2.SynthesisLayer | stylegan2.ToRGB):
                self.add_module(name, ModulatedConv(layer, size, dtype))
            else:
                self.add_module(name, copy.deepcopy(layer).to(dtype))
        if self.resolution == 4:
            self.register_buffer("const", own(block.const, dtype)[None])
        self.enlarge = Enlargement(block.resample_filter)

    def enlarged(self, image: Tensor) -> Tensor:
        """Return the picture of the level below at twice its size."""
        return super().enlarged(image) if self.config.image_upsampling == "bilinear" else self.enlarge(image)

    def features(
        self, x: Tensor | None, ws: Tensor, noise_mode: str = "const", noise: Sequence[Tensor] | None = None
    ) -> Tensor:
        """Map the features of the level below (None at 4×4) to this level's, with the ws [N, 1 or 2, w_dim]."""
        if self.resolution == 4:
            first = None if noise is None else noise[0]
            return self.conv1(laid_out(self.const.expand(ws.shape[0], -1, -1, -1)), ws[:, 0], noise_mode, noise=first)
        assert x is not None
        return super().features(x.to(self.dtype), ws, noise_mode, noise)

    def forward(
        self,
        x: Tensor | None,
        img: Tensor | None,
        ws: Tensor,
        force_fp32: bool = True,
        fused_modconv: bool | None = None,
        update_emas: bool = False,
        *,
        noise_mode: str = "const",
        noise: Sequence[Tensor] | None = None,
    ) -> tuple[Tensor, Tensor | None]:
        """Map features and picture of the level below to this level's."""
        rows = strip_rows(ws, self.out_channels, self.size)
        whole = self.residual or not isinstance(self.attention, nn.Identity) or is_watched(self)
        if x is None or self.resolution == 4 or whole or rows >= self.size[0]:
            return super().forward(x, img, ws, noise_mode=noise_mode, noise=noise)
        convs = (self.conv0, self.conv1)
        maps = [conv.pick_noise(ws, noise_mode, noise and noise[i]) for i, conv in enumerate(convs)]
        return self._in_strips(x.to(self.dtype), img, ws, maps, rows)

    def _in_strips(
        self, x: Tensor, image: Tensor | None, ws: Tensor, noise: Sequence[Tensor | None], rows: int
    ) -> tuple[Tensor, Tensor | None]:
        stages = [self.conv0.stage(ws[:, 0], noise[0]), self.conv1.stage(ws[:, 1], noise[1])]
        rgb = self.torgb.stage(ws[:, -1], None) if self.adds_picture else None
        unseen = self.is_last and _DRAWING.get()
        y = x.new_empty(0) if unseen else empty_map(x, self.out_channels, self.size)
        if image is not None:
            image = self.enlarged(image)
        elif rgb is not None:
            image = torch.zeros(ws.shape[0], self.config.img_channels, *self.size, device=ws.device)
        for start, stop, strip in run(stages, x, rows):
            if not unseen:
                y[:, :, start:stop] = strip
            if rgb is not None and image is not None:
                image[:, :, start:stop] += rgb.run(strip, start, start, stop, self.size[0])
        return y, image


class StyleGAN2Synthesis(OneByOne, stylegan2.SynthesisNetwork):
    """StyleGAN2's synthesis network in its fast form."""

    def __init__(self, synthesis: stylegan2.SynthesisNetwork, dtype: torch.dtype) -> None:
        nn.Module.__init__(self)
        copy_settings(synthesis, self)
        height, width = self.config.base_size
        for level, block in enumerate(synthesis.blocks()):
            precision = torch.float32 if block.resolution < SMALL else dtype
            self.add_module(f"b{block.resolution}", StyleGAN2Block(block, (height << level, width << level), precision))

    def forward(self, *arguments: Any, **keywords: Any) -> Any:
        """Draw images as the plain form does."""
        token = _DRAWING.set(True)
        try:
            return super().forward(*arguments, **keywords)
        finally:
            _DRAWING.reset(token)
