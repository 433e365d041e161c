"""Files of mmgeneration and mmagic."""

from converter.form import Form, Later, kind
from converter.forms.mmgen.header import Header
from converter.forms.pytorch import STYLEGAN3_STATE

__all__ = ["FORM"]

_PLACE = "converter.forms.mmgen"

FORM = Form(
    "mmgen",
    "open-mmlab/mmgeneration, mmagic",
    kinds={
        "StyleGANv2Generator": kind(f"{_PLACE}.stylegan2", "generator", completed=True),
        "StyleGAN2Discriminator": kind(f"{_PLACE}.stylegan2", "discriminator"),
        "StyleGANv1Generator": kind(f"{_PLACE}.stylegan1", "generator", completed=True),
        "StyleGANv3Generator": kind(f"{_PLACE}.stylegan3", "generator"),
        "PGGANGenerator": kind(f"{_PLACE}.progan", "generator"),
    },
    header=Header,
    read=Later(f"{_PLACE}.channels:read"),
    marks=(
        ("StyleGANv2Generator", "constant_input.input", "style_mapping.1.linear.weight_orig", "to_rgb1.bias"),
        ("StyleGAN2Discriminator", "final_linear.1.linear.weight_orig", "convs.0.0.conv.weight_orig"),
        ("StyleGANv1Generator", "convs.0.conv1.input", "style_mapping.1.linear.weight_orig"),
        ("StyleGANv3Generator", "synthesis.input.freqs", "synthesis.input.transform", "style_mapping.fc0.weight"),
        ("PGGANGenerator", "noise2feat.linear.weight_orig", "torgb_layers.0.conv.weight_orig"),
    ),
    beside=("meta",),
    notes=Later(f"{_PLACE}.channels:notes"),
    assumable={
        "channel_order": lambda said, name: said.choice(name, "bgr", "rgb"),
        **STYLEGAN3_STATE.assumable,
    },
)
