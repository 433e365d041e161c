"""Files of yuuho's stylegans-pytorch, of two forms with the same networks."""

from converter.form import Form, kind

__all__ = ["ARRAYS", "STATE"]

_NETWORKS = "converter.forms.yuuho.networks"
_TITLE = "yuuho/stylegans-pytorch"
_KINDS = {"StyleGAN": kind(_NETWORKS, "stylegan"), "StyleGAN2": kind(_NETWORKS, "stylegan2")}

ARRAYS = Form(
    "yuuho-arrays",
    _TITLE,
    "numpy arrays",
    kinds=_KINDS,
    marks=(
        ("StyleGAN2", "G_synthesis/4x4/Const/const", "dlatent_avg", "G_synthesis/4x4/Conv/mod_weight"),
        ("StyleGAN", "G_synthesis/4x4/Const/const", "dlatent_avg"),
    ),
)
STATE = Form(
    "yuuho-state",
    _TITLE,
    "state dict",
    kinds=_KINDS,
    marks=(
        ("StyleGAN", "adains.0.0.fc.weight", "toRGBs.0.0.weight"),
        ("StyleGAN2", "const_input", "toRGBs.0.0.weight"),
    ),
)
