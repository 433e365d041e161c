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
    marks=(
        ("Generator", "layers.0.conv_1.weight", "rgb_converters.0.weight", "layers.0.conv_2.weight"),
        ("Discriminator", "layers.0.conv_1.weight", "from_rgb.0.0.weight"),
        ("Generator", "initial_block.conv_1.weight", "rgb_converters.0.weight"),
        ("Discriminator", "final_block.conv_1.weight", "rgb_to_features.0.weight"),
    ),
    beside=("conf",),
)
