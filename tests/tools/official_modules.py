"""StyleGAN2-ADA's PyTorch modules, written from docs/spec/TORCH.md 6, as literal as can be.

An independent oracle: the release's constructor arguments, attribute tree, `state_dict()` names and inference
arithmetic, each formula spelled out with plain operations and no thought of speed. Everything is computed in the
parameters' dtype, as with `force_fp32=True`; what only matters in half precision or training (`num_fp16_res`,
`fp16_channels_last`, `freeze_layers`, the value of `w_avg_beta`) is accepted and changes nothing. The StyleGAN3
repository's StyleGAN2 networks are the same modules with other defaults (docs/spec/TORCH.md 5).
"""

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

Taps = Sequence[float]
Clamp = float | None
HALF = math.sqrt(1 / 2)  # gain of the two branches of a residual block
ACTIVATIONS: dict[str, tuple[Callable[[Tensor], Tensor], float]] = {
    "linear": (lambda x: x, 1),
    "relu": (lambda x: x.clamp(min=0), math.sqrt(2)),
    "lrelu": (lambda x: torch.where(x < 0, 0.2 * x, x), math.sqrt(2)),
    "tanh": (torch.tanh, 1),
    "sigmoid": (torch.sigmoid, 1),
    "elu": (F.elu, 1),
    "selu": (F.selu, 1),
    "softplus": (F.softplus, 1),
    "swish": (lambda x: x * torch.sigmoid(x), math.sqrt(2)),
}


def activate(x: Tensor, bias: Tensor | None, name: str, gain: float = 1, clamp: Clamp = None) -> Tensor:
    """Bias, nonlinearity, gain, clamp; the limit follows the extra gain only, not the activation's own."""
    function, own_gain = ACTIVATIONS[name]
    x = x if bias is None else x + bias.reshape(1, -1, *[1] * (x.ndim - 2))
    x = function(x) * (own_gain * gain)
    return x if clamp is None else x.clamp(-clamp * gain, clamp * gain)


def norm2(x: Tensor) -> Tensor:
    """Unit second moment over the features."""
    return x * torch.rsqrt(x.square().mean(dim=1, keepdim=True) + 1e-8)


def stuff(x: Tensor, up: int) -> Tensor:
    """Insert up - 1 zeros after every sample in both directions."""
    out = x.new_zeros(*x.shape[:2], x.shape[2] * up, x.shape[3] * up)
    out[:, :, ::up, ::up] = x
    return out


def fir(x: Tensor, f: Tensor, before: int, after: int, up: int = 1, down: int = 1, gain: float = 1) -> Tensor:
    """Zero insertion, padding (negative: cropping), true convolution with the filter, every down-th sample."""
    f = torch.outer(f, f) if f.ndim == 1 else f
    kernel = (gain * f).flip([0, 1]).expand(x.shape[1], 1, -1, -1)
    x = F.conv2d(F.pad(stuff(x, up), (before, after, before, after)), kernel, groups=x.shape[1])
    return x[:, :, ::down, ::down]


def image_up(x: Tensor, f: Tensor) -> Tensor:
    return fir(x, f, (len(f) + 1) // 2, (len(f) - 2) // 2, up=2, gain=4)


def image_down(x: Tensor, f: Tensor) -> Tensor:
    return fir(x, f, (len(f) - 1) // 2, (len(f) - 2) // 2, down=2)


def convolve(x: Tensor, w: Tensor, f: Tensor, up: bool = False, down: bool = False) -> Tensor:
    """Convolution by k x k, k odd, optionally with resampling by 2."""
    k, p, n = w.shape[-1], w.shape[-1] // 2, len(f)
    if up and k == 1:
        return image_up(F.conv2d(x, w), f)
    if up:  # true convolution of the zero-stuffed input: side 2H - 2 + k
        x = F.conv2d(F.pad(stuff(x, 2), (k - 1, k - 2, k - 1, k - 2)), w.flip([2, 3]))
        return fir(x, f, p + (n + 1) // 2 - (k - 1), p + (n - 2) // 2 - (k - 2), gain=4)
    if down and k == 1:
        return F.conv2d(image_down(x, f), w)
    if down:
        return F.conv2d(fir(x, f, p + (n - 1) // 2, p + (n - 2) // 2), w, stride=2)
    return F.conv2d(x, w, padding=p)


class Filtered(nn.Module):
    """A module with a stored filter of sum 1: 2-D below eight taps, else 1-D."""

    resample_filter: Tensor

    def __init__(self, taps: Taps = (1, 3, 3, 1), up: bool = False, down: bool = False) -> None:
        super().__init__()
        self.up, self.down = up, down
        f = torch.tensor(taps, dtype=torch.float32)
        f = torch.outer(f, f) if len(f) < 8 else f
        self.register_buffer("resample_filter", f / f.sum())


class FullyConnectedLayer(nn.Module):
    def __init__(self, inputs: int, outputs: int, act: str = "linear", lr: float = 1, bias: float = 0) -> None:
        super().__init__()
        self.act, self.lr = act, lr
        self.weight = nn.Parameter(torch.randn(outputs, inputs) / lr)
        self.bias = nn.Parameter(torch.full([outputs], float(bias)))

    def forward(self, x: Tensor) -> Tensor:
        y = x @ (self.weight * (self.lr / math.sqrt(self.weight.shape[1]))).T
        return activate(y, self.bias * self.lr, self.act)


class Conv2dLayer(Filtered):
    def __init__(
        self, inputs: int, outputs: int, k: int, act: str, clamp: Clamp = None, bias: bool = True, **resampling: Any
    ) -> None:
        super().__init__(**resampling)
        self.act, self.clamp = act, clamp
        self.weight = nn.Parameter(torch.randn(outputs, inputs, k, k))
        self.bias = nn.Parameter(torch.zeros(outputs)) if bias else None

    def forward(self, x: Tensor, gain: float = 1) -> Tensor:
        y = convolve(x, self.weight / math.sqrt(self.weight[0].numel()), self.resample_filter, self.up, self.down)
        return activate(y, self.bias, self.act, gain, self.clamp)


class MappingNetwork(nn.Module):
    w_avg: Tensor

    def __init__(
        self, z_dim: int, c_dim: int, w_dim: int, num_ws: int | None, num_layers: int = 8,
        embed_features: int | None = None, layer_features: int | None = None, activation: str = "lrelu",
        lr_multiplier: float = 0.01, w_avg_beta: float | None = 0.995
    ) -> None:  # fmt: skip
        super().__init__()
        self.z_dim, self.c_dim, self.num_ws, self.num_layers = z_dim, c_dim, num_ws, num_layers
        embedded = 0 if c_dim == 0 else w_dim if embed_features is None else embed_features
        hidden = w_dim if layer_features is None else layer_features
        features = [z_dim + embedded, *[hidden] * (num_layers - 1), w_dim]
        if c_dim > 0:
            self.embed = FullyConnectedLayer(c_dim, embedded)
        for i in range(num_layers):
            setattr(self, f"fc{i}", FullyConnectedLayer(features[i], features[i + 1], activation, lr_multiplier))
        if num_ws is not None and w_avg_beta is not None:
            self.register_buffer("w_avg", torch.zeros(w_dim))

    def forward(
        self, z: Tensor | None, c: Tensor | None, truncation_psi: float = 1, truncation_cutoff: int | None = None
    ) -> Tensor:
        dtype = next((p.dtype for p in self.parameters()), torch.float32)
        x = [norm2(z.to(dtype))] if z is not None and self.z_dim > 0 else []
        x += [norm2(self.embed(c.to(dtype)))] if c is not None and self.c_dim > 0 else []
        w = torch.cat(x, dim=1)
        for i in range(self.num_layers):
            w = getattr(self, f"fc{i}")(w)
        if self.num_ws is None:  # the discriminator's
            return w
        w = w.unsqueeze(1).repeat(1, self.num_ws, 1)
        if truncation_psi == 1:
            return w
        n = self.num_ws if truncation_cutoff is None else truncation_cutoff
        return torch.cat([self.w_avg + truncation_psi * (w[:, :n] - self.w_avg), w[:, n:]], dim=1)


class SynthesisLayer(Filtered):
    noise_const: Tensor

    def __init__(
        self, inputs: int, outputs: int, w_dim: int, size: int, clamp: Clamp, act: str, noise: bool, **resampling: Any
    ) -> None:
        super().__init__(**resampling)
        self.clamp, self.act, self.use_noise = clamp, act, noise
        self.affine = FullyConnectedLayer(w_dim, inputs, bias=1)
        self.weight = nn.Parameter(torch.randn(outputs, inputs, 3, 3))
        self.bias = nn.Parameter(torch.zeros(outputs))
        if noise:
            self.register_buffer("noise_const", torch.randn(size, size))
            self.noise_strength = nn.Parameter(torch.zeros([]))

    def forward(self, x: Tensor, w: Tensor, noise_mode: str, gain: float = 1) -> Tensor:
        assert noise_mode in ("const", "random", "none")
        samples = []
        for sample, style in zip(x, self.affine(w), strict=True):
            kernel = self.weight * style.reshape(1, -1, 1, 1)
            kernel = kernel * torch.rsqrt(kernel.square().sum(dim=[1, 2, 3], keepdim=True) + 1e-8)
            samples.append(convolve(sample.unsqueeze(0), kernel, self.resample_filter, up=self.up))
        y = torch.cat(samples)
        if self.use_noise and noise_mode != "none":
            noise = self.noise_const if noise_mode == "const" else torch.randn_like(y[:, :1])
            y = y + noise * self.noise_strength
        return activate(y, self.bias, self.act, gain, self.clamp)


class ToRGBLayer(nn.Module):
    def __init__(self, inputs: int, outputs: int, w_dim: int, clamp: Clamp) -> None:
        super().__init__()
        self.clamp = clamp
        self.affine = FullyConnectedLayer(w_dim, inputs, bias=1)
        self.weight = nn.Parameter(torch.randn(outputs, inputs, 1, 1))
        self.bias = nn.Parameter(torch.zeros(outputs))

    def forward(self, x: Tensor, w: Tensor) -> Tensor:
        style = self.affine(w) / math.sqrt(self.weight.shape[1])
        y = torch.einsum("oi,ni,nihw->nohw", self.weight[:, :, 0, 0], style, x)  # modulated 1x1, not demodulated
        return activate(y, self.bias, "linear", clamp=self.clamp)


class SynthesisBlock(Filtered):
    def __init__(
        self, inputs: int, outputs: int, w_dim: int, resolution: int, img_channels: int, architecture: str = "skip",
        resample_filter: Taps = (1, 3, 3, 1), conv_clamp: Clamp = None, fp16_channels_last: bool = False, *,
        is_last: bool, activation: str = "lrelu", use_noise: bool = True
    ) -> None:  # fmt: skip
        super().__init__(resample_filter)
        assert architecture in ("orig", "skip", "resnet")
        self.architecture, self.num_conv, self.num_torgb = architecture, 2, int(is_last or architecture == "skip")
        options = (w_dim, resolution, conv_clamp, activation, use_noise)
        up: dict[str, Any] = {"taps": resample_filter, "up": True}
        if resolution == 4:
            self.num_conv = 1
            self.const = nn.Parameter(torch.randn(outputs, 4, 4))
        else:
            self.conv0 = SynthesisLayer(inputs, outputs, *options, **up)
        self.conv1 = SynthesisLayer(outputs, outputs, *options)
        if self.num_torgb:
            self.torgb = ToRGBLayer(outputs, img_channels, w_dim, conv_clamp)
        if resolution > 4 and architecture == "resnet":
            self.skip = Conv2dLayer(inputs, outputs, 1, "linear", bias=False, **up)

    def forward(self, x: Tensor | None, img: Tensor | None, ws: Tensor, mode: str) -> tuple[Tensor, Tensor | None]:
        """Takes one w for each convolution, then ToRGB's."""
        if x is None:
            x = self.conv1(self.const.expand(len(ws), -1, -1, -1), ws[:, 0], mode)
        elif self.architecture == "resnet":
            x = self.skip(x, gain=HALF) + self.conv1(self.conv0(x, ws[:, 0], mode), ws[:, 1], mode, gain=HALF)
        else:
            x = self.conv1(self.conv0(x, ws[:, 0], mode), ws[:, 1], mode)
        img = None if img is None else image_up(img, self.resample_filter)
        if self.num_torgb:
            rgb = self.torgb(x, ws[:, self.num_conv])
            img = rgb if img is None else img + rgb
        return x, img


class SynthesisNetwork(nn.Module):
    def __init__(
        self, w_dim: int, img_resolution: int, img_channels: int, channel_base: int = 32768, channel_max: int = 512,
        num_fp16_res: int = 0, **block_kwargs: Any
    ) -> None:  # fmt: skip
        super().__init__()
        self.resolutions = [2**i for i in range(2, int(math.log2(img_resolution)) + 1)]
        self.num_ws = 2 * len(self.resolutions)
        for r in self.resolutions:
            i, o = (min(channel_base // side, channel_max) for side in (r // 2, r))
            block = SynthesisBlock(i, o, w_dim, r, img_channels, is_last=r == img_resolution, **block_kwargs)
            setattr(self, f"b{r}", block)

    def forward(self, ws: Tensor, noise_mode: str = "random") -> Tensor:
        x: Tensor | None = None
        img: Tensor | None = None
        i, ws = 0, ws.to(next(self.parameters()).dtype)
        for r in self.resolutions:
            block = getattr(self, f"b{r}")
            x, img = block(x, img, ws[:, i:], noise_mode)
            i += block.num_conv  # ToRGB shares its w with the next block's first convolution
        assert img is not None
        return img


class Generator(nn.Module):
    def __init__(
        self, z_dim: int, c_dim: int, w_dim: int, img_resolution: int, img_channels: int,
        mapping_kwargs: Mapping[str, Any] = {}, synthesis_kwargs: Mapping[str, Any] = {}
    ) -> None:  # fmt: skip
        super().__init__()
        self.synthesis = SynthesisNetwork(w_dim, img_resolution, img_channels, **synthesis_kwargs)
        self.mapping = MappingNetwork(z_dim, c_dim, w_dim, self.synthesis.num_ws, **mapping_kwargs)
        self.z_dim, self.c_dim, self.w_dim, self.num_ws = z_dim, c_dim, w_dim, self.synthesis.num_ws
        self.img_resolution, self.img_channels = img_resolution, img_channels

    def forward(
        self, z: Tensor | None, c: Tensor | None, truncation_psi: float = 1, truncation_cutoff: int | None = None,
        noise_mode: str = "random"
    ) -> Tensor:  # fmt: skip
        img: Tensor = self.synthesis(self.mapping(z, c, truncation_psi, truncation_cutoff), noise_mode)
        return img


class DiscriminatorBlock(Filtered):
    def __init__(
        self, tmp: int, outputs: int, img_channels: int, architecture: str, clamp: Clamp, activation: str = "lrelu",
        resample_filter: Taps = (1, 3, 3, 1), fp16_channels_last: bool = False, freeze_layers: int = 0, *,
        is_first: bool
    ) -> None:  # fmt: skip
        super().__init__(resample_filter)
        assert architecture in ("orig", "skip", "resnet")
        self.architecture = architecture
        down: dict[str, Any] = {"taps": resample_filter, "down": True}
        if is_first or architecture == "skip":
            self.fromrgb = Conv2dLayer(img_channels, tmp, 1, activation, clamp)
        self.conv0 = Conv2dLayer(tmp, tmp, 3, activation, clamp)
        self.conv1 = Conv2dLayer(tmp, outputs, 3, activation, clamp, **down)
        if architecture == "resnet":
            self.skip = Conv2dLayer(tmp, outputs, 1, "linear", bias=False, **down)

    def forward(self, x: Tensor | None, img: Tensor) -> tuple[Tensor, Tensor]:
        if x is None:
            x = self.fromrgb(img)
        elif self.architecture == "skip":
            x = x + self.fromrgb(img)
        if self.architecture == "skip":
            img = image_down(img, self.resample_filter)
        if self.architecture == "resnet":
            return self.skip(x, gain=HALF) + self.conv1(self.conv0(x), gain=HALF), img
        return self.conv1(self.conv0(x)), img


class MinibatchStdLayer(nn.Module):
    def __init__(self, group_size: int | None, num_channels: int) -> None:
        super().__init__()
        self.group_size, self.num_channels = group_size, num_channels

    def forward(self, x: Tensor) -> Tensor:
        n, c, h, w = x.shape
        g = n if self.group_size is None else min(self.group_size, n)
        y = x.reshape(g, n // g, self.num_channels, c // self.num_channels, h, w)
        variance = (y - y.mean(dim=0)).square().mean(dim=0)
        rows = torch.sqrt(variance + 1e-8).mean(dim=[2, 3, 4])  # [N/G, F], row j for the samples g * N/G + j
        return torch.cat([x, rows.repeat(g, 1).reshape(n, -1, 1, 1).expand(-1, -1, h, w)], dim=1)


class DiscriminatorEpilogue(nn.Module):
    def __init__(
        self, inputs: int, cmap_dim: int, img_channels: int, architecture: str, clamp: Clamp,
        mbstd_group_size: int | None = 4, mbstd_num_channels: int = 1, activation: str = "lrelu"
    ) -> None:  # fmt: skip
        super().__init__()
        self.cmap_dim = cmap_dim
        self.fromrgb = Conv2dLayer(img_channels, inputs, 1, activation) if architecture == "skip" else None
        self.mbstd = MinibatchStdLayer(mbstd_group_size, mbstd_num_channels) if mbstd_num_channels > 0 else None
        self.conv = Conv2dLayer(inputs + mbstd_num_channels, inputs, 3, activation, clamp)
        self.fc = FullyConnectedLayer(inputs * 16, inputs, activation)
        self.out = FullyConnectedLayer(inputs, max(cmap_dim, 1))

    def forward(self, x: Tensor, img: Tensor, cmap: Tensor | None) -> Tensor:
        x = x if self.fromrgb is None else x + self.fromrgb(img)
        x = x if self.mbstd is None else self.mbstd(x)
        x = self.out(self.fc(self.conv(x).flatten(1)))
        return x if cmap is None else (x * cmap).sum(dim=1, keepdim=True) / math.sqrt(self.cmap_dim)


class Discriminator(nn.Module):
    def __init__(
        self, c_dim: int, img_resolution: int, img_channels: int, architecture: str = "resnet",
        channel_base: int = 32768, channel_max: int = 512, num_fp16_res: int = 0, conv_clamp: Clamp = None,
        cmap_dim: int | None = None, block_kwargs: Mapping[str, Any] = {}, mapping_kwargs: Mapping[str, Any] = {},
        epilogue_kwargs: Mapping[str, Any] = {}
    ) -> None:  # fmt: skip
        super().__init__()
        self.c_dim, self.img_resolution, self.img_channels = c_dim, img_resolution, img_channels
        self.block_resolutions = [2**i for i in range(int(math.log2(img_resolution)), 2, -1)]
        count = {r: min(channel_base // r, channel_max) for r in [*self.block_resolutions, 4]}
        cmap_dim = 0 if c_dim == 0 else count[4] if cmap_dim is None else cmap_dim
        options = (img_channels, architecture, conv_clamp)
        for r in self.block_resolutions:
            first = r == img_resolution
            block = DiscriminatorBlock(count[r], count[r // 2], *options, is_first=first, **block_kwargs)
            setattr(self, f"b{r}", block)
        if c_dim > 0:
            self.mapping = MappingNetwork(0, c_dim, cmap_dim, None, **mapping_kwargs)
        self.b4 = DiscriminatorEpilogue(count[4], cmap_dim, *options, **epilogue_kwargs)

    def forward(self, img: Tensor, c: Tensor | None) -> Tensor:
        x, img = None, img.to(next(self.parameters()).dtype)
        for r in self.block_resolutions:
            x, img = getattr(self, f"b{r}")(x, img)
        logits: Tensor = self.b4(x, img, self.mapping(None, c) if self.c_dim > 0 else None)
        return logits
