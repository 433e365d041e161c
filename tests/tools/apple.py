"""An Apple GPU as the CPU plays it: tensors that say they are on `mps`, where float64 is refused."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode
from torch.utils._pytree import tree_leaves, tree_map

MPS = torch.device("mps", 0)
_PROPERTIES = {getattr(torch.Tensor, name).__get__ for name in ("device", "is_cuda", "is_mps", "is_cpu")}


class _OnGPU(torch.Tensor):
    """A tensor on the GPU; `kept` has its numbers."""

    kept: Tensor

    @staticmethod
    def __new__(cls, kept: Tensor) -> _OnGPU:
        if kept.dtype in (torch.float64, torch.complex128):
            raise TypeError(f"Cannot convert a MPS Tensor to {kept.dtype}, which the MPS framework doesn't support")
        made: _OnGPU = torch.Tensor._make_wrapper_subclass(
            cls, kept.size(), strides=kept.stride(), dtype=kept.dtype, device=MPS
        )
        made.kept = kept
        return made

    @classmethod
    def __torch_dispatch__(cls, func: object, *_: object, **__: object) -> Any:  # type: ignore[override]
        raise RuntimeError(f"{func} is for a GPU that there is no more")


class _GPU(TorchFunctionMode):
    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: object,
        args: tuple[Any, ...] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        kwargs, given = dict(kwargs or {}), tree_leaves((args, kwargs))
        there = any(isinstance(each, _OnGPU) for each in given)
        if func in _PROPERTIES or func is torch._C._nn._parse_to:
            return func(*args, **kwargs)
        if func is torch._has_compatible_shallow_copy_type:
            return not there
        if func is torch.Tensor.to:
            device, dtype, *_ = torch._C._nn._parse_to(*args[1:], **kwargs)
            there = there if device is None else device.type == "mps"
            x = _on_cpu(args[0])
            return _put(x.to(dtype or x.dtype), there)
        there |= torch.device(kwargs.get("device") or "cpu").type == "mps"
        if not there:
            return func(*args, **kwargs)
        args, kwargs = tree_map(_on_cpu, (args, kwargs))
        out = func(*args, **kwargs)
        if isinstance(out, torch.Size) or func is torch.Tensor.cpu:
            return out
        return tree_map(lambda each: _put(each, there), out)


def _put(each: Any, there: bool) -> Any:
    return _OnGPU(each) if there and isinstance(each, Tensor) else each


def _on_cpu(each: Any) -> Any:
    if isinstance(each, _OnGPU):
        return each.kept
    return "cpu" if isinstance(each, str | torch.device) and str(each).startswith("mps") else each


@contextmanager
def apple_gpu() -> Iterator[None]:
    """Have such a GPU until the block ends; its tensors have no gradients."""
    with torch.no_grad(), _GPU():
        yield
