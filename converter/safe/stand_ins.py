"""Stand-ins for the numpy objects and containers met in pickles; they turn checked bytes into tensors, no more."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor

from converter.errors import ConvertError, UnsafePickleError
from converter.safe.budget import spend
from converter.safe.torch_tensors import NotPlain, StoredTensor
from converter.safe.unpickler import Foreign, Names, is_key

_NUMERIC = {"f2", "f4", "f8", "i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8", "b1"}


def raw_bytes(value: Any) -> memoryview:
    """Return pickled raw data as bytes; Python 2 wrote it as text of the same codes."""
    if isinstance(value, str):
        spend("bytes", len(value))
        return memoryview(bytearray(value.encode("latin-1")))
    return memoryview(value)


class DType:
    """Stands for `numpy.dtype`; only plain numbers are let in."""

    def __init__(self, code: Any, align: Any = False, copy: Any = True) -> None:
        text = str(bytes(code[:8]), "ascii") if isinstance(code, memoryview) else code
        if not isinstance(text, str) or text not in _NUMERIC:
            shown = repr(text[:40]) if isinstance(text, str) else f"a {type(text).__name__}"
            raise UnsafePickleError(f"has an array of type {shown}; only plain numbers are read")
        self.code = text
        self.order = "<"

    def build(self, state: Any) -> None:
        """Take the byte order."""
        if len(state[1]) != 1:
            raise ValueError("byte order")
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
        self._tensor: Tensor | None = None

    def build(self, state: Any) -> None:
        """Take shape, dtype, order and data."""
        if not 4 <= len(state) <= 5:
            raise TypeError("array")
        shape, dtype, fortran, raw = state[-4:]
        self.value = _array(raw, dtype, shape, "F" if fortran else "C")

    def tensor(self, name: str) -> Tensor:
        """Return it as float32, made once; raises ConvertError if that is not exact."""
        if self._tensor is None:
            self._tensor = self._made(name)
        return self._tensor

    def _made(self, name: str) -> Tensor:
        array = self.value
        if array.ndim and array.dtype.kind != "f":
            raise ConvertError(f"variable {name} is {array.dtype}, not floating point")
        if array.dtype != np.float32:  # which those of the other byte order are not
            spend("bytes", 4 * array.size)
            with np.errstate(all="ignore"):
                exact = array.astype(np.float32)
                same = np.array_equal(exact.astype(array.dtype), array, equal_nan=array.dtype.kind == "f")
            if not same:
                raise ConvertError(f"variable {name} is {array.dtype} and loses precision in float32")
            array = exact
        return torch.from_numpy(array)


class InlineArray(Array):
    """Stands for an array of joblib's, whose data follow its description in the stream."""

    def build(self, state: Any) -> None:
        """Take shape, dtype and order."""
        self.state = state

    def take(self, read: Callable[[int], memoryview]) -> None:
        """Take the data."""
        shape, dtype = self.state["shape"], self.state["dtype"]
        if not _is_shape(shape):
            raise TypeError("array")
        if self.state.get("numpy_array_alignment_bytes"):
            read(read(1)[0])
        raw = read(math.prod(shape) * dtype.numpy().itemsize)
        self.value = _array(raw, dtype, shape, str(self.state["order"]))


def _is_shape(shape: Any) -> bool:
    return isinstance(shape, tuple) and len(shape) <= 32 and all(side >= 0 for side in shape)


def _array(raw: Any, dtype: Any, shape: Any, order: str) -> np.ndarray[Any, Any]:
    if not _is_shape(shape):
        raise TypeError("array")
    flat = np.frombuffer(raw_bytes(raw), dtype.numpy()) if math.prod(shape) else np.zeros(0, dtype.numpy())
    return flat.reshape(shape, order="F" if order == "F" else "C")


def _reconstruct(kind: Any, shape: Any, code: Any) -> Array:
    return Array()


def _frombuffer(raw: Any, dtype: Any, shape: Any, order: str, axes: Any = None) -> Array:
    array = _array(raw, dtype, shape, order)
    return Array(array if axes is None else array.transpose(axes))


def _scalar(dtype: Any, raw: Any) -> Array:
    return Array(_array(raw, dtype, (), "C"))


def _encode(text: Any, codec: Any) -> memoryview:
    if codec not in ("latin1", "latin-1"):
        raise ValueError("codec")
    return raw_bytes(text)


def _reconstructor(kind: Any, base: Any, state: Any) -> Any:
    """Make what `copy_reg` of protocols 0 and 1 makes: an object, maybe with the entries of the dict that it is."""
    made = kind()
    if isinstance(state, dict):
        spend("operations", len(state))
        (made.entries if isinstance(made, Foreign) else made).update(state)
    return made


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
    ("joblib.numpy_pickle", "NumpyArrayWrapper"): InlineArray,
    ("copy_reg", "_reconstructor"): _reconstructor,
    ("copyreg", "_reconstructor"): _reconstructor,
    ("__builtin__", "object"): None,
    ("builtins", "object"): None,
    ("__builtin__", "dict"): None,
}


def to_tensor(value: Any, name: str) -> Tensor:
    """Return an array or tensor stand-in as a float32 tensor that shares the file's bytes where it can.

    Raises:
        ConvertError: if it is no plain array of numbers that float32 holds exactly.
    """
    if isinstance(value, float | int) and abs(value) < 1e30:
        value = Array(np.asarray(value))
    if not isinstance(value, Array | StoredTensor | NotPlain):
        raise ConvertError(f"variable {name} is no array")
    return value.tensor(name)


def _as_dict(items: Any = ()) -> dict[Any, Any]:
    return {key: value for key, value in _few(items) if isinstance(key, str | int) and is_key(key)}


def _as_set(items: Any = ()) -> set[Any]:
    return {item for item in _few(items) if isinstance(item, str | int) and is_key(item)}


def _few(items: Any) -> Any:
    if not isinstance(items, list | tuple | set | dict) or len(items) > 1000:
        raise ConvertError("holds a collection larger than any network needs")
    spend("operations", len(items))
    return list(items.items()) if isinstance(items, dict) else items


CONTAINER_NAMES: Names = {
    ("collections", "OrderedDict"): _as_dict,
    ("builtins", "set"): _as_set,
    ("__builtin__", "set"): _as_set,
    ("dnnlib.util", "EasyDict"): lambda: {},
    ("dnnlib", "EasyDict"): lambda: {},
    ("config", "EasyDict"): lambda: {},
}
