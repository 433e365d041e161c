"""ONNX models: half precision, and weights in a file of their own where a model is too large for one."""

from __future__ import annotations

import importlib.util
from collections.abc import Sequence
from typing import IO, Any

import numpy as np
import torch
from torch import Tensor

from converter.errors import ConvertError
from converter.form import Options, Written
from converter.forms.graph.write import RECORD, Drawing, check, export, job_of, quiet
from stylegan_torch.fast import optimize
from stylegan_torch.fast.strips import whole_batches
from stylegan_torch.files.checkpoint import Checkpoint

_BATCHES = {
    **{"z": "z_batch", "c": "z_batch", "ws": "ws_batch", "noise": "noise_batch"},
    **dict.fromkeys(("images", "all_ws"), "batch"),
}
"""What the first dimensions of inputs and outputs are called."""
_LARGEST = 2**31 - 2**24
"""Bytes of weights that a file may hold; protocol buffers end at 2 GiB."""
_SMALL = 256
"""Numbers in a tensor that stays as it is: it takes no room, and may be a gain or a centre."""
_BESIDE = ".data"
"""What follows a model's name in that of the file of its weights."""


def write_onnx(file: IO[bytes], checkpoint: Checkpoint, options: Options) -> Written:
    """Write an ONNX model after a check with onnxruntime.

    Raises:
        ConvertError: if packages are missing or too old, there is no generator, or the model draws something else.
    """
    need("onnx", "onnxscript", "onnxruntime")
    import onnxruntime

    job = job_of(checkpoint, options.noise)
    model = _model(job.drawing, options)
    _describe(model, job.record)
    if options.dtype == "float16":
        halve_weights(model)
    beside = {}
    settings = onnxruntime.SessionOptions()
    if sum(len(tensor.raw_data) for tensor in model.graph.initializer) > _LARGEST:
        name = options.name + _BESIDE
        beside[_BESIDE] = data = _take_weights(model, name)
        settings.add_external_initializers_from_files_in_memory([name], [data], [len(data)])
        job.written.notes.append(f"its weights are in {name}, which belongs next to it")
    content = model.SerializeToString()
    session = onnxruntime.InferenceSession(content, settings, providers=["CPUExecutionProvider"])

    def run(inputs: Sequence[Tensor]) -> list[Tensor]:
        named = zip(job.drawing.names, inputs, strict=True)
        return [torch.from_numpy(value) for value in session.run(None, {name: x.numpy() for name, x in named})]

    check(job.drawing, run, options.dtype)
    file.write(content)
    return job.written._replace(beside=beside)


def _model(drawing: Drawing, options: Options) -> Any:
    """Return the graph of a generator's fast form, made for whole batches and maps."""
    with whole_batches(), quiet(), torch.no_grad():
        fast = Drawing(optimize(drawing.G, getattr(torch, options.dtype)), options.noise).eval()
        return model_of(export(fast), drawing.names, drawing.outputs, options.opset)


def model_of(program: torch.export.ExportedProgram, inputs: list[str], outputs: list[str], opset: int) -> Any:
    """Return the ONNX model of what `torch.export` made."""
    from onnxscript.optimizer import fold_constants, remove_unused_nodes

    made: Any = torch.onnx.export(
        program,
        input_names=inputs,
        output_names=outputs,
        opset_version=opset,
        verbose=False,
        optimize=False,  # it leaves out what is added if that is 1e-8 or less, which keeps a norm of 0 finite
    )
    fold_constants(made.model)
    remove_unused_nodes(made.model)
    return made.model_proto


def _describe(model: Any, record: str) -> None:
    import onnx

    del model.graph.value_info[:]
    for value in [*model.graph.input, *model.graph.output]:
        batch = _BATCHES.get(value.name.rstrip("0123456789"))
        if batch:
            value.type.tensor_type.shape.dim[0].dim_param = batch
    onnx.helper.set_model_props(model, {RECORD: record})


def halve_weights(model: Any) -> None:
    """Store all weights in half precision; those that are calculated with in float32 are made so when it is loaded."""
    import onnx

    widened = []
    for tensor in model.graph.initializer:
        value = onnx.numpy_helper.to_array(tensor)
        if value.dtype == np.float32 and value.size >= _SMALL:
            name = tensor.name
            tensor.CopyFrom(onnx.numpy_helper.from_array(value.astype(np.float16), f"{name}.half"))
            widened.append(onnx.helper.make_node("Cast", [tensor.name], [name], to=onnx.TensorProto.FLOAT))
    nodes = [*widened, *model.graph.node]
    del model.graph.node[:]
    model.graph.node.extend(nodes)


def _take_weights(model: Any, name: str) -> bytearray:
    """Take the weights out of a model that shall find them in a file of this name; return what is to be in it."""
    import onnx

    data = bytearray()
    for tensor in model.graph.initializer:
        if len(tensor.raw_data) < 4 * _SMALL:
            continue
        data += bytes(-len(data) % 4096)  # whole pages, so that it can be mapped
        onnx.external_data_helper.set_external_data(tensor, name, offset=len(data), length=len(tensor.raw_data))
        data += tensor.raw_data
        tensor.ClearField("raw_data")
    return data


def need(*packages: str) -> None:
    """Raise ConvertError if packages of the extra are missing."""
    missing = [package for package in packages if importlib.util.find_spec(package) is None]
    if missing:
        raise ConvertError(f"ONNX needs {', '.join(missing)}: pip install 'stylegan-torch[onnx]'")
