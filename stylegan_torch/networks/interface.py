"""What the networks of all families have in common: the types of what `load` returns.

    Generator          every generator
    StyleGenerator     those with a w: all but ProGAN's
    Discriminator      every discriminator

Calls have types here and documentation at the `forward` of the families.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, ClassVar, Literal, Protocol, overload

import torch
from torch import Tensor, nn

from stylegan_torch.networks.layers import WithFeatures, any_tensor, given
from stylegan_torch.types import Arguments


class NetworkConfig(Protocol):
    """What the config of every network says."""

    @property
    def c_dim(self) -> int:
        """Number of classes."""

    @property
    def img_channels(self) -> int:
        """Channels of images."""

    @property
    def img_size(self) -> tuple[int, int]:
        """Height and width of images."""


class GeneratorConfig(NetworkConfig, Protocol):
    """What the config of every generator says; the last three are what its release's script does."""

    @property
    def truncation_psi(self) -> float:
        """How much of w's distance from its average is kept."""

    @property
    def truncation_cutoff(self) -> int | None:
        """How many layers are truncated; None = all."""

    @property
    def official_noise(self) -> str:
        """Whether noise is drawn anew for a seed, "seeded", or the maps are those "stored"."""


class MappingConfig(Protocol):
    """What the config of a mapping network says."""

    @property
    def z_dim(self) -> int:
        """Size of z."""

    @property
    def c_dim(self) -> int:
        """Number of classes."""

    @property
    def w_dim(self) -> int:
        """Size of w."""


class StyleConfig(GeneratorConfig, Protocol):
    """What the config of a generator with a w says."""

    @property
    def mapping(self) -> MappingConfig:
        """The config of the mapping network."""

    def official_arguments(self) -> Arguments:
        """Return what the official class takes for this network (the sizes, where there is none)."""


class DiscriminatorConfig(NetworkConfig, Protocol):
    """What the config of every discriminator says."""

    @property
    def mbstd_num_features(self) -> int:
        """Feature maps that tell of the spread in a group of pictures; 0 = none."""

    @property
    def mbstd_group_size(self) -> int | None:
        """Pictures of such a group; None = the whole batch."""


class MappingNetwork(nn.Module):
    """Maps latents z [N, z_dim] and labels c [N, c_dim] to ws [N, num_ws, w_dim].

    `w_avg` [w_dim] is the centre of truncation, None where the file had none.
    """

    w_avg: Tensor | None

    if TYPE_CHECKING:

        def __call__(
            self,
            z: Tensor | None,
            c: Tensor | None = None,
            truncation_psi: float = 1.0,
            truncation_cutoff: int | None = None,
            skip_w_avg_update: bool = True,
            update_emas: bool = False,
        ) -> Tensor:
            """Map z and c to ws."""


class SynthesisNetwork(nn.Module):
    """Maps ws [N, num_ws, w_dim] to images [N, img_channels, H, W]."""

    num_ws: int
    w_dim: int

    def noise_buffers(self) -> list[Tensor]:
        """Return the stored noise maps [H, W] in layer order; empty if the network has no noise."""
        return []

    def noise_of(self, x: Tensor) -> Tensor:
        """Turn noise of N(0, 1) into noise of the kind that this network takes, which is the same for most."""
        return x

    def normal_of(self, noise: Tensor) -> Tensor:
        """Undo `noise_of`."""
        return noise

    if TYPE_CHECKING:

        @overload
        def __call__(
            self,
            ws: Tensor,
            noise_mode: str = "const",
            noise: Sequence[Tensor] | None = None,
            force_fp32: bool = True,
            return_features: Literal[False] = False,
            *,
            fused_modconv: bool | None = None,
            update_emas: bool = False,
        ) -> Tensor: ...
        @overload
        def __call__(
            self,
            ws: Tensor,
            noise_mode: str = "const",
            noise: Sequence[Tensor] | None = None,
            force_fp32: bool = True,
            *,
            return_features: Literal[True],
            fused_modconv: bool | None = None,
            update_emas: bool = False,
        ) -> WithFeatures: ...
        def __call__(self, *arguments: object, **keywords: object) -> object:
            """Map ws to images, and to what every layer makes, by the layer's name, if asked for."""


class Generator(nn.Module):
    """Maps latents z [N, z_dim] and labels c [N, c_dim] to images [N, img_channels, H, W] in about `image_range`.

    has_w: whether there is a w between z and images; if not (ProGAN), there are no `mapping`, `synthesis`, `num_ws` and
        `w_dim`.
    rounding: how the release's script makes 8-bit values, as of `to_uint8`.
    image_range: what is black and what is white in images.
    img_size: height and width; `img_resolution` is the larger.
    """

    has_w: ClassVar[bool]
    rounding: ClassVar[Literal["truncate", "nearest", "unit"]]
    image_range: ClassVar[tuple[float, float]] = (-1.0, 1.0)
    init_args: tuple[()] = ()
    config: GeneratorConfig
    z_dim: int
    c_dim: int
    img_size: tuple[int, int]
    img_resolution: int
    img_channels: int
    w_dim: int
    num_ws: int
    mapping: MappingNetwork
    synthesis: SynthesisNetwork

    @property
    def device(self) -> torch.device:
        """Where the network is."""
        return any_tensor(self).device

    @property
    def init_kwargs(self) -> Arguments:
        """The sizes as official PyTorch classes name them."""
        return {name: getattr(self, name) for name in ("z_dim", "c_dim", "img_resolution", "img_channels")}

    def signed(self, images: Tensor) -> Tensor:
        """Return images of this network in [-1, 1]."""
        low, high = self.image_range
        return images if (low, high) == (-1.0, 1.0) else (images - low) * (2 / (high - low)) - 1

    if TYPE_CHECKING:

        def __call__(
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
            """Draw images."""


class StyleGenerator(Generator):
    """A generator with a w: a mapping and a synthesis network, which work by themselves too."""

    has_w = True
    rounding: ClassVar[Literal["truncate", "nearest", "unit"]] = "truncate"
    config: StyleConfig

    def __init__(self, config: StyleConfig, mapping: MappingNetwork, synthesis: SynthesisNetwork) -> None:
        super().__init__()
        self.config = config
        self.z_dim, self.c_dim, self.w_dim = config.mapping.z_dim, config.mapping.c_dim, config.mapping.w_dim
        self.img_size, self.img_resolution = config.img_size, max(config.img_size)
        self.img_channels = config.img_channels
        self.num_ws = synthesis.num_ws
        self.synthesis = synthesis
        self.mapping = mapping

    @property
    def init_kwargs(self) -> Arguments:
        """What the constructor of the official class takes for this network (of its sizes, where there is none)."""
        return self.config.official_arguments()

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
            truncation_psi: 1 = none, 0 = always `mapping.w_avg`.
            truncation_cutoff: how many layers are truncated; None = all.
            noise_mode: "const" (stored maps), "random" or "none".
            noise: explicit maps [1 or N, 1, H, W], one a noisy layer in layer order; overrides `noise_mode`.
            force_fp32: of the official releases; nothing to choose here, layers run in float32.
            fused_modconv: of the official releases; there is one way here.
            update_emas: let the running averages follow what is drawn, as in training.

        Raises:
            ValueError: if an argument does not fit the network.
        """
        emas = given(update_emas=update_emas)
        ws = self.mapping(z, c, truncation_psi=truncation_psi, truncation_cutoff=truncation_cutoff, **emas)
        return self.synthesis(ws, noise_mode=noise_mode, **given(noise=noise), **emas)


class DiscriminatorEpilogue(nn.Module):
    """The 4×4 end of a discriminator; its groups of pictures (None = the whole batch) may be changed after loading."""

    mbstd_group_size: int | None


class Discriminator(nn.Module):
    """Scores images [N, img_channels, H, W] in [-1, 1] with labels c [N, c_dim]; returns logits [N, 1]."""

    init_args: tuple[()] = ()
    config: DiscriminatorConfig
    c_dim: int
    img_size: tuple[int, int]
    img_resolution: int
    img_channels: int
    b4: DiscriminatorEpilogue

    @property
    def init_kwargs(self) -> Arguments:
        """The sizes as official PyTorch classes name them."""
        return {name: getattr(self, name) for name in ("c_dim", "img_resolution", "img_channels")}

    if TYPE_CHECKING:

        def __call__(
            self, img: Tensor, c: Tensor | None = None, *, update_emas: bool = False, force_fp32: bool = True
        ) -> Tensor:
            """Score images."""


AnyNetwork = Generator | Discriminator
"""What a file may hold."""
