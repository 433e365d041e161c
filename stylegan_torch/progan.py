"""ProGAN (Karras et al. 2018, "Progressive Growing of GANs for Improved Quality, Stability, and Variation").

    z, c ─► dense ─► b4 → b8 → … ─► image

There is no w: a generator is called with z and labels only. Levels are the sub-modules `b4`, `b8`, …
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn

from stylegan_torch.layers import (
    ACTIVATIONS,
    box_down2d,
    check_shape,
    conv2d,
    conv2d_box_down,
    conv2d_nearest_up,
    growth,
    labels_or_zeros,
    minibatch_stddev,
    nearest_up2d,
    normal,
    pixel_norm,
    resolutions,
)

WeightScale = Literal["equalized", "stored", "none"]
"""What multiplies a stored weight: gain / √fan_in (section 4.1), a number stored with it (Theano-era files), or 1."""


@dataclass(frozen=True)
class GeneratorConfig:
    """A generator. `channels` counts the feature maps of the levels 4², 8², … in order.

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
    growing: bool = True
    lod: float = 0.0


@dataclass(frozen=True)
class DiscriminatorConfig:
    """A discriminator. `channels` counts the feature maps entering the levels 4², 8², … in order.

    fc_dim: width of the first dense layer.
    num_label_logits: label logits given besides the score (auxiliary classifier).
    pool_first: average before bias and activation ("fused scale") rather than after.
    mbstd_group_size: members of a minibatch-stddev group; None = the whole batch. mbstd_num_features 0 = no such layer.
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
    growing: bool = True
    lod: float = 0.0


class Weight(nn.Module):
    """Parameters of one layer: `weight`, `bias`, and `weight_scale` where it is stored."""

    weight_scale: Tensor

    def __init__(self, scale: WeightScale, *shape: int, bias: int | None = None, gain: float = math.sqrt(2.0)) -> None:
        super().__init__()
        self.weight = normal(*shape)
        self.bias = nn.Parameter(torch.zeros(shape[0] if bias is None else bias))
        self.gain = gain / math.sqrt(math.prod(shape[1:])) if scale == "equalized" else 1.0
        self.stored = scale == "stored"
        if self.stored:
            self.register_buffer("weight_scale", torch.tensor(gain / math.sqrt(math.prod(shape[1:]))))

    def scaled(self) -> Tensor:
        """Return the weight to compute with."""
        return self.weight * (self.weight_scale if self.stored else self.gain)


class SynthesisBlock(nn.Module):
    """One level: an enlarging convolution `conv0` (at 4×4 the dense layer `fc`), `conv1` and `torgb`."""

    def __init__(self, config: GeneratorConfig, level: int) -> None:
        super().__init__()
        self.config = config
        scale, out = config.weight_scale, config.channels[level]
        if level == 0:
            self.fc = Weight(scale, out * 16, config.z_dim + config.c_dim, bias=out, gain=math.sqrt(2.0) / 4)
        else:
            self.conv0 = Weight(scale, out, config.channels[level - 1], 3, 3)
        self.conv1 = Weight(scale, out, out, 3, 3)
        if config.growing or level == len(config.channels) - 1:
            self.torgb = Weight(scale, config.img_channels, out, 1, 1, gain=1.0)

    def forward(self, x: Tensor) -> Tensor:
        """Map the features of the level below (at 4×4: the latents [N, z_dim + c_dim]) to this level's."""
        if hasattr(self, "fc"):
            x = self._finish((x @ self.fc.scaled().t()).reshape(len(x), -1, 4, 4), self.fc)
        else:
            x = self._finish(conv2d_nearest_up(x, self.conv0.scaled()), self.conv0)
        return self._finish(conv2d(x, self.conv1.scaled()), self.conv1)

    def rgb(self, x: Tensor) -> Tensor:
        """Map features [N, C, H, W] to an image [N, img_channels, H, W]."""
        return conv2d(x, self.torgb.scaled()) + self.torgb.bias[:, None, None]

    def _finish(self, x: Tensor, layer: Weight) -> Tensor:
        act, _ = ACTIVATIONS[self.config.activation]
        x = act(x + layer.bias[:, None, None])
        return pixel_norm(x, self.config.pixel_norm_eps) if self.config.use_pixel_norm else x


class Generator(nn.Module):
    """Maps latents z [N, z_dim] and labels c [N, c_dim] to images."""

    def __init__(self, config: GeneratorConfig) -> None:
        super().__init__()
        self.config = config
        self.z_dim = config.z_dim
        self.c_dim = config.c_dim
        self.img_resolution = config.img_resolution
        self.img_channels = config.img_channels
        for level, resolution in enumerate(resolutions(config.img_resolution)):
            self.add_module(f"b{resolution}", SynthesisBlock(config, level))

    def forward(self, z: Tensor, c: Tensor | None = None) -> Tensor:
        """Draw images [N, img_channels, H, W], dynamic range about [-1, 1].

        Args:
            z: latents [N, z_dim], N(0, 1).
            c: one-hot labels [N, c_dim]; None means all zeros.

        Raises:
            ValueError: if z or c do not fit the network.
        """
        cfg = self.config
        check_shape("z", z, cfg.z_dim)
        x = torch.cat([z, labels_or_zeros(c, cfg.c_dim, z)], dim=1)
        x = pixel_norm(x, cfg.pixel_norm_eps) if cfg.normalize_z else x
        blocks = [block for block in self.children() if isinstance(block, SynthesisBlock)]
        finest = len(blocks) - 1
        skipped, fade = growth(cfg.lod, finest) if cfg.growing else (0, 0.0)
        before = x
        for block in blocks[: finest - skipped + 1]:
            before, x = x, block(x)
        image = block.rgb(x)
        if fade > 0 and skipped < finest:
            image = image.lerp(nearest_up2d(blocks[finest - skipped - 1].rgb(before)), fade)
        return nearest_up2d(image, 2**skipped)


class DiscriminatorBlock(nn.Module):
    """One level: features [N, C, H, W] to [N, C', H/2, W/2]; `fromrgb` for pictures that enter here."""

    def __init__(self, config: DiscriminatorConfig, level: int) -> None:
        super().__init__()
        scale, channels, out = config.weight_scale, config.channels[level], config.channels[level - 1]
        if config.growing or level == len(config.channels) - 1:
            self.fromrgb = Weight(scale, channels, config.img_channels, 1, 1)
        self.conv0 = Weight(scale, channels, channels, 3, 3)
        self.conv1 = Weight(scale, out, channels, 3, 3)
        self.pool_first = config.pool_first

    def forward(self, x: Tensor) -> Tensor:
        """Map the features of this level to those of the next coarser one."""
        x = _leaky(conv2d(x, self.conv0.scaled()), self.conv0)
        if self.pool_first:
            return _leaky(conv2d_box_down(x, self.conv1.scaled()), self.conv1)
        return box_down2d(_leaky(conv2d(x, self.conv1.scaled()), self.conv1))


class DiscriminatorEpilogue(nn.Module):
    """The 4×4 end: minibatch standard deviation, one convolution, two dense layers."""

    def __init__(self, config: DiscriminatorConfig) -> None:
        super().__init__()
        self.config = config
        scale, channels = config.weight_scale, config.channels[0]
        if config.growing or len(config.channels) == 1:
            self.fromrgb = Weight(scale, channels, config.img_channels, 1, 1)
        self.mbstd_group_size = config.mbstd_group_size
        self.conv = Weight(scale, channels, channels + config.mbstd_num_features, 3, 3)
        self.fc = Weight(scale, config.fc_dim, channels * 16)
        self.out = Weight(scale, 1 + config.num_label_logits, config.fc_dim, gain=1.0)

    def forward(self, x: Tensor) -> Tensor:
        """Map features [N, C, 4, 4] to [N, 1 + num_label_logits]."""
        if self.config.mbstd_num_features:
            x = minibatch_stddev(x, self.mbstd_group_size, self.config.mbstd_num_features)
        x = _leaky(conv2d(x, self.conv.scaled()), self.conv).flatten(1)
        x = _leaky((x @ self.fc.scaled().t())[:, :, None, None], self.fc).flatten(1)
        return x @ self.out.scaled().t() + self.out.bias


def _leaky(x: Tensor, layer: Weight) -> Tensor:
    act, _ = ACTIVATIONS["lrelu"]
    return act(x + layer.bias[:, None, None])


class Discriminator(nn.Module):
    """Scores images; levels are the sub-modules `b{img_resolution}` … `b8`, the epilogue is `b4`.

    `b4.mbstd_group_size` may be changed after loading.
    """

    def __init__(self, config: DiscriminatorConfig) -> None:
        super().__init__()
        self.config = config
        self.c_dim = config.c_dim
        self.img_resolution = config.img_resolution
        self.img_channels = config.img_channels
        sides = resolutions(config.img_resolution)
        for level in range(len(sides) - 1, 0, -1):
            self.add_module(f"b{sides[level]}", DiscriminatorBlock(config, level))
        self.b4 = DiscriminatorEpilogue(config)

    def forward(
        self, img: Tensor, c: Tensor | None = None, return_labels: bool = False
    ) -> Tensor | tuple[Tensor, Tensor]:
        """Score images [N, img_channels, H, W] in [-1, 1]; returns logits [N, 1].

        Args:
            img: the images. Scores depend on the batch through the minibatch standard deviation.
            c: accepted for the common interface; ProGAN scores do not depend on labels.
            return_labels: also return the label logits [N, num_label_logits].

        Raises:
            ValueError: if images or batch size do not fit the network.
        """
        cfg = self.config
        check_shape("images", img, cfg.img_channels, cfg.img_resolution, cfg.img_resolution)
        blocks = [block for block in self.children() if isinstance(block, DiscriminatorBlock)]
        levels: list[DiscriminatorBlock | DiscriminatorEpilogue] = [*blocks, self.b4]
        skipped, fade = growth(cfg.lod, len(blocks)) if cfg.growing else (0, 0.0)
        x = _from_rgb(levels[skipped], img, skipped)
        for block in blocks[skipped:]:
            x = block(x)
            if fade > 0:
                x, fade = x.lerp(_from_rgb(levels[skipped + 1], img, skipped + 1), fade), 0.0
        x = self.b4(x)
        return (x[:, :1], x[:, 1:]) if return_labels else x[:, :1]


def _from_rgb(level: DiscriminatorBlock | DiscriminatorEpilogue, img: Tensor, skipped: int) -> Tensor:
    return _leaky(conv2d(box_down2d(img, 2**skipped), level.fromrgb.scaled()), level.fromrgb)
