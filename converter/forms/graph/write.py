"""Writers of whole generators as graphs, which run without this package: ONNX (`.onnx`) and `torch.export` (`.pt2`).

Inputs, in this order; a network without labels, mapping or noise lacks theirs:

    z                  [z_batch, z_dim]          latents
    c                  [z_batch, c_dim]          one-hot labels
    truncation_psi     []                        1 = none; for what comes from z
    truncation_cutoff  [] int64                  how many layers are truncated
    ws                 [ws_batch, num_ws, w_dim] more latents, W+
    noise0, noise1, …  [1 or batch, 1, H, W]     one a noisy layer, if noise is an input (`.pt2`: [1, 1, H, W])

Outputs: `images` [batch, img_channels, H, W], those for z followed by those for ws, and `all_ws` [batch, num_ws, w_dim]
from which they were drawn. One of the two batches may be empty.
"""

from __future__ import annotations

import io
import json
import logging
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import IO, Any

import torch
from torch import Tensor, nn
from torch.torch_version import TorchVersion

from converter.errors import ConvertError
from converter.form import Options, Written
from stylegan_torch.files.checkpoint import Checkpoint
from stylegan_torch.networks.registry import assemble, config_to_json

RECORD = "stylegan_torch"
"""Key of the JSON record, of config and provenance, in the metadata of ONNX and the extra files of `.pt2`."""
TOLERANCES = {"float32": 1e-4, "float16": 0.02}
"""How far numbers may be from ours, of the largest of them or of 1."""
PYTORCH = TorchVersion("2.10")
"""From which release on `torch.export` takes all that networks do."""


class Drawing(nn.Module):
    """A generator as a function of tensors alone.

    names: those of its inputs. examples: inputs of the right shapes.
    """

    def __init__(self, G: Any, noise: str) -> None:
        super().__init__()
        self.G = G
        self.has_w = G.has_w
        self.noise_mode = "none" if noise == "none" else "const"
        random = torch.Generator().manual_seed(0)
        self.examples = {"z": torch.randn(2, G.z_dim, generator=random)}
        if G.c_dim:
            self.examples["c"] = nn.functional.one_hot(torch.arange(2) % G.c_dim, G.c_dim).float()
        if self.has_w:
            if G.mapping.w_avg is not None:
                self.examples["truncation_psi"] = torch.tensor(0.7)
                self.examples["truncation_cutoff"] = torch.tensor(G.num_ws // 2)
            self.examples["ws"] = torch.randn(3, G.num_ws, G.w_dim, generator=random)
            if noise == "inputs":
                for i, stored in enumerate(G.synthesis.noise_buffers()):
                    self.examples[f"noise{i}"] = torch.randn(1, 1, *stored.shape, generator=random)
        self.names = list(self.examples)
        self.outputs = ["images", "all_ws"] if self.has_w else ["images"]

    def forward(self, *inputs: Tensor) -> tuple[Tensor, ...]:
        """Map inputs to outputs, both in the order of their names."""
        given = dict(zip(self.names, inputs, strict=True))
        if not self.has_w:
            return (self.G(given["z"], given.get("c")),)
        mapping = self.G.mapping
        ws = mapping(given["z"], given.get("c"))
        if mapping.w_avg is not None:
            truncated = torch.arange(self.G.num_ws, device=ws.device) < given["truncation_cutoff"]
            ws = mapping.w_avg.lerp(ws, torch.where(truncated, given["truncation_psi"], 1.0)[:, None])
        ws = torch.cat([ws, given["ws"]])
        noise = [value for name, value in given.items() if name.startswith("noise")]
        return self.G.synthesis(ws, noise_mode=self.noise_mode, noise=noise or None), ws


@dataclass(frozen=True)
class Job:
    """A generator to write as a graph, the record that goes with it, and what to tell of it."""

    drawing: Drawing
    record: str
    written: Written


def write_pt2(file: IO[bytes], checkpoint: Checkpoint, options: Options) -> Written:
    """Write what `torch.export` makes, after it was loaded again and checked.

    Raises:
        ConvertError: if PyTorch is too old, there is no generator, or what was written draws something else.
    """
    job = job_of(checkpoint, options.noise)
    content = io.BytesIO()
    with quiet():
        torch.export.save(export(job.drawing), content, extra_files={f"{RECORD}.json": job.record})
        content.seek(0)
        again = torch.export.load(content).module()
    check(job.drawing, lambda inputs: again(*inputs))
    file.write(content.getbuffer())
    return job.written


def need_pytorch() -> None:
    """Raise ConvertError if PyTorch is too old."""
    if torch.__version__ < PYTORCH:
        raise ConvertError(f"a graph needs PyTorch {PYTORCH} or later, this is {torch.__version__}")


def job_of(checkpoint: Checkpoint, noise: str) -> Job:
    """Return what is to be written of a checkpoint.

    Raises:
        ConvertError: if PyTorch is too old, or there is no generator.
    """
    need_pytorch()
    role = next((role for role in ("G_ema", "G") if role in checkpoint.networks), None)
    if role is None:
        raise ConvertError("has no generator to make a graph of")
    network = checkpoint.networks[role]
    record = {"config": config_to_json(network.config), "provenance": checkpoint.provenance}
    notes = [f"{other} is left out: a graph is of one network" for other in checkpoint.networks if other != role]
    drawing = Drawing(assemble(network.config, network.state_dict), noise).eval()
    if noise == "inputs" and not any(name.startswith("noise") for name in drawing.names):
        notes.append("there are no noise inputs: the network has no noise")
    return Job(drawing, json.dumps(record), Written(Checkpoint({role: network}, checkpoint.provenance), notes))


def export(drawing: Drawing) -> torch.export.ExportedProgram:
    """Return the graph of a generator, for batches of any size."""
    z_batch, ws_batch = torch.export.Dim("z_batch"), torch.export.Dim("ws_batch")
    batches = {"z": {0: z_batch}, "c": {0: z_batch}, "ws": {0: ws_batch}}
    dynamic = (tuple(batches.get(name) for name in drawing.names),)
    return torch.export.export(drawing, tuple(drawing.examples.values()), dynamic_shapes=dynamic)


def check(drawing: Drawing, run: Callable[[Sequence[Tensor]], Sequence[Tensor]], dtype: str = "float32") -> None:
    """Raise ConvertError if a graph of such numbers, which `run` runs, draws something else than a generator."""
    inputs = [x[:1] if name in ("z", "c", "ws") else x for name, x in drawing.examples.items()]
    with torch.no_grad():
        for name, ours, theirs in zip(drawing.outputs, drawing(*inputs), run(inputs), strict=True):
            if not ours.isfinite().all():
                raise ConvertError(f"the network's own {name} are not finite numbers")
            error, limit = float((ours - theirs).abs().max()), TOLERANCES[dtype] * max(1.0, float(ours.abs().max()))
            if not error <= limit:
                raise ConvertError(f"output {name} of the graph differs from ours by {error:.2g}; please report it")


@contextmanager
def quiet() -> Iterator[None]:
    """Keep the exporters' advice to their developers away from users."""
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(before)
