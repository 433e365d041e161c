"""Files of lernapparat's StyleGAN, which GANSpace, DatasetGAN and PULSE have too."""

from converter.form import Form, Later, kind

__all__ = ["FORM"]

_PLACE = "converter.forms.lernapparat"

FORM = Form(
    "lernapparat",
    "lernapparat/lernapparat",
    "GANSpace, DatasetGAN, PULSE",
    kinds={
        "Generator": kind(f"{_PLACE}.networks", "generator", completed=True),
        "TensorFlowGenerator": kind(f"{_PLACE}.first_stage", "generator", completed=True),
        "TensorFlowDiscriminator": kind(f"{_PLACE}.first_stage", "discriminator"),
    },
    marks=(("Generator", "g_mapping.dense0.weight", "g_synthesis.blocks.4x4.const"),),
    read_objects=Later(f"{_PLACE}.first_stage:read_objects"),
    notes=Later(f"{_PLACE}.networks:completion_notes"),
)
