"""Files of akanimax's pro_gan_pytorch."""

from converter.form import Form, Later, kind
from converter.forms.akanimax.header import Header

__all__ = ["FORM"]

_NETWORKS = "converter.forms.akanimax.networks"

FORM = Form(
    "akanimax",
    "akanimax/pro_gan_pytorch",
    kinds={"Generator": kind(_NETWORKS, "generator"), "Discriminator": kind(_NETWORKS, "discriminator")},
    header=Header,
    read=Later(f"{_NETWORKS}:read"),
    state_keys=("shadow_generator", "generator", "discriminator"),
)
