"""Whole generators as graphs, which run without this package."""

from converter.form import Form, Later, Writer

__all__ = ["ONNX", "PT2"]

_PLACE = "converter.forms.graph"
_FAMILIES = ("progan", "stylegan1", "stylegan2", "lucidrains", "stylegan3")

ONNX = Form(
    "onnx",
    "ONNX model",
    writer=Writer(
        "onnx",
        (".onnx",),
        "onnxruntime, TensorRT …",
        _FAMILIES,
        Later(f"{_PLACE}.onnx_model:write_onnx"),
        heeds=("noise", "opset", "dtype"),
    ),
)
PT2 = Form(
    "pt2",
    "exported program",
    writer=Writer(
        "pt2", (".pt2",), "torch.export.load", _FAMILIES, Later(f"{_PLACE}.write:write_pt2"), heeds=("noise",)
    ),
)
