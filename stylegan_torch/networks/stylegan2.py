"""StyleGAN2 (Karras et al. 2020, "Analyzing and Improving the Image Quality of StyleGAN"), configs B to F, and
StyleGAN2-ADA ("Training Generative Adversarial Networks with Limited Data").

One set of modules serves every release. Where releases differ in arithmetic, the config says so, and the defaults are
those of StyleGAN2-ADA's PyTorch release. Module and tensor names are that release's too.

    z, c ─► mapping ─► ws [N, num_ws, w_dim] ─► synthesis: b4 → b8 → … ─► image

Every level's image branch (`torgb`) reads the same row of ws as the first convolution of the next level.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from stylegan_torch.networks import interface
from stylegan_torch.networks.layers import (
    ACTIVATIONS,
    Linear,
    WithFeatures,
    activate_,
    any_tensor,
    box_down2d,
    cast,
    check_noise,
    check_shape,
    conv2d,
    conv2d_down,
    conv2d_up,
    downsample2d,
    early_gain,
    follow_mean,
    growth,
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
    scaled_conv2d,
    truncate,
    upsample2d,
    with_features,
)
from stylegan_torch.types import Arguments

Architecture = Literal["skip", "resnet", "orig", "revised"]
"""How levels meet the picture: summed (`skip`), residual, last level only (`orig`), or progressively grown with one
active level (`revised`, configs B to D)."""
ATTENTION_LEVEL = 4
"""The level, counted from 0, that has self-attention in networks with any."""


@dataclass(frozen=True)
class MappingConfig:
    """The mapping network: of the generator (z, c → w), or of a discriminator with projected labels (c → w, z_dim 0).

    labels: "embed" normalises z and an embedding of the labels separately, then concatenates (ADA); "concat"
    concatenates z and a linear map of the labels, then normalises the whole (StyleGAN2).
    w_avg_beta: what stays of the average w at each step of training; None = a generator without one.
    """

    z_dim: int
    c_dim: int
    w_dim: int
    num_layers: int = 8
    layer_dim: int = 512
    embed_dim: int = 512
    lr_multiplier: float = 0.01
    activation: str = "lrelu"
    labels: Literal["embed", "concat"] = "embed"
    normalize_z: bool = True
    w_avg_beta: float | None = 0.995

    def official_arguments(self) -> Arguments:
        """Return what the official class takes for it, sizes aside."""
        return {
            "num_layers": self.num_layers,
            "layer_features": self.layer_dim,
            "embed_features": self.embed_dim if self.c_dim else None,
            "activation": self.activation,
            "lr_multiplier": self.lr_multiplier,
        }


@dataclass(frozen=True)
class GeneratorConfig:
    """A generator. `channels` counts the feature maps of the levels 4², 8², … in order.

    img_resolution: larger side of a square network with as many levels.
    base_size: height and width of the first level; each further one doubles them.
    image_upsampling: how the picture of a level is enlarged for the next: by `resample_filter`, or bilinearly.
    equalized_modulation: scale convolution weights by 1/√fan_in before demodulation (TensorFlow releases).
    num_fp16_res: finest levels trained in half precision; kept for export, everything here runs in the input's dtype.
    attention: self-attention ends level `ATTENTION_LEVEL`, if there is one.
    growing: False if `revised` has its finest RGB layer only.
    lod: level of detail of a snapshot saved mid-growth (`revised` only), 0 = finished.
    truncation_psi, truncation_cutoff: the network's own defaults; cutoff None = all layers.
    official_noise: what the release's script does with noise for a seed: draws it anew or uses the stored maps.
    """

    mapping: MappingConfig
    img_resolution: int
    img_channels: int
    channels: tuple[int, ...]
    const_channels: int
    architecture: Architecture = "skip"
    resample_filter: tuple[float, ...] = (1.0, 3.0, 3.0, 1.0)
    activation: str = "lrelu"
    use_noise: bool = True
    conv_clamp: float | None = None
    num_fp16_res: int = 0
    base_size: tuple[int, int] = (4, 4)
    image_upsampling: Literal["filter", "bilinear"] = "filter"
    equalized_modulation: bool = False
    attention: bool = False
    growing: bool = True
    lod: float = 0.0
    truncation_psi: float = 1.0
    truncation_cutoff: int | None = None
    official_noise: Literal["seeded", "stored"] = "stored"

    @property
    def c_dim(self) -> int:
        """Number of classes."""
        return self.mapping.c_dim

    @property
    def img_size(self) -> tuple[int, int]:
        """Height and width of images."""
        return _size(self, len(self.channels) - 1)

    def official_arguments(self) -> Arguments:
        """Return what StyleGAN2-ADA's PyTorch class takes; also `channels`, where that has no place for them."""
        synthesis = {
            **_channel_arguments(self.channels, self.img_resolution),
            "num_fp16_res": self.num_fp16_res,
            "conv_clamp": self.conv_clamp,
            "architecture": self.architecture,
            "resample_filter": list(self.resample_filter),
            "activation": self.activation,
            "use_noise": self.use_noise,
        }
        return {
            "z_dim": self.mapping.z_dim,
            "c_dim": self.c_dim,
            "w_dim": self.mapping.w_dim,
            "img_resolution": self.img_resolution,
            "img_channels": self.img_channels,
            "mapping_kwargs": {**self.mapping.official_arguments(), "w_avg_beta": self.mapping.w_avg_beta},
            "synthesis_kwargs": synthesis,
        }


def channel_base(channels: Sequence[int], img_resolution: int, step: int = 1) -> int | None:
    """Return a multiple of `step` so that every level has min(it // side, max(channels)) feature maps; None = none."""
    levels = list(zip(channels, resolutions(img_resolution), strict=True))
    base = -(-max(count * side for count, side in levels) // step) * step
    return base if all(min(base // side, max(channels)) == count for count, side in levels) else None


def _channel_arguments(channels: tuple[int, ...], img_resolution: int) -> Arguments:
    base = channel_base(channels, img_resolution)
    return {"channels": channels} if base is None else {"channel_base": base, "channel_max": max(channels)}


def _size(config: GeneratorConfig | DiscriminatorConfig, level: int) -> tuple[int, int]:
    height, width = config.base_size
    return height << level, width << level


@dataclass(frozen=True)
class DiscriminatorConfig:
    """A discriminator. `channels` counts the feature maps entering the levels 4², 8², … in order.

    img_resolution, base_size: as of the generator.
    fc_dim: width of the first dense layer.
    average_pooling: average over all positions before the first dense layer.
    attention: self-attention ends level `ATTENTION_LEVEL`, at half its size, if there is one.
    conditioning: how labels choose the score: not at all, by selecting an output ("select", StyleGAN2), or by the
        scalar product of the outputs with a mapping of the labels ("project", ADA).
    num_outputs, num_scores: columns of the last layer and how many of the first are returned (auxiliary rotation).
    mbstd_group_size: None = the whole batch. mbstd_num_features 0 = no minibatch-stddev layer.
    epilogue_activation: of the 4×4 end; None = `activation`.
    clamp_last_fromrgb: whether `conv_clamp` holds for the 4×4 RGB layer of `skip` too (TensorFlow release).
    spectral_norm: divide kernels by their largest singular value (a comparison method of StyleGAN2-ADA section 4).
    """

    img_resolution: int
    img_channels: int
    channels: tuple[int, ...]
    fc_dim: int
    c_dim: int = 0
    architecture: Architecture = "resnet"
    resample_filter: tuple[float, ...] = (1.0, 3.0, 3.0, 1.0)
    activation: str = "lrelu"
    epilogue_activation: str | None = None
    conv_clamp: float | None = None
    clamp_last_fromrgb: bool = False
    num_fp16_res: int = 0
    mbstd_group_size: int | None = 4
    mbstd_num_features: int = 1
    conditioning: Literal["none", "select", "project"] = "none"
    mapping: MappingConfig | None = None
    num_outputs: int = 1
    num_scores: int = 1
    spectral_norm: bool = False
    growing: bool = True
    lod: float = 0.0
    base_size: tuple[int, int] = (4, 4)
    average_pooling: bool = False
    attention: bool = False

    @property
    def img_size(self) -> tuple[int, int]:
        """Height and width of images."""
        return _size(self, len(self.channels) - 1)

    def official_arguments(self) -> Arguments:
        """Return what StyleGAN2-ADA's PyTorch class takes; also `channels`, where that has no place for them."""
        return {
            "c_dim": self.c_dim,
            "img_resolution": self.img_resolution,
            "img_channels": self.img_channels,
            "architecture": self.architecture,
            **_channel_arguments(self.channels, self.img_resolution),
            "num_fp16_res": self.num_fp16_res,
            "conv_clamp": self.conv_clamp,
            "cmap_dim": self.mapping.w_dim if self.mapping else None,
            "block_kwargs": {"activation": self.activation, "resample_filter": list(self.resample_filter)},
            "mapping_kwargs": self.mapping.official_arguments() if self.mapping else {},
            "epilogue_kwargs": {
                "mbstd_group_size": self.mbstd_group_size,
                "mbstd_num_channels": self.mbstd_num_features,
                "activation": self.epilogue_activation or self.activation,
            },
        }


USUAL_TAPS = (1.0, 3.0, 3.0, 1.0)
"""The filter that layers of the official release have where they don't resample; nothing depends on it."""


def _uses_fp16(config: GeneratorConfig | DiscriminatorConfig, resolution: int) -> bool:
    """Tell whether the official release runs a level in half precision on a GPU; here all run in float32."""
    return bool(config.num_fp16_res) and resolution >= max(config.img_resolution * 2 >> config.num_fp16_res, 8)


class MappingNetwork(interface.MappingNetwork):
    """Maps latents z and labels c to w; `w_avg` [w_dim], of generators only, is the centre of truncation."""

    def __init__(self, config: MappingConfig, num_ws: int | None = None) -> None:
        super().__init__()
        self.config = config
        self.z_dim, self.c_dim, self.w_dim = config.z_dim, config.c_dim, config.w_dim
        self.num_layers, self.w_avg_beta = config.num_layers, config.w_avg_beta
        self.num_ws = num_ws
        features = config.z_dim
        if config.c_dim:
            embedded = config.labels == "embed"
            embed_dim = config.embed_dim if embedded else config.z_dim
            gain = 1 / math.sqrt(config.c_dim) if embedded else 1.0
            self.embed = Linear(config.c_dim, embed_dim, weight_gain=gain, bias_gain=1.0 if embedded else None)
            features += embed_dim
        lr = config.lr_multiplier
        for i in range(config.num_layers):
            out = config.w_dim if i == config.num_layers - 1 else config.layer_dim
            gain = lr / math.sqrt(features)
            layer = Linear(
                features, out, weight_gain=gain, bias_gain=lr, lr_multiplier=lr, activation=config.activation
            )
            self.add_module(f"fc{i}", layer)
            features = out
        has_average = num_ws is not None and config.w_avg_beta is not None
        self.register_buffer("w_avg", torch.zeros(config.w_dim) if has_average else None)

    def forward(
        self,
        z: Tensor | None,
        c: Tensor | None = None,
        truncation_psi: float = 1.0,
        truncation_cutoff: int | None = None,
        skip_w_avg_update: bool = True,
        update_emas: bool = False,
    ) -> Tensor:
        """Map z [N, z_dim] and one-hot labels c [N, c_dim] to ws [N, num_ws, w_dim] ([N, w_dim] in a discriminator).

        Args:
            z: latents, N(0, 1); any dtype. None if z_dim is 0.
            c: labels; None means all zeros.
            truncation_psi: 1 = none, 0 = always `w_avg`.
            truncation_cutoff: how many rows are truncated; None = all.
            skip_w_avg_update: False lets `w_avg` follow in training mode (StyleGAN2-ADA's keyword).
            update_emas: lets `w_avg` follow in any mode (StyleGAN3's keyword).

        Raises:
            ValueError: if z or c do not fit the network, or it has no `w_avg` to truncate to.
        """
        cfg = self.config
        like = any_tensor(self)
        if z is None and c is not None and not cfg.z_dim:
            z = like.new_zeros(c.shape[0], 0)
        if z is None:
            raise ValueError(f"z must be [N, {cfg.z_dim}], not None")
        check_shape("z", z, cfg.z_dim)
        z = cast("z", z, like)
        c = labels_or_zeros(c, cfg.c_dim, z)
        if cfg.labels == "concat":
            x = torch.cat([z, self.embed(c)], dim=1) if cfg.c_dim else z
            x = pixel_norm(x) if cfg.normalize_z else x
        else:
            x = pixel_norm(z) if cfg.normalize_z and cfg.z_dim else z
            x = torch.cat([x, pixel_norm(self.embed(c))], dim=1) if cfg.c_dim else x
        for i in range(cfg.num_layers):
            x = self.get_submodule(f"fc{i}")(x)
        if self.num_ws is None:
            return x
        if update_emas or (self.training and not skip_w_avg_update):
            follow_mean(self.w_avg, x, self.w_avg_beta)
        return truncate(x[:, None].expand(-1, self.num_ws, -1), self.w_avg, truncation_psi, truncation_cutoff)


def modulated_conv2d(
    x: Tensor,
    weight: Tensor,
    styles: Tensor,
    *,
    up_filter: Tensor | None,
    demodulate: bool,
    bias: Tensor | None = None,
    gain: float = 1.0,
) -> Tensor:
    """Convolve with a kernel whose input channels every sample scales by its own style (StyleGAN2 section 2.2).

    Args:
        x: [N, I, H, W].
        weight: [O, I, k, k].
        styles: [N, I].
        up_filter: enlarges twofold with this filter if given.
        demodulate: give the result unit variance for unit normal input.
        bias: [O], added to the result.
        gain: factor on the result, less the bias.
    """
    weight, factors = laid_out(weight), None
    if demodulate:
        factors = torch.rsqrt(styles.square() @ weight.square().sum(dim=(2, 3)).t() + 1e-8) * gain
    elif gain != 1:
        styles = styles * gain
    if up_filter is None:
        return scaled_conv2d(x, weight, styles, factors, bias)

    def convolve(x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        return conv2d_up(x, weight, up_filter, bias)

    return scaled_conv2d(x, weight, styles, factors, bias, convolve=convolve, up=2)


class SynthesisLayer(nn.Module):
    """Modulated 3×3 convolution, noise, bias, activation; `up` 2 enlarges with `resample_filter`, 1 keeps the size."""

    resample_filter: Tensor
    noise_const: Tensor

    def __init__(self, config: GeneratorConfig, in_channels: int, out_channels: int, level: int, up: int = 1) -> None:
        super().__init__()
        self.in_channels, self.out_channels, self.w_dim = in_channels, out_channels, config.mapping.w_dim
        self.resolution, self.up, self.padding = 4 << level, up, 1
        self.use_noise, self.activation, self.conv_clamp = config.use_noise, config.activation, config.conv_clamp
        self.act_gain, self.early_gain = ACTIVATIONS[config.activation][1], early_gain(config.activation)
        self.affine = _affine(self.w_dim, in_channels)
        self.weight = normal(out_channels, in_channels, 3, 3)
        self.bias = nn.Parameter(torch.zeros(out_channels))
        self.weight_gain = 1 / math.sqrt(in_channels * 9) if config.equalized_modulation else 1.0
        self.register_buffer("resample_filter", make_filter(config.resample_filter if up > 1 else USUAL_TAPS))
        if config.use_noise:
            self.register_buffer("noise_const", normal(*_size(config, level)).detach())
            self.noise_strength = nn.Parameter(torch.zeros([]))

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
        """Map x [N, I, H, W] with w [N, w_dim] to [N, O, H', W'].

        Args:
            x: features.
            w: one row of ws.
            noise_mode: "const" (the stored map), "random" or "none".
            fused_modconv: of the official releases; there is one way here.
            gain: factor on the result.
            noise: an explicit map [1 or N, 1, H', W']; overrides `noise_mode`.
        """
        x = modulated_conv2d(
            like_weight(x, self.weight),
            self.weight,
            self.affine(w) * self.weight_gain,
            up_filter=self.resample_filter if self.up > 1 else None,
            demodulate=True,
            bias=self.bias * self.early_gain,
            gain=self.early_gain,
        )
        noise = layer_noise(getattr(self, "noise_const", None), x, noise_mode, noise)
        if noise is not None:
            x = x.add_(noise * (self.noise_strength * self.early_gain))
        x = activate_(x, self.activation, self.conv_clamp)
        return x if gain == 1 else x * gain


def _affine(w_dim: int, channels: int) -> Linear:
    """Return the layer that makes styles, which are around 1."""
    return Linear(w_dim, channels, weight_gain=1 / math.sqrt(w_dim), bias_init=1.0)


class ToRGB(nn.Module):
    """Modulated 1×1 convolution to image channels, without demodulation."""

    def __init__(self, config: GeneratorConfig, in_channels: int) -> None:
        super().__init__()
        self.in_channels, self.out_channels = in_channels, config.img_channels
        self.w_dim, self.conv_clamp = config.mapping.w_dim, config.conv_clamp
        self.affine = _affine(self.w_dim, in_channels)
        self.weight = normal(config.img_channels, in_channels, 1, 1)
        self.bias = nn.Parameter(torch.zeros(config.img_channels))
        self.weight_gain = 1 / math.sqrt(in_channels)

    def forward(self, x: Tensor, w: Tensor, fused_modconv: bool = True) -> Tensor:
        """Map features [N, I, H, W] with w [N, w_dim] to an image [N, img_channels, H, W]."""
        x = like_weight(x, self.weight)
        styles = self.affine(w) * self.weight_gain
        x = modulated_conv2d(x, self.weight, styles, up_filter=None, demodulate=False)
        # Colours are added up in float32, which under autocast the bias makes them.
        return activate_(x + self.bias[:, None, None], "linear", self.conv_clamp)


class ConvLayer(nn.Module):
    """Plain convolution with equalized learning rate, optional bias, activation and twofold resampling."""

    resample_filter: Tensor
    weight_u: Tensor

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: int,
        *,
        bias: bool = True,
        activation: str = "linear",
        conv_clamp: float | None = None,
        up: int = 1,
        down: int = 1,
        resample_filter: Sequence[float] = USUAL_TAPS,
        spectral_norm: bool = False,
    ) -> None:
        super().__init__()
        self.in_channels, self.out_channels = in_channels, out_channels
        self.weight = normal(out_channels, in_channels, kernel_size, kernel_size)
        self.bias = nn.Parameter(torch.zeros(out_channels)) if bias else None
        self.weight_gain = 1 / math.sqrt(in_channels * kernel_size**2)
        self.activation, self.act_gain = activation, ACTIVATIONS[activation][1]
        self.early_gain = early_gain(activation)
        self.conv_clamp, self.up, self.down, self.padding = conv_clamp, up, down, kernel_size // 2
        self.register_buffer("resample_filter", make_filter(resample_filter))
        self.spectral_norm = spectral_norm
        if spectral_norm:
            self.register_buffer("weight_u", normal(1, out_channels).detach())

    def forward(self, x: Tensor, gain: float = 1.0) -> Tensor:
        """Map [N, I, H, W] to [N, O, H', W'], times `gain`."""
        x = like_weight(x, self.weight)
        if self.spectral_norm:
            weight = self._normalize_spectrum(self.weight * self.weight_gain) * self.early_gain
        else:
            weight = self.weight * (self.weight_gain * self.early_gain)
        bias = None if self.bias is None else self.bias * self.early_gain
        if self.up > 1:
            x = conv2d_up(x, weight, self.resample_filter, bias)
        elif self.down > 1:
            x = conv2d_down(x, weight, self.resample_filter, bias)
        else:
            x = conv2d(x, weight, bias)
        x = activate_(x, self.activation, self.conv_clamp)
        return x if gain == 1 else x * gain

    def _normalize_spectrum(self, weight: Tensor) -> Tensor:
        # The estimate of the left singular vector advances at every call, inference included, as in the original.
        matrix = weight.flatten(1)
        v = self.weight_u.clone() @ matrix
        v = v * torch.rsqrt(v.square().sum() + 1e-8)
        u = v @ matrix.t()
        inverse_sigma = torch.rsqrt(u.square().sum() + 1e-8)
        self.weight_u.copy_((u * inverse_sigma).detach())
        return weight * inverse_sigma


class SpectralConv(nn.Module):
    """1×1 convolution whose kernel is divided by its largest singular value (Miyato et al. 2018).

    `u` [1, O] estimates the singular vector; only training advances it, here it stays as stored.
    """

    u: Tensor

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__()
        self.weight = normal(out_channels, in_channels, 1, 1)
        self.bias = nn.Parameter(torch.zeros(out_channels))
        self.register_buffer("u", normal(1, out_channels).detach())

    def forward(self, x: Tensor) -> Tensor:
        """Map [N, I, H, W] to [N, O, H, W]."""
        matrix = self.weight.flatten(1)
        v = F.normalize(self.u @ matrix, eps=1e-6)
        u = F.normalize(v @ matrix.t(), eps=1e-6)
        sigma = v @ matrix.t() @ u.t()
        return conv2d(x, self.weight / sigma) + self.bias[:, None, None]


class SelfAttention(nn.Module):
    """Adds to each position a mixture of all, weighted by likeness (SAGAN section 3).

    Keys and queries have C/8 channels, values C/2; keys and values are max-pooled 2×2. `gamma` [1] says how much is
    added.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.key = SpectralConv(channels, channels // 8)
        self.query = SpectralConv(channels, channels // 8)
        self.value = SpectralConv(channels, channels // 2)
        self.out = SpectralConv(channels // 2, channels)
        self.gamma = nn.Parameter(torch.zeros(1))

    def forward(self, x: Tensor) -> Tensor:
        """Map [N, C, H, W], H and W even, to the same shape."""
        keys, values = (F.max_pool2d(conv(x), 2).flatten(2) for conv in (self.key, self.value))
        queries = self.query(x).flatten(2)
        weights = (queries.transpose(1, 2) @ keys).softmax(dim=2)
        mixture = (values @ weights.transpose(1, 2)).unflatten(2, x.shape[2:])
        return x + self.gamma * self.out(mixture)


def _attention(config: GeneratorConfig | DiscriminatorConfig, level: int, channels: int) -> nn.Module:
    return SelfAttention(channels) if config.attention and level == ATTENTION_LEVEL else nn.Identity()


class SynthesisBlock(nn.Module):
    """One level: one (4×4) or two convolutions, and the RGB layer if the architecture has one here."""

    resample_filter: Tensor

    def __init__(self, config: GeneratorConfig, level: int) -> None:
        super().__init__()
        resolution = 4 * 2**level
        out = config.channels[level]
        before = config.channels[level - 1] if level else 0
        self.config = config
        self.in_channels, self.out_channels, self.img_channels = before, out, config.img_channels
        self.resolution, self.w_dim, self.architecture = resolution, config.mapping.w_dim, config.architecture
        self.is_last = resolution == config.img_resolution
        self.use_fp16, self.channels_last = _uses_fp16(config, resolution), False
        self.residual = level > 0 and config.architecture == "resnet"
        self.num_conv = 2 if level else 1
        if level == 0:
            self.const = normal(config.const_channels, *config.base_size)
            self.conv1 = SynthesisLayer(config, config.const_channels, out, level)
        else:
            self.conv0 = SynthesisLayer(config, before, out, level, up=2)
            self.conv1 = SynthesisLayer(config, out, out, level)
            if self.residual:
                self.skip = ConvLayer(before, out, 1, bias=False, up=2, resample_filter=config.resample_filter)
        if _has_rgb(config, level):
            self.torgb = ToRGB(config, out)
        self.num_torgb = int(hasattr(self, "torgb"))
        self.adds_picture = self.is_last or config.architecture == "skip"
        self.attention = _attention(config, level, out)
        self.register_buffer("resample_filter", make_filter(config.resample_filter))

    def layers(self) -> list[SynthesisLayer]:
        """Return the modulated convolutions in order."""
        return [self.conv1] if self.resolution == 4 else [self.conv0, self.conv1]

    def features(
        self, x: Tensor | None, ws: Tensor, noise_mode: str = "const", noise: Sequence[Tensor] | None = None
    ) -> Tensor:
        """Map the features of the level below (None at 4×4) to this level's, with the ws [N, 1 or 2, w_dim]."""
        first, second = ({}, {}) if noise is None else ({"noise": noise[0]}, {"noise": noise[-1]})
        if self.resolution == 4:
            x = self.const.expand(ws.shape[0], -1, -1, -1)
            return self.conv1(x, ws[:, 0], noise_mode=noise_mode, **first)
        y = self.conv0(x, ws[:, 0], noise_mode=noise_mode, **first)
        y = self.attention(self.conv1(y, ws[:, 1], noise_mode=noise_mode, **second))
        return torch.add(self.skip(x), y).mul_(math.sqrt(0.5)) if self.residual else y

    def enlarged(self, image: Tensor) -> Tensor:
        """Return the picture of the level below at twice its size."""
        if self.config.image_upsampling == "bilinear":
            return F.interpolate(image, scale_factor=2, mode="bilinear", align_corners=False)
        return upsample2d(image, self.resample_filter)

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
        """Map features and picture of the level below to this level's; None is what is not there yet.

        Args:
            x: features [N, in_channels, H/2, W/2]; not looked at in the first level.
            img: the sum of the pictures of the levels below.
            ws: [N, num_conv + num_torgb, w_dim], the last for the RGB layer.
            force_fp32, fused_modconv, update_emas: of the official releases; nothing to choose here.
            noise_mode: "const" (stored maps), "random" or "none".
            noise: explicit maps of the convolutions; overrides `noise_mode`.

        Raises:
            ValueError: if ws or noise do not fit the level.
        """
        check_shape("ws", ws, self.num_conv + self.num_torgb, self.w_dim)
        x = self.features(x, ws, noise_mode, noise)
        if img is not None and self.resolution > 4:
            img = self.enlarged(img.to(x.dtype) if img.dtype == torch.float64 else img)
        if self.adds_picture:
            rgb = self.torgb(x, ws[:, -1])
            img = rgb if img is None else img + rgb
        return x, img


class SynthesisNetwork(interface.SynthesisNetwork):
    """Maps ws to an image. Levels are the sub-modules `b4`, `b8`, …"""

    config: GeneratorConfig

    def __init__(self, config: GeneratorConfig) -> None:
        super().__init__()
        self.config = config
        self.num_ws = 2 * log2_resolution(config.img_resolution) - 2
        self.w_dim, self.img_channels, self.num_fp16_res = (
            config.mapping.w_dim,
            config.img_channels,
            config.num_fp16_res,
        )
        self.img_resolution = max(config.img_size)
        self.img_resolution_log2 = log2_resolution(config.img_resolution)
        self.block_resolutions = resolutions(config.img_resolution)
        for level, resolution in enumerate(self.block_resolutions):
            self.add_module(f"b{resolution}", SynthesisBlock(config, level))

    def blocks(self) -> list[SynthesisBlock]:
        """Return the levels, coarsest first."""
        return [getattr(self, f"b{resolution}") for resolution in self.block_resolutions]

    def noise_buffers(self) -> list[Tensor]:
        """Return the stored noise maps [H, W] in layer order; empty if the network has no noise."""
        layers = [layer for block in self.blocks() for layer in block.layers()]
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
            force_fp32, fused_modconv, update_emas: of the official releases; nothing to choose here.
            return_features: also return what every layer makes, a dict of tensors [N, C, H, W] by the layer's name.

        Raises:
            ValueError: if ws, the noise or its mode do not fit the network.
        """
        if return_features:
            return with_features(self, lambda: self.forward(ws, noise_mode, noise))
        check_shape("ws", ws, self.num_ws, self.w_dim)
        ws = cast("ws", ws, any_tensor(self.get_submodule("b4")))
        if noise is not None:
            check_noise(noise, [stored.shape for stored in self.noise_buffers()], ws.shape[0])
        noise = noise or None
        if self.config.architecture == "revised":
            return self._grown_image(ws, noise_mode, noise)
        x = img = None
        for level, block in enumerate(self.blocks()):
            x, img = block(x, img, self._rows_of(ws, level), noise_mode=noise_mode, **_noise_of(noise, level))
        assert img is not None
        return img.contiguous()

    def _rows_of(self, ws: Tensor, level: int) -> Tensor:
        """Return the rows of a level: of its convolutions, and its RGB layer if it has one."""
        return ws.narrow(1, max(2 * level - 1, 0), (2 if level else 1) + _has_rgb(self.config, level))

    def _grown_image(self, ws: Tensor, noise_mode: str, noise: Sequence[Tensor] | None) -> Tensor:
        blocks = self.blocks()
        finest = len(blocks) - 1
        skipped, fade = growth(self.config.lod, max(finest - 1, 0)) if self.config.growing else (0, 0.0)
        x = before = image = None
        for level, block in enumerate(blocks[: finest - skipped + 1]):
            before = x
            x, image = block(x, image, self._rows_of(ws, level), noise_mode=noise_mode, **_noise_of(noise, level))
        image = block.torgb(x, ws[:, 2 * level + 1]) if image is None else image
        if fade > 0 and level > 0:
            coarse = blocks[level - 1].torgb(before, ws[:, 2 * level - 1])
            image = image.lerp(nearest_up2d(coarse), fade)
        return nearest_up2d(image, 2**skipped).contiguous()


def _has_rgb(config: GeneratorConfig, level: int) -> bool:
    """Tell whether a level has an RGB layer."""
    is_last = level == len(config.channels) - 1
    return is_last or config.architecture == "skip" or (config.architecture == "revised" and config.growing)


def _noise_of(noise: Sequence[Tensor] | None, level: int) -> dict[str, Sequence[Tensor]]:
    return {} if noise is None else {"noise": noise[max(2 * level - 1, 0) : 2 * level + 1]}


class Generator(interface.StyleGenerator):
    """Maps latents z [N, z_dim] and labels c [N, c_dim] to images; `mapping` and `synthesis` work by themselves too."""

    config: GeneratorConfig
    mapping: MappingNetwork
    synthesis: SynthesisNetwork

    def __init__(self, config: GeneratorConfig) -> None:
        synthesis = SynthesisNetwork(config)
        super().__init__(config, MappingNetwork(config.mapping, synthesis.num_ws), synthesis)


class DiscriminatorBlock(nn.Module):
    """One level: features [N, C, H, W] to [N, C', H/2, W/2]; `fromrgb` where the architecture has one here."""

    fromrgb: ConvLayer
    resample_filter: Tensor
    first_layer_idx: int

    def __init__(self, config: DiscriminatorConfig, level: int) -> None:
        super().__init__()
        channels, out = config.channels[level], config.channels[level - 1]
        is_first = level == len(config.channels) - 1
        self.num_layers = 2 + (is_first or _rgb_everywhere(config)) + (config.architecture == "resnet")
        self.in_channels, self.out_channels = 0 if is_first else channels, out
        self.resolution, self.img_channels, self.architecture = 4 << level, config.img_channels, config.architecture
        self.use_fp16, self.channels_last = _uses_fp16(config, self.resolution), False
        taps = config.resample_filter
        shared: Arguments = {"activation": config.activation, "conv_clamp": config.conv_clamp}
        normed = {**shared, "spectral_norm": config.spectral_norm}
        if is_first or _rgb_everywhere(config):
            self.fromrgb = ConvLayer(config.img_channels, channels, 1, **shared)
        self.conv0 = ConvLayer(channels, channels, 3, **normed)
        self.conv1 = ConvLayer(channels, out, 3, down=2, resample_filter=taps, **normed)
        self.attention = _attention(config, level, out)
        if config.architecture == "resnet":
            self.skip = ConvLayer(channels, out, 1, bias=False, down=2, resample_filter=taps)
        self.register_buffer("resample_filter", make_filter(taps))

    def features(self, x: Tensor) -> Tensor:
        """Map the features of this level to those of the next coarser one."""
        y = self.attention(self.conv1(self.conv0(x)))
        return torch.add(self.skip(x), y).mul_(math.sqrt(0.5)) if self.architecture == "resnet" else y

    def forward(self, x: Tensor | None, img: Tensor | None, force_fp32: bool = True) -> tuple[Tensor, Tensor | None]:
        """Map features and picture of this level to those of the next coarser one.

        Args:
            x: features [N, in_channels, H, W]; None in the first level.
            img: the picture [N, img_channels, H, W] where the level looks at it, which it does first and in `skip`.
            force_fp32: of the official releases; everything runs in float32.
        """
        x, img = _seen(self, x, img)
        assert x is not None
        return self.features(x), None if img is None else downsample2d(img, self.resample_filter)


def _seen(
    level: DiscriminatorBlock | DiscriminatorEpilogue, x: Tensor | None, img: Tensor | None
) -> tuple[Tensor | None, Tensor | None]:
    """Add what a level makes of the picture to its features; returns the picture too where coarser levels see it."""
    if img is not None and (x is None or level.architecture == "skip"):
        y = level.fromrgb(img)
        x = y if x is None else x + y
    return x, img if level.architecture == "skip" else None


def _rgb_everywhere(config: DiscriminatorConfig) -> bool:
    return config.architecture == "skip" or (config.architecture == "revised" and config.growing)


class MinibatchStdLayer(nn.Module):
    """Minibatch standard deviation; `group_size` may be changed after loading."""

    def __init__(self, group_size: int | None, num_channels: int) -> None:
        super().__init__()
        self.group_size, self.num_channels = group_size, num_channels

    def forward(self, x: Tensor) -> Tensor:
        """Map [N, C, H, W] to [N, C + num_channels, H, W]."""
        return minibatch_stddev(x, self.group_size, self.num_channels)


class DiscriminatorEpilogue(interface.DiscriminatorEpilogue):
    """The 4×4 end: minibatch standard deviation, one convolution, two dense layers."""

    fromrgb: ConvLayer

    def __init__(self, config: DiscriminatorConfig) -> None:
        super().__init__()
        self.config = config
        channels, clamp = config.channels[0], config.conv_clamp
        self.in_channels, self.resolution, self.img_channels = channels, 4, config.img_channels
        self.architecture = config.architecture
        self.cmap_dim = config.num_outputs if config.conditioning == "project" else 0
        act = config.epilogue_activation or config.activation
        if _rgb_everywhere(config) or len(config.channels) == 1:
            rgb_clamp = clamp if config.clamp_last_fromrgb else None
            self.fromrgb = ConvLayer(config.img_channels, channels, 1, activation=act, conv_clamp=rgb_clamp)
        if config.mbstd_num_features:
            self.mbstd = MinibatchStdLayer(config.mbstd_group_size, config.mbstd_num_features)
        width = channels + config.mbstd_num_features
        self.conv = ConvLayer(width, channels, 3, activation=act, conv_clamp=clamp, spectral_norm=config.spectral_norm)
        features = channels if config.average_pooling else channels * math.prod(config.base_size)
        self.fc = Linear(features, config.fc_dim, weight_gain=1 / math.sqrt(features), activation=act)
        self.out = Linear(config.fc_dim, config.num_outputs, weight_gain=1 / math.sqrt(config.fc_dim))

    @property
    def mbstd_group_size(self) -> int | None:
        """Members of a group of the minibatch standard deviation, None = the whole batch; 1 without such a layer."""
        return self.mbstd.group_size if hasattr(self, "mbstd") else 1

    @mbstd_group_size.setter
    def mbstd_group_size(self, group_size: int | None) -> None:
        self.mbstd.group_size = group_size

    def forward(
        self, x: Tensor | None, img: Tensor | None = None, cmap: Tensor | None = None, force_fp32: bool = True
    ) -> Tensor:
        """Map features [N, C, 4, 4] to outputs [N, num_outputs], or logits [N, 1] if a mapping of labels is given.

        Args:
            x: features.
            img: the picture at 4×4, which `skip` looks at.
            cmap: what the mapping network makes of labels, [N, cmap_dim].
            force_fp32: of the official releases; everything runs in float32.
        """
        x, _ = _seen(self, x, img)
        assert x is not None
        if self.config.mbstd_num_features:
            x = self.mbstd(x)
        x = self.conv(x)
        x = self.out(self.fc(x.mean(dim=(2, 3)) if self.config.average_pooling else x.flatten(1)))
        return x if cmap is None else (x * cmap).sum(dim=1, keepdim=True) / math.sqrt(cmap.shape[1])


class Discriminator(interface.Discriminator):
    """Scores images; levels are the sub-modules `b{img_resolution}` … `b8`, the epilogue is `b4`.

    `b4.mbstd_group_size` may be changed after loading. With `spectral_norm` every call advances the stored `weight_u`,
    so consecutive scores of the same images differ slightly, as in the original.
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
        self.img_resolution_log2 = log2_resolution(config.img_resolution)
        self.block_resolutions = sides[:0:-1]
        first_layer = 0
        for level in range(len(sides) - 1, 0, -1):
            block = DiscriminatorBlock(config, level)
            block.first_layer_idx = first_layer
            first_layer += block.num_layers
            self.add_module(f"b{sides[level]}", block)
        self.b4 = DiscriminatorEpilogue(config)
        if config.mapping is not None:
            self.mapping = MappingNetwork(config.mapping)

    @property
    def init_kwargs(self) -> Arguments:
        """What the constructor of the official class takes for this network."""
        return self.config.official_arguments()

    def _blocks(self) -> list[DiscriminatorBlock]:
        return [getattr(self, f"b{resolution}") for resolution in self.block_resolutions]

    def forward(
        self, img: Tensor, c: Tensor | None = None, update_emas: bool = False, *, force_fp32: bool = True
    ) -> Tensor:
        """Score images [N, img_channels, H, W] in [-1, 1] with labels c [N, c_dim]; returns logits [N, 1].

        Scores depend on the batch through the minibatch standard deviation. `update_emas` and `force_fp32` are those of
        the official releases; nothing depends on them.

        Raises:
            ValueError: if images, labels or batch size do not fit the network.
        """
        cfg = self.config
        check_shape("images", img, cfg.img_channels, *cfg.img_size)
        img = cast("images", img, any_tensor(self.b4))
        c = labels_or_zeros(c, cfg.c_dim, img)
        cmap = self.mapping(None, c) if cfg.conditioning == "project" else None
        x = self.b4(self._grown_features(img), None, cmap) if cfg.architecture == "revised" else self._score(img, cmap)
        if cfg.conditioning == "select":
            return (x * c).sum(dim=1, keepdim=True)
        return x[:, : cfg.num_scores]

    def _score(self, img: Tensor | None, cmap: Tensor | None) -> Tensor:
        x = None
        for block in self._blocks():
            x, img = block(x, img)
        return self.b4(x, img, cmap)

    def _grown_features(self, img: Tensor) -> Tensor:
        blocks = self._blocks()
        levels: list[DiscriminatorBlock | DiscriminatorEpilogue] = [*blocks, self.b4]
        skipped, fade = growth(self.config.lod, max(len(levels) - 2, 0)) if self.config.growing else (0, 0.0)
        x: Tensor = levels[skipped].fromrgb(box_down2d(img, 2**skipped))
        for block in blocks[skipped:]:
            x = block.features(x)
            if fade > 0:
                coarse = levels[skipped + 1].fromrgb(box_down2d(img, 2 ** (skipped + 1)))
                x, fade = x.lerp(coarse, fade), 0.0
        return x
