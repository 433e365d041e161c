"""Files of genforce."""

from converter.form import STATE_DICTS, Form, Later, Writer, kind
from converter.forms.genforce.header import Header

__all__ = ["FORM"]

_PLACE = "converter.forms.genforce"

FORM = Form(
    "genforce",
    "genforce",
    kinds={
        f"{family}{network}": kind(f"{_PLACE}.read", f"{family.lower()}_{network.lower()}")
        for family in ("PGGAN", "StyleGAN", "StyleGAN2")
        for network in ("Generator", "Discriminator")
    },
    header=Header,
    read=Later(f"{_PLACE}.read:read"),
    marks=(
        ("StyleGAN2Generator", "synthesis.early_layer.const", "truncation.w_avg", "synthesis.layer0.style.weight"),
        ("StyleGANGenerator", "synthesis.layer0.const", "truncation.w_avg", "synthesis.layer0.style.weight"),
        ("PGGANGenerator", "layer0.weight", "output0.weight", "lod"),
        ("StyleGAN2Discriminator", "input0.weight", "layer1.filter.kernel"),
        ("StyleGANDiscriminator", "input0.weight", "layer1.blur.kernel", "lod"),
        ("PGGANDiscriminator", "input0.weight", "layer1.weight", "lod"),
    ),
    finish=Later(f"{_PLACE}.read:finish"),
    assumable={
        "fused_from": lambda said, name: said.resolution(name),
        "mbstd_group_size": lambda said, name: said.optional_integer(name, 1),
        "label_size": lambda said, name: said.integer(name),
        "fused_scale": lambda said, name: said.choice(name, True, False),
        "fused_kernels": lambda said, name: said.choice(name, True, False),
    },
    writer=Writer(
        "genforce", STATE_DICTS, "genforce", ("progan", "stylegan1", "stylegan2"), Later(f"{_PLACE}.write:write")
    ),
)
