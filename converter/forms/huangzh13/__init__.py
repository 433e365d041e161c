"""Files of huangzh13's StyleGAN."""

from converter.form import Form, Later, kind
from converter.forms.rosinality.header import StyleGAN1Header

__all__ = ["FORM"]

_PLACE = "converter.forms.huangzh13.networks"

FORM = Form(
    "huangzh13",
    "huangzh13/StyleGAN.pytorch",
    "generators",
    kinds={"Generator": kind(_PLACE, "generator", completed=True)},
    header=StyleGAN1Header,
    read=Later(f"{_PLACE}:read"),
    marks=(("Generator", "g_mapping.map.dense0.weight", "g_synthesis.init_block.const"),),
    notes=Later(f"{_PLACE}:completion_notes"),
    assumable={"img_resolution": lambda said, name: said.resolution(name)},
)
