"""StyleGAN (Karras et al. 2019, "A Style-Based Generator Architecture for Generative Adversarial Networks").

Also config A of StyleGAN2. Names follow the StyleGAN2-ADA PyTorch release where the parts correspond.

    z, c ─► mapping ─► ws [N, num_ws, w_dim] ─► synthesis: b4 → b8 → … ─► image

A level is two layers, each ending in noise, bias, activation and adaptive instance normalisation (AdaIN) by one row of
ws. The first layer of 4×4 has no convolution: it starts from a learned constant (or a dense layer of w).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

import torch
from torch import Tensor, nn

from stylegan_torch.networks import interface
from stylegan_torch.networks.layers import (
    Linear,
    WithFeatures,
    activate_,
    adain,
    any_tensor,
    blur2d,
    box_down2d,
    cast,
    check_noise,
    check_shape,
    conv2d,
    conv2d_box_down,
    conv2d_nearest_up,
    follow_mean,
    given,
    growth,
    instance_norm,
    labels_or_zeros,
    laid_out,
    layer_noise,
    like_weight,
    log2_resolution,
    make_filter,
    minibatch_stddev,
    nearest_up2d,
    normal,
    pixel_norm,
    resolutions,
    truncate,
    with_features,
)
from stylegan_torch.types import Arguments

Activation = Literal["lrelu", "relu"]
W_AVG_BETA = 0.995
"""What stays of the average w at each step of training."""


@dataclass(frozen=True)
class MappingConfig:
    """The mapping network, z and labels c to w; `equalized` scales weights at run time (ProGAN section 4.1)."""

    z_dim: int
    c_dim: int
    w_dim: int
    num_layers: int = 8
    layer_dim: int = 512
    lr_multiplier: float = 0.01
    activation: Activation = "lrelu"
    normalize_z: bool = True
    equalized: bool = True


@dataclass(frozen=True)
class GeneratorConfig:
    """A generator. `channels` counts the feature maps of the levels 4², 8², … in order.

    img_resolution: larger side of a square network with as many levels.
    base_size: height and width of the first level; each further one doubles them.
    blur_filter: taps applied after every enlargement; None = none.
    use_styles: AdaIN's scale and shift by w; without, ws has a single row that only a dense input reads.
    const_input: start from a learned constant rather than a dense layer of w.
    instance_norm_eps: added to the variance in AdaIN.
    style_bias, style_gain: added to the scale of AdaIN; gain of the equalized layers that make scale and shift.
    rgb_gain: of the equalized RGB layers.
    equalized_noise: scale noise weights as those of a layer with one input for every feature map.
    shared_noise: both layers of a level get one noise map.
    const_bias: whether the constant has a bias.
    bias_first: add biases of convolutions before blur and noise.
    activate_before_blur: an activation also ends the enlarging convolution, before blur and noise.
    average_from: side from which the four copies of an enlarging kernel are averaged rather than summed; None = never.
    growing: False if only the finest RGB layer exists.
    lod: level of detail of a snapshot saved mid-growth, 0 = finished.
    truncation_psi, truncation_cutoff: the network's own defaults; cutoff None = all layers, 0 = none.
    official_noise: what is done with noise for an official seed: drawn anew from it ("seeded").
    """

    mapping: MappingConfig
    img_resolution: int
    img_channels: int
    channels: tuple[int, ...]
    blur_filter: tuple[float, ...] | None = (1.0, 2.0, 1.0)
    activation: Activation = "lrelu"
    use_styles: bool = True
    const_input: bool = True
    use_noise: bool = True
    use_pixel_norm: bool = False
    use_instance_norm: bool = True
    equalized: bool = True
    instance_norm_eps: float = 1e-8
    style_bias: float = 1.0
    style_gain: float = 1.0
    rgb_gain: float = 1.0
    equalized_noise: bool = False
    shared_noise: bool = False
    const_bias: bool = True
    bias_first: bool = False
    average_from: int | None = None
    base_size: tuple[int, int] = (4, 4)
    growing: bool = True
    lod: float = 0.0
    truncation_psi: float = 0.7
    truncation_cutoff: int | None = 8
    official_noise: Literal["seeded", "stored"] = "seeded"
    activate_before_blur: bool = field(default=False, metadata={"if_unusual": True})

    @property
    def c_dim(self) -> int:
        """Number of classes."""
        return self.mapping.c_dim

    @property
    def img_size(self) -> tuple[int, int]:
        """Height and width of images."""
        return _size(self, len(self.channels) - 1)

    def official_arguments(self) -> Arguments:
        """Return the sizes as official PyTorch classes name them; there is none for this network."""
        return {
            "z_dim": self.mapping.z_dim,
            "c_dim": self.c_dim,
            "w_dim": self.mapping.w_dim,
            "img_resolution": self.img_resolution,
            "img_channels": self.img_channels,
        }


def _size(config: GeneratorConfig | DiscriminatorConfig, level: int) -> tuple[int, int]:
    height, width = config.base_size
    return height << level, width << level


@dataclass(frozen=True)
class DiscriminatorConfig:
    """A discriminator. `channels` counts the feature maps entering the levels 4², 8², … in order.

    img_resolution, base_size: as of the generator.
    fc_dim: width of the first dense layer.
    c_dim: labels; each has an output of its own, selected by the one-hot label.
    mbstd_group_size: members of a minibatch-stddev group; None = the whole batch. mbstd_num_features 0 = no such layer.
    score_gain: of the equalized last layer.
    rgb_activation: whether RGB layers end in one.
    """

    img_resolution: int
    img_channels: int
    channels: tuple[int, ...]
    fc_dim: int
    c_dim: int = 0
    blur_filter: tuple[float, ...] | None = (1.0, 2.0, 1.0)
    activation: Activation = "lrelu"
    mbstd_group_size: int | None = 4
    mbstd_num_features: int = 1
    equalized: bool = True
    score_gain: float = 1.0
    rgb_activation: bool = True
    base_size: tuple[int, int] = (4, 4)
    growing: bool = True
    lod: float = 0.0

    @property
    def img_size(self) -> tuple[int, int]:
        """Height and width of images."""
        return _size(self, len(self.channels) - 1)


def _gain(fan_in: int, equalized: bool, gain: float = math.sqrt(2.0)) -> float:
    return gain / math.sqrt(fan_in) if equalized else 1.0


class MappingNetwork(interface.MappingNetwork):
    """Maps latents z and labels c to w; `w_avg` [w_dim] is the centre of truncation."""

    w_avg: Tensor

    def __init__(self, config: MappingConfig, num_ws: int) -> None:
        super().__init__()
        self.config = config
        self.z_dim, self.c_dim, self.w_dim = config.z_dim, config.c_dim, config.w_dim
        self.num_layers, self.w_avg_beta = config.num_layers, W_AVG_BETA
        self.num_ws = num_ws
        features = config.z_dim
        if config.c_dim:
            self.embed = Linear(config.c_dim, config.z_dim, weight_gain=1.0, bias_gain=None)
            features += config.z_dim
        lr = config.lr_multiplier
        for i in range(config.num_layers):
            out = config.w_dim if i == config.num_layers - 1 else config.layer_dim
            gain = lr * _gain(features, config.equalized)
            layer = Linear(
                features,
                out,
                weight_gain=gain,
                bias_gain=lr,
                lr_multiplier=lr,
                activation=config.activation,
                activation_gain=False,
            )
            self.add_module(f"fc{i}", layer)
            features = out
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
        """Map z [N, z_dim] and one-hot labels c [N, c_dim] to ws [N, num_ws, w_dim].

        Args:
            z: latents, N(0, 1); any dtype.
            c: labels; None means all zeros.
            truncation_psi: 1 = none, 0 = always `w_avg`.
            truncation_cutoff: how many rows are truncated; None = all.
            skip_w_avg_update: False lets `w_avg` follow in training mode (StyleGAN2-ADA's keyword).
            update_emas: lets `w_avg` follow in any mode (StyleGAN3's keyword).

        Raises:
            ValueError: if z or c do not fit the network.
        """
        cfg = self.config
        check_shape("z", z, cfg.z_dim)
        z = cast("z", z, any_tensor(self))
        x = torch.cat([z, self.embed(labels_or_zeros(c, cfg.c_dim, z))], dim=1) if cfg.c_dim else z
        x = pixel_norm(x) if cfg.normalize_z else x
        for i in range(cfg.num_layers):
            x = self.get_submodule(f"fc{i}")(x)
        if update_emas or (self.training and not skip_w_avg_update):
            follow_mean(self.w_avg, x, self.w_avg_beta)
        return truncate(x[:, None].expand(-1, self.num_ws, -1), self.w_avg, truncation_psi, truncation_cutoff)


class SynthesisLayer(nn.Module):
    """One layer: its input stage (`const`, `dense`, `conv` or `up`), then noise, bias, activation and AdaIN."""

    noise_const: Tensor

    def __init__(
        self,
        config: GeneratorConfig,
        in_channels: int,
        out_channels: int,
        level: int,
        stage: Literal["const", "dense", "conv", "up"],
    ) -> None:
        super().__init__()
        self.config = config
        self.stage = stage
        w_dim = config.mapping.w_dim
        if stage == "const":
            self.const = nn.Parameter(torch.ones(out_channels, *config.base_size))
        elif stage == "dense":
            self.weight = normal(out_channels * math.prod(config.base_size), w_dim)
            self.weight_gain = _gain(w_dim, config.equalized, math.sqrt(2.0) / 4)
        else:
            self.weight = normal(out_channels, in_channels, 3, 3)
            averaged = stage == "up" and config.average_from is not None and 4 << level >= config.average_from
            self.weight_gain = _gain(in_channels * 9, config.equalized) / (4 if averaged else 1)
        self.bias = nn.Parameter(torch.zeros(out_channels)) if stage != "const" or config.const_bias else None
        self.noise_gain = math.sqrt(2.0 / out_channels) if config.equalized_noise else 1.0
        if config.use_noise:
            self.noise_strength = nn.Parameter(torch.zeros(out_channels))
            if stage != "conv" or not config.shared_noise:
                self.register_buffer("noise_const", normal(*_size(config, level)).detach())
        if config.use_styles:
            gain = _gain(w_dim, config.equalized, config.style_gain)
            self.affine = Linear(w_dim, out_channels * 2, weight_gain=gain)
        self.blur_filter: Tensor | None
        blur = make_filter(config.blur_filter) if stage == "up" and config.blur_filter else None
        self.register_buffer("blur_filter", blur, persistent=False)

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
        """Map x [N, I, H, W] (None at the first layer) with w [N, w_dim] to [N, O, H', W'].

        Args:
            x: features.
            w: one row of ws.
            noise_mode: "const" (the stored map, which the second of two layers that share one has not), "random" or
                "none".
            fused_modconv: of StyleGAN2's layers; nothing to choose here.
            gain: factor on the result.
            noise: an explicit map [1 or N, 1, H', W']; overrides `noise_mode`.
        """
        cfg = self.config
        x = self._input(x, w)
        noise = layer_noise(getattr(self, "noise_const", None), x, noise_mode, noise)
        if noise is not None:
            x = x.addcmul_(noise, (self.noise_strength * self.noise_gain)[:, None, None].to(x.dtype))
        x = activate_(x if cfg.bias_first else self._add_bias_(x), cfg.activation, with_gain=False)
        x = pixel_norm(x) if cfg.use_pixel_norm else x
        if cfg.use_styles:
            scale, shift = self.affine(w)[:, :, None, None].chunk(2, dim=1)
            x = adain(x, scale + cfg.style_bias, shift, cfg.instance_norm_eps if cfg.use_instance_norm else None)
        elif cfg.use_instance_norm:
            x = instance_norm(x, cfg.instance_norm_eps)
        return x if gain == 1 else x * gain

    def _add_bias_(self, x: Tensor) -> Tensor:
        return x if self.bias is None else x.add_(self.bias[:, None, None])

    def _input(self, x: Tensor | None, w: Tensor) -> Tensor:
        """Return a map that nobody else has."""
        early = self._add_bias_ if self.config.bias_first else nn.Identity()
        if self.stage == "const":
            return early(laid_out(self.const.repeat(w.shape[0], 1, 1, 1)))
        weight = self.weight * self.weight_gain
        if self.stage == "dense":
            size = self.config.base_size
            x = (w.to(weight.dtype) @ weight.t()).reshape(w.shape[0], len(weight) // math.prod(size), *size)
            return early(laid_out(x))
        assert x is not None
        x = like_weight(x, weight)
        if self.stage == "conv":
            return early(conv2d(x, weight))
        x = early(conv2d_nearest_up(x, weight))
        if self.config.activate_before_blur:
            x = activate_(x, self.config.activation, with_gain=False)
        return x if self.blur_filter is None else blur2d(x, self.blur_filter)


class ToRGB(nn.Module):
    """1×1 convolution to image channels."""

    def __init__(self, config: GeneratorConfig, in_channels: int) -> None:
        super().__init__()
        img_channels = config.img_channels
        self.weight = normal(img_channels, in_channels, 1, 1)
        self.bias = nn.Parameter(torch.zeros(img_channels))
        self.weight_gain = _gain(in_channels, config.equalized, config.rgb_gain)

    def forward(self, x: Tensor) -> Tensor:
        """Map features [N, I, H, W] to an image [N, img_channels, H, W]."""
        # Colours are added up in float32, which under autocast the bias makes them.
        return conv2d(like_weight(x, self.weight), self.weight * self.weight_gain) + self.bias[:, None, None]


class SynthesisBlock(nn.Module):
    """One level of two layers, `conv0` (at 4×4: the constant or dense input) and `conv1`, and its RGB layer."""

    def __init__(self, config: GeneratorConfig, level: int) -> None:
        super().__init__()
        out = config.channels[level]
        before = config.channels[max(level - 1, 0)]
        self.resolution, self.is_last = 4 << level, level == len(config.channels) - 1
        self.in_channels, self.out_channels, self.img_channels = before if level else 0, out, config.img_channels
        self.w_dim, self.shared_noise = config.mapping.w_dim, config.shared_noise
        self.architecture, self.use_fp16, self.channels_last = "orig", False, False
        self.num_conv, self.num_torgb = 2, 0
        first: Literal["const", "dense", "up"] = "up" if level else "const" if config.const_input else "dense"
        self.conv0 = SynthesisLayer(config, before, out, level, first)
        self.conv1 = SynthesisLayer(config, out, out, level, "conv")
        if config.growing or self.is_last:
            self.torgb = ToRGB(config, out)

    def features(
        self, x: Tensor | None, ws: Tensor, noise_mode: str = "const", noise: Sequence[Tensor] | None = None
    ) -> Tensor:
        """Map the features of the level below (None at 4×4) to this level's, with ws [N, 2, w_dim].

        Explicit noise is one map if the layers share it, otherwise two.
        """
        maps: list[Tensor | None] = [None, None] if noise is None else [noise[0], noise[-1]]
        if self.shared_noise and noise is None:
            stored = getattr(self.conv0, "noise_const", None)
            maps = [layer_noise(stored, any_tensor(self), noise_mode, batch=ws.shape[0])] * 2
        x = self.conv0(x, ws[:, 0], noise_mode=noise_mode, **given(noise=maps[0]))
        return self.conv1(x, ws[:, 1], noise_mode=noise_mode, **given(noise=maps[1]))

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
        """Map the features of the level below to this level's, and to the picture if it is the last level.

        The interface is that of StyleGAN2's blocks.

        Args:
            x: features [N, in_channels, H/2, W/2]; None in the first level.
            img: not looked at; there is one picture, that of the last level.
            ws: [N, 2, w_dim].
            force_fp32, fused_modconv, update_emas: nothing to choose here.
            noise_mode: "const" (stored maps), "random" or "none".
            noise: explicit maps, as of `features`.
        """
        check_shape("ws", ws, self.num_conv, self.w_dim)
        x = self.features(x, ws, noise_mode, noise)
        return x, self.torgb(x) if self.is_last else None


class SynthesisNetwork(interface.SynthesisNetwork):
    """Maps ws to an image. Levels are the sub-modules `b4`, `b8`, …"""

    config: GeneratorConfig

    def __init__(self, config: GeneratorConfig) -> None:
        super().__init__()
        self.config = config
        self.img_resolution_log2 = log2_resolution(config.img_resolution)
        self.num_layers = 2 * self.img_resolution_log2 - 2
        self.num_ws = self.num_layers if config.use_styles else 1
        self.w_dim, self.img_channels = config.mapping.w_dim, config.img_channels
        self.img_resolution = max(config.img_size)
        self.block_resolutions = resolutions(config.img_resolution)
        for level, resolution in enumerate(self.block_resolutions):
            self.add_module(f"b{resolution}", SynthesisBlock(config, level))

    def blocks(self) -> list[SynthesisBlock]:
        """Return the levels, coarsest first."""
        return [getattr(self, f"b{resolution}") for resolution in self.block_resolutions]

    def noise_buffers(self) -> list[Tensor]:
        """Return the stored noise maps [H, W] in layer order, one a level if layers share it; empty without noise."""
        layers = [layer for block in self.blocks() for layer in (block.conv0, block.conv1)]
        return [layer.noise_const for layer in layers if getattr(layer, "noise_const", None) is not None]

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
        """Draw images [N, img_channels, H, W], dynamic range about [-1, 1], from ws [N, num_ws, w_dim].

        Args:
            ws: one w a layer, from the mapping network; any dtype.
            noise_mode: "const" (stored maps), "random" or "none".
            noise: explicit maps [1 or N, 1, H, W], one a noisy layer in layer order; overrides `noise_mode`.
            force_fp32, fused_modconv, update_emas: of the official PyTorch releases; nothing to choose here.
            return_features: also return what every layer makes, a dict of tensors [N, C, H, W] by the layer's name.

        Raises:
            ValueError: if ws, the noise or its mode do not fit the network.
        """
        if return_features:
            return with_features(self, lambda: self.forward(ws, noise_mode, noise))
        check_shape("ws", ws, self.num_ws, self.w_dim)
        ws = cast("ws", ws, any_tensor(self.get_submodule("b4"))).expand(-1, self.num_layers, -1)
        if noise is not None:
            check_noise(noise, [stored.shape for stored in self.noise_buffers()], ws.shape[0])
        noise, each = noise or None, 1 if self.config.shared_noise else 2
        blocks = self.blocks()
        finest = len(blocks) - 1
        skipped, fade = growth(self.config.lod, max(finest - 1, 0)) if self.config.growing else (0, 0.0)
        x = before = image = None
        for level, block in enumerate(blocks[: finest - skipped + 1]):
            own = None if noise is None else noise[each * level : each * (level + 1)]
            before = x
            x, image = block(x, image, ws[:, 2 * level : 2 * level + 2], noise_mode=noise_mode, **given(noise=own))
        image = block.torgb(x) if image is None else image
        if fade > 0 and level > 0:
            image = image.lerp(nearest_up2d(blocks[level - 1].torgb(before)), fade)
        return nearest_up2d(image, 2**skipped).contiguous()


class Generator(interface.StyleGenerator):
    """Maps latents z [N, z_dim] and labels c [N, c_dim] to images; `mapping` and `synthesis` work by themselves too."""

    config: GeneratorConfig
    mapping: MappingNetwork
    synthesis: SynthesisNetwork

    def __init__(self, config: GeneratorConfig) -> None:
        synthesis = SynthesisNetwork(config)
        super().__init__(config, MappingNetwork(config.mapping, synthesis.num_ws), synthesis)


class ConvLayer(nn.Module):
    """Convolution, bias and activation; `down` blurs first and halves the size."""

    def __init__(
        self,
        config: DiscriminatorConfig,
        in_channels: int,
        out_channels: int,
        size: int = 3,
        down: bool = False,
        activation: str | None = None,
    ) -> None:
        super().__init__()
        self.weight = normal(out_channels, in_channels, size, size)
        self.bias = nn.Parameter(torch.zeros(out_channels))
        self.weight_gain = _gain(in_channels * size**2, config.equalized)
        self.activation = activation or config.activation
        self.down = down
        self.blur_filter: Tensor | None
        blur = make_filter(config.blur_filter) if down and config.blur_filter else None
        self.register_buffer("blur_filter", blur, persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        """Map [N, I, H, W] to [N, O, H', W']."""
        x = like_weight(x, self.weight)
        weight = self.weight * self.weight_gain
        if self.blur_filter is not None:
            x = blur2d(x, self.blur_filter)
        x = conv2d_box_down(x, weight, self.bias) if self.down else conv2d(x, weight, self.bias)
        return activate_(x, self.activation, with_gain=False)


def _from_rgb(config: DiscriminatorConfig, channels: int) -> ConvLayer:
    activation = config.activation if config.rgb_activation else "linear"
    return ConvLayer(config, config.img_channels, channels, size=1, activation=activation)


class DiscriminatorBlock(nn.Module):
    """One level: features [N, C, H, W] to [N, C', H/2, W/2]; `fromrgb` for pictures that enter here."""

    fromrgb: ConvLayer

    def __init__(self, config: DiscriminatorConfig, level: int) -> None:
        super().__init__()
        channels, out = config.channels[level], config.channels[level - 1]
        if config.growing or level == len(config.channels) - 1:
            self.fromrgb = _from_rgb(config, channels)
        self.conv0 = ConvLayer(config, channels, channels)
        self.conv1 = ConvLayer(config, channels, out, down=True)

    def forward(self, x: Tensor) -> Tensor:
        """Map the features of this level to those of the next coarser one."""
        return self.conv1(self.conv0(x))


class DiscriminatorEpilogue(interface.DiscriminatorEpilogue):
    """The 4×4 end: minibatch standard deviation, one convolution, two dense layers."""

    fromrgb: ConvLayer

    def __init__(self, config: DiscriminatorConfig) -> None:
        super().__init__()
        self.config = config
        channels, equalized = config.channels[0], config.equalized
        if config.growing or len(config.channels) == 1:
            self.fromrgb = _from_rgb(config, channels)
        self.mbstd_group_size = config.mbstd_group_size
        self.conv = ConvLayer(config, channels + config.mbstd_num_features, channels)
        features = channels * math.prod(config.base_size)
        gain = _gain(features, equalized)
        self.fc = Linear(features, config.fc_dim, weight_gain=gain, activation=config.activation, activation_gain=False)
        last = _gain(config.fc_dim, equalized, config.score_gain)
        self.out = Linear(config.fc_dim, max(config.c_dim, 1), weight_gain=last)

    def forward(self, x: Tensor) -> Tensor:
        """Map features [N, C, 4, 4] to outputs [N, max(c_dim, 1)]."""
        if self.config.mbstd_num_features:
            x = minibatch_stddev(x, self.mbstd_group_size, self.config.mbstd_num_features)
        return self.out(self.fc(self.conv(x).flatten(1)))


class Discriminator(interface.Discriminator):
    """Scores images; levels are the sub-modules `b{img_resolution}` … `b8`, the epilogue is `b4`.

    `b4.mbstd_group_size` may be changed after loading.
    """

    config: DiscriminatorConfig
    b4: DiscriminatorEpilogue

    def __init__(self, config: DiscriminatorConfig) -> None:
        super().__init__()
        self.config = config
        self.c_dim = config.c_dim
        self.img_size = config.img_size
        self.img_resolution = max(config.img_size)
        self.img_channels = config.img_channels
        sides = resolutions(config.img_resolution)
        self.block_resolutions = sides[:0:-1]
        for level in range(len(sides) - 1, 0, -1):
            self.add_module(f"b{sides[level]}", DiscriminatorBlock(config, level))
        self.b4 = DiscriminatorEpilogue(config)

    def forward(
        self, img: Tensor, c: Tensor | None = None, update_emas: bool = False, *, force_fp32: bool = True
    ) -> Tensor:
        """Score images [N, img_channels, H, W] in [-1, 1] with labels c [N, c_dim]; returns logits [N, 1].

        Scores depend on the batch through the minibatch standard deviation. `update_emas` and `force_fp32` are those of
        the official PyTorch releases; nothing depends on them.

        Raises:
            ValueError: if images, labels or batch size do not fit the network.
        """
        cfg = self.config
        check_shape("images", img, cfg.img_channels, *cfg.img_size)
        img = cast("images", img, any_tensor(self.b4))
        blocks: list[DiscriminatorBlock] = [getattr(self, f"b{resolution}") for resolution in self.block_resolutions]
        skipped, fade = growth(cfg.lod, len(blocks)) if cfg.growing else (0, 0.0)
        levels: list[DiscriminatorBlock | DiscriminatorEpilogue] = [*blocks, self.b4]
        x = levels[skipped].fromrgb(box_down2d(img, 2**skipped))
        for block in blocks[skipped:]:
            x = block(x)
            if fade > 0:
                coarse = levels[skipped + 1].fromrgb(box_down2d(img, 2 ** (skipped + 1)))
                x, fade = x.lerp(coarse, fade), 0.0
        x = self.b4(x)
        return (x * labels_or_zeros(c, cfg.c_dim, img)).sum(dim=1, keepdim=True) if cfg.c_dim else x
