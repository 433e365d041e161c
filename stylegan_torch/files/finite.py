"""NaN and infinity among the numbers of networks."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor


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
