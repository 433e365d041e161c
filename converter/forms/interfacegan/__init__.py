"""Files of InterFaceGAN's generators."""

from converter.form import Form, kind

__all__ = ["FORM"]

_PLACE = "converter.forms.interfacegan.networks"

FORM = Form(
    "interfacegan",
    "genforce/interfacegan",
    "generators",
    kinds={f"{family}Generator": kind(_PLACE, family.lower()) for family in ("PGGAN", "StyleGAN")},
    marks=(
        ("StyleGANGenerator", "synthesis.layer0.first_layer", "truncation.w_avg"),
        ("PGGANGenerator", "layer0.conv.weight", "layer0.wscale.bias", "output0.conv.weight"),
    ),
)
