"""A generator as two ONNX models, its mapping and its synthesis, each for one picture: what a page in a browser runs.

mapping     z [1, z_dim], and c [1, c_dim] with labels  ->  w [1, w_dim], not truncated
synthesis   ws [1, num_ws, w_dim], noise0 … [1, 1, H, W] if it has noise  ->  image [1, img_channels, H, W]
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from converter.errors import ConvertError
from converter.form import OPSETS
from converter.forms.graph.onnx_model import halve_weights, model_of, need
from converter.forms.graph.write import need_pytorch, quiet
from stylegan_torch.drawing.draw import noise_sizes
from stylegan_torch.drawing.images import to_uint8
from stylegan_torch.drawing.seeds import latents_from_seeds
from stylegan_torch.fast import optimize
from stylegan_torch.fast.strips import whole_batches
from stylegan_torch.networks.interface import Generator

CHECKED = range(4)
"""Seeds whose pictures must come out."""
LIMITS = {"float32": 1, "float16": 2}
"""How far their 8-bit values may be off, but for `_FEW` of them."""
_FEW = 1e-3
_LARGEST = (1 << 31) - (1 << 24)
"""Bytes of a model; protocol buffers, and the memory of WebAssembly, end soon after."""


@dataclass(frozen=True)
class Parts:
    """Both models, and how far they are off.

    off: how far 8-bit values of the pictures of `CHECKED` are off, but for one in a thousand; 1 at least, as
        machines round in other ways.
    """

    mapping: bytes
    synthesis: bytes
    off: int


class _Mapping(nn.Module):
    def __init__(self, G: Generator) -> None:
        super().__init__()
        self.mapping = G.mapping

    def forward(self, z: Tensor, *c: Tensor) -> Tensor:
        return self.mapping(z, c[0] if c else None)[:, 0]


class _Synthesis(nn.Module):
    def __init__(self, G: Generator) -> None:
        super().__init__()
        self.synthesis = G.synthesis

    def forward(self, ws: Tensor, *noise: Tensor) -> Tensor:
        return self.synthesis(ws, noise=list(noise) or None)


def need_packages() -> None:
    """Raise ConvertError if packages that make the models are missing or too old."""
    need("onnx", "onnxscript", "onnxruntime")
    need_pytorch()


def parts_of(G: Generator, dtype: str = "float32") -> Parts:
    """Return the two models of a generator, checked with onnxruntime.

    Args:
        G: in its plain form, on the CPU.
        dtype: what weights are stored in; all is computed in float32, as WebAssembly has no other.

    Raises:
        ConvertError: if packages are missing or too old, or the models draw something else.
    """
    need_packages()
    z, c = torch.randn(1, G.z_dim), [torch.zeros(1, G.c_dim)] if G.c_dim else []
    ws, noise = torch.randn(1, G.num_ws, G.w_dim), [torch.randn(1, 1, *size) for size in noise_sizes(G)]
    with whole_batches(), quiet(), torch.no_grad():
        fast = optimize(G)
        mapping = _model(_Mapping(fast), [z, *c], ["z", "c"][: 1 + len(c)], "w", dtype)
        names = ["ws", *(f"noise{i}" for i in range(len(noise)))]
        synthesis = _model(_Synthesis(fast), [ws, *noise], names, "image", dtype)
    off = _difference(G, mapping, synthesis)
    if off > LIMITS[dtype]:
        other = "; take --dtype float32" if dtype != "float32" else "; please report it"
        raise ConvertError(f"pictures of the models are off by {off} of 255{other}")
    return Parts(mapping, synthesis, off)


def _model(module: nn.Module, examples: Sequence[Tensor], inputs: list[str], output: str, dtype: str) -> bytes:
    model = model_of(torch.export.export(module.eval(), tuple(examples)), inputs, [output], OPSETS[0])
    if dtype == "float16":
        halve_weights(model)
    if model.ByteSize() > _LARGEST:
        raise ConvertError(f"the {module.__class__.__name__[1:].lower()} is too large for a browser")
    return bytes(model.SerializeToString())


def _difference(G: Generator, mapping: bytes, synthesis: bytes) -> int:
    """Return how far 8-bit values of checked pictures are off at most, but for a few."""
    import onnxruntime

    first, second = (
        onnxruntime.InferenceSession(model, providers=["CPUExecutionProvider"]) for model in (mapping, synthesis)
    )
    c = torch.zeros(1, G.c_dim)
    stored = {f"noise{i}": each[None, None].numpy() for i, each in enumerate(G.synthesis.noise_buffers())}
    off = []
    for seed in CHECKED:
        z = latents_from_seeds([seed], G.z_dim)
        w = first.run(None, {"z": z.numpy(), **({"c": c.numpy()} if G.c_dim else {})})[0]
        ws = torch.from_numpy(w)[:, None].expand(-1, G.num_ws, -1).contiguous()
        image = torch.from_numpy(second.run(None, {"ws": ws.numpy(), **stored})[0])
        with torch.no_grad():
            own = G.synthesis(G.mapping(z, c))
        if not own.isfinite().all():
            raise ConvertError("the network's own pictures are not finite numbers")
        ours, theirs = (to_uint8(each, G.rounding).int() for each in (own, image))
        off.append((ours - theirs).abs())
    counts = torch.bincount(torch.stack(off).flatten())
    beyond = counts.sum() - counts.cumsum(0)
    return max(1, int((beyond > _FEW * counts.sum()).sum()))
