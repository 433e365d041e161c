"""How cards calculate in float32."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch


@contextmanager
def card_float32(tf32: bool = False) -> Iterator[None]:
    """Until the block ends, let NVIDIA cards round the inputs of float32 products to 10 bits (TF32), or not.

    They do for convolutions unless told otherwise, and it shows in 8-bit pictures. CPUs take no notice.
    """
    switches: tuple[Any, ...] = (torch.backends.cudnn, torch.backends.cuda.matmul)
    # PyTorch 2.9 has newer names, which win where a program sets both; reading the older ones may then be an error.
    newer = [each for each in (*_newer(switches[0]), switches[1]) if hasattr(each, "fp32_precision")]
    before = [each.fp32_precision for each in newer] or [each.allow_tf32 for each in switches]
    try:
        _set(switches, [tf32] * 2)
        for each in newer:
            each.fp32_precision = "tf32" if tf32 else "ieee"
        yield
    finally:
        _set(switches, [before[0] in (True, "tf32"), before[-1] in (True, "tf32")])
        for each, value in zip(newer, before, strict=False):
            each.fp32_precision = value


def _newer(cudnn: Any) -> list[Any]:
    return [getattr(cudnn, name) for name in ("conv", "rnn") if hasattr(cudnn, name)]


def _set(switches: tuple[Any, ...], values: list[bool]) -> None:
    for each, value in zip(switches, values, strict=True):
        each.allow_tf32 = value
