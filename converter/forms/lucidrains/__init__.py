"""Files of lucidrains' stylegan2-pytorch."""

from converter.form import Form, Later, kind
from converter.forms.lucidrains.header import Header

__all__ = ["FORM"]

_PLACE = "converter.forms.lucidrains.networks"

FORM = Form(
    "lucidrains",
    "lucidrains/stylegan2-pytorch",
    kinds={"Generator": kind(_PLACE, "generator", completed=True)},
    header=Header,
    read=Later(f"{_PLACE}:read"),
    marks=(("Generator", "initial_conv.weight", "blocks.0.to_noise1.weight", "blocks.0.to_rgb.to_style.weight"),),
    beside=("S", "SE", "version"),
    notes=Later(f"{_PLACE}:completion_notes"),
    assumable={"lr_multiplier": lambda said, name: said.number(name)},
)
