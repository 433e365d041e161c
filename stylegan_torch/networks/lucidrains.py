"""The generator of lucidrains' stylegan2-pytorch, a StyleGAN2 with arithmetic of its own (docs/spec/COMMUNITY.md 14).

    z ─► mapping ─► ws [N, num_ws, w_dim] ─► synthesis: b4 → b8 → … ─► image in [0, 1]

A level reads one row of ws: two modulated convolutions and an RGB layer. Features and pictures are enlarged bilinearly,
and all layers get the same noise map, cut to their size. Weights are not equalized, but for the mapping network's.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from stylegan_torch.networks import interface
from stylegan_torch.networks.layers import (
    Linear,
    WithFeatures,
    activate_,
    any_tensor,
    cast,
    check_noise,
    check_shape,
    layer_noise,
    like_weight,
    make_filter,
    normal,
    resolutions,
    scaled_conv2d,
    truncate,
    upfirdn2d,
    with_features,
)
from stylegan_torch.types import Arguments


@dataclass(frozen=True)
class MappingConfig:
    """The mapping network; weights and biases are multiplied by `lr_multiplier` at run time."""

    z_dim: int
    w_dim: int
    num_layers: int = 8
    lr_multiplier: float = 0.1

    @property
    def c_dim(self) -> int:
        """There are no classes."""
        return 0


@dataclass(frozen=True)
class GeneratorConfig:
    """A generator. `channels` counts the feature maps of the levels 4², 8², … in order.

    const_channels: feature maps that the first level starts from.
    const_input: start from a learned constant rather than a transposed convolution of the mean row of ws.
    truncation_psi, truncation_cutoff: what the program does; cutoff None = all rows.
    official_noise: the program draws noise anew for every picture; ours is the map "stored".
    """

    mapping: MappingConfig
    img_resolution: int
    img_channels: int
    channels: tuple[int, ...]
    const_channels: int
    const_input: bool = True
    truncation_psi: float = 0.75
    truncation_cutoff: int | None = None
    official_noise: Literal["stored"] = "stored"

    @property
    def c_dim(self) -> int:
        """There are no classes."""
        return 0

    @property
    def img_size(self) -> tuple[int, int]:
        """Height and width of images."""
        return self.img_resolution, self.img_resolution

    def official_arguments(self) -> Arguments:
        """Return the sizes as official PyTorch classes name them; there is none for this network."""
        return {
            "z_dim": self.mapping.z_dim,
            "c_dim": 0,
            "w_dim": self.mapping.w_dim,
            "img_resolution": self.img_resolution,
            "img_channels": self.img_channels,
        }


class MappingNetwork(interface.MappingNetwork):
    """Maps latents z to w; `w_avg` [w_dim] is the centre of truncation."""

    w_avg: Tensor

    def __init__(self, config: MappingConfig, num_ws: int) -> None:
        super().__init__()
        self.config = config
        self.z_dim, self.c_dim, self.w_dim = config.z_dim, 0, config.w_dim
        self.num_layers, self.num_ws = config.num_layers, num_ws
        for i in range(config.num_layers):
            layer = Linear(
                config.w_dim if i else config.z_dim,
                config.w_dim,
                weight_gain=config.lr_multiplier,
                bias_gain=config.lr_multiplier,
                activation="lrelu",
                activation_gain=False,
            )
            self.add_module(f"fc{i}", layer)
        self.register_buffer("w_avg", torch.zeros(config.w_dim))

    def forward(
        self,
        z: Tensor,
        c: Tensor | None = None,
        truncation_psi: float = 1.0,
        truncation_cutoff: int | None = None,
        skip_w_avg_update: bool = True,
        update_emas: bool = False,
    ) -> Tensor:
        """Map z [N, z_dim], of which only the direction counts, to ws [N, num_ws, w_dim].

        Args:
            z: latents, N(0, 1); any dtype.
            c: not looked at; there are no classes.
            truncation_psi: 1 = none, 0 = always `w_avg`.
            truncation_cutoff: how many rows are truncated; None = all.
            skip_w_avg_update, update_emas: of the official PyTorch releases; `w_avg` stays as it is.

        Raises:
            ValueError: if z does not fit the network.
        """
        check_shape("z", z, self.z_dim)
        x = F.normalize(cast("z", z, any_tensor(self)), dim=1)
        for i in range(self.num_layers):
            x = self.get_submodule(f"fc{i}")(x)
        return truncate(x[:, None].expand(-1, self.num_ws, -1), self.w_avg, truncation_psi, truncation_cutoff)


class ModulatedConv(nn.Module):
    """Convolution whose weights are scaled, one input map each, by 1 + a style (StyleGAN2 section 2.2)."""

    def __init__(self, in_channels: int, out_channels: int, w_dim: int, size: int, demodulate: bool) -> None:
        super().__init__()
        self.weight = normal(out_channels, in_channels, size, size)
        self.affine = Linear(w_dim, in_channels, weight_gain=1.0)
        self.demodulate = demodulate

    def convolve(self, x: Tensor, w: Tensor) -> Tensor:
        """Map x [N, I, H, W] with w [N, w_dim] to [N, O, H, W]."""
        styles, factors = self.affine(w) + 1, None
        if self.demodulate:
            energy = styles.square() @ self.weight.square().sum(dim=(2, 3)).t()
            factors = torch.rsqrt(energy + 1e-8)
        return scaled_conv2d(like_weight(x, self.weight), self.weight, styles, factors)


class SynthesisLayer(ModulatedConv):
    """A 3×3 modulated convolution, noise with a strength and a bias for every map, and lrelu."""

    def __init__(self, in_channels: int, out_channels: int, w_dim: int) -> None:
        super().__init__(in_channels, out_channels, w_dim, 3, demodulate=True)
        self.noise_strength = nn.Parameter(torch.zeros(out_channels))
        self.noise_bias = nn.Parameter(torch.zeros(out_channels))

    def forward(self, x: Tensor, w: Tensor, noise: Tensor | None) -> Tensor:
        """Map x [N, I, H, W] with w [N, w_dim] and noise [1 or N, 1, H, W] (None = zeros) to [N, O, H, W]."""
        x = self.convolve(x, w).add_(self.noise_bias[:, None, None])
        if noise is not None:
            x = x.addcmul_(noise, self.noise_strength[:, None, None])
        return activate_(x, "lrelu", with_gain=False)


class ToRGB(ModulatedConv):
    """1×1 modulated convolution to image channels, with neither demodulation nor bias."""

    def __init__(self, in_channels: int, img_channels: int, w_dim: int) -> None:
        super().__init__(in_channels, img_channels, w_dim, 1, demodulate=False)

    def forward(self, x: Tensor, w: Tensor) -> Tensor:
        """Map features [N, I, H, W] with w [N, w_dim] to an image [N, img_channels, H, W]."""
        return self.convolve(x, w)


def enlarge(x: Tensor) -> Tensor:
    """Enlarge twofold, bilinearly, with pixels' centres between the old ones."""
    return F.interpolate(x, scale_factor=2, mode="bilinear", align_corners=False)


class SynthesisBlock(nn.Module):
    """One level: two layers and an RGB layer, whose image is enlarged for the next level unless this is the last.

    The first level has its beginning too: `const` or `dense`, and a convolution `conv`.
    """

    blur_filter: Tensor

    def __init__(self, config: GeneratorConfig, level: int) -> None:
        super().__init__()
        out, w_dim = config.channels[level], config.mapping.w_dim
        before = config.channels[level - 1] if level else config.const_channels
        self.resolution, self.is_first, self.is_last = 4 << level, level == 0, level == len(config.channels) - 1
        self.in_channels, self.out_channels, self.w_dim = before, out, w_dim
        self.img_channels, self.num_conv, self.num_torgb = config.img_channels, 1, 0
        if self.is_first:
            if config.const_input:
                self.const = normal(before, 4, 4)
            else:
                self.dense = normal(w_dim, before, 4, 4)
            self.conv = nn.Conv2d(before, before, 3, padding=1)
        self.conv0 = SynthesisLayer(before, out, w_dim)
        self.conv1 = SynthesisLayer(out, out, w_dim)
        self.torgb = ToRGB(out, config.img_channels, w_dim)
        self.register_buffer("blur_filter", make_filter((1.0, 2.0, 1.0)), persistent=False)

    def forward(self, x: Tensor | None, img: Tensor | None, ws: Tensor, noise: Tensor | None) -> tuple[Tensor, Tensor]:
        """Map features and image of the level below (None at 4×4) to this level's features and the next one's image.

        Args:
            x: features [N, in_channels, H/2, W/2].
            img: the image so far [N, img_channels, H, W].
            ws: [N, num_ws, w_dim] in the first level, of which others look at this level's row alone [N, w_dim].
            noise: [1 or N, 1, size, size], of which the corner counts; None = zeros.
        """
        w = ws[:, 0] if ws.ndim == 3 else ws
        x = self.conv(self._beginning(ws)) if x is None else enlarge(x)
        if noise is not None:
            # The program has maps as [N, height, width, 1], cuts them, and takes their first axis for the width.
            noise = noise[:, :, : self.resolution, : self.resolution].transpose(2, 3)
        x = self.conv1(self.conv0(x, w, noise), w, noise)
        y: Tensor = self.torgb(x, w)
        img = y if img is None else img + y
        if not self.is_last:
            img = upfirdn2d(F.pad(enlarge(img), (1, 1, 1, 1), mode="reflect"), self.blur_filter)
        return x, img

    def _beginning(self, ws: Tensor) -> Tensor:
        if hasattr(self, "const"):
            return self.const.expand(ws.shape[0], -1, -1, -1)
        return F.conv_transpose2d(ws.mean(dim=1)[:, :, None, None], self.dense)


class SynthesisNetwork(interface.SynthesisNetwork):
    """Maps ws to an image. Levels are the sub-modules `b4`, `b8`, …; `noise_const` is the noise map of all of them."""

    noise_const: Tensor

    def __init__(self, config: GeneratorConfig) -> None:
        super().__init__()
        self.config = config
        self.block_resolutions = resolutions(config.img_resolution)
        self.num_ws, self.w_dim = len(self.block_resolutions), config.mapping.w_dim
        self.img_resolution, self.img_channels = config.img_resolution, config.img_channels
        for level, resolution in enumerate(self.block_resolutions):
            self.add_module(f"b{resolution}", SynthesisBlock(config, level))
        self.register_buffer("noise_const", torch.rand(config.img_size))

    def noise_buffers(self) -> list[Tensor]:
        """Return the stored noise map [size, size], uniform in [0, 1), which all layers share."""
        return [self.noise_const]

    def noise_of(self, x: Tensor) -> Tensor:
        """Turn noise of N(0, 1) into the uniform noise in [0, 1) that this network takes."""
        return torch.special.ndtr(x)

    def normal_of(self, noise: Tensor) -> Tensor:
        """Undo `noise_of`, for values far out about."""
        return torch.special.ndtri(noise.clamp(1e-6, 1 - 1e-6))

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
    ) -> Tensor | WithFeatures:
        """Draw images [N, img_channels, H, W], dynamic range about [0, 1], from ws [N, num_ws, w_dim].

        Args:
            ws: one w a level, from the mapping network; any dtype.
            noise_mode: "const" (the stored map), "random" or "none" (zeros).
            noise: one explicit map [1 or N, 1, size, size], uniform in [0, 1); overrides `noise_mode`.
            force_fp32, fused_modconv, update_emas: of the official PyTorch releases; nothing to choose here.
            return_features: also return what every layer makes, a dict of tensors [N, C, H, W] by the layer's name.

        Raises:
            ValueError: if ws, the noise or its mode do not fit the network.
        """
        if return_features:
            return with_features(self, lambda: self.forward(ws, noise_mode, noise))
        check_shape("ws", ws, self.num_ws, self.w_dim)
        ws = cast("ws", ws, any_tensor(self.get_submodule("b4")))
        shared = self._noise(ws, noise_mode, noise or None)
        x = image = None
        for level, resolution in enumerate(self.block_resolutions):
            x, image = self.get_submodule(f"b{resolution}")(x, image, ws[:, level] if level else ws, shared)
        assert image is not None
        return image.contiguous()

    def _noise(self, ws: Tensor, noise_mode: str, noise: Sequence[Tensor] | None) -> Tensor | None:
        check_noise(noise, [self.noise_const.shape], ws.shape[0])
        if noise is None and noise_mode == "random":
            return torch.rand(ws.shape[0], 1, *self.noise_const.shape, dtype=ws.dtype, device=ws.device)
        return layer_noise(self.noise_const, ws, noise_mode, noise[0] if noise else None)


class Generator(interface.StyleGenerator):
    """Maps latents z [N, z_dim] to images in [0, 1]; `mapping` and `synthesis` work by themselves too."""

    rounding = "unit"
    image_range = (0.0, 1.0)
    config: GeneratorConfig
    mapping: MappingNetwork
    synthesis: SynthesisNetwork

    def __init__(self, config: GeneratorConfig) -> None:
        synthesis = SynthesisNetwork(config)
        super().__init__(config, MappingNetwork(config.mapping, synthesis.num_ws), synthesis)
