"""Files of Hammer."""

from converter.form import STATE_DICTS, Form, Later, Writer, kind
from converter.forms.hammer.header import Header

__all__ = ["FORM"]

_PLACE = "converter.forms.hammer"

# Its ProGAN's networks are those of genforce, and read as such.
FORM = Form(
    "hammer",
    "bytedance/Hammer",
    kinds={
        "StyleGAN2Generator": kind(f"{_PLACE}.read", "stylegan2_generator"),
        "StyleGANGenerator": kind(f"{_PLACE}.read", "stylegan_generator"),
    },
    header=Header,
    read=Later(f"{_PLACE}.read:read"),
    marks=(
        ("StyleGAN2Generator", "synthesis.early_layer.const", "w_avg", "synthesis.layer0.style.weight"),
        ("StyleGANGenerator", "synthesis.layer0.const", "w_avg", "synthesis.layer0.style.weight"),
    ),
    notes=Later(f"{_PLACE}.read:notes"),
    assumable={"fused_from": lambda said, name: said.resolution(name)},
    writer=Writer("hammer", STATE_DICTS, "Hammer", ("stylegan1", "stylegan2"), Later(f"{_PLACE}.write:write")),
)
