"""Files of yuuho's stylegans-pytorch, of two forms with the same networks."""

from converter.form import Form, Later, kind

__all__ = ["ARRAYS", "STATE"]

_NETWORKS = "converter.forms.yuuho.networks"
_TITLE = "yuuho/stylegans-pytorch"
_KINDS = {"StyleGAN": kind(_NETWORKS, "stylegan"), "StyleGAN2": kind(_NETWORKS, "stylegan2")}

ARRAYS = Form("yuuho-arrays", _TITLE, "numpy arrays", kinds=_KINDS, read_pickle=Later(f"{_NETWORKS}:read_arrays"))
STATE = Form("yuuho-state", _TITLE, "state dict", kinds=_KINDS, read=Later(f"{_NETWORKS}:read"))
