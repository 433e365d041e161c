"""pytorch_GAN_zoo's ProGAN (docs/spec/COMMUNITY.md 13): every layer is (W x + b) √(2 / fan_in); sizes follow from the
tensors."""

from __future__ import annotations

import math
from functools import partial
from typing import Any

from converter.contents import Found, inner
from converter.errors import ConvertError
from converter.foreign import ForeignNetwork
from converter.forms.gan_zoo import FORM
from converter.forms.gan_zoo.header import header_of
from converter.forms.state_dict import shape_of, shapes_of
from converter.safe.unpickler import Foreign, Names
from converter.table import SAME, Table, product
from stylegan_torch.networks import progan
from stylegan_torch.networks.layers import log2_resolution

_SETTINGS = ("models.utils.config", "BaseConfig")
_USUAL = {"perChannelNormalization": True, "equalizedlR": True, "leakyReluLeak": 0.2, "categoryVectorDim": 0}
_BOTH = {"weight": ("weight", SAME), "bias": ("bias", SAME)}


def names() -> Names:
    """Return what stands in for the settings."""
    return {_SETTINGS: partial(Foreign, *_SETTINGS)}


def read(found: Found) -> ForeignNetwork:
    """Return a network of a file, with what the settings beside it say."""
    settings = inner(found.beside("config")) or {}
    for name, usual in _USUAL.items():
        _refuse_unless(settings.get(name, usual) == usual, name, settings)
    for name in settings:
        _refuse_unless("activation" not in str(name).lower() or not settings[name], name, settings)
    alpha = settings.get("alpha")
    if alpha is None:
        return found.network(FORM.id, assumed={"alpha": 0.0})
    _refuse_unless(isinstance(alpha, int | float) and 0 <= alpha <= 1, "alpha", settings)
    return found.network(FORM.id, alpha=float(alpha))


def _refuse_unless(known: bool, name: str, settings: dict[Any, Any]) -> None:
    if not known:
        value = str(settings[name])[:40]
        raise ConvertError(f"its setting {name} is {value}, and what the program does then is not known here")


def _alpha(network: ForeignNetwork) -> float:
    header = header_of(network)
    return header["assumed"]["alpha"] if "assumed" in header else header["alpha"]


def generator_config(network: ForeignNetwork) -> progan.GeneratorConfig:
    """Return the config of a `Generator`."""
    tensors = network.tensors
    rgbs = shapes_of(tensors, "toRGBLayers.{}.module.weight", 4)
    return progan.GeneratorConfig(
        z_dim=shape_of(tensors, "formatLayer.module.weight", 2)[1],
        c_dim=0,
        img_resolution=2 << len(rgbs),
        img_channels=rgbs[0][0],
        channels=tuple(rgb[1] for rgb in rgbs),
        first_gain=math.sqrt(2.0),
        rgb_gain=math.sqrt(2.0),
        lod=_alpha(network),
        first_pixel_bias=True,
        scaled_bias=True,
    )


def generator_table(network: ForeignNetwork, config: progan.GeneratorConfig) -> Table:
    """Return the table of a `Generator`."""
    layers = {
        "b4.fc": "formatLayer.module",
        "b4.conv1": "groupScale0.0.module",
        "b{r}.conv0": "scaleLayers.{scale}.0.module",
        "b{r}.conv1": "scaleLayers.{scale}.1.module",
        "b{r}.torgb": "toRGBLayers.{level}.module",
    }
    return Table(product(layers, _BOTH, "."), (), _fields)


def discriminator_config(network: ForeignNetwork) -> progan.DiscriminatorConfig:
    """Return the config of a `Discriminator`."""
    tensors = network.tensors
    rgbs = shapes_of(tensors, "fromRGBLayers.{}.module.weight", 4)
    first = shape_of(tensors, "groupScaleZero.0.module.weight", 4)
    return progan.DiscriminatorConfig(
        img_resolution=2 << len(rgbs),
        img_channels=rgbs[0][1],
        channels=tuple(rgb[0] for rgb in rgbs),
        fc_dim=shape_of(tensors, "groupScaleZero.1.module.weight", 2)[0],
        pool_first=False,
        mbstd_num_features=first[1] - first[0],
        score_gain=math.sqrt(2.0),
        lod=_alpha(network),
        mbstd_unbiased=True,
        scaled_bias=True,
    )


def discriminator_table(network: ForeignNetwork, config: progan.DiscriminatorConfig) -> Table:
    """Return the table of a `Discriminator`."""
    layers = {
        "b4.conv": "groupScaleZero.0.module",
        "b4.fc": "groupScaleZero.1.module",
        "b4.out": "decisionLayer.module",
        "b{r}.conv0": "scaleLayers.{scale}.0.module",
        "b{r}.conv1": "scaleLayers.{scale}.1.module",
        "b{r}.fromrgb": "fromRGBLayers.{level}.module",
    }
    return Table(product(layers, _BOTH, "."), (), _fields)


def _fields(r: int, i: int) -> dict[str, int]:
    level = log2_resolution(r) - 2
    return {"level": level, "scale": level - 1}
