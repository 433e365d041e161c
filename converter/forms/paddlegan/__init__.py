"""Files of PaddleGAN."""

from converter.form import Form, Later, kind
from converter.forms.rosinality import STYLEGAN2

__all__ = ["FORM"]

_PLACE = "converter.forms.paddlegan.stylegan2"

FORM = Form(
    "paddlegan-stylegan2",
    "PaddleGAN",
    kinds={
        "Generator": kind(_PLACE, "generator", completed=True),
        "Discriminator": kind(_PLACE, "discriminator"),
    },
    marks=STYLEGAN2.marks,
    accepts=Later(f"{_PLACE}:accepts"),
    read=Later(f"{_PLACE}:read"),
    names=Later(f"{_PLACE}:names"),
    notes=Later(f"{_PLACE}:completion_notes"),
)
