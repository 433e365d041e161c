"""Files of the official PyTorch releases, whose pickles and classes are named alike."""

from converter.form import STATE_DICTS, Form, Later, Writer, kind
from converter.forms.pytorch.header import Header, StateHeader

__all__ = ["MAKE_PICKLE", "STATE", "STYLEGAN2", "STYLEGAN3", "STYLEGAN3_STATE"]

_PLACE = "converter.forms.pytorch"
_ACTIVATIONS = ("activation", "mapping_activation", "epilogue_activation")

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

STATE = Form(
    "torch-state",
    "state dicts of the official PyTorch modules",
    "StyleGAN2-ADA",
    kinds={
        "Generator": kind(f"{_PLACE}.state", "generator"),
        "Discriminator": kind(f"{_PLACE}.state", "discriminator"),
    },
    marks=(
        ("Generator", "synthesis.b4.const", "synthesis.b4.resample_filter", "synthesis.b4.conv1.affine.weight"),
        ("StyleGAN3", "synthesis.input.freqs", "synthesis.input.transform", "mapping.fc0.weight"),
        ("Discriminator", "b4.fc.weight", "b4.out.weight", "b4.conv.resample_filter"),
    ),
    header=StateHeader,
    read=Later(f"{_PLACE}.state:read"),
    finish=Later(f"{_PLACE}.state:finish"),
    assumable={
        **dict.fromkeys(_ACTIVATIONS, Later(f"{_PLACE}.state:said_activation")),
        "base_size": Later(f"{_PLACE}.state:said_size"),
        "conv_clamp": lambda said, name: said.optional_number(name),
        "lr_multiplier": lambda said, name: said.number(name),
        "mbstd_group_size": lambda said, name: said.optional_integer(name, 1),
        "num_fp16_res": lambda said, name: said.integer(name),
    },
    writer=Writer(
        "ada", STATE_DICTS, "StyleGAN2-ADA's modules", ("stylegan2",), Later(f"{_PLACE}.write_state:write_ada")
    ),
)

# What `STATE` reads is of this form where the networks are.
STYLEGAN3_STATE = Form(
    "stylegan3-state",
    "state dict of the official StyleGAN3 module",
    kinds={"StyleGAN3": kind(f"{_PLACE}.state3", "generator")},
    header=StateHeader,
    assumable={
        "conv_clamp": lambda said, name: said.optional_number(name),
        **dict.fromkeys(("num_critical", "num_fp16_res", "margin_size"), lambda said, name: said.integer(name)),
        "lrelu_upsampling": lambda said, name: said.integer(name, 1, 64),
        **dict.fromkeys(
            ("first_cutoff", "first_stopband", "last_stopband_rel", "output_scale", "lr_multiplier"),
            lambda said, name: said.number(name),
        ),
    },
    writer=Writer(
        "stylegan3",
        STATE_DICTS,
        "StyleGAN3's module, stylegan3-editing",
        ("stylegan3",),
        Later(f"{_PLACE}.write_state:write_stylegan3"),
    ),
)

MAKE_PICKLE = Form(
    "make-pickle",
    "script that makes an official PyTorch pickle",
    writer=Writer(
        "make-pickle",
        (".py",),
        "NVIDIA's PyTorch programs",
        ("stylegan2", "stylegan3"),
        Later(f"{_PLACE}.write_script:write"),
    ),
)
