"""Networks to begin with: new ones by a few numbers, or those of a checkpoint."""

from __future__ import annotations

import copy
import dataclasses
import tomllib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, TypedDict

import torch

from stylegan_torch.errors import CheckpointError, StyleGANError
from stylegan_torch.files import checkpoint
from stylegan_torch.networks import progan, stylegan1, stylegan2, stylegan3
from stylegan_torch.networks.interface import Discriminator, Generator
from stylegan_torch.networks.layers import resolutions
from stylegan_torch.networks.registry import Config, build, decode, kind_of
from stylegan_torch.types import JsonObject

ConfigPair = tuple[Config, Config]
"""Of a generator and its discriminator."""


@dataclass(frozen=True)
class Networks:
    """What new networks look like: the table `networks` of a recipe.

    channel_base, channel_max: a level of side r has min(channel_base / r, channel_max) feature maps.
    mapping_layers: None = the paper's. radial: StyleGAN3's config R.
    g_channel_base: of StyleGAN3's generator; None = twice channel_base, which is then the discriminator's alone.
    magnitude_ema_beta: what stays of StyleGAN3's running magnitudes at each step.
    conv_clamp: limit of activations in StyleGAN2, such as 256; float16 needs one. StyleGAN3's generator has it anyway.
    mbstd_group_size: pictures that the discriminator compares with each other; None = the family's.
    d_architecture: of the discriminator of StyleGAN2 and 3.
    """

    family: Literal["progan", "stylegan1", "stylegan2", "stylegan3"]
    resolution: int
    img_channels: int = 3
    c_dim: int = 0
    z_dim: int = 512
    w_dim: int = 512
    mapping_layers: int | None = None
    channel_base: int = 16384
    channel_max: int = 512
    g_channel_base: int | None = None
    radial: bool = False
    magnitude_ema_beta: float = 0.999
    conv_clamp: float | None = None
    mbstd_group_size: int | None = None
    d_architecture: Literal["skip", "resnet", "orig"] = "resnet"

    def __post_init__(self) -> None:
        sizes = {name: getattr(self, name) for name in ("img_channels", "z_dim", "w_dim", "channel_max")}
        optional = {name: getattr(self, name) for name in ("mapping_layers", "g_channel_base", "mbstd_group_size")}
        for name, value in {**sizes, **optional}.items():
            if value is not None and value < 1:
                raise CheckpointError(f"{name} is {value}; it must be at least 1")
        if self.c_dim < 0:
            raise CheckpointError(f"c_dim is {self.c_dim}; it must be at least 0")
        if self.channel_base < self.resolution:
            raise CheckpointError(
                f"channel_base is {self.channel_base}: the level of {self.resolution} has no channels"
            )

    @property
    def settings(self) -> JsonObject:
        """Settings that go with these networks: config R begins with blurred pictures (StyleGAN3 appendix F.2)."""
        return {"blur_sigma": 10.0} if self.radial else {}

    def channels(self) -> tuple[int, ...]:
        """Return the feature maps of the levels 4², 8², …"""
        return tuple(min(self.channel_base // side, self.channel_max) for side in resolutions(self.resolution))

    def configs(self) -> ConfigPair:
        """Return the configs of a generator and its discriminator."""
        generator, discriminator = _CONFIGS[self.family](self)
        if self.mbstd_group_size is None:
            return generator, discriminator
        changed: Any = {"mbstd_group_size": self.mbstd_group_size}
        return generator, dataclasses.replace(discriminator, **changed)


def _progan(n: Networks) -> ConfigPair:
    channels = n.channels()
    return (
        progan.GeneratorConfig(n.z_dim, n.c_dim, n.resolution, n.img_channels, channels),
        progan.DiscriminatorConfig(
            n.resolution, n.img_channels, channels, fc_dim=channels[0], c_dim=n.c_dim, num_label_logits=n.c_dim
        ),
    )


def _stylegan1(n: Networks) -> ConfigPair:
    channels = n.channels()
    mapping = stylegan1.MappingConfig(n.z_dim, n.c_dim, n.w_dim, n.mapping_layers or 8, layer_dim=n.w_dim)
    return (
        stylegan1.GeneratorConfig(mapping, n.resolution, n.img_channels, channels),
        stylegan1.DiscriminatorConfig(n.resolution, n.img_channels, channels, fc_dim=channels[0], c_dim=n.c_dim),
    )


def _mapping2(n: Networks, layers: int) -> stylegan2.MappingConfig:
    return stylegan2.MappingConfig(n.z_dim, n.c_dim, n.w_dim, layers, layer_dim=n.w_dim, embed_dim=n.w_dim)


def _stylegan2_d(n: Networks) -> stylegan2.DiscriminatorConfig:
    channels = n.channels()
    config = stylegan2.DiscriminatorConfig(n.resolution, n.img_channels, channels, fc_dim=channels[0], c_dim=n.c_dim)
    config = dataclasses.replace(config, conv_clamp=n.conv_clamp, architecture=n.d_architecture)
    if not n.c_dim:
        return config
    width = channels[0]
    mapping = stylegan2.MappingConfig(0, n.c_dim, width, layer_dim=width, embed_dim=width)
    return dataclasses.replace(config, conditioning="project", mapping=mapping, num_outputs=width)


def _stylegan2(n: Networks) -> ConfigPair:
    channels = n.channels()
    mapping = _mapping2(n, n.mapping_layers or 8)
    generator = stylegan2.GeneratorConfig(
        mapping, n.resolution, n.img_channels, channels, const_channels=channels[0], conv_clamp=n.conv_clamp
    )
    return generator, _stylegan2_d(n)


def _stylegan3(n: Networks) -> ConfigPair:
    generator = stylegan3.GeneratorConfig(
        _mapping2(n, n.mapping_layers or 2),
        n.resolution,
        n.img_channels,
        channel_base=n.g_channel_base or 2 * n.channel_base,
        channel_max=n.channel_max * (1 + n.radial),
        conv_kernel=1 if n.radial else 3,
        use_radial_filters=n.radial,
        magnitude_ema_beta=n.magnitude_ema_beta,
    )
    return generator, _stylegan2_d(n)


_CONFIGS = {"progan": _progan, "stylegan1": _stylegan1, "stylegan2": _stylegan2, "stylegan3": _stylegan3}


def read_recipe(path: Path) -> tuple[Networks, JsonObject]:
    """Return the tables `networks`, checked, and `training` of a recipe (.toml).

    Raises:
        StyleGANError: if it cannot be read, or has something else in it.
    """
    networks, training = recipe_tables(path)
    try:
        return decode(Networks, networks), training
    except CheckpointError as error:
        raise StyleGANError(f"{path}: {error}") from error


def recipe_tables(path: Path) -> tuple[JsonObject, JsonObject]:
    """Return the tables `networks` and `training` of a recipe (.toml) as they are.

    Raises:
        StyleGANError: if it cannot be read, or has something else in it.
    """
    try:
        content = tomllib.loads(path.read_text(encoding="utf-8"))
        strange = sorted(set(content) - {"networks", "training"})
        if strange or not all(isinstance(table, dict) for table in content.values()):
            raise CheckpointError(f"has {', '.join(content)}; only the tables networks and training are wanted")
        return content.get("networks", {}), content.get("training", {})
    except OSError as error:
        raise StyleGANError(f"cannot read {path}: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise StyleGANError(f"{path} is no text in UTF-8, as recipes (.toml) are") from error
    except (CheckpointError, tomllib.TOMLDecodeError) as error:
        raise StyleGANError(f"{path}: {error}") from error


class Trio(TypedDict):
    """Networks to train, by role."""

    G: Generator
    D: Discriminator
    G_ema: Generator


def new_networks(recipe: Networks, seed: int = 0) -> Trio:
    """Return freshly initialised networks by role; the weights follow from the seed."""
    try:
        G, D = _fresh(recipe.configs(), seed)
    except ValueError as error:
        raise StyleGANError(str(error)) from error
    return Trio(G=G, D=D, G_ema=copy.deepcopy(G))


def _fresh(configs: Sequence[Config], seed: int) -> list[Any]:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return [build(config) for config in configs]


def networks_of(content: checkpoint.Checkpoint, fresh_d: bool = False, seed: int = 0) -> Trio:
    """Return the networks of a checkpoint by role, ready to be trained.

    A missing G begins as a copy of G_ema, and the other way round; a missing D is made anew if `fresh_d` says so.

    Raises:
        StyleGANError: if there is no generator, or no D and `fresh_d` is off.
    """
    found: dict[str, Any] = {role: copy.deepcopy(content.network(role)) for role in content.networks}
    if not {"G", "G_ema"} & set(found):
        raise StyleGANError("there is no generator in it")
    for role, other in (("G", "G_ema"), ("G_ema", "G")):
        if role not in found:
            found[role] = copy.deepcopy(found[other])
    if "D" not in found:
        if not fresh_d:
            raise StyleGANError("there is no discriminator in it; --fresh-d begins with an untrained one")
        (found["D"],) = _fresh([fitting_discriminator(found["G"])], seed)
    return Trio(G=found["G"], D=found["D"], G_ema=found["G_ema"])


def fitting_discriminator(G: Generator) -> Config:
    """Return the config of a discriminator as wide as a generator."""
    config: Any = G.config
    family, _ = kind_of(config)
    channels = getattr(config, "channels", None)
    recipe = Networks(
        family,  # type: ignore[arg-type]
        G.img_resolution,
        G.img_channels,
        G.c_dim,
        channel_base=max(side * width for side, width in zip(resolutions(G.img_resolution), channels, strict=True))
        if channels
        else config.channel_base // 2,
        channel_max=max(channels) if channels else min(config.channel_max, 512),
    )
    return recipe.configs()[1]
