"""Files of pytorch_GAN_zoo."""

from __future__ import annotations

from typing import TYPE_CHECKING

from converter.errors import ConvertError
from converter.form import Form, Later, kind
from converter.forms.gan_zoo.header import Header

if TYPE_CHECKING:
    from converter.foreign import Keywords

__all__ = ["FORM"]

_NETWORKS = "converter.forms.gan_zoo.networks"


def _share(said: Keywords, name: str) -> float:
    value = said.number(name)
    if not 0 <= value <= 1:
        raise ConvertError(f"{name} is {value:g}, and it should be from 0 to 1")
    return value


FORM = Form(
    "gan-zoo",
    "facebookresearch/pytorch_GAN_zoo",
    "its ProGAN",
    kinds={"Generator": kind(_NETWORKS, "generator"), "Discriminator": kind(_NETWORKS, "discriminator")},
    header=Header,
    read=Later(f"{_NETWORKS}:read"),
    marks=(
        ("Generator", "formatLayer.module.weight", "groupScale0.0.module.weight"),
        ("Discriminator", "groupScaleZero.0.module.weight", "decisionLayer.module.weight"),
    ),
    beside=("config",),
    assumable={"alpha": _share},
    names=Later(f"{_NETWORKS}:names"),
)
