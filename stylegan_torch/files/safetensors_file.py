"""Writing `.safetensors`, tensor after tensor.

A file is the length of a header in 8 bytes, the header, and the numbers of the tensors with nothing in between. The
header is JSON, padded with spaces to a multiple of 8 bytes: by the name of each tensor its type, its shape and where
its numbers are, counted from the end of the header (https://github.com/huggingface/safetensors#format).
The library builds the whole file in memory, or opens a file by its name; bytes and order here are those that it writes.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import IO

import torch
from torch import Tensor

from stylegan_torch.errors import CheckpointError
from stylegan_torch.files.streaming import bytes_of

_TYPES = {
    torch.int64: "I64",
    torch.float64: "F64",
    torch.float32: "F32",
    torch.int32: "I32",
    torch.bfloat16: "BF16",
    torch.float16: "F16",
    torch.int16: "I16",
    torch.int8: "I8",
    torch.uint8: "U8",
    torch.bool: "BOOL",
}
"""In the order in which a file has them, so that numbers of every type lie at multiples of their size."""


def write(file: IO[bytes], tensors: Mapping[str, Tensor], metadata: Mapping[str, str]) -> None:
    """Write tensors of numbers, and texts beside them, to an open file; CheckpointError for other types."""
    types = list(_TYPES)
    for name, tensor in tensors.items():
        if tensor.dtype not in _TYPES:
            raise CheckpointError(f"the tensor {name} is {str(tensor.dtype).removeprefix('torch.')}: .pt can hold it")
    names = sorted(tensors, key=lambda name: (types.index(tensors[name].dtype), name))
    header: dict[str, object] = {"__metadata__": dict(metadata)}
    end = 0
    for name in names:
        start, end = end, end + tensors[name].nbytes
        header[name] = {
            "dtype": _TYPES[tensors[name].dtype],
            "shape": list(tensors[name].shape),
            "data_offsets": [start, end],
        }
    text = json.dumps(header, ensure_ascii=False, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    file.write(len(text).to_bytes(8, "little") + text)
    for name in names:
        file.write(bytes_of(tensors[name]))
