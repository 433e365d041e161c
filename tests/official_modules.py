"""StyleGAN2-ADA's PyTorch modules, written from the spec (shared/spec/TORCH.md), as literal as can be.

An independent oracle: the release's constructor arguments, attribute tree, `state_dict()` names and inference
arithmetic, each formula spelled out with plain operations and no thought of speed. Everything is computed in the
parameters' dtype, as with `force_fp32=True`; arguments that only matter for half precision or training
(`num_fp16_res`, `fp16_channels_last`, `freeze_layers`, the value of `w_avg_beta`) are accepted and change nothing.
The StyleGAN3 repository's StyleGAN2 networks are the same modules with other defaults (TORCH.md, section 5).
"""

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

TAPS = (1, 3, 3, 1)
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


def act(x: Tensor, bias: Tensor | None, name: str, gain: float = 1, clamp: float | None = None) -> Tensor:
    """Bias, nonlinearity, gain, clamp; the limit follows the extra gain only, not the activation's own."""
    function, own_gain = ACTIVATIONS[name]
    if bias is not None:
        x = x + bias.reshape(1, -1, *[1] * (x.ndim - 2))
    x = function(x) * (own_gain * gain)
    return x if clamp is None else x.clamp(-clamp * gain, clamp * gain)


def norm2(x: Tensor) -> Tensor:
    """Unit second moment over the features."""
    return x * torch.rsqrt(x.square().mean(dim=1, keepdim=True) + 1e-8)


def filter_of(taps: Sequence[float]) -> Tensor:
    """The stored filter: 2-D below eight taps, else 1-D; sum 1."""
    f = torch.tensor(taps, dtype=torch.float32)
    if len(taps) < 8:
        f = torch.outer(f, f)
    return f / f.sum()


def stuff(x: Tensor, up: int) -> Tensor:
    """Insert `up`-1 zeros after every sample in both directions."""
    out = x.new_zeros(*x.shape[:2], x.shape[2] * up, x.shape[3] * up)
    out[:, :, ::up, ::up] = x
    return out


def fir(x: Tensor, f: Tensor, before: int, after: int, up: int = 1, down: int = 1, gain: float = 1) -> Tensor:
    """Zero insertion, padding (negative: cropping), true convolution with the filter, every `down`-th sample."""
    if f.ndim == 1:
        f = torch.outer(f, f)
    kernel = (gain * f).flip([0, 1]).expand(x.shape[1], 1, -1, -1)
    x = F.conv2d(F.pad(stuff(x, up), (before, after, before, after)), kernel, groups=x.shape[1])
    return x[:, :, ::down, ::down]


def image_up(x: Tensor, f: Tensor) -> Tensor:
    """Double the side."""
    return fir(x, f, (f.shape[0] + 1) // 2, (f.shape[0] - 2) // 2, up=2, gain=4)


def image_down(x: Tensor, f: Tensor) -> Tensor:
    """Halve the side."""
    return fir(x, f, (f.shape[0] - 1) // 2, (f.shape[0] - 2) // 2, down=2)


def conv(x: Tensor, w: Tensor, f: Tensor, up: bool = False, down: bool = False) -> Tensor:
    """k x k convolution, optionally with resampling by 2."""
    k, p, n = w.shape[-1], w.shape[-1] // 2, f.shape[0]
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


def channels(resolution: int, channel_base: int, channel_max: int) -> int:
    return min(channel_base // resolution, channel_max)


class FullyConnectedLayer(nn.Module):
    def __init__(
        self, inputs: int, outputs: int, activation: str = "linear", lr_multiplier: float = 1, bias_init: float = 0
    ) -> None:
        super().__init__()
        self.activation, self.lr = activation, lr_multiplier
        self.weight = nn.Parameter(torch.randn(outputs, inputs) / lr_multiplier)
        self.bias = nn.Parameter(torch.full([outputs], float(bias_init)))

    def forward(self, x: Tensor) -> Tensor:
        y = x @ (self.weight * (self.lr / math.sqrt(self.weight.shape[1]))).T
        return act(y, self.bias * self.lr, self.activation)


class Conv2dLayer(nn.Module):
    resample_filter: Tensor

    def __init__(
        self,
        inputs: int,
        outputs: int,
        kernel: int,
        activation: str = "linear",
        bias: bool = True,
        up: bool = False,
        down: bool = False,
        taps: Sequence[float] = TAPS,
        clamp: float | None = None,
    ) -> None:
        super().__init__()
        self.activation, self.up, self.down, self.clamp = activation, up, down, clamp
        self.weight = nn.Parameter(torch.randn(outputs, inputs, kernel, kernel))
        self.bias = nn.Parameter(torch.zeros(outputs)) if bias else None
        self.register_buffer("resample_filter", filter_of(taps))

    def forward(self, x: Tensor, gain: float = 1) -> Tensor:
        w = self.weight / math.sqrt(self.weight[0].numel())
        return act(conv(x, w, self.resample_filter, self.up, self.down), self.bias, self.activation, gain, self.clamp)


class MappingNetwork(nn.Module):
    w_avg: Tensor

    def __init__(
        self,
        z_dim: int,
        c_dim: int,
        w_dim: int,
        num_ws: int | None,
        num_layers: int = 8,
        embed_features: int | None = None,
        layer_features: int | None = None,
        activation: str = "lrelu",
        lr_multiplier: float = 0.01,
        w_avg_beta: float | None = 0.995,
    ) -> None:
        super().__init__()
        self.z_dim, self.c_dim, self.w_dim, self.num_ws, self.num_layers = z_dim, c_dim, w_dim, num_ws, num_layers
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
        parts = []
        if self.z_dim > 0:
            assert z is not None
            parts.append(norm2(z.to(dtype)))
        if self.c_dim > 0:
            assert c is not None
            parts.append(norm2(self.embed(c.to(dtype))))
        x = torch.cat(parts, dim=1)
        for i in range(self.num_layers):
            x = getattr(self, f"fc{i}")(x)
        if self.num_ws is None:
            return x
        w = x.unsqueeze(1).repeat(1, self.num_ws, 1)
        if truncation_psi != 1:
            cutoff = self.num_ws if truncation_cutoff is None else truncation_cutoff
            truncated = self.w_avg + truncation_psi * (w[:, :cutoff] - self.w_avg)
            w = torch.cat([truncated, w[:, cutoff:]], dim=1)
        return w


class SynthesisLayer(nn.Module):
    resample_filter: Tensor
    noise_const: Tensor

    def __init__(
        self,
        inputs: int,
        outputs: int,
        w_dim: int,
        resolution: int,
        up: bool,
        taps: Sequence[float],
        clamp: float | None,
        activation: str,
        use_noise: bool,
    ) -> None:
        super().__init__()
        self.up, self.clamp, self.activation, self.use_noise = up, clamp, activation, use_noise
        self.affine = FullyConnectedLayer(w_dim, inputs, bias_init=1)
        self.weight = nn.Parameter(torch.randn(outputs, inputs, 3, 3))
        self.bias = nn.Parameter(torch.zeros(outputs))
        self.register_buffer("resample_filter", filter_of(taps))
        if use_noise:
            self.register_buffer("noise_const", torch.randn(resolution, resolution))
            self.noise_strength = nn.Parameter(torch.zeros([]))

    def forward(self, x: Tensor, w: Tensor, noise_mode: str, gain: float = 1) -> Tensor:
        assert noise_mode in ("const", "random", "none")
        samples = []
        for sample, style in zip(x, self.affine(w), strict=True):
            kernel = self.weight * style.reshape(1, -1, 1, 1)
            kernel = kernel * torch.rsqrt(kernel.square().sum(dim=[1, 2, 3], keepdim=True) + 1e-8)
            samples.append(conv(sample.unsqueeze(0), kernel, self.resample_filter, up=self.up))
        y = torch.cat(samples)
        if self.use_noise and noise_mode == "const":
            y = y + self.noise_const * self.noise_strength
        if self.use_noise and noise_mode == "random":
            noise = torch.randn([len(y), 1, *y.shape[2:]], dtype=y.dtype, device=y.device)
            y = y + noise * self.noise_strength
        return act(y, self.bias, self.activation, gain, self.clamp)


class ToRGBLayer(nn.Module):
    def __init__(self, inputs: int, outputs: int, w_dim: int, clamp: float | None) -> None:
        super().__init__()
        self.clamp = clamp
        self.affine = FullyConnectedLayer(w_dim, inputs, bias_init=1)
        self.weight = nn.Parameter(torch.randn(outputs, inputs, 1, 1))
        self.bias = nn.Parameter(torch.zeros(outputs))

    def forward(self, x: Tensor, w: Tensor) -> Tensor:
        style = self.affine(w) / math.sqrt(self.weight.shape[1])  # modulating the input is the same for 1x1
        y = F.conv2d(x * style.reshape(*style.shape, 1, 1), self.weight)
        return act(y, self.bias, "linear", clamp=self.clamp)


class SynthesisBlock(nn.Module):
    resample_filter: Tensor

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        w_dim: int,
        resolution: int,
        img_channels: int,
        is_last: bool,
        architecture: str = "skip",
        resample_filter: Sequence[float] = TAPS,
        conv_clamp: float | None = None,
        fp16_channels_last: bool = False,
        activation: str = "lrelu",
        use_noise: bool = True,
    ) -> None:
        super().__init__()
        assert architecture in ("orig", "skip", "resnet")
        self.in_channels, self.resolution, self.architecture, self.is_last = (
            in_channels,
            resolution,
            architecture,
            is_last,
        )
        self.num_conv, self.num_torgb = 1 if in_channels == 0 else 2, int(is_last or architecture == "skip")
        self.register_buffer("resample_filter", filter_of(resample_filter))
        shared = (conv_clamp, activation, use_noise)
        if in_channels == 0:
            self.const = nn.Parameter(torch.randn(out_channels, resolution, resolution))
        else:
            self.conv0 = SynthesisLayer(in_channels, out_channels, w_dim, resolution, True, resample_filter, *shared)
        self.conv1 = SynthesisLayer(out_channels, out_channels, w_dim, resolution, False, TAPS, *shared)
        if self.num_torgb:
            self.torgb = ToRGBLayer(out_channels, img_channels, w_dim, conv_clamp)
        if in_channels != 0 and architecture == "resnet":
            self.skip = Conv2dLayer(in_channels, out_channels, 1, bias=False, up=True, taps=resample_filter)

    def forward(
        self, x: Tensor | None, img: Tensor | None, ws: Tensor, noise_mode: str
    ) -> tuple[Tensor, Tensor | None]:
        """`ws` [N, num_conv + num_torgb, w_dim]: one for each convolution, then ToRGB's."""
        if x is None:
            x = self.conv1(self.const.unsqueeze(0).repeat(len(ws), 1, 1, 1), ws[:, 0], noise_mode)
        elif self.architecture == "resnet":
            shortcut = self.skip(x, gain=math.sqrt(1 / 2))
            x = self.conv0(x, ws[:, 0], noise_mode)
            x = shortcut + self.conv1(x, ws[:, 1], noise_mode, gain=math.sqrt(1 / 2))
        else:
            x = self.conv1(self.conv0(x, ws[:, 0], noise_mode), ws[:, 1], noise_mode)
        assert x is not None
        if img is not None:
            img = image_up(img, self.resample_filter)
        if self.num_torgb:
            rgb = self.torgb(x, ws[:, self.num_conv])
            img = rgb if img is None else img + rgb
        return x, img


class SynthesisNetwork(nn.Module):
    def __init__(
        self,
        w_dim: int,
        img_resolution: int,
        img_channels: int,
        channel_base: int = 32768,
        channel_max: int = 512,
        num_fp16_res: int = 0,
        **block_kwargs: Any,
    ) -> None:
        super().__init__()
        self.block_resolutions = [2**i for i in range(2, int(math.log2(img_resolution)) + 1)]
        self.num_ws = 0
        for r in self.block_resolutions:
            inputs = channels(r // 2, channel_base, channel_max) if r > 4 else 0
            outputs, last = channels(r, channel_base, channel_max), r == img_resolution
            block = SynthesisBlock(inputs, outputs, w_dim, r, img_channels, last, **block_kwargs)
            self.num_ws += block.num_conv + last
            setattr(self, f"b{r}", block)

    def forward(self, ws: Tensor, noise_mode: str = "random") -> Tensor:
        ws = ws.to(self.b4.const.dtype)
        x = img = None
        i = 0
        for r in self.block_resolutions:
            block = getattr(self, f"b{r}")
            x, img = block(x, img, ws[:, i : i + block.num_conv + block.num_torgb], noise_mode)
            i += block.num_conv
        assert img is not None
        return img


class Generator(nn.Module):
    def __init__(
        self,
        z_dim: int,
        c_dim: int,
        w_dim: int,
        img_resolution: int,
        img_channels: int,
        mapping_kwargs: Mapping[str, Any] = {},
        synthesis_kwargs: Mapping[str, Any] = {},
    ) -> None:
        super().__init__()
        self.z_dim, self.c_dim, self.w_dim = z_dim, c_dim, w_dim
        self.img_resolution, self.img_channels = img_resolution, img_channels
        self.synthesis = SynthesisNetwork(w_dim, img_resolution, img_channels, **synthesis_kwargs)
        self.num_ws = self.synthesis.num_ws
        self.mapping = MappingNetwork(z_dim, c_dim, w_dim, self.num_ws, **mapping_kwargs)

    def forward(
        self,
        z: Tensor,
        c: Tensor | None,
        truncation_psi: float = 1,
        truncation_cutoff: int | None = None,
        noise_mode: str = "random",
    ) -> Tensor:
        return self.synthesis(self.mapping(z, c, truncation_psi, truncation_cutoff), noise_mode)


class DiscriminatorBlock(nn.Module):
    resample_filter: Tensor

    def __init__(
        self,
        in_channels: int,
        tmp_channels: int,
        out_channels: int,
        img_channels: int,
        architecture: str,
        conv_clamp: float | None,
        activation: str = "lrelu",
        resample_filter: Sequence[float] = TAPS,
        fp16_channels_last: bool = False,
        freeze_layers: int = 0,
    ) -> None:
        super().__init__()
        assert architecture in ("orig", "skip", "resnet")
        self.architecture = architecture
        self.register_buffer("resample_filter", filter_of(resample_filter))
        down: dict[str, Any] = {"down": True, "taps": resample_filter}
        self.has_fromrgb = in_channels == 0 or architecture == "skip"
        if self.has_fromrgb:
            self.fromrgb = Conv2dLayer(img_channels, tmp_channels, 1, activation, clamp=conv_clamp)
        self.conv0 = Conv2dLayer(tmp_channels, tmp_channels, 3, activation, clamp=conv_clamp)
        self.conv1 = Conv2dLayer(tmp_channels, out_channels, 3, activation, clamp=conv_clamp, **down)
        if architecture == "resnet":
            self.skip = Conv2dLayer(tmp_channels, out_channels, 1, bias=False, **down)

    def forward(self, x: Tensor | None, img: Tensor) -> tuple[Tensor, Tensor]:
        if self.has_fromrgb:
            y = self.fromrgb(img)
            x = y if x is None else x + y
            if self.architecture == "skip":
                img = image_down(img, self.resample_filter)
        if self.architecture == "resnet":
            shortcut = self.skip(x, gain=math.sqrt(1 / 2))
            return self.conv1(self.conv0(x), gain=math.sqrt(1 / 2)) + shortcut, img
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
        rows = torch.sqrt(variance + 1e-8).mean(dim=[2, 3, 4])  # [N/G, F]; row j for the samples g * N/G + j
        return torch.cat([x, rows.repeat(g, 1).reshape(n, -1, 1, 1).expand(-1, -1, h, w)], dim=1)


class DiscriminatorEpilogue(nn.Module):
    def __init__(
        self,
        in_channels: int,
        cmap_dim: int,
        img_channels: int,
        architecture: str,
        conv_clamp: float | None,
        mbstd_group_size: int | None = 4,
        mbstd_num_channels: int = 1,
        activation: str = "lrelu",
    ) -> None:
        super().__init__()
        self.cmap_dim, self.architecture = cmap_dim, architecture
        if architecture == "skip":
            self.fromrgb = Conv2dLayer(img_channels, in_channels, 1, activation)
        self.mbstd = MinibatchStdLayer(mbstd_group_size, mbstd_num_channels) if mbstd_num_channels > 0 else None
        self.conv = Conv2dLayer(in_channels + mbstd_num_channels, in_channels, 3, activation, clamp=conv_clamp)
        self.fc = FullyConnectedLayer(in_channels * 16, in_channels, activation)
        self.out = FullyConnectedLayer(in_channels, 1 if cmap_dim == 0 else cmap_dim)

    def forward(self, x: Tensor, img: Tensor, cmap: Tensor | None) -> Tensor:
        if self.architecture == "skip":
            x = x + self.fromrgb(img)
        if self.mbstd is not None:
            x = self.mbstd(x)
        x = self.out(self.fc(self.conv(x).flatten(1)))
        if self.cmap_dim > 0:
            x = (x * cmap).sum(dim=1, keepdim=True) / math.sqrt(self.cmap_dim)
        return x


class Discriminator(nn.Module):
    def __init__(
        self,
        c_dim: int,
        img_resolution: int,
        img_channels: int,
        architecture: str = "resnet",
        channel_base: int = 32768,
        channel_max: int = 512,
        num_fp16_res: int = 0,
        conv_clamp: float | None = None,
        cmap_dim: int | None = None,
        block_kwargs: Mapping[str, Any] = {},
        mapping_kwargs: Mapping[str, Any] = {},
        epilogue_kwargs: Mapping[str, Any] = {},
    ) -> None:
        super().__init__()
        self.c_dim, self.img_resolution, self.img_channels = c_dim, img_resolution, img_channels
        self.block_resolutions = [2**i for i in range(int(math.log2(img_resolution)), 2, -1)]
        count = {r: channels(r, channel_base, channel_max) for r in [*self.block_resolutions, 4]}
        if cmap_dim is None:
            cmap_dim = count[4]
        if c_dim == 0:
            cmap_dim = 0
        shared = (img_channels, architecture, conv_clamp)
        for r in self.block_resolutions:
            inputs = 0 if r == img_resolution else count[r]
            setattr(self, f"b{r}", DiscriminatorBlock(inputs, count[r], count[r // 2], *shared, **block_kwargs))
        if c_dim > 0:
            self.mapping = MappingNetwork(0, c_dim, cmap_dim, None, **mapping_kwargs)
        self.b4 = DiscriminatorEpilogue(count[4], cmap_dim, *shared, **epilogue_kwargs)

    def forward(self, img: Tensor, c: Tensor | None) -> Tensor:
        img, x = img.to(self.b4.out.weight.dtype), None
        for r in self.block_resolutions:
            x, img = getattr(self, f"b{r}")(x, img)
        cmap = self.mapping(None, c) if self.c_dim > 0 else None
        return self.b4(x, img, cmap)
