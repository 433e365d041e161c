"""Files of rosinality's programs."""

from converter.form import STATE_DICTS, Form, Later, Writer, kind
from converter.forms.rosinality.header import StyleGAN1Header

__all__ = ["STYLEGAN1", "STYLEGAN2"]

_PLACE = "converter.forms.rosinality"

STYLEGAN2 = Form(
    "rosinality-stylegan2",
    "rosinality/stylegan2-pytorch",
    kinds={
        "Generator": kind(f"{_PLACE}.stylegan2", "generator", completed=True),
        "Discriminator": kind(f"{_PLACE}.stylegan2", "discriminator"),
    },
    read=Later(f"{_PLACE}.stylegan2:read"),
    marks=(
        ("Generator", "to_rgb1.conv.weight", "input.input", "conv1.conv.modulation.weight"),
        ("Discriminator", "final_linear.1.weight", "convs.0.0.weight", "final_conv.0.weight"),
    ),
    beside=("latent_avg",),
    notes=Later(f"{_PLACE}.stylegan2:completion_notes"),
    writer=Writer(
        "rosinality",
        STATE_DICTS,
        "pSp, e4e, ReStyle, StyleCLIP, StyleGAN-NADA …",
        ("stylegan2",),
        Later(f"{_PLACE}.write:write"),
    ),
)

STYLEGAN1 = Form(
    "rosinality-stylegan",
    "rosinality/style-based-gan-pytorch",
    kinds={
        "StyledGenerator": kind(f"{_PLACE}.stylegan1", "generator", completed=True),
        "Discriminator": kind(f"{_PLACE}.stylegan1", "discriminator"),
    },
    header=StyleGAN1Header,
    read=Later(f"{_PLACE}.stylegan1:read"),
    marks=(
        (
            "StyledGenerator",
            "generator.progression.0.conv1.input",
        ),
        ("Discriminator", "linear.linear.weight_orig", "progression.0.conv1.0.conv.weight_orig"),
    ),
    notes=Later(f"{_PLACE}.stylegan1:completion_notes"),
    assumable={"img_resolution": lambda said, name: said.resolution(name)},
)
