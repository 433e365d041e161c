"""Files of BasicSR's StyleGAN2."""

from converter.form import STATE_DICTS, Form, Later, Writer, kind

__all__ = ["FORM"]

_PLACE = "converter.forms.basicsr"

FORM = Form(
    "basicsr",
    "XPixelGroup/BasicSR",
    kinds={
        "StyleGAN2Generator": kind(f"{_PLACE}.networks", "generator", completed=True),
        "StyleGAN2Discriminator": kind(f"{_PLACE}.networks", "discriminator"),
    },
    read=Later(f"{_PLACE}.networks:read"),
    marks=(
        ("StyleGAN2Generator", "constant_input.weight", "style_conv1.activate.bias", "to_rgb1.modulated_conv.weight"),
        ("StyleGAN2Discriminator", "conv_body.0.0.weight", "final_conv.0.weight", "final_linear.1.weight"),
    ),
    beside=("latent_avg",),
    notes=Later(f"{_PLACE}.networks:completion_notes"),
    writer=Writer("basicsr", STATE_DICTS, "BasicSR", ("stylegan2",), Later(f"{_PLACE}.write:write")),
)
