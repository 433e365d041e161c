"""ProGAN (Karras et al. 2018, "Progressive Growing of GANs for Improved Quality, Stability, and Variation").

    z, c ─► dense ─► b4 → b8 → … ─► image

There is no w: a generator is called with z and labels only. Levels are the sub-modules `b4`, `b8`, …
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal, overload

import torch
from torch import Tensor, nn

from stylegan_torch.networks import interface
from stylegan_torch.networks.layers import (
    activate_,
    any_tensor,
    box_down2d,
    cast,
    check_noise,
    check_shape,
    conv2d,
    conv2d_box_down,
    conv2d_nearest_up,
    growth,
    labels_or_zeros,
    laid_out,
    like_weight,
    minibatch_stddev,
    nearest_up2d,
    normal,
    pixel_norm,
    resolutions,
)

WeightScale = Literal["equalized", "stored", "none"]
"""What multiplies a stored weight: gain / √fan_in (ProGAN section 4.1), a number stored beside it (Theano's), or 1."""


@dataclass(frozen=True)
class GeneratorConfig:
    """A generator. `channels` counts the feature maps of the levels 4², 8², … in order.

    normalize_z, normalize_z_first: normalise z and labels together; normalise z alone before labels join it.
    first_gain, rgb_gain: of the equalized dense layer and RGB layers.
    first_pixel_norm: whether pixel normalisation follows the dense layer too.
    first_pixel_bias: whether the dense layer has a bias for every pixel, not one for every feature map.
    scaled_bias: whether what multiplies weights multiplies biases too.
    growing: False if only the finest RGB layer exists.
    lod: level of detail of a snapshot saved mid-growth, 0 = finished.
    """

    z_dim: int
    c_dim: int
    img_resolution: int
    img_channels: int
    channels: tuple[int, ...]
    activation: Literal["lrelu", "relu"] = "lrelu"
    normalize_z: bool = True
    use_pixel_norm: bool = True
    pixel_norm_eps: float = 1e-8
    weight_scale: WeightScale = "equalized"
    first_gain: float = math.sqrt(2.0) / 4
    rgb_gain: float = 1.0
    first_pixel_norm: bool = True
    normalize_z_first: bool = False
    growing: bool = True
    lod: float = 0.0
    first_pixel_bias: bool = field(default=False, metadata={"if_unusual": True})
    scaled_bias: bool = field(default=False, metadata={"if_unusual": True})

    @property
    def img_size(self) -> tuple[int, int]:
        """Height and width of images."""
        return self.img_resolution, self.img_resolution

    @property
    def truncation_psi(self) -> float:
        """There is no W to truncate in."""
        return 1.0

    @property
    def truncation_cutoff(self) -> None:
        """There is no W to truncate in."""
        return None

    @property
    def official_noise(self) -> str:
        """There is no noise to draw."""
        return "stored"


@dataclass(frozen=True)
class DiscriminatorConfig:
    """A discriminator. `channels` counts the feature maps entering the levels 4², 8², … in order.

    fc_dim: width of the first dense layer.
    num_label_logits: label logits given besides the score (auxiliary classifier).
    score_gain: of the equalized last layer.
    rgb_activation: whether RGB layers end in one.
    pool_first: average before bias and activation ("fused scale") rather than after.
    mbstd_group_size: members of a minibatch-stddev group; None = the whole batch. mbstd_num_features 0 = no such layer.
    mbstd_unbiased: whether its variances are divided by the members less 1.
    scaled_bias: whether what multiplies weights multiplies biases too.
    """

    img_resolution: int
    img_channels: int
    channels: tuple[int, ...]
    fc_dim: int
    c_dim: int = 0
    num_label_logits: int = 0
    pool_first: bool = True
    mbstd_group_size: int | None = 4
    mbstd_num_features: int = 1
    weight_scale: WeightScale = "equalized"
    score_gain: float = 1.0
    rgb_activation: bool = True
    growing: bool = True
    lod: float = 0.0
    mbstd_unbiased: bool = field(default=False, metadata={"if_unusual": True})
    scaled_bias: bool = field(default=False, metadata={"if_unusual": True})

    @property
    def img_size(self) -> tuple[int, int]:
        """Height and width of images."""
        return self.img_resolution, self.img_resolution


# stage of a layer -> what it does with its input, its weight and its bias
_STAGES: dict[str, Callable[[Tensor, Tensor, Tensor], Tensor]] = {
    "dense": lambda x, weight, bias: x @ weight.t() + bias,
    "latents": lambda x, weight, bias: laid_out((x @ weight.t()).reshape(x.shape[0], len(weight) // 16, 4, 4) + bias),
    "conv": conv2d,
    "up": conv2d_nearest_up,
    "down": conv2d_box_down,
}


class Layer(nn.Module):
    """One layer: its stage, bias, activation, and pixel normalisation if `eps` is given (ProGAN section 4.2).

    A dense stage makes a vector, "latents" features of 4×4; "up" and "down" change the size twofold. `pixel_bias`
    has a bias for every pixel of "latents".
    """

    weight_scale: Tensor

    def __init__(
        self,
        config: GeneratorConfig | DiscriminatorConfig,
        *shape: int,
        stage: str = "conv",
        activation: str = "linear",
        gain: float = math.sqrt(2.0),
        eps: float | None = None,
        pixel_bias: bool = False,
    ) -> None:
        super().__init__()
        self.weight = normal(*shape)
        self.bias = nn.Parameter(torch.zeros(shape[0] // 16 if stage == "latents" and not pixel_bias else shape[0]))
        self.bias_shape = (-1,) if stage != "latents" else (-1, 4, 4) if pixel_bias else (-1, 1, 1)
        gain /= math.sqrt(math.prod(shape[1:]))
        self.weight_gain = gain if config.weight_scale == "equalized" else 1.0
        self.stored = config.weight_scale == "stored"
        if self.stored:
            self.register_buffer("weight_scale", torch.tensor(gain))
        self.stage = stage
        self.activation = activation
        self.eps = eps
        self.scaled_bias = config.scaled_bias

    def scaled(self) -> tuple[Tensor, Tensor]:
        """Return weight and bias as they are used, the bias [O]."""
        scale = self.weight_scale if self.stored else self.weight_gain
        return self.weight * scale, self.bias * scale if self.scaled_bias else self.bias

    def forward(self, x: Tensor) -> Tensor:
        """Map [N, I] or [N, I, H, W] to [N, O] or [N, O, H', W']."""
        x = like_weight(x, self.weight)
        weight, bias = self.scaled()
        x = _STAGES[self.stage](x, weight, bias.reshape(self.bias_shape))
        x = activate_(x, self.activation, with_gain=False)
        return x if self.eps is None else pixel_norm(x, self.eps)


class SynthesisBlock(nn.Module):
    """One level: an enlarging convolution `conv0` (at 4×4 the dense layer `fc`), `conv1` and `torgb`."""

    def __init__(self, config: GeneratorConfig, level: int) -> None:
        super().__init__()
        out, act = config.channels[level], config.activation
        eps = config.pixel_norm_eps if config.use_pixel_norm else None
        if level == 0:
            features = config.z_dim + config.c_dim
            self.fc = Layer(
                config,
                out * 16,
                features,
                stage="latents",
                activation=act,
                gain=config.first_gain,
                eps=eps if config.first_pixel_norm else None,
                pixel_bias=config.first_pixel_bias,
            )
        else:
            self.conv0 = Layer(config, out, config.channels[level - 1], 3, 3, stage="up", activation=act, eps=eps)
        self.conv1 = Layer(config, out, out, 3, 3, activation=act, eps=eps)
        if config.growing or level == len(config.channels) - 1:
            self.torgb = Layer(config, config.img_channels, out, 1, 1, gain=config.rgb_gain)

    def forward(self, x: Tensor) -> Tensor:
        """Map the features of the level below (at 4×4: the latents [N, z_dim + c_dim]) to this level's."""
        return self.conv1(self.fc(x) if hasattr(self, "fc") else self.conv0(x))


class Generator(interface.Generator):
    """Maps latents z [N, z_dim] and labels c [N, c_dim] to images."""

    has_w = False
    rounding = "nearest"
    config: GeneratorConfig

    def __init__(self, config: GeneratorConfig) -> None:
        super().__init__()
        self.config = config
        self.z_dim = config.z_dim
        self.c_dim = config.c_dim
        self.img_size = config.img_size
        self.img_resolution = config.img_resolution
        self.img_channels = config.img_channels
        self.block_resolutions = resolutions(config.img_resolution)
        for level, resolution in enumerate(self.block_resolutions):
            self.add_module(f"b{resolution}", SynthesisBlock(config, level))

    def forward(
        self,
        z: Tensor,
        c: Tensor | None = None,
        truncation_psi: float = 1.0,
        truncation_cutoff: int | None = None,
        noise_mode: str = "const",
        noise: Sequence[Tensor] | None = None,
        *,
        force_fp32: bool = True,
        fused_modconv: bool | None = None,
        update_emas: bool = False,
    ) -> Tensor:
        """Draw images [N, img_channels, H, W], dynamic range about [-1, 1].

        Args:
            z: latents [N, z_dim], N(0, 1); any dtype.
            c: one-hot labels [N, c_dim]; None means all zeros.
            truncation_psi: 1; there is no W to truncate in.
            truncation_cutoff, noise_mode, force_fp32, fused_modconv, update_emas: accepted for code written for
                StyleGAN; there is nothing that they could change.

        Raises:
            ValueError: if z or c do not fit the network, or truncation or noise is asked for.
        """
        cfg = self.config
        if truncation_psi != 1:
            raise ValueError("ProGAN has no W to truncate in, so truncation_psi must be 1")
        check_noise(noise, [], z.shape[0])
        check_shape("z", z, cfg.z_dim)
        z = cast("z", z, any_tensor(self.get_submodule("b4")))
        x = pixel_norm(z, cfg.pixel_norm_eps) if cfg.normalize_z_first else z
        x = torch.cat([x, labels_or_zeros(c, cfg.c_dim, z)], dim=1)
        x = pixel_norm(x, cfg.pixel_norm_eps) if cfg.normalize_z else x
        blocks: list[SynthesisBlock] = [getattr(self, f"b{resolution}") for resolution in self.block_resolutions]
        finest = len(blocks) - 1
        skipped, fade = growth(cfg.lod, finest) if cfg.growing else (0, 0.0)
        before = x
        for block in blocks[: finest - skipped + 1]:
            before, x = x, block(x)
        image: Tensor = block.torgb(x)
        if fade > 0 and skipped < finest:
            image = image.lerp(nearest_up2d(blocks[finest - skipped - 1].torgb(before)), fade)
        return nearest_up2d(image, 2**skipped).to(z.dtype).contiguous()


def _from_rgb(config: DiscriminatorConfig, channels: int) -> Layer:
    act = "lrelu" if config.rgb_activation else "linear"
    return Layer(config, channels, config.img_channels, 1, 1, activation=act)


class DiscriminatorBlock(nn.Module):
    """One level: features [N, C, H, W] to [N, C', H/2, W/2]; `fromrgb` for pictures that enter here."""

    def __init__(self, config: DiscriminatorConfig, level: int) -> None:
        super().__init__()
        channels, out = config.channels[level], config.channels[level - 1]
        if config.growing or level == len(config.channels) - 1:
            self.fromrgb = _from_rgb(config, channels)
        self.conv0 = Layer(config, channels, channels, 3, 3, activation="lrelu")
        self.pool_first = config.pool_first
        stage = "down" if config.pool_first else "conv"
        self.conv1 = Layer(config, out, channels, 3, 3, stage=stage, activation="lrelu")

    def forward(self, x: Tensor) -> Tensor:
        """Map the features of this level to those of the next coarser one."""
        x = self.conv1(self.conv0(x))
        return x if self.pool_first else box_down2d(x)


class DiscriminatorEpilogue(interface.DiscriminatorEpilogue):
    """The 4×4 end: minibatch standard deviation, one convolution, two dense layers."""

    def __init__(self, config: DiscriminatorConfig) -> None:
        super().__init__()
        self.config = config
        channels = config.channels[0]
        if config.growing or len(config.channels) == 1:
            self.fromrgb = _from_rgb(config, channels)
        self.mbstd_group_size = config.mbstd_group_size
        self.conv = Layer(config, channels, channels + config.mbstd_num_features, 3, 3, activation="lrelu")
        self.fc = Layer(config, config.fc_dim, channels * 16, stage="dense", activation="lrelu")
        self.out = Layer(config, 1 + config.num_label_logits, config.fc_dim, stage="dense", gain=config.score_gain)

    def forward(self, x: Tensor) -> Tensor:
        """Map features [N, C, 4, 4] to [N, 1 + num_label_logits]."""
        if self.config.mbstd_num_features:
            cfg = self.config
            x = minibatch_stddev(x, self.mbstd_group_size, cfg.mbstd_num_features, unbiased=cfg.mbstd_unbiased)
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
        self.img_resolution = config.img_resolution
        self.img_channels = config.img_channels
        sides = resolutions(config.img_resolution)
        self.block_resolutions = sides[:0:-1]
        for level in range(len(sides) - 1, 0, -1):
            self.add_module(f"b{sides[level]}", DiscriminatorBlock(config, level))
        self.b4 = DiscriminatorEpilogue(config)

    if TYPE_CHECKING:

        @overload
        def __call__(
            self, img: Tensor, c: Tensor | None = None, *, update_emas: bool = False, force_fp32: bool = True
        ) -> Tensor: ...
        @overload
        def __call__(
            self, img: Tensor, c: Tensor | None = None, *, return_labels: Literal[True]
        ) -> tuple[Tensor, Tensor]: ...
        def __call__(self, *arguments: object, **keywords: object) -> object:
            """Score images, and give label logits if asked for."""

    def forward(
        self,
        img: Tensor,
        c: Tensor | None = None,
        return_labels: bool = False,
        *,
        force_fp32: bool = True,
        update_emas: bool = False,
    ) -> Tensor | tuple[Tensor, Tensor]:
        """Score images [N, img_channels, H, W] in [-1, 1]; returns logits [N, 1].

        Args:
            img: the images. Scores depend on the batch through the minibatch standard deviation.
            c: accepted for the common interface; ProGAN scores do not depend on labels.
            return_labels: also return the label logits [N, num_label_logits].
            force_fp32, update_emas: of the official PyTorch releases; nothing depends on them.

        Raises:
            ValueError: if images or batch size do not fit the network.
        """
        cfg = self.config
        check_shape("images", img, cfg.img_channels, cfg.img_resolution, cfg.img_resolution)
        img = cast("images", img, any_tensor(self.b4))
        blocks: list[DiscriminatorBlock] = [getattr(self, f"b{resolution}") for resolution in self.block_resolutions]
        levels: list[DiscriminatorBlock | DiscriminatorEpilogue] = [*blocks, self.b4]
        skipped, fade = growth(cfg.lod, len(blocks)) if cfg.growing else (0, 0.0)
        x: Tensor = levels[skipped].fromrgb(box_down2d(img, 2**skipped))
        for block in blocks[skipped:]:
            x = block(x)
            if fade > 0:
                coarse = levels[skipped + 1].fromrgb(box_down2d(img, 2 ** (skipped + 1)))
                x, fade = x.lerp(coarse, fade), 0.0
        x = self.b4(x)
        return (x[:, :1], x[:, 1:]) if return_labels else x[:, :1]
