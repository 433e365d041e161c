"""Stand-ins for the numpy and torch objects met in pickles; they turn checked bytes into tensors, no more."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from converter.errors import ConvertError, UnsafePickleError
from converter.safe.unpickler import Names, load

_NUMERIC = {"f2", "f4", "f8", "i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8", "b1"}


def raw_bytes(value: Any) -> memoryview:
    """Return pickled raw data as bytes; Python 2 wrote it as text of the same codes."""
    if isinstance(value, str):
        return memoryview(bytearray(value.encode("latin-1")))
    return memoryview(value)


class DType:
    """Stands for `numpy.dtype`; only plain numbers are let in."""

    def __init__(self, code: Any, align: Any = False, copy: Any = True) -> None:
        text = str(bytes(code), "ascii") if isinstance(code, memoryview) else code
        if text not in _NUMERIC:
            raise UnsafePickleError(f"has an array of type {text!r}; only plain numbers are read")
        self.code = text
        self.order = "<"

    def build(self, state: Any) -> None:
        """Take the byte order."""
        order = str(bytes(raw_bytes(state[1])), "ascii") if not isinstance(state[1], str) else state[1]
        if order not in ("<", ">", "|", "="):
            raise ValueError("byte order")
        self.order = "<" if order == "=" else order

    def numpy(self) -> np.dtype[Any]:
        """Return the dtype."""
        return np.dtype(self.order + self.code)


class Array:
    """Stands for `numpy.ndarray`; `value` is a view of the file's bytes once built."""

    def __init__(self, value: np.ndarray[Any, Any] | None = None) -> None:
        self.value = np.zeros(0, np.float32) if value is None else value

    def build(self, state: Any) -> None:
        """Take shape, dtype, order and data."""
        shape, dtype, fortran, raw = state[-4:]
        self.value = _array(raw, dtype, shape, "F" if fortran else "C")


def _array(raw: Any, dtype: Any, shape: Any, order: str) -> np.ndarray[Any, Any]:
    if not isinstance(dtype, DType) or not all(isinstance(side, int) and side >= 0 for side in shape):
        raise TypeError("array")
    flat = np.frombuffer(raw_bytes(raw), dtype.numpy()) if math.prod(shape) else np.zeros(0, dtype.numpy())
    return flat.reshape(shape, order="F" if order == "F" else "C")


def _reconstruct(kind: Any, shape: Any, code: Any) -> Array:
    return Array()


def _frombuffer(raw: Any, dtype: Any, shape: Any, order: str) -> Array:
    return Array(_array(raw, dtype, shape, order))


def _scalar(dtype: Any, raw: Any) -> Array:
    return Array(_array(raw, dtype, (), "C"))


def _encode(text: Any, codec: Any) -> memoryview:
    if codec not in ("latin1", "latin-1"):
        raise ValueError("codec")
    return raw_bytes(text)


_NUMPY_FUNCTIONS: list[tuple[str, str, Callable[..., Any]]] = [
    ("multiarray", "_reconstruct", _reconstruct),
    ("multiarray", "scalar", _scalar),
    ("numeric", "_frombuffer", _frombuffer),
]
NUMPY_NAMES: Names = {
    **{(f"numpy.{core}.{module}", name): make for core in ("core", "_core") for module, name, make in _NUMPY_FUNCTIONS},
    ("numpy", "ndarray"): None,
    ("numpy", "dtype"): DType,
    ("_codecs", "encode"): _encode,
    ("__builtin__", "bytes"): lambda: memoryview(b""),
}


def to_tensor(value: Any, name: str) -> Tensor:
    """Return an array stand-in as a float32 tensor that shares the file's bytes where it can.

    Raises:
        ConvertError: if it is no array of numbers that float32 holds exactly.
    """
    if isinstance(value, float | int) and abs(value) < 1e30:
        value = Array(np.asarray(value))
    if not isinstance(value, Array):
        raise ConvertError(f"variable {name} is no array")
    array = value.value
    if array.ndim and array.dtype.kind != "f":
        raise ConvertError(f"variable {name} is {array.dtype}, not floating point")
    if array.dtype != np.float32 or not array.dtype.isnative:
        with np.errstate(all="ignore"):
            exact = array.astype(np.float32)
            same = np.array_equal(exact.astype(array.dtype), array, equal_nan=array.dtype.kind == "f")
        if not same:
            raise ConvertError(f"variable {name} is {array.dtype} and loses precision in float32")
        array = exact
    return torch.from_numpy(array)


@dataclass
class Storage:
    """Stands for a torch storage: a flat array."""

    value: np.ndarray[Any, Any]


_STORAGES = {
    "FloatStorage": "<f4",
    "HalfStorage": "<f2",
    "DoubleStorage": "<f8",
    "LongStorage": "<i8",
    "IntStorage": "<i4",
}
_CONTAINER_MAGIC = 0x1950A86A20F9469CFC6C


def load_storage(blob: Any) -> Storage:
    """Read the legacy torch container that holds one storage (docs/spec/TORCH.md 4)."""
    data = raw_bytes(blob)
    names: Names = {("torch", name): None for name in _STORAGES}
    magic, end = load(data, names)
    version, end = load(data, names, end)
    info, end = load(data, names, end)
    if magic != _CONTAINER_MAGIC or version != 1001 or not info["little_endian"]:
        raise ConvertError("holds a tensor in an unknown container")
    (kind, storage_type, key, _, count, view), end = load(data, names, end, persistent=lambda identity: identity)
    keys, end = load(data, names, end)
    if kind != "storage" or keys != [key] or view is not None:
        raise ConvertError("holds a tensor in an unknown container")
    dtype = np.dtype(_STORAGES[storage_type.name])
    if (
        count < 0
        or int.from_bytes(data[end : end + 8], "little") != count
        or len(data) != end + 8 + count * dtype.itemsize
    ):
        raise ConvertError("holds a tensor whose data are cut off")
    return Storage(np.frombuffer(data[end + 8 :], dtype))


def rebuild_tensor(storage: Any, offset: Any, size: Any, stride: Any, *_: Any) -> Array:
    """Return the tensor as an array: a strided view that stays inside its storage."""
    if not isinstance(storage, Storage) or len(size) != len(stride) or any(v < 0 for v in (offset, *size, *stride)):
        raise TypeError("tensor")
    last = offset + sum((n - 1) * step for n, step in zip(size, stride, strict=True))
    if math.prod(size) and max(last + 1, math.prod(size)) > len(storage.value):
        raise ConvertError("holds a tensor that reaches beyond its data")
    step = storage.value.itemsize
    return Array(np.lib.stride_tricks.as_strided(storage.value[offset:], size, [s * step for s in stride]))


TORCH_NAMES: Names = {
    ("torch._utils", "_rebuild_tensor_v2"): rebuild_tensor,
    ("torch._utils", "_rebuild_parameter"): lambda tensor, requires_grad, hooks: tensor,
    ("torch.storage", "_load_from_bytes"): load_storage,
}


def _as_dict(items: Any = ()) -> dict[Any, Any]:
    return {key: value for key, value in _few(items) if isinstance(key, str | int)}


def _as_set(items: Any = ()) -> set[Any]:
    return {item for item in _few(items) if isinstance(item, str | int)}


def _few(items: Any) -> Any:
    if len(items) > 1000:
        raise ConvertError("holds a collection larger than any network needs")
    return items


CONTAINER_NAMES: Names = {
    ("collections", "OrderedDict"): _as_dict,
    ("builtins", "set"): _as_set,
    ("__builtin__", "set"): _as_set,
    ("dnnlib.util", "EasyDict"): lambda: {},
    ("dnnlib", "EasyDict"): lambda: {},
    ("config", "EasyDict"): lambda: {},
}
