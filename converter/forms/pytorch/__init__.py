"""Files of the official PyTorch releases, whose pickles and classes are named alike."""

from converter.form import STATE_DICTS, Form, Later, Writer, kind
from converter.forms.pytorch.header import Header

__all__ = ["STYLEGAN2", "STYLEGAN3", "STYLEGAN3_STATE"]

_PLACE = "converter.forms.pytorch"

STYLEGAN2 = Form(
    "torch",
    "official PyTorch pickle (StyleGAN2-ADA, also StyleGAN3's)",
    "also of eps696 and StyleGAN-Human",
    kinds={
        "Generator": kind(f"{_PLACE}.stylegan2", "generator"),
        "Discriminator": kind(f"{_PLACE}.stylegan2", "discriminator"),
    },
    read_objects=Later(f"{_PLACE}.read:read"),
    header=Header,
    names=Later(f"{_PLACE}.read:names"),
)

# What `STYLEGAN2` reads is of this form where the networks are.
STYLEGAN3 = Form(
    "stylegan3",
    "official StyleGAN3 pickle",
    "also of StyleGAN-Human",
    kinds={"Generator": kind(f"{_PLACE}.stylegan3", "generator")},
    header=Header,
)

STYLEGAN3_STATE = Form(
    "stylegan3-state",
    "plain state dict of StyleGAN3",
    writer=Writer(
        "stylegan3",
        STATE_DICTS,
        "StyleGAN3's module, stylegan3-editing",
        ("stylegan3",),
        Later(f"{_PLACE}.write_stylegan3:write"),
    ),
)
