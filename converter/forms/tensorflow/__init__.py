"""Files of the official TensorFlow releases, and of ProGAN's in Theano, which are read and turned back alike."""

from converter.form import Form, Later, Writer, kind
from converter.forms.tensorflow.header import TFHeader, TheanoHeader

__all__ = ["TF", "THEANO"]

_PLACE = "converter.forms.tensorflow"
_PROGAN = {
    "G_paper": kind(f"{_PLACE}.progan", "generator"),
    "D_paper": kind(f"{_PLACE}.progan", "discriminator"),
}
_SCOPES = {"G_ema": "Gs"}
_STYLEGAN2_D = kind(f"{_PLACE}.stylegan2", "discriminator")

# Its networks are in pickles as those of TensorFlow are, and `TF` finds them.
THEANO = Form("theano", "official Theano pickle (ProGAN)", kinds=_PROGAN, header=TheanoHeader, scopes=_SCOPES)

TF = Form(
    "tf",
    "official TensorFlow pickle",
    "also of skyflynil, aydao and eps696",
    kinds={
        **_PROGAN,
        "G_style": kind(f"{_PLACE}.stylegan1", "generator"),
        "D_basic": kind(f"{_PLACE}.stylegan1", "discriminator"),
        "G_main": kind(f"{_PLACE}.stylegan2", "generator", completed=True),
        "D_stylegan": _STYLEGAN2_D,
        "D_stylegan2": _STYLEGAN2_D,
        "D_main": _STYLEGAN2_D,
    },
    read_objects=Later(f"{_PLACE}.read:read"),
    header=TFHeader,
    names=Later(f"{_PLACE}.read:names"),
    notes=Later(f"{_PLACE}.stylegan2:completion_notes"),
    scopes=_SCOPES,
    runnable=True,
    writer=Writer(
        "nvidia",
        (".pkl",),
        "NVIDIA's own PyTorch tools",
        ("stylegan2",),
        Later(f"{_PLACE}.write:write"),
        heeds=("fresh_d",),
        names=("stylegan2", "stylegan3"),
    ),
)
