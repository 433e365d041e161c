"""StyleGAN3 (Karras et al. 2021, "Alias-Free Generative Adversarial Networks"), configs T and R.

Every layer works on samples of a continuous signal: its size follows from a sampling rate and a margin, its filters
from a cutoff and a transition band, and its non-linearity runs at a higher rate so as not to alias. Module and tensor
names are the official release's; its discriminator is StyleGAN2's.

    z, c ─► mapping ─► ws [N, num_ws, w_dim] ─► synthesis: input (Fourier features) → L0 → … → RGB layer ─► image
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, fields

import numpy as np
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
    early_gain,
    follow_mean,
    given,
    laid_out,
    like_weight,
    normal,
    scaled_conv2d,
    upfirdn2d,
    with_features,
)
from stylegan_torch.networks.stylegan2 import MappingConfig, MappingNetwork
from stylegan_torch.types import Arguments


@dataclass(frozen=True)
class GeneratorConfig:
    """A generator. Rates, cutoffs and sizes are in samples per picture height.

    channel_base, channel_max: a layer has about channel_base / 2 / cutoff feature maps.
    img_resolution: height of images.
    num_layers, num_critical: layers besides the RGB layer, and how many of the last are critically sampled.
    first_cutoff, first_stopband, last_stopband_rel: ends of geometric progressions (StyleGAN3 section 3.2).
    margin_size: samples beyond the picture on every side.
    output_scale: factor on the image.
    conv_kernel, use_radial_filters: 3, False (T), or 1, True (R).
    filter_size: taps per sample of the lower of two rates.
    lrelu_upsampling: oversampling of the non-linearity.
    conv_clamp: limit of the activations; None = none.
    aspect: width over height; layers keep the heights of the square network, and margins shrink with the width.
    num_fp16_res, magnitude_ema_beta: of training only, kept for export.
    """

    mapping: MappingConfig
    img_resolution: int
    img_channels: int
    channel_base: int = 32768
    channel_max: int = 512
    num_layers: int = 14
    num_critical: int = 2
    first_cutoff: float = 2.0
    first_stopband: float = 2**2.1
    last_stopband_rel: float = 2**0.3
    margin_size: int = 10
    output_scale: float = 0.25
    conv_kernel: int = 3
    filter_size: int = 6
    lrelu_upsampling: int = 2
    use_radial_filters: bool = False
    conv_clamp: float | None = 256.0
    aspect: float = 1.0
    num_fp16_res: int = 4
    magnitude_ema_beta: float = 0.999
    truncation_psi: float = 1.0
    truncation_cutoff: int | None = None

    @property
    def c_dim(self) -> int:
        """Number of classes."""
        return self.mapping.c_dim

    @property
    def img_size(self) -> tuple[int, int]:
        """Height and width of images."""
        return self.img_resolution, int(self.img_resolution * self.aspect)

    @property
    def official_noise(self) -> str:
        """There is no noise to draw."""
        return "stored"

    def official_arguments(self) -> Arguments:
        """Return what StyleGAN3's class takes for this network."""
        own = {f.name: getattr(self, f.name) for f in fields(self) if f.name not in _NOT_OFFICIAL}
        mapping = {name: getattr(self.mapping, name) for name in ("num_layers", "lr_multiplier", "w_avg_beta")}
        sizes = {"z_dim": self.mapping.z_dim, "c_dim": self.c_dim, "w_dim": self.mapping.w_dim}
        return {**sizes, **own, "mapping_kwargs": mapping}


_NOT_OFFICIAL = ("mapping", "aspect", "truncation_psi", "truncation_cutoff")


@dataclass(frozen=True)
class Signal:
    """What a layer gives: a signal that is flat up to `cutoff` and gone from cutoff + half_width on.

    size: (height, width) in samples, margins included.
    rate: samples per picture height.
    """

    size: tuple[int, int]
    channels: int
    rate: int
    cutoff: float
    half_width: float


@dataclass(frozen=True)
class LayerSpec:
    """Geometry of one layer (StyleGAN3 section 3.2; docs/spec/TORCH.md 7.1); `rate` is that of its non-linearity."""

    name: str
    before: Signal
    after: Signal
    rate: int
    is_rgb: bool
    is_critical: bool
    kernel: int
    up: int
    down: int
    up_taps: int
    down_taps: int
    pad_y: tuple[int, int]
    pad_x: tuple[int, int]


def signals(config: GeneratorConfig) -> list[Signal]:
    """Return what each layer gives, the RGB layer's last."""
    last, side = config.num_layers, config.img_resolution
    result = []
    for i in range(last + 1):
        progress = min(i / (last - config.num_critical), 1.0)
        cutoff = config.first_cutoff * (side / 2 / config.first_cutoff) ** progress
        last_stopband = side / 2 * config.last_stopband_rel
        stopband = config.first_stopband * (last_stopband / config.first_stopband) ** progress
        rate = 2 ** math.ceil(math.log2(min(stopband * 2, side)))
        height = side if i > last - 2 else rate + 2 * config.margin_size
        channels = (
            config.img_channels if i == last else round(min(config.channel_base / 2 / cutoff, config.channel_max))
        )
        size = (height, int(height * config.aspect))
        result.append(Signal(size, channels, rate, cutoff, max(stopband, rate / 2) - cutoff))
    return result


def layer_specs(config: GeneratorConfig) -> list[LayerSpec]:
    """Return the geometry of all layers."""
    after = signals(config)
    return [_layer_spec(config, i, after[max(i - 1, 0)], signal) for i, signal in enumerate(after)]


def _layer_spec(config: GeneratorConfig, i: int, before: Signal, after: Signal) -> LayerSpec:
    is_rgb = i == config.num_layers
    rate = max(before.rate, after.rate) * (1 if is_rgb else config.lrelu_upsampling)
    up, down = rate // before.rate, rate // after.rate
    up_taps = config.filter_size * up if up > 1 and not is_rgb else 1
    down_taps = config.filter_size * down if down > 1 and not is_rgb else 1
    kernel = 1 if is_rgb else config.conv_kernel

    def pads(axis: int) -> tuple[int, int]:
        wanted = (after.size[axis] - 1) * down + 1
        given = (before.size[axis] + kernel - 1) * up
        total = wanted - given + up_taps + down_taps - 2
        low = (total + up) // 2
        return low, total - low

    return LayerSpec(
        name=f"L{i}_{after.size[1]}_{after.channels}",
        before=before,
        after=after,
        rate=rate,
        is_rgb=is_rgb,
        is_critical=i >= config.num_layers - config.num_critical,
        kernel=kernel,
        up=up,
        down=down,
        up_taps=up_taps,
        down_taps=down_taps,
        pad_y=pads(0),
        pad_x=pads(1),
    )


def design_filter(taps: int, *, cutoff: float, width: float, rate: float, radial: bool = False) -> Tensor | None:
    """Return a low-pass filter with a Kaiser window (StyleGAN3 appendix C.1): [taps], or [taps, taps] if radial.

    Args:
        taps: length; 1 = no filter, None.
        cutoff: frequency up to which it passes.
        width: of the transition band.
        rate: sampling rate; all three in the same unit.
        radial: make it the same in all directions rather than along the axes.
    """
    if taps == 1:
        return None
    window = np.kaiser(taps, _kaiser_beta(taps, width / (rate / 2)))
    x = (np.arange(taps) - (taps - 1) / 2) / rate
    if radial:
        radius = np.hypot(x[:, None], x[None, :])
        bessel = torch.special.bessel_j1(torch.from_numpy(2 * math.pi * cutoff * radius)).numpy()
        f = bessel / (math.pi * radius) * np.outer(window, window)
    else:
        f = np.sinc(2 * cutoff * x) * window
    return torch.from_numpy((f / f.sum()).astype(np.float32))


def layer_filters(spec: LayerSpec, radial: bool) -> tuple[Tensor | None, Tensor | None]:
    """Return the filters before and after the non-linearity of a layer; `radial` is whether the second is."""
    before, after, rate = spec.before, spec.after, spec.rate
    up = design_filter(spec.up_taps, cutoff=before.cutoff, width=before.half_width * 2, rate=rate)
    down = design_filter(spec.down_taps, cutoff=after.cutoff, width=after.half_width * 2, rate=rate, radial=radial)
    return up, down


def _kaiser_beta(taps: int, width: float) -> float:
    """Return the window's parameter; `width` of the transition is relative to half the sampling rate."""
    attenuation = 2.285 * (taps - 1) * math.pi * width + 7.95
    if attenuation > 50:
        return 0.1102 * (attenuation - 8.7)
    if attenuation > 21:
        return 0.5842 * (attenuation - 21) ** 0.4 + 0.07886 * (attenuation - 21)
    return 0.0


def image_transform(translate: tuple[float, float] = (0.0, 0.0), rotate: float = 0.0) -> Tensor:
    """Return the `transform` [3, 3] that moves and turns images, as the official script makes it.

    Args:
        translate: to the right and down, in picture heights.
        rotate: counter-clockwise, in degrees.
    """
    cos, sin = math.cos(math.radians(rotate)), math.sin(math.radians(rotate))
    x, y = translate
    return torch.tensor(np.linalg.inv([[cos, sin, x], [-sin, cos, y], [0.0, 0.0, 1.0]]), dtype=torch.float32)


class SynthesisInput(nn.Module):
    """Fourier features of a grid that w moves and turns (StyleGAN3 section 3.1).

    `transform` [3, 3] is the user's: the inverse of what the image shall do, in units of its height (`image_transform`
    makes it); the identity at first. `freqs` [C, 2] and `phases` [C] are fixed by training.
    """

    transform: Tensor
    freqs: Tensor
    phases: Tensor

    def __init__(self, w_dim: int, signal: Signal) -> None:
        super().__init__()
        self.size, self.sampling_rate, self.bandwidth = signal.size, signal.rate, signal.cutoff
        self.w_dim, self.channels = w_dim, signal.channels
        channels = signal.channels
        self.weight = normal(channels, channels)
        self.affine = Linear(w_dim, 4, weight_gain=1 / math.sqrt(w_dim))
        self.register_buffer("transform", torch.from_numpy(np.eye(3, dtype=np.float32)))
        freqs, phases = torch.empty(channels, 2), torch.empty(channels)
        if not self.weight.is_meta:
            self.affine.weight = nn.Parameter(torch.zeros(4, w_dim))
            self.affine.bias = nn.Parameter(torch.tensor([1.0, 0.0, 0.0, 0.0]))
            angle, radius = torch.rand(channels) * (2 * math.pi), torch.rand(channels).sqrt() * self.bandwidth
            freqs = torch.stack([radius * angle.cos(), radius * angle.sin()], dim=1)
            phases = torch.rand(channels) - 0.5
        self.register_buffer("freqs", freqs)
        self.register_buffer("phases", phases)

    def forward(self, w: Tensor) -> Tensor:
        """Map w [N, w_dim] to features [N, C, H, W]."""
        t = self.affine(w)
        cos, sin, x, y = (t / t[:, :2].norm(dim=1, keepdim=True)).unbind(dim=1)
        zero, one = torch.zeros_like(x), torch.ones_like(x)
        turn = torch.stack([cos, -sin, zero, sin, cos, zero, zero, zero, one], dim=1).reshape(-1, 3, 3)
        move = torch.stack([one, zero, -x, zero, one, -y, zero, zero, one], dim=1).reshape(-1, 3, 3)
        moved = turn @ move @ self.transform
        phases = self.phases + (self.freqs @ moved[:, :2, 2:]).squeeze(2)
        freqs = self.freqs @ moved[:, :2, :2]
        amplitudes = 1 - (freqs.norm(dim=2) - self.bandwidth) / (self.sampling_rate / 2 - self.bandwidth)
        height, width = self.size
        rows = self._positions(height, t)[None, :, None, None] * freqs[:, None, None, :, 1]
        columns = self._positions(width, t)[None, None, :, None] * freqs[:, None, None, :, 0]
        angles = rows + columns + phases[:, None, None]
        features = torch.sin(angles * (2 * math.pi)) * amplitudes.clamp(0, 1)[:, None, None]
        weight = self.weight / math.sqrt(self.weight.shape[1])
        return (features @ weight.t()).permute(0, 3, 1, 2)

    def _positions(self, count: int, like: Tensor) -> Tensor:
        """Return where the samples of an axis are, in picture heights from the middle."""
        index = torch.arange(count, device=like.device, dtype=like.dtype)
        return (index + 0.5 - count / 2) / self.sampling_rate


class SynthesisLayer(nn.Module):
    """Modulated convolution, bias, and a leaky ReLU between an up- and a down-sampling filter (StyleGAN3 section 3.2).

    `magnitude_ema` [] is the running mean square of the input, which the convolution divides by.
    """

    magnitude_ema: Tensor
    up_filter: Tensor | None
    down_filter: Tensor | None

    def __init__(self, config: GeneratorConfig, spec: LayerSpec) -> None:
        super().__init__()
        w_dim, before, after = config.mapping.w_dim, spec.before, spec.after
        self.spec, self.w_dim, self.conv_clamp = spec, w_dim, config.conv_clamp
        self.magnitude_ema_beta = config.magnitude_ema_beta
        self.is_torgb, self.is_critically_sampled = spec.is_rgb, spec.is_critical
        self.use_fp16 = after.rate * 2**config.num_fp16_res > config.img_resolution
        self.in_channels, self.out_channels, self.conv_kernel = before.channels, after.channels, spec.kernel
        self.in_sampling_rate, self.out_sampling_rate, self.tmp_sampling_rate = before.rate, after.rate, spec.rate
        self.in_cutoff, self.out_cutoff = before.cutoff, after.cutoff
        self.in_half_width, self.out_half_width = before.half_width, after.half_width
        self.in_size, self.out_size = np.array(before.size[::-1]), np.array(after.size[::-1])
        self.up_factor, self.up_taps, self.down_factor, self.down_taps = (
            spec.up,
            spec.up_taps,
            spec.down,
            spec.down_taps,
        )
        self.down_radial = config.use_radial_filters and not spec.is_critical
        self.padding = [*spec.pad_x, *spec.pad_y]
        self.affine = Linear(w_dim, before.channels, weight_gain=1 / math.sqrt(w_dim), bias_init=1.0)
        self.weight = normal(after.channels, before.channels, spec.kernel, spec.kernel)
        self.bias = nn.Parameter(torch.zeros(after.channels))
        self.register_buffer("magnitude_ema", torch.ones([]))
        up, down = layer_filters(spec, radial=self.down_radial)
        self.register_buffer("up_filter", up)
        self.register_buffer("down_filter", down)

    def forward(
        self, x: Tensor, w: Tensor, noise_mode: str = "const", force_fp32: bool = True, update_emas: bool = False
    ) -> Tensor:
        """Map x [N, I, H, W] with w [N, w_dim] to [N, O, H', W'].

        Args:
            x: features.
            w: one row of ws.
            noise_mode, force_fp32: of the official release; there is no noise, and layers run in float32.
            update_emas: let `magnitude_ema` follow the input.
        """
        x = like_weight(x, self.weight)
        if update_emas:
            follow_mean(self.magnitude_ema, x.square().mean()[None], self.magnitude_ema_beta)
        spec, activation = self.spec, "linear" if self.is_torgb else "lrelu"
        x = self._convolve(x, self.affine(w), gain=early_gain(activation))
        x = _resample(x, self.up_filter, up=spec.up, pad_x=spec.pad_x, pad_y=spec.pad_y)
        x = activate_(x, activation, self.conv_clamp)
        return _resample(x, self.down_filter, down=spec.down)

    def _convolve(self, x: Tensor, styles: Tensor, gain: float = 1.0) -> Tensor:
        weight, scale, after = laid_out(self.weight), torch.rsqrt(self.magnitude_ema), None
        if self.spec.is_rgb:
            styles = styles * (scale / math.sqrt(weight[0].numel()))
        else:
            styles = styles * torch.rsqrt(styles.square().mean())  # over the whole batch, as in the original
            energy = weight.square().sum(dim=(2, 3))
            norm = torch.rsqrt(energy.mean(dim=1) / self.spec.kernel**2)
            after = torch.rsqrt(styles.square() @ energy.t() * norm.square() + 1e-8) * (norm * scale * gain)
        return scaled_conv2d(x, weight, styles, after, self.bias * gain, convolve=_full_conv2d)


def _full_conv2d(x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    """Cross-correlate wherever the kernel touches the map."""
    return F.conv2d(laid_out(x), weight, bias, padding=weight.shape[-1] - 1)


def _resample(
    x: Tensor,
    f: Tensor | None,
    *,
    up: int = 1,
    down: int = 1,
    pad_x: tuple[int, int] = (0, 0),
    pad_y: tuple[int, int] = (0, 0),
) -> Tensor:
    if f is None:
        return F.pad(x, pad_x + pad_y) if any(pad_x + pad_y) else x
    return upfirdn2d(x, f, up=up, down=down, pad=pad_y, pad_x=pad_x, gain=up**2)


class SynthesisNetwork(interface.SynthesisNetwork):
    """Maps ws to an image. `input` reads ws[:, 0], layer i (sub-module `layer_names[i]`) ws[:, i + 1]."""

    config: GeneratorConfig

    def __init__(self, config: GeneratorConfig) -> None:
        super().__init__()
        self.config = config
        specs = layer_specs(config)
        self.num_ws = len(specs) + 1
        self.w_dim, self.img_channels, self.num_fp16_res = (
            config.mapping.w_dim,
            config.img_channels,
            config.num_fp16_res,
        )
        self.num_layers, self.num_critical = config.num_layers, config.num_critical
        self.margin_size, self.output_scale = config.margin_size, config.output_scale
        self.img_resolution = max(config.img_size)
        self.input = SynthesisInput(config.mapping.w_dim, specs[0].before)
        self.layer_names = [spec.name for spec in specs]
        for spec in specs:
            self.add_module(spec.name, SynthesisLayer(config, spec))

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
            ws: one w a layer, from the mapping network; the first is the input's. Any dtype.
            noise_mode: accepted for the common interface; there is no noise.
            noise: None or empty.
            force_fp32, fused_modconv: of the official releases; nothing to choose here, layers run in float32.
            return_features: also return what every layer makes, a dict of tensors [N, C, H, W] by the layer's name.
            update_emas: let the layers' `magnitude_ema` follow, as in training.

        Raises:
            ValueError: if ws do not fit the network, or noise is given.
        """
        if return_features:
            return with_features(self, lambda: self.forward(ws, noise_mode, noise))
        check_shape("ws", ws, self.num_ws, self.w_dim)
        ws = cast("ws", ws, any_tensor(self.input))
        check_noise(noise, [], ws.shape[0])
        x: Tensor = self.input(ws[:, 0])
        for i, name in enumerate(self.layer_names):
            x = getattr(self, name)(x, ws[:, i + 1], **given(update_emas=update_emas))
        return (x * self.output_scale).to(ws.dtype).contiguous()


class Generator(interface.StyleGenerator):
    """Maps latents z [N, z_dim] and labels c [N, c_dim] to images; `mapping` and `synthesis` work by themselves too."""

    config: GeneratorConfig
    mapping: MappingNetwork
    synthesis: SynthesisNetwork

    def __init__(self, config: GeneratorConfig) -> None:
        synthesis = SynthesisNetwork(config)
        super().__init__(config, MappingNetwork(config.mapping, synthesis.num_ws), synthesis)
