"""What tensors of files are like: numbers that are none, numbers that lie over one another."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from typing import IO, Any

import torch
from torch import Tensor


def load_plain(file: str | IO[bytes], *, mmap: bool = False) -> Any:
    """Return what `torch.save` wrote, on the CPU; nothing of it is run.

    Raises:
        Exception: any, if it is damaged or holds more than tensors, text, numbers and containers. What torch warns of
            before it does is kept to itself.
    """
    with warnings.catch_warnings(action="ignore"):
        return torch.load(file, weights_only=True, mmap=mmap, map_location="cpu")


def nonfinite(tensors: Mapping[str, Tensor]) -> str | None:
    """Tell which tensors have NaN or infinity in them, in words; None if none has."""
    found = [name for name, value in tensors.items() if _has_nonfinite(value)]
    if not found:
        return None
    count = int((~torch.isfinite(tensors[found[0]])).sum())
    numbers = f"{count:,} numbers that are" if count > 1 else "a number that is"
    others = f", as have {len(found) - 1} other tensors" if found[1:] else ""
    return f"tensor {found[0]} has {numbers} NaN or infinite{others}"


def _has_nonfinite(value: Tensor) -> bool:
    # One such number makes the sum one, and a sum is quick and takes no memory; it may be infinite of finite ones too.
    return value.is_floating_point() and not value.sum().isfinite() and not bool(torch.isfinite(value).all())


def overlaps(sides: Sequence[int], steps: Sequence[int]) -> bool:
    """Return whether numbers of a tensor with these strides may lie over one another, as none of a saved network do."""
    reach = 0
    for step, side in sorted((step, side) for step, side in zip(steps, sides, strict=True) if side > 1):
        if step <= reach:
            return True
        reach += step * (side - 1)
    return False
