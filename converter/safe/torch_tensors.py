"""Stand-ins for the torch objects met in pickles: storages, and tensors that are views of them."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from converter.errors import ConvertError
from converter.safe.budget import spend
from converter.safe.unpickler import Global, Loaded, Names, load
from stylegan_torch.files.tensors import overlaps

_STORAGES = {
    "FloatStorage": torch.float32,
    "HalfStorage": torch.float16,
    "BFloat16Storage": torch.bfloat16,
    "DoubleStorage": torch.float64,
    "LongStorage": torch.int64,
    "IntStorage": torch.int32,
    "ShortStorage": torch.int16,
    "CharStorage": torch.int8,
    "ByteStorage": torch.uint8,
    "BoolStorage": torch.bool,
    "UntypedStorage": torch.uint8,
}
_DTYPES = {str(dtype).removeprefix("torch."): dtype for dtype in _STORAGES.values()}
_HALVES = (torch.float16, torch.bfloat16)
_FLOATS = (*_HALVES, torch.float64)
_CONTAINER_MAGIC = 0x1950A86A20F9469CFC6C
_VERSION = 1001
_MOST = 1 << 48
"""Elements, offsets and steps beyond which nothing is computed with them."""


class Storage:
    """Stands for a torch storage, a flat array; old containers give the `data` after the tensors.

    count: elements of the type that it was made for.
    """

    def __init__(self, dtype: torch.dtype, count: int, data: memoryview | None = None) -> None:
        self.dtype, self.count, self.data = dtype, count, data

    @property
    def nbytes(self) -> int:
        """Bytes it has, given or yet to come."""
        return self.count * self.dtype.itemsize

    def flat(self, dtype: torch.dtype) -> Tensor:
        """Return all of it as numbers of a type."""
        if self.data is None or len(self.data) != self.nbytes:
            raise ConvertError("holds a tensor whose data are cut off")
        if self.data.readonly:
            spend("bytes", len(self.data))
            self.data = memoryview(bytearray(self.data))
        return torch.frombuffer(self.data, dtype=dtype) if len(self.data) else torch.zeros(0, dtype=dtype)


class StoredTensor:
    """Stands for a tensor: a strided view that stays inside its storage."""

    def __init__(self, storage: Storage, dtype: torch.dtype, offset: Any, size: Any, stride: Any) -> None:
        if not isinstance(size, tuple | list) or not isinstance(stride, tuple | list) or len(size) != len(stride):
            raise TypeError("tensor")
        numbers = (offset, *size, *stride)
        if len(size) > 32 or not all(isinstance(v, int) and not isinstance(v, bool) and v >= 0 for v in numbers):
            raise TypeError("tensor")
        if any(v > _MOST for v in numbers):
            raise ConvertError("holds a tensor that reaches beyond its data")
        last = offset + sum((n - 1) * step for n, step in zip(size, stride, strict=True))
        if math.prod(size) and max(last + 1, math.prod(size)) > storage.nbytes // dtype.itemsize:
            raise ConvertError("holds a tensor that reaches beyond its data")
        if math.prod(size) and overlaps(size, stride):
            raise ConvertError("holds a tensor whose numbers lie over one another")
        self.storage, self.dtype = storage, dtype
        self.offset, self.size, self.stride = offset, tuple(size), tuple(stride)
        self._tensor: Tensor | None = None

    @property
    def shape(self) -> tuple[int, ...]:
        """Sides."""
        return self.size

    def tensor(self, name: str) -> Tensor:
        """Return it as float32, made once; raises ConvertError if that is not exact."""
        if self._tensor is None:
            self._tensor = self._made(name)
        return self._tensor

    def _made(self, name: str) -> Tensor:
        if not math.prod(self.size):
            return torch.zeros(self.size)
        flat = self.storage.flat(self.dtype)
        return exact_float32(torch.as_strided(flat, self.size, self.stride, self.offset), name)


def exact_float32(value: Tensor, name: str) -> Tensor:
    """Return a tensor as float32.

    Raises:
        ConvertError: naming it, if it is another kind of numbers, or would be rounded.
    """
    if value.dtype == torch.float32:
        return value
    if value.ndim and value.dtype not in _FLOATS:
        raise ConvertError(f"variable {name} is {_spelled(value.dtype)}, not floating point that float32 holds")
    spend("bytes", 4 * value.numel())
    exact = value.float()
    if value.dtype not in _HALVES and not torch.equal(exact.to(value.dtype).nan_to_num(), value.nan_to_num()):
        raise ConvertError(f"variable {name} is {_spelled(value.dtype)} and loses precision in float32")
    return exact


class NotPlain:
    """Stands for a tensor that is not plain numbers in memory: `what` says why."""

    def __init__(self, what: str) -> None:
        self.what = what

    def tensor(self, name: str) -> Tensor:
        """Raise ConvertError."""
        raise ConvertError(f"variable {name} is {self.what}, not a plain tensor; save it as one")


def _spelled(dtype: torch.dtype) -> str:
    return str(dtype).removeprefix("torch.")


def storage_type(named: Any) -> torch.dtype:
    """Return the element type of a storage class that a file names.

    Raises:
        ConvertError: if it is none of plain numbers.
    """
    if not isinstance(named, Global):
        raise TypeError("a storage type that is no class")
    if named.name not in _STORAGES:
        raise ConvertError(f"holds a tensor of {named.module}.{named.name}, which is no type of plain numbers")
    return _STORAGES[named.name]


def rebuild_tensor(storage: Any, offset: Any, size: Any, stride: Any, *rest: Any) -> StoredTensor | NotPlain:
    """Return the stand-in of a tensor."""
    if not isinstance(storage, Storage):
        raise TypeError("tensor")
    metadata = rest[2] if len(rest) > 2 else None
    if isinstance(metadata, dict) and any(metadata.get(flag) for flag in ("neg", "conj")):
        return NotPlain("stored with its sign to be turned")
    return StoredTensor(storage, storage.dtype, offset, size, stride)


def _rebuild_typed(
    storage: Any, offset: Any, size: Any, stride: Any, gradient: Any, hooks: Any, dtype: Any, *rest: Any
) -> StoredTensor | NotPlain:
    if not isinstance(storage, Storage) or not isinstance(dtype, Global):
        raise TypeError("tensor")
    if dtype.name not in _DTYPES:
        return NotPlain(f"of type {dtype.name[:40]}")
    return StoredTensor(storage, _DTYPES[dtype.name], offset, size, stride)


def _rebuild_from_type(function: Any, kind: Any, args: Any, state: Any) -> Any:
    if not isinstance(function, Global) or not isinstance(args, tuple):
        raise TypeError("tensor")
    return function(*args)


def _not_plain(what: str) -> Callable[..., NotPlain]:
    return lambda *args: NotPlain(what)


def load_storage(blob: Any) -> Storage:
    """Read the old torch container that holds one storage (docs/spec/TORCH.md 4)."""
    spend("bytes", len(blob) if isinstance(blob, str) else 0)
    data = memoryview(bytearray(blob.encode("latin-1"))) if isinstance(blob, str) else memoryview(blob)
    made, end, _ = load_old_container(data, {})
    if not isinstance(made, Storage) or end != len(data):
        raise ConvertError("holds a tensor in an unknown container")
    return made


def load_old_container(data: memoryview, names: Names) -> Loaded:
    """Read a file as `torch.save` wrote it before 1.6: pickles, then the data of all storages.

    Args:
        data: the file.
        names: what its pickle may ask for besides storages.

    Raises:
        ConvertError: if it is unsafe or damaged.
    """
    storages: dict[str, Storage] = {}

    def refer(identity: Any) -> Storage:
        if not isinstance(identity, tuple) or len(identity) < 5 or identity[0] != "storage":
            raise ConvertError("holds a tensor in an unknown container")
        _, kind, key, _, count, *view = identity
        if not isinstance(key, str) or not isinstance(count, int) or (view and view[0] is not None):
            raise ConvertError("holds a tensor in an unknown container")
        if not 0 <= count <= _MOST:
            raise ConvertError("holds a tensor whose data are cut off")
        if key not in storages:
            storages[key] = Storage(storage_type(kind), count)
        return storages[key]

    (magic, end, *_), plain = load(data, {}), dict[tuple[str, str], Any]()
    version, end, *_ = load(data, plain, end)
    info, end, *_ = load(data, plain, end)
    if magic != _CONTAINER_MAGIC or version != _VERSION or not isinstance(info, dict) or not info["little_endian"]:
        raise ConvertError("holds a tensor in an unknown container")
    made = load(data, {**STORAGE_NAMES, **names}, end, persistent=refer)
    keys, end, *_ = load(data, plain, made.end)
    if not isinstance(keys, list) or not all(isinstance(key, str) for key in keys) or set(keys) != set(storages):
        raise ConvertError("holds a tensor in an unknown container")
    for key in keys:
        storage = storages[key]
        if int.from_bytes(data[end : end + 8], "little") != storage.count or len(data) < end + 8 + storage.nbytes:
            raise ConvertError("holds a tensor whose data are cut off")
        storage.data = data[end + 8 : end + 8 + storage.nbytes]
        end += 8 + storage.nbytes
    return Loaded(made.value, end, made.foreign)


STORAGE_NAMES: Names = {("torch", name): None for name in _STORAGES} | {
    ("torch.storage", name): None for name in ("UntypedStorage", "TypedStorage")
}
TORCH_NAMES: Names = {
    **STORAGE_NAMES,
    ("torch._utils", "_rebuild_tensor"): rebuild_tensor,
    ("torch._utils", "_rebuild_tensor_v2"): rebuild_tensor,
    ("torch._utils", "_rebuild_tensor_v3"): _rebuild_typed,
    ("torch._utils", "_rebuild_parameter"): lambda tensor, requires_grad, hooks: tensor,
    ("torch._utils", "_rebuild_parameter_with_state"): lambda tensor, requires_grad, hooks, state: tensor,
    ("torch._tensor", "_rebuild_from_type_v2"): _rebuild_from_type,
    ("torch._utils", "_rebuild_sparse_tensor"): _not_plain("sparse"),
    ("torch._utils", "_rebuild_sparse_csr_tensor"): _not_plain("sparse"),
    ("torch._utils", "_rebuild_qtensor"): _not_plain("quantised"),
    ("torch._utils", "_rebuild_meta_tensor_no_storage"): _not_plain("a meta tensor without values"),
    ("torch._utils", "_rebuild_wrapper_subclass"): _not_plain("a wrapper of another tensor"),
    ("torch._utils", "_rebuild_device_tensor_from_numpy"): _not_plain("of a device that is not known here"),
    ("torch.serialization", "_get_layout"): lambda name: None,
    ("torch.storage", "_load_from_bytes"): load_storage,
}
